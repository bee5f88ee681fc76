"""A verification as text: the bound, what differs, and what models were asked."""

from __future__ import annotations

from typing import Any

from tests.verification.test_verify import evaluated
from themis_lib import verify_run
from themis_lib.report.html import report_html
from themis_lib.report.markdown import markdown_report
from themis_lib.report.verification_markdown import (
    model_lines,
    model_rows,
    note_lines,
    stage_lines,
    verification_markdown,
)
from themis_lib.verification.models import (
    CellDifference,
    ChangedCase,
    EqualityTest,
    ModelCheck,
    StageCheck,
    Verification,
)


def verification(**fields: Any) -> Verification:
    return Verification(
        run_id="r",
        name="n <b>",
        verified_at="2026-11-30T00:00:00.000+00:00",
        seed=3,
        sample=10,
        **{"stages": [], **fields},
    )


def stage(**fields: Any) -> StageCheck:
    return StageCheck(
        stage="parse", rows=40, sampled=10, most_differing=9, confidence=0.95, **fields
    )


def model(p_holm: float, **fields: Any) -> ModelCheck:
    test = EqualityTest(
        compares="texts", cases=5, effect=0.5, p_value=p_holm, p_holm=p_holm
    )
    changed = ChangedCase(
        dataset_id="d", case_id="c", discrepancy=1.0, stored=["old"], drawn=["new", "n"]
    )
    return ModelCheck(
        stage="generate",
        model="m",
        cases=5,
        calls=10,
        drawn=9,
        failed=1,
        equal=2,
        alpha=0.05,
        tests=[test],
        most_changed=[changed],
        **fields,
    )


def test_changed_model_is_told_with_its_cases() -> None:
    """Below alpha it has changed; above, nothing is claimed."""
    changed, same = (
        verification(models=[model(0.01)]),
        verification(models=[model(0.2)]),
    )

    assert "the model behind generate has changed" == changed.verdict
    assert "changed" == model_rows(changed)[0][-1]
    assert "no change found" == model_rows(same)[0][-1]
    text = "\n".join(model_lines(changed))
    assert "10 calls on 5 cases, 1 failed; 2 of 9 new texts" in text
    assert "d/c: stored `old`, now `new`" in text
    assert 1 == len(model_lines(same))


def test_only_some_differences_are_listed_and_all_are_counted() -> None:
    cell = CellDifference(
        stage="parse", dataset_id="d", case_id="c", column="value", stored="1"
    )

    lines = stage_lines(
        verification(
            stages=[stage(differing=50, differences=[cell] * 50, causes=["x"])]
        )
    )

    assert 12 == len(lines)
    assert "parse: 50 rows differ in all" in lines
    assert "parse: likely cause: x" == lines[-1]


def test_what_was_not_looked_at_is_noted() -> None:
    found = verification(
        stages=[stage(lost=3, failed_now=2)],
        environment=["numpy: 1 → 2"],
        data=["d: other cases"],
    )

    text = "\n".join(note_lines(found))

    for said in (
        "numpy: 1 → 2",
        "d: other cases",
        "3 row(s) are no longer",
        "2 row(s)",
    ):
        assert said in text


def test_names_are_inert_in_markdown() -> None:
    assert "<b>" not in verification_markdown(verification(stages=[stage()]))


def test_report_of_a_run_says_what_its_last_verification_found() -> None:
    run = evaluated()
    for report in (markdown_report, report_html):
        assert "Verified" not in report(run)

    verify_run(run, sample=5)

    for report in (markdown_report, report_html):
        assert ": nothing that was looked at differs." in report(run)
