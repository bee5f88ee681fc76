"""The settings of an experiment.

What can change a row is identity. Nothing in `RuntimeConfig`, `StorageConfig` and
`CostConfig` can, and none of it is ever fingerprinted.

A component is given as an object, as a name (`builtin/exact_match`,
`my_module:MyMetric`) or as a name with parameters (`{"use": "builtin/regex", "pattern":
"…"}`). `id` beside `use` names it in tables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import (
    BeforeValidator,
    Field,
    JsonValue,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from themis_lib.core.models import FrozenModel
from themis_lib.core.prices import Price
from themis_lib.core.prompts import PromptSpec
from themis_lib.core.secrets import (
    refuse_literal_secrets,
    refuse_literal_url_secrets,
    resolve_references,
)
from themis_lib.core.store_names import check_store_name
from themis_lib.errors import ConfigError
from themis_lib.identity.digests import canonical_json

if TYPE_CHECKING:
    from themis_lib.core.protocols import (
        GeneratorSpec,
        MetricSpec,
        ParserSpec,
        ReducerSpec,
    )
else:
    # Pydantic takes any component: `components.build` checks it, and says what is wrong
    # with it in one line that names the place.
    GeneratorSpec = MetricSpec = ParserSpec = ReducerSpec = Any


def _empty_if_none(prompt_spec: Any) -> Any:
    """Return the empty spec for `None`, as `prompt_spec:` without a value gives it."""
    return PromptSpec() if prompt_spec is None else prompt_spec


class CandidatePolicy(FrozenModel):
    """How many candidates each case gets.

    Without explicit seeds, sample i draws with a seed derived from `base_seed` and i,
    so that asking for more samples keeps the earlier ones.
    """

    num_samples: PositiveInt = 1
    base_seed: int = 0


#: What a case without a score is in a mean: left out, 0, or a reason to fail the run.
MissingPolicy = Literal["exclude", "zero", "fail"]
#: The same for cases without an answer. `unknown`: `zero` was asked for, but which score
#: is the worst is not known, so that they are left out and could have any.
NoAnswerPolicy = Literal["exclude", "zero", "fail", "unknown"]


class StatisticsConfig(FrozenModel):
    """How the summary is computed from the results of the cases.

    Nothing here changes a row of another table. A case without a score counts 0 in the
    mean (`zero`), is left out of it (`exclude`), or leaves no mean and fails the run
    (`fail`); it is counted in any case. `no_answer` is for cases whose output holds no
    answer, `errors` for those that failed: a request or a component did. Where 0 is
    not a metric's worst score, a case without an answer counts as the worst that the
    metric declares, and is left out if it declares none.

    `interval` is Wilson's for scores of 0 and 1 and Student's t otherwise (`auto`), one
    of these, or the BCa `bootstrap` of `resamples` drawn by `seed`. `cluster_by` names
    a metadata column: cases that share its value are not independent, a case without it
    is. Intervals are at 95 %.
    """

    no_answer: MissingPolicy = "zero"
    errors: MissingPolicy = "exclude"
    interval: Literal["auto", "t", "wilson", "bootstrap"] = "auto"
    cluster_by: str | None = None
    resamples: Annotated[int, Field(ge=100)] = 10_000
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _wilson_is_for_independent_scores(self) -> StatisticsConfig:
        if self.interval == "wilson" and self.cluster_by is not None:
            raise ConfigError(
                "evaluation.statistics: Wilson's interval takes cases as independent; "
                "with `cluster_by` use `auto`, `t` or `bootstrap`"
            )
        return self


class EvaluationConfig(FrozenModel):
    """How candidates are read and judged.

    Parsers are tried in order until one finds an answer; without parsers the output is
    the answer. Every metric that asks judges and names none of its own asks
    `judge_models`. `slices` names metadata columns; the summary gets a row for each of
    their values. `agreement` maps metrics to metadata columns in which people have
    judged on the same scale, to compare them.
    """

    metrics: list[MetricSpec] = Field(default_factory=list)
    parsers: list[ParserSpec] = Field(default_factory=list)
    judge_models: list[GeneratorSpec] = Field(default_factory=list)
    slices: list[str] = Field(default_factory=list)
    agreement: dict[str, str] = Field(default_factory=dict)
    statistics: StatisticsConfig = Field(default_factory=StatisticsConfig)


class StorageConfig(FrozenModel):
    """Where rows and runs are kept: `memory`, a folder, or any fsspec URL.

    `parameters` are the storage options of the filesystem. A name that looks like a
    database or a format (`sqlite`, `jsonl`) is refused: such a folder is `./sqlite`.
    """

    store: str = "memory"
    parameters: dict[str, Any] = Field(default_factory=dict)

    @field_validator("store")
    @classmethod
    def _store_is_a_place(cls, store: str) -> str:
        check_store_name(store)
        return store

    def resolved(self) -> tuple[str, dict[str, Any]]:
        """Return the URL and the options with `${NAME}` read from the environment.

        Raise `ConfigError` for a variable that is not set, or for a literal credential
        in the URL or the options.
        """
        refuse_literal_url_secrets(self.store, where="storage.store")
        refuse_literal_secrets(self.parameters, where="storage.parameters")
        url = resolve_references(self.store, where="storage.store")
        check_store_name(url)
        return url, resolve_references(self.parameters, where="storage.parameters")

    def portable_url(self, url: str) -> str:
        """Return the URL of the opened store for other processes, references kept."""
        return self.store if "${" in self.store else url


#: What is sent to OpenTelemetry: nothing, spans, or spans with the text of messages.
Telemetry: TypeAlias = Literal["off", "spans", "content"]


def _switched(value: Any) -> Any:
    """Return the mode of a switch: YAML reads `off` as a bool, too."""
    if isinstance(value, bool):
        return "spans" if value else "off"
    return value


class BatchConfig(FrozenModel):
    """When rows go to a provider as one batch, and how long they may take.

    `when: cheaper` sends a batch where it is known to cost less, `always` wherever the
    generator can. A batch that has not ended `deadline_h` after it was submitted is
    cancelled. Rows that a batch leaves without an answer are asked live (`missing:
    live`), or fail in this run and are tried again like any other failed row (`retry`).
    With `wait: false` the run ends while batches are open, and the next one takes them
    up. `poll_s` is the longest time between two looks at a batch. `settle_s` is how
    long a submission without a reply may be under way before it counts as not made.
    """

    when: Literal["always", "cheaper"] = "cheaper"
    deadline_h: PositiveFloat = 24.0
    missing: Literal["retry", "live"] = "retry"
    wait: bool = True
    poll_s: PositiveFloat = 60.0
    settle_s: PositiveFloat = 60.0


class RuntimeConfig(FrozenModel):
    """Execution settings: concurrency, timeouts, retries. None of them changes a
    result.

    `max_concurrency` bounds the calls in flight in one process, `timeout_s` one call of
    a generator or async component. `shard_size` is the exact number of cases of a task;
    without it, tasks are cut by content, of a size that grows with the data. `workers`
    (shards computed at once), `retries` and `retry_delay_s` (the first delay, then
    doubled) are for Prefect; in process nothing is retried. `telemetry` sends spans to
    OpenTelemetry (extra `otel`), with `content` also the text of messages; the `OTEL_*`
    variables say where to. With `batch`, rows go to the provider's batch API.
    """

    max_concurrency: PositiveInt = 32
    batch_size: PositiveInt = 256
    shard_size: PositiveInt | None = None
    workers: PositiveInt | None = None
    timeout_s: PositiveFloat | None = None
    retries: int = Field(
        default=3,
        ge=0,
    )
    retry_delay_s: PositiveFloat = 1.0
    telemetry: Annotated[Telemetry, BeforeValidator(_switched)] = "off"
    # Not identity: a provider answers a batch with the same model and settings.
    batch: BatchConfig | None = None


#: Whose rows another version of a library makes others: those of parse, score and reduce,
#: those of generate too, or none.
Libraries = Literal["scoring", "all", "none"]


class IdentityConfig(FrozenModel):
    """What counts as a change of a user's component, beside its code and values.

    `libraries`: whether the versions of the libraries that its code uses do. By default
    they do for parse, score and reduce, and not for generate: a new release of a
    provider's SDK must not pay for every candidate again.
    """

    libraries: Libraries = "scoring"


class CostConfig(FrozenModel):
    """What tokens cost, by model, and the dollars that one run may spend.

    `prices` take precedence over list prices. A run stops before a call that could take
    it past `max_cost`.
    """

    prices: dict[str, Price] = Field(default_factory=dict)
    max_cost: Annotated[PositiveFloat, Field(allow_inf_nan=False)] | None = None


class LabelMap(FrozenModel):
    """The expected output by a column of labels: `{column: answer, map: letter}`.

    `map` is a list that the label is the position in (counted from `first`), an object
    that has it as a key, or `letter`: the position, the letter or the text of an option
    becomes its letter. `choices` names the column with the options of each row; with it
    `letter` knows texts, and how many options there are. `first: null` says that labels
    are texts of options alone, as where an option is `2`. A label that has no place in
    the map, or more than one, is an error of its row.
    """

    column: str
    map: Literal["letter"] | list[JsonValue] | dict[str, JsonValue]
    choices: str | None = None
    first: int | None = 0

    @field_validator("map", mode="before")
    @classmethod
    def _keys_are_texts(cls, value: Any) -> Any:
        # YAML reads `0:` and `true:` as a number and a bool.
        if not isinstance(value, dict):
            return value
        keys = [key if isinstance(key, str) else canonical_json(key) for key in value]
        return dict(zip(keys, value.values(), strict=True))


#: The column, or columns, behind each part of a case.
ColumnMap: TypeAlias = dict[str, str | list[str] | LabelMap]


#: The format of a file of cases; the last three are logs of other evaluation tools.
DataFormat: TypeAlias = Literal[
    "jsonl", "csv", "parquet", "lm_eval", "inspect", "promptfoo"
]


class DatasetFile(FrozenModel):
    """Cases in a file at any fsspec URL, read in batches.

    Formats are `.jsonl`, `.json` (an array, or an object a line), `.csv`, `.tsv` and
    `.parquet`, also compressed. Text is UTF-8, or what a byte order mark says, or in
    another `encoding` (`latin-1`, `utf-16`). The `delimiter` of a CSV file is told by
    its first line. Of Parquet, dates, times and durations become ISO 8601 texts,
    decimals numbers, bytes their UTF-8 text, and whole columns of floats integers.

    `columns` maps what a case needs to the file's own columns: `input`,
    `expected_output`, `case_id` and `metadata`; a list of columns becomes an object,
    a `LabelMap` the expected output behind a label, and a text with `{row}` in it a
    pattern for ids (`"q-{row:04d}"`). `filter` keeps
    the rows whose column equals a value, or one of a list. `sample` keeps that many
    rows, chosen by `seed` and content and so independent of their order; `limit` then
    keeps the first.

    `derive` makes further columns in order, each by a Jinja expression over those that
    are there (`choices.text`, `[option1, option2]`). `row` is the whole row, for columns
    whose names are no words, and `seed` that of the dataset. A derived column takes the
    place of a column of its name.
    """

    dataset_id: str
    path: str
    format: DataFormat | None = None
    encoding: str | None = None
    delimiter: str | None = None
    columns: ColumnMap = Field(default_factory=dict)
    derive: dict[str, str] = Field(default_factory=dict)
    filter: dict[str, JsonValue] = Field(default_factory=dict)
    sample: PositiveInt | None = None
    seed: int = 0
    limit: PositiveInt | None = None
    storage_options: dict[str, Any] = Field(default_factory=dict)


class HubDataset(FrozenModel):
    """Cases from the Hugging Face hub (extra `huggingface`).

    Columns, derived ones, filter, sample and limit work as for a file.
    """

    dataset_id: str
    huggingface: str
    subset: str | None = None
    split: str = "test"
    revision: str | None = None
    columns: ColumnMap = Field(default_factory=dict)
    derive: dict[str, str] = Field(default_factory=dict)
    filter: dict[str, JsonValue] = Field(default_factory=dict)
    sample: PositiveInt | None = None
    seed: int = 0
    limit: PositiveInt | None = None


class FewShot(FrozenModel):
    """Examples with their answers before every case, chosen from a pool.

    The pool is `data`: another split or file. `k` examples are chosen (with 0 there are
    none, and the pool is not read): the `first`,
    those with the ids of a list, by a `seeded` draw, or `stratified`: as many of each
    expected output, or of each value of the metadata column `by`. All cases get the
    same ones, but never themselves; `per_case` draws for each case. A draw depends on
    `seed` and on the examples' content, not on their order.

    An example looks as the case does, with its expected output behind it: as `text`,
    divided by `separator` and `answer_separator`, or as `turns` of a conversation.

    A key covers the examples that were chosen, so that an edit of the pool generates
    only the cases whose examples it changes.
    """

    data: DatasetFile | HubDataset
    k: NonNegativeInt
    choose: Literal["first", "seeded", "stratified"] | list[str] = "first"
    seed: int = 0
    by: str | None = None
    per_case: bool = False
    layout: Literal["text", "turns"] = "text"
    separator: str = "\n\n"
    answer_separator: str = " "

    @field_validator("data", mode="before")
    @classmethod
    def _pool_needs_no_name(cls, data: Any) -> Any:
        return {"dataset_id": "few_shot", **data} if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _settings_fit(self) -> FewShot:
        if self.by is not None and self.choose != "stratified":
            raise ConfigError("generation.few_shot.by: it is for `choose: stratified`")
        if self.per_case and self.choose != "seeded":
            raise ConfigError(
                "generation.few_shot.per_case: it is for `choose: seeded`"
            )
        if isinstance(self.choose, list) and len(self.choose) < self.k:
            raise ConfigError(
                f"generation.few_shot.choose: {len(self.choose)} id(s) for k={self.k}"
            )
        return self


class GenerationConfig(FrozenModel):
    """What produces candidates, with which prompt, how many, and how they are reduced.

    `prompt_spec=None` means the empty spec.
    """

    generator: GeneratorSpec
    prompt_spec: Annotated[PromptSpec, BeforeValidator(_empty_if_none)] = Field(
        default_factory=PromptSpec
    )
    few_shot: FewShot | None = None
    candidate_policy: CandidatePolicy = Field(default_factory=CandidatePolicy)
    reducer: ReducerSpec = "builtin/first"
