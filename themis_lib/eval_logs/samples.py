"""What the logs of all tools have in common: a header, and samples with scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from themis_lib.core.models import TokenUsage
from themis_lib.errors import DatasetError

#: The tools whose logs are read, as settings name them.
LogFormat: TypeAlias = Literal["lm_eval", "inspect", "promptfoo"]
LOG_FORMATS: tuple[LogFormat, ...] = ("lm_eval", "inspect", "promptfoo")


def log_format_of(name: str | None) -> LogFormat | None:
    """Return the format of a tool's log by its name; `None` for other formats.

    >>> log_format_of("inspect"), log_format_of("csv")
    ('inspect', None)
    """
    for log_format in LOG_FORMATS:
        if name == log_format:
            return log_format
    return None


@dataclass(frozen=True)
class LoggedScore:
    """What a tool's own metric said of a sample; `reason` where that is no number."""

    value: float | None
    details: dict[str, Any] = field(default_factory=dict)
    reason: str | None = None


@dataclass(frozen=True)
class LoggedSample:
    """One output to one case, with the scores that the tool gave it.

    `sample` counts the outputs to a case from 0, and `variant` is the position of what
    made it in `LogHeader.variants`. `fields` are the columns of the tool's own data.
    `answer` is what the tool read out of the output, `None` where the log has none.
    A null output comes with the reason in `error`.
    """

    place: str
    case_id: str
    input: Any
    expected_output: Any
    output: Any
    sample: int = 0
    variant: int = 0
    fields: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    answer: Any = None
    error: str | None = None
    finish_reason: str | None = None
    usage: TokenUsage | None = None
    latency_s: float | None = None
    scores: Mapping[str, LoggedScore] = field(default_factory=dict)

    def columns(self) -> dict[str, Any]:
        """Return the case as a row of data: the tool's columns, then those of a case."""
        return {
            **self.fields,
            "case_id": self.case_id,
            "input": self.input,
            "expected_output": self.expected_output,
            "metadata": dict(self.metadata),
        }


@dataclass(frozen=True)
class Variant:
    """What made outputs: a model, with the prompt where a log has several."""

    model: str | None
    label: str


@dataclass(frozen=True)
class LogHeader:
    """What a log says of itself; `None` is what it does not say.

    `created_at` is ISO 8601. `lower_is_better` names the scores of which that is so.
    `notices` say in what its scores are not what a run's would be.
    """

    tool: str
    tool_version: str | None
    task: str
    created_at: str | None
    status: str | None
    variants: tuple[Variant, ...]
    lower_is_better: frozenset[str] = frozenset()
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class EvalLog:
    """An open log: its header, and `samples`, which reads them from the file each time.

    Several samples may be of one output, each with other scores.
    """

    header: LogHeader
    samples: Callable[[], Iterator[LoggedSample]]


def id_text(
    value: Any,
    place: str,
    name: str,
) -> str:
    """Return a sample's id as text. Raise `DatasetError` if it is none."""
    # In Python `True` is an integer, in JSON it is not.
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if is_number or (isinstance(value, str) and value):
        return str(value)
    raise DatasetError(f"{place}: {name} is no id: {value!r:.60}")


def count_or_none(value: Any) -> int | None:
    """Return a number of tokens; `None` where a log has something else."""
    is_count = isinstance(value, int) and not isinstance(value, bool)
    return value if is_count and 0 <= value < 2**63 else None


def number_or_none(value: Any) -> float | None:
    """Return a number or a bool as a float; `None` for anything else."""
    if not isinstance(value, (bool, int, float)):
        return None
    try:
        return float(value)
    # A whole number in JSON may have any length.
    except OverflowError:
        return None
