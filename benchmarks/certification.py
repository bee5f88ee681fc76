"""What `themis certify` finds: the local engine, and a plain server as the control.

Both have the bundled model. The engine is to give the same bits in 10,000 comparisons;
the server (`tests/support/batched_server.py`) decodes what is waiting together, with one
KV cache and flash attention, and is to be found out.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from benchmarks.report import Aim, Report, Row
from tests.support.served_together import serving
from themis_lib import Certification, certify

_TASKS = Path(__file__).parents[1] / "examples" / "tasks.jsonl"
#: Compared in nine ways: 10,080 rows.
_PROMPTS, _QUICK_PROMPTS = 1120, 70
_ROWS, _QUICK_ROWS = 10_000, 600
_SERVED, _QUICK_SERVED = 64, 32
_TOKENS = 16


def measure(*, quick: bool) -> Report:
    with tempfile.TemporaryDirectory() as folder:
        prompts = Path(folder) / "prompts.jsonl"
        _write_prompts(prompts, _QUICK_PROMPTS if quick else _PROMPTS)
        engine = certify(
            "tiny",
            store=f"{folder}/engine",
            settings=[f"max_tokens={_TOKENS}"],
            data=str(prompts),
        )
        with serving() as url:
            server = certify(
                url,
                store=f"{folder}/server",
                settings=["max_tokens=32"],
                limit=_QUICK_SERVED if quick else _SERVED,
            )
    return Report(
        how=f"the bundled model (Q8_0), {engine.prompts:,} prompts of up to {_TOKENS} tokens "
        f"on the engine, {server.prompts} of up to 32 behind a plain llama.cpp server",
        rows=[*_rows("engine", engine), *_rows("plain server", server)],
        aims=[
            Aim("rows of the engine that differ", _differing(engine), 0),
            Aim(
                "rows of the engine compared",
                engine.rows,
                _QUICK_ROWS if quick else _ROWS,
                at_least=True,
            ),
            Aim(
                "texts of the plain server that differ",
                server.texts_differ,
                1,
                at_least=True,
            ),
        ],
    )


def _differing(found: Certification) -> int:
    return found.texts_differ + found.logprobs_differ


def _rows(name: str, found: Certification) -> list[Row]:
    return [
        {
            "model": name,
            "asked": check.arrangement,
            "rows": check.compared,
            "texts differ": check.texts_differ,
            "log-probs differ": check.logprobs_differ,
            "largest shift": check.largest_shift,
            "gap": check.gap,
        }
        for check in found.compared
    ]


def _write_prompts(file: Path, count: int) -> None:
    """Write the tasks of the example, and the same again with a number behind them."""
    tasks = [json.loads(line)["input"] for line in _TASKS.read_text().splitlines()]
    lines = []
    for at in range(count):
        text = tasks[at % len(tasks)]
        if at >= len(tasks):
            text += f" ({at})"
        lines.append(json.dumps({"case_id": str(at), "input": text}))
    file.write_text("\n".join(lines) + "\n")
