"""Gates as they are written: what is read, and what is refused."""

from __future__ import annotations

import pytest

from themis_lib import ConfigError
from themis_lib.comparison.gate import Gate, check_names, parse_gate
from themis_lib.runs.manifest import GateOutcome

READ = {
    "exact_match >= 0.8": ("exact_match", ">=", 0.8, None, None),
    "exact_match>=.8": ("exact_match", ">=", 0.8, None, None),
    "pass@1[math/v2] > 1e-3": ("pass@1[math/v2]", ">", 0.001, None, None),
    "cost per case <= 2": ("cost per case", "<=", 2.0, None, None),
    "  m < -0.5 on topic=long division ": ("m", "<", -0.5, "topic=long division", None),
    "m >= 0.8 on gsm8k": ("m", ">=", 0.8, "gsm8k", None),
    "m no worse than last good by 0.02": ("m", ">=", -0.02, None, "last good"),
    "m no worse than 20261121-09 by 0 on d": ("m", ">=", 0.0, "d", "20261121-09"),
    "m no worse than BASELINE by 0.02": ("m", ">=", -0.02, None, "BASELINE"),
}


@pytest.mark.parametrize("text", READ)
def test_gate_is_read(text: str) -> None:
    """Metric, relation, limit, place and baseline are where they stand, whatever
    characters a metric holds.
    """
    gate = parse_gate(text)

    assert READ[text] == (
        gate.metric_id,
        gate.relation,
        gate.limit,
        gate.place,
        gate.baseline,
    )
    assert text == gate.text


@pytest.mark.parametrize(
    ("text", "metric_id", "is_corrected"),
    [
        ("corrected(quality) >= 0.8", "quality", True),
        ("corrected( pass@1(math) )>=0.8 on d", "pass@1(math)", True),
        ("corrected(m) no worse than last good by 0.02", "m", True),
        ("corrected >= 0.8", "corrected", False),
        ("corrected(m >= 0.8", "corrected(m", False),
    ],
)
def test_gate_on_a_corrected_mean(
    text: str, metric_id: str, is_corrected: bool
) -> None:
    """`corrected(METRIC)` is the metric's mean corrected by labels, and no metric."""
    gate = parse_gate(text)

    assert (metric_id, is_corrected) == (gate.metric_id, gate.is_corrected)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "exact_match",
        "m = 0.8",
        "m => 0.8",
        ">= 0.8",
        "m >= much",
        "m >= nan",
        "m no worse than by 0.1",
        "m >= 80%",
        "m no worse than last good",
        "m >= 0.8 on ",
        "m no worse than last good by -0.1",
    ],
)
def test_gate_that_says_nothing_is_refused(text: str) -> None:
    """What is no gate is shown, with how gates are written."""
    with pytest.raises(ConfigError) as refusal:
        parse_gate(text)

    assert f"gate {text!r}" in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("exact_mach >= 0.8", "no metric 'exact_mach'; did you mean 'exact_match'?"),
        (
            "exact_match >= 0.8 on gsm8",
            "no dataset or slice 'gsm8'; did you mean 'gsm8k'?",
        ),
        (
            "exact_match >= 0.8 on topik=a",
            "no dataset or slice 'topik=a'; did you mean 'topic=…'?",
        ),
    ],
)
def test_unknown_name_is_refused_with_the_nearest(text: str, expected: str) -> None:
    """A metric, dataset or slice that is not there is named with the nearest that
    is.
    """
    with pytest.raises(ConfigError) as refusal:
        check_names(
            parse_gate(text),
            metric_ids=["exact_match"],
            dataset_ids=["gsm8k"],
            columns=["topic"],
        )

    assert expected in str(refusal.value)


@pytest.mark.parametrize(
    ("relation", "expected"),
    [
        (">=", ["fail", "underpowered", "pass", "pass"]),
        (">", ["fail", "underpowered", "underpowered", "pass"]),
        ("<=", ["pass", "underpowered", "underpowered", "fail"]),
        ("<", ["pass", "underpowered", "fail", "fail"]),
    ],
)
def test_the_whole_interval_decides(relation: str, expected: list[str]) -> None:
    """An interval below, across, from and above the limit: only what is wholly on one
    side is decided.
    """
    gate = Gate("", "m", relation, 0.5)
    intervals = [(0.1, 0.4), (0.4, 0.6), (0.5, 0.6), (0.6, 0.7)]

    assert expected == [gate.outcome(low, high).value for low, high in intervals]
    assert gate.outcome(None, None) is GateOutcome.UNDERPOWERED


def test_place_is_a_dataset_or_a_slice() -> None:
    """Without a place a gate is for every dataset as a whole; with one for that
    dataset, or that slice of each.
    """
    rows = [("d", "all"), ("e", "all"), ("d", "topic=x"), ("e", "topic=x")]

    held = {
        place: [row for row in rows if Gate("", "m", ">", 0.0, place).is_for(*row)]
        for place in (None, "d", "topic=x")
    }

    assert {None: rows[:2], "d": rows[:1], "topic=x": rows[2:]} == held
