"""A ranking as text: cells of tables, and the whole as Markdown."""

from __future__ import annotations

from themis_lib.comparison.ranking import RankedRun, Ranking
from themis_lib.inert import markdown_text
from themis_lib.report.markdown import markdown_table

RANK_HEADINGS = (
    "rank",
    "run",
    "strength",
    "95 % interval",
    "places",
    "first",
    "won",
    "lost",
    "tied",
)


def rank_rows(ranking: Ranking) -> list[tuple[str, ...]]:
    """Return a row of text for each run, under `RANK_HEADINGS`, the strongest first."""
    rows: list[tuple[str, ...]] = []
    for run in ranking.runs:
        rows.append(
            (
                str(run.rank),
                run.name,
                f"{run.strength:+.3f}",
                f"{run.low:+.3f} to {run.high:+.3f}",
                places_text(run),
                f"{100 * run.first_share:.1f} %",
                f"{run.wins:,}",
                f"{run.losses:,}",
                f"{run.ties:,}",
            )
        )
    return rows


def places_text(run: RankedRun) -> str:
    """Return the places that a run may have: `2`, or `1 – 3`."""
    if run.best_rank == run.worst_rank:
        return str(run.best_rank)
    return f"{run.best_rank} – {run.worst_rank}"


def chance_rows(ranking: Ranking) -> list[tuple[str, ...]]:
    """Return who beats whom how often: a row for each run, a column for each rival."""
    rows = []
    for at, run in enumerate(ranking.runs):
        cells = []
        for other, chance in enumerate(ranking.chances[at]):
            cells.append("—" if at == other else f"{100 * chance:.0f} %")
        rows.append((run.name, *cells))
    return rows


def chance_headings(ranking: Ranking) -> tuple[str, ...]:
    """Return the headings of `chance_rows`: the rivals by their place in the ranking."""
    numbers = [str(at) for at in range(1, len(ranking.runs) + 1)]
    return ("beats", *numbers)


def ranking_lines(ranking: Ranking) -> list[str]:
    """Return what the numbers are, and what is not as usual about them."""
    drawn = (
        "cases" if ranking.cluster_by is None else f"clusters by {ranking.cluster_by}"
    )
    better = "higher" if ranking.higher_is_better else "lower"
    return [
        f"by {ranking.metric_id}, {better} is better, over {ranking.cases:,} cases; a tie "
        "is half a win for both",
        f"Bradley–Terry log-strengths of mean 0; intervals and places hold in 95 % of "
        f"{ranking.resamples:,} resamples of {drawn}",
        *ranking.notes,
    ]


def ranking_markdown(ranking: Ranking) -> str:
    """Return a ranking as Markdown, for a pull request or a paper."""
    blocks = [
        f"# Ranking by {markdown_text(ranking.metric_id)}",
        markdown_table(RANK_HEADINGS, rank_rows(ranking)),
        markdown_table(chance_headings(ranking), chance_rows(ranking)),
        "\n".join(f"- {markdown_text(line)}" for line in ranking_lines(ranking)),
    ]
    return "\n\n".join(blocks) + "\n"
