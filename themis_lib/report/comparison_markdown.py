"""A comparison of runs as Markdown, for pull requests.

Its lines and cells are shared with the terminal and the tables for other programs.
"""

from __future__ import annotations

from collections.abc import (
    Iterable,
    Iterator,
    Sequence,
)

from themis_lib.comparison.models import (
    Comparison,
    Difference,
    Flip,
    NoiseParts,
    RunSide,
    Unmatched,
)
from themis_lib.inert import markdown_text
from themis_lib.report.figures import fixed
from themis_lib.report.markdown import (
    dollars,
    markdown_table,
)
from themis_lib.runs.summary import ALL_CASES
from themis_lib.stages.endings import Ending

# Flips shown of those that rose, and of those that fell.
_FLIPS_EACH_WAY = 5
# Case ids listed of a side; the line says how many there are in all.
_MOST_NAMES = 20
_ERROR_POLICIES = {
    "exclude": "cases that failed in either run are left out (errors: exclude); a verdict "
    "holds whatever they would have scored",
    "fail": "a run with a failed case has no numbers (errors: fail)",
    "zero": "failed cases count 0 (errors: zero)",
}
_NO_ANSWER_POLICIES = {
    "exclude": "cases without an answer in either run are left out (no_answer: exclude)",
    "fail": "a run that lacks an answer has no numbers (no_answer: fail)",
    "unknown": "cases without an answer are left out of metrics whose worst score is not "
    "known; a verdict holds whatever they would have scored",
    "zero": "cases without an answer count as the worst score, 0 unless the metric "
    "declares another (no_answer: zero)",
}


def comparison_markdown(comparison: Comparison) -> str:
    """Return a comparison as Markdown.

    Its parts: the runs, differences with their conclusions, tests and power, settings that
    differ, cases in one run only, cases with other data, and flips.
    """
    differences = comparison.differences
    parts = [
        f"# {markdown_text(comparison.baseline.name)}: {conclusion_line(comparison)}",
        markdown_table(
            SIDE_HEADINGS,
            map(side_cells, comparison.runs),
        ),
        "## Differences",
        markdown_table(
            DIFFERENCE_HEADINGS,
            map(difference_cells, differences),
        ),
        "## Tests and power",
        markdown_table(
            TEST_HEADINGS,
            map(test_cells, differences),
        ),
        _bullet_list(method_lines(comparison)),
        _bullet_list(power_lines(comparison)),
        _bullet_list(noise_lines(comparison)),
    ]
    settings = _bullet_list(identity_lines(comparison))
    if settings:
        parts += ["## What differs", settings]
    unmatched = _bullet_list(map(unmatched_line, comparison.unmatched))
    if unmatched:
        parts += ["## Cases in one run only", unmatched]
    if comparison.changed:
        changed = _bullet_list(changed_lines(comparison))
        parts += ["## Cases with other data", changed]
    if comparison.flips:
        flips = map(flip_cells, shown_flips(comparison))
        parts += [
            "## Flips",
            flips_line(comparison),
            markdown_table(FLIP_HEADINGS, flips),
        ]
    # Markdown needs an empty line between a heading and a table.
    return "\n\n".join(parts) + "\n"


def _bullet_list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {markdown_text(line)}" for line in lines)


def conclusion_line(comparison: Comparison) -> str:
    """Return how many differences have each conclusion, as one line."""
    conclusions = [item.conclusion for item in comparison.differences]
    parts = []
    for name in ("better", "worse", "same", "cannot tell"):
        count = conclusions.count(name)
        if count:
            parts.append(f"{count} {name}")
    return ", ".join(parts)


def run_labels(runs: Sequence[RunSide]) -> dict[str, str]:
    """Return a unique name for each run, by its id.

    It is the name of the experiment, with the end of the run's id where several runs
    have that name.
    """
    names = [run.name for run in runs]
    labels = {}
    for run in runs:
        label = run.name
        if names.count(run.name) > 1:
            # The beginning of an id is the time; the part after the dash is random.
            label += f" {run.run_id.rpartition('-')[2]}"
        labels[run.run_id] = label
    return labels


SIDE_HEADINGS = (
    "run",
    "experiment",
    "status",
    "cases",
    "cost",
    "paid",
    "input tokens",
    "output tokens",
    "latency mean",
    "p50",
    "p95",
    "cut",
    "filtered",
    "refused",
)


def side_cells(side: RunSide) -> tuple[str, ...]:
    """Return a run as text, under `SIDE_HEADINGS`."""
    return (
        side.run_id,
        side.name,
        side.status,
        f"{side.cases:,}",
        _dollar_text(side.cost, side.unpriced),
        _dollar_text(side.cost_paid, side.unpriced),
        _count_text(side.input_tokens),
        _count_text(side.output_tokens),
        _second_text(side.latency_mean_s),
        _second_text(side.latency_p50_s),
        _second_text(side.latency_p95_s),
        *(_count_text(side.endings.get(ending)) for ending in Ending),
    )


def _dollar_text(
    amount: float | None,
    unpriced: Sequence[str],
) -> str:
    # Without a single price there is no amount; 0 would claim that the run was free.
    if amount is None:
        return "—"
    return dollars(amount, leaves_out=unpriced)


def _count_text(count: int | None) -> str:
    return "—" if count is None else f"{count:,}"


def _second_text(seconds: float | None) -> str:
    return "—" if seconds is None else f"{seconds:.3f} s"


DIFFERENCE_HEADINGS = (
    "run",
    "dataset",
    "slice",
    "metric",
    "baseline",
    "run's",
    "difference",
    "95 % interval",
    "conclusion",
)


def difference_cells(item: Difference) -> tuple[str, ...]:
    """Return a difference as text, under `DIFFERENCE_HEADINGS`."""
    # The sign shows the direction at once; means have none.
    difference = "—" if item.difference is None else f"{item.difference:+.4f}"
    interval = "—"
    if item.low is not None and item.high is not None:
        # "to", since a dash before a negative number reads as a second minus.
        interval = f"{item.low:.4f} to {item.high:.4f}"
    return (
        item.run_id,
        item.dataset_id,
        item.slice,
        item.metric_title,
        fixed(item.baseline_mean),
        fixed(item.candidate_mean),
        difference,
        interval,
        item.conclusion,
    )


TEST_HEADINGS = (
    "run",
    "dataset",
    "slice",
    "metric",
    "n",
    "no answer",
    "failed",
    "rose",
    "fell",
    "p",
    "Holm's p",
    "detectable",
    "needed",
)


def test_cells(item: Difference) -> tuple[str, ...]:
    """Return the test of a difference as text, under `TEST_HEADINGS`.

    Cases without an answer, and failed ones, are those of the baseline + the run's.
    """
    return (
        item.run_id,
        item.dataset_id,
        item.slice,
        item.metric_title,
        f"{item.n:,}",
        f"{item.baseline_no_answer:,} + {item.candidate_no_answer:,}",
        f"{item.baseline_errors:,} + {item.candidate_errors:,}",
        f"{item.improved:,}",
        f"{item.worsened:,}",
        p_text(item.p_value),
        p_text(item.p_adjusted),
        fixed(item.detectable),
        _count_text(item.cases_needed),
    )


def p_text(p_value: float | None) -> str:
    """Return a p-value with four decimals, or two significant digits if it is small.

    >>> p_text(0.03), p_text(3.7159e-05), p_text(None)
    ('0.0300', '3.7e-05', '—')
    """
    if p_value is None:
        return "—"
    # Four decimals would show a small p-value as 0, which no test gives.
    if p_value < 0.001:
        return f"{p_value:.1e}"
    return f"{p_value:.4f}"


def verdict_lines(comparison: Comparison) -> list[str]:
    """Return a sentence for each difference on a whole dataset: what it shows."""
    labels = run_labels(comparison.runs)
    baseline = labels[comparison.baseline.run_id]
    lines = []
    for item in comparison.differences:
        if item.slice == ALL_CASES:
            lines.append(_verdict_line(item, labels[item.run_id], baseline))
    return lines


def _verdict_line(
    item: Difference,
    candidate: str,
    baseline: str,
) -> str:
    place = f"{item.metric_id} on {item.dataset_id}"
    verdict = f"{candidate} is {item.conclusion} than {baseline} by {place}"
    if item.conclusion == "same":
        verdict = f"{candidate} is as good as {baseline} by {place}"
    elif item.conclusion == "cannot tell":
        verdict = (
            f"{item.n:,} case(s) cannot tell {candidate} from {baseline} by {place}"
        )
    if item.p_adjusted is None:
        return verdict
    return (
        f"{verdict}: {item.improved:,} of {item.n:,} cases score higher and "
        f"{item.worsened:,} lower, p {p_text(item.p_adjusted)}"
    )


def method_lines(comparison: Comparison) -> list[str]:
    """Return how the numbers were computed: tests, intervals, errors and clusters."""
    # Dicts as sets that keep the order, so that the same comparison has the same text.
    tests: dict[str, None] = {}
    methods: dict[str, None] = {}
    clusters: dict[str, None] = {}
    for item in comparison.differences:
        if item.test:
            tests[item.test] = None
        if item.interval_method:
            methods[item.interval_method] = None
        if item.clusters:
            clusters[f"{item.clusters:,}"] = None
    lines = [
        f"paired by case; test: {' / '.join(tests) or 'none'}; "
        f"interval: {' / '.join(methods) or 'none'}; conclusions by Holm's p over "
        f"{_family_text(comparison)}"
    ]
    if comparison.matched_by_id:
        lines.append(
            f"{comparison.matched_by_id:,} case(s) of an imported run are matched by id "
            "alone: its log writes their inputs in another way"
        )
    lines += comparison.notes
    lines += missing_lines(comparison.differences)
    if comparison.cluster_by is not None:
        lines.append(
            f"cases with one {comparison.cluster_by!r} count as dependent: "
            f"{' / '.join(clusters)} clusters"
        )
    return lines


def missing_lines(differences: Iterable[Difference]) -> list[str]:
    """Return what cases without a score count as, where there are any."""
    no_answer, errors = set(), set()
    for item in differences:
        if item.baseline_no_answer or item.candidate_no_answer:
            no_answer.add(_NO_ANSWER_POLICIES[item.no_answer_policy])
        if item.baseline_errors or item.candidate_errors:
            errors.add(_ERROR_POLICIES[item.error_policy])
    return [*sorted(no_answer), *sorted(errors)]


def _family_text(comparison: Comparison) -> str:
    """Return over how many differences Holm's p is taken, slices by themselves."""
    count = len(comparison.differences)
    slices = sum(item.slice != ALL_CASES for item in comparison.differences)
    if not slices:
        return f"{count:,} difference(s)"
    return f"{count - slices:,} difference(s), and over {slices:,} of slices apart"


def power_lines(comparison: Comparison) -> list[str]:
    """Return what the data could have shown.

    A line for each whole dataset, and for each slice that cannot tell.
    """
    # With one candidate its id on every line says nothing new.
    several = len(comparison.runs) > 2
    lines = []
    for item in comparison.differences:
        if item.slice != ALL_CASES and item.conclusion != "cannot tell":
            continue
        line = power_line(item)
        lines.append(f"{item.run_id} {line}" if several else line)
    return lines


def power_line(item: Difference) -> str:
    """Return the smallest difference that such data show, and what `delta` takes.

    One line, also where the data are too few to say it.
    """
    place = item.dataset_id
    if item.slice != ALL_CASES:
        place = f"{item.dataset_id} {item.slice}"
    line = f"{place} {item.metric_id}: {item.conclusion}; {item.n:,} case(s) like these"
    if item.detectable is None:
        return f"{line} do not say what they could show"
    # The power of the test is 80 %.
    line += f" show a difference of {item.detectable:.4f} or more in 4 of 5 comparisons"
    if item.delta is None or item.cases_needed is None:
        return line
    line += f"; {item.delta:.4f} takes {item.cases_needed:,} cases"
    if item.samples_needed is not None:
        line += f", or {item.samples_needed:,} samples of each"
    return line


def noise_lines(comparison: Comparison) -> list[str]:
    """Return a line for each whole dataset: what makes its interval as wide as it is."""
    several = len(comparison.runs) > 2
    lines = []
    for item in comparison.differences:
        if item.slice != ALL_CASES or item.noise is None:
            continue
        line = f"{item.dataset_id} {item.metric_id}: {noise_text(item.noise)}"
        lines.append(f"{item.run_id} {line}" if several else line)
    return lines


def noise_text(noise: NoiseParts) -> str:
    """Return the parts of an interval's width, and what would narrow it."""
    width = f"±{noise.half_width:.4f}"
    cases = f"twice the cases would leave ±{noise.with_twice_the_cases:.4f}"
    if noise.sampling_share is None or noise.with_twice_the_samples is None:
        return f"{width}, the part of the samples not known; {cases}"
    sampling = round(100 * noise.sampling_share)
    return (
        f"{width}, {100 - sampling} % of its variance from the cases and {sampling} % "
        f"from the samples; twice the samples would leave "
        f"±{noise.with_twice_the_samples:.4f}; {cases}"
    )


def identity_lines(comparison: Comparison) -> Iterator[str]:
    """Yield the settings in which each run differs from the baseline."""
    several = len(comparison.runs) > 2
    for run_id, lines in comparison.identity.items():
        # Said, since an empty list would look like one that was left out.
        for line in lines or ["no setting differs"]:
            yield f"{run_id} {line}" if several else line


def unmatched_line(item: Unmatched) -> str:
    """Return how many cases of a dataset only one run has, and their ids."""
    parts = []
    sides = (
        ("baseline", item.only_in_baseline),
        (item.run_id, item.only_in_candidate),
    )
    for name, ids in sides:
        if ids:
            names = ", ".join(ids[:_MOST_NAMES])
            more = ", …" if len(ids) > _MOST_NAMES else ""
            parts.append(f"{len(ids):,} only in {name} ({names}{more})")
    return f"{item.dataset_id}: {', '.join(parts)}"


def changed_lines(comparison: Comparison) -> Iterator[str]:
    """Yield the values in which cases differ, for the first changed cases."""
    several = len(comparison.runs) > 2
    for item in comparison.changed[:_MOST_NAMES]:
        name = f"{item.dataset_id} {item.case_id}: {'; '.join(item.changes)}"
        yield f"{item.run_id} {name}" if several else name
    more = len(comparison.changed) - _MOST_NAMES
    if more > 0:
        yield f"and {more:,} more cases with other data"


def flips_line(comparison: Comparison) -> str:
    """Return how many scores rose and how many fell, as one line."""
    rose = sum(flip.candidate_score > flip.baseline_score for flip in comparison.flips)
    fell = len(comparison.flips) - rose
    return f"{rose:,} score(s) rose, {fell:,} fell; the widest of each:"


FLIP_HEADINGS = ("run", "dataset", "metric", "case", "baseline", "run's")


def flip_cells(flip: Flip) -> tuple[str, ...]:
    """Return a flip as text, under `FLIP_HEADINGS`."""
    names = flip.case_id
    # Cases match by content, so one case may have two ids.
    if flip.case_id != flip.candidate_case_id:
        names = f"{flip.case_id} = {flip.candidate_case_id}"
    return (
        flip.run_id,
        flip.dataset_id,
        flip.metric_id,
        names,
        fixed(flip.baseline_score),
        fixed(flip.candidate_score),
    )


def shown_flips(comparison: Comparison) -> list[Flip]:
    """Return a few of the widest falls, then a few of the widest rises."""

    def width(flip: Flip) -> float:
        return abs(flip.candidate_score - flip.baseline_score)

    falls = []
    rises = []
    # The sort is stable, also in reverse: equal widths keep the comparison's order.
    for flip in sorted(
        comparison.flips,
        key=width,
        reverse=True,
    ):
        if flip.candidate_score < flip.baseline_score:
            falls.append(flip)
        elif flip.candidate_score > flip.baseline_score:
            rises.append(flip)
    return falls[:_FLIPS_EACH_WAY] + rises[:_FLIPS_EACH_WAY]
