"""The commands that look after a store: what they measure, and how they reach one."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from flows.store import app
from tests.support.counted_runs import ran
from tests.test_edit_costs import base
from themis_lib import Experiment, RunStore
from themis_lib.core.store_names import DEFAULT_STORE
from themis_lib.experiment.spec import experiment_from_spec


def test_measure_counts_by_stage_and_names_runs(tmp_path: Path) -> None:
    """`measure` has a line for each stage and fingerprint, with files, rows, the runs
    that refer to them and the newest of these.
    """
    experiment = experiment_from_spec(Experiment, base(tmp_path), where="spec")
    runs = [experiment.run().run_id for _ in range(2)]

    result = CliRunner().invoke(app, ["measure", str(tmp_path)], env={"COLUMNS": "120"})

    lines = {
        line.split()[0]: line.split()
        for line in result.stdout.splitlines()
        if line.strip()
    }
    assert 0 == result.exit_code, result.output
    for stage in ("generate", "parse", "score"):
        _, _, files, counted, _, _, count, newest = lines[stage]
        assert ("3", "12", "2", runs[-1]) == (files, counted, count, newest)


@pytest.mark.parametrize("command", ["check", "measure", "compact", "prune"])
def test_options_reach_the_filesystem(
    command: str, s3_options: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Credentials come from the environment, or from `--option` as references to it."""
    url = f"s3://themis/{uuid4().hex}"
    experiment_from_spec(Experiment, base(Path("unused")), where="spec").run(
        RunStore(url, s3_options)
    )
    by_option = [
        f"--option=endpoint_url={s3_options['endpoint_url']}",
        "--option=key=testing",
    ]
    monkeypatch.setenv("STORE_SECRET", s3_options["secret"])

    result = CliRunner().invoke(
        app, [command, url, *by_option, "--option=secret=${STORE_SECRET}"]
    )

    assert 0 == result.exit_code, result.output


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["nowhere"], "has no rows and no runs"),
        (["nope://store"], "nope://store"),
        (["store", "--option", "anon"], "write key=value"),
        (["s3://themis/x", "--option", "secret=hunter2"], "write '${SECRET}'"),
        (["s3://themis/x", "--option", "secret=${THEMIS_NO_SUCH}"], "THEMIS_NO_SUCH"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], expected: str) -> None:
    """A store that is not there, a bad option or a literal credential is one line and
    exit code 2.
    """
    result = CliRunner().invoke(app, ["check", *arguments])

    assert 2 == result.exit_code, result.output
    assert expected in result.stderr
    assert 1 == len(result.stderr.strip().splitlines())
    assert "hunter2" not in result.stderr


@pytest.mark.parametrize("command", ["check", "measure", "compact", "prune"])
def test_the_store_of_the_other_commands_needs_no_name(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an address, it is where `flows.run` keeps rows that no file places."""
    monkeypatch.chdir(tmp_path)
    ran(RunStore(DEFAULT_STORE))

    result = CliRunner().invoke(app, [command])

    assert 0 == result.exit_code, result.output
