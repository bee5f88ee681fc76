"""Choose the recorded outputs that `themis demo` scores: `python -m tools.demo_data
FOLDER`.

FOLDER has GSM8K's test problems and the recorded solutions of two models. Every fourth
problem is taken, up to 300, with both solutions. The same folder gives the same bytes.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

DEMO_DATA = Path(__file__).parents[1] / "flows" / "demo_data"
#: Every fourth problem, so that those chosen are spread over the file.
STRIDE = 4
MOST_CASES = 300
#: The file that is read, and the one that is written, for each model.
SOLUTIONS = {
    "solutions_6b_finetuning.jsonl": "solutions-6b.jsonl",
    "solutions_175b_verification.jsonl": "solutions-175b.jsonl",
}
# The groups of solutions by their most steps, each large enough for an interval.
_STEP_GROUPS = {3: "1-3", 5: "4-5"}


def demo_files(source: Path) -> dict[str, bytes]:
    """Return the content of each data file of the demo, by its name."""
    problems = []
    for number, problem in enumerate(_read_lines(source / "test.jsonl")):
        case_id = f"gsm8k-test-{number:04d}"
        problems.append({"case_id": case_id, **problem, "steps": steps_of(problem)})
    chosen = problems[::STRIDE][:MOST_CASES]
    case_ids = {problem["case_id"] for problem in chosen}
    files = {"problems.jsonl": _jsonl(chosen)}
    for read, written in SOLUTIONS.items():
        solutions = _read_lines(source / read)
        kept = [line for line in solutions if line["case_id"] in case_ids]
        files[written] = _jsonl(kept)
    files["LICENSE"] = (source / "LICENSE").read_bytes()
    return files


def steps_of(problem: Mapping[str, str]) -> str:
    """Return how many steps the reference solution of a problem has, as a group.

    >>> steps_of({"answer": "3 - 1 = 2\\n2 * 2 = 4\\n#### 4"})
    '1-3'
    """
    # Each step is a line; the last line is the answer.
    steps = problem["answer"].count("\n")
    for most, group in _STEP_GROUPS.items():
        if steps <= most:
            return group
    return "6 or more"


def _read_lines(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8")
    return [json.loads(line) for line in text.split("\n") if line]


def _jsonl(rows: Iterable[Mapping[str, Any]]) -> bytes:
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    return "".join(lines).encode()


def main() -> None:
    """Write the data files of the demo, over those that are there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="GSM8K's problems and solutions")
    for name, content in demo_files(parser.parse_args().folder).items():
        path = DEMO_DATA / name
        path.write_bytes(content)
        print(f"{path}  {len(content):,} bytes")


if __name__ == "__main__":
    main()
