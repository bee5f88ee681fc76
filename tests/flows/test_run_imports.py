"""What a run that finds its rows in the store leaves alone, and does only once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

from tests.test_edit_costs import base

#: Each takes some hundredths of a second, of the two that such a run takes.
UNUSED = {
    "fastapi",
    "openai",
    "prefect.server",
    "scipy",
    "themis_lib.builtins.choices",
    "themis_lib.builtins.numbers",
    "themis_lib.builtins.verdicts",
    "themis_lib.certification.models",
    "themis_lib.comparison.compare",
    "themis_lib.comparison.gate_outcomes",
    "themis_lib.comparison.until_decided",
    "themis_lib.explain.plan",
    "themis_lib.labels.judged_cases",
    "themis_lib.report.html_matrix",
    "themis_lib.verification.models",
}
SCRIPT = """
import sys
opened = []
def note(event, arguments):
    if event == "open" and str(arguments[0]).endswith("cases.jsonl"):
        opened.append(arguments[0])
sys.addaudithook(note)
from flows.run import app
try:
    app(sys.argv[1:])
except SystemExit as ended:
    print("code:", ended.code)
print("data opened:", len(opened))
print("loaded:", sorted(%r & set(sys.modules)))
"""


def test_a_cached_run_imports_what_it_uses(prefect_api: str, tmp_path: Path) -> None:
    """What reads answers, judges gates, compares and labels is left out. The flow takes
    what the command has prepared: the data is opened to look at its first cases, and to
    read it.
    """
    spec = base(tmp_path / "store")
    (dataset,) = spec["datasets"]
    data = tmp_path / "cases.jsonl"
    data.write_text("\n".join(map(json.dumps, dataset.pop("cases"))))
    dataset["path"] = str(data)
    path = tmp_path / "experiment.yaml"
    path.write_text(yaml.safe_dump(spec))
    command = [sys.executable, "-c", SCRIPT % UNUSED, str(path)]
    environment = {**os.environ, "PREFECT_API_URL": prefect_api, "COLUMNS": "120"}

    for _ in range(2):
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, env=environment
        )

    expected = ["code: 0", "data opened: 2", "loaded: []"]
    assert expected == done.stdout.splitlines()[-3:]
