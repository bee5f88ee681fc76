"""A metric of a task of lm-eval, computed by lm-eval's own filters and functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from themis_lib.components.builtin import Builtin
from themis_lib.core.contexts import ScoreContext
from themis_lib.core.lm_eval_dataset import LmEvalDataset
from themis_lib.core.models import Case, GenerationResult, ParsedOutput, Score
from themis_lib.data.lm_eval_cases import TASK
from themis_lib.data.lm_eval_content import lm_eval_version, scoring_content, stop_texts
from themis_lib.data.lm_eval_task import LmEvalTask, load_task
from themis_lib.errors import RowError
from themis_lib.identity.digests import canonical_json

#: The key of a row's artifacts that has the rated continuations.
_RATED = "choices"


@dataclass(frozen=True)
class LmEvalMetric(Builtin):
    """A metric of tasks of lm-eval behind one of their filters.

    `tasks` are the datasets that the cases are of, by the name of their task. It scores the output,
    cut at the task's stop texts, or the rated continuations in the row's artifacts; a
    recorded output may also be the list of lm-eval's own pairs, `[[-1.5, true], …]`. It
    is added to an experiment by its datasets: see `LmEvalDataset`.
    """

    component_id: ClassVar[str] = "lm_eval"
    version: ClassVar[str] = "1"
    reads: ClassVar[tuple[str, ...]] = ("output", "artifacts", "metadata")
    # As there: thoughts are a part of the output.
    whole_output: ClassVar[bool] = True

    tasks: dict[str, dict[str, Any]]
    metric: str
    filter: str = "none"

    @property
    def higher_is_better(self) -> bool:
        """What the task says of the metric."""
        said = self._load(next(iter(self.tasks))).task.higher_is_better()
        return bool(said.get(self.metric, True))

    def settings(self) -> dict[str, Any]:
        """Return metric, filter, lm-eval's version and what of the tasks scores."""
        return {
            "metric": self.metric,
            "filter": self.filter,
            "lm_eval": lm_eval_version(),
            "tasks": {name: scoring_content(self._load(name)) for name in self.tasks},
        }

    def score(
        self,
        parsed: ParsedOutput,
        case: Case,
        ctx: ScoreContext,
    ) -> Score:
        """Return lm-eval's score of one answer. Raise `RowError` if it has none."""
        document = dict(case.metadata)
        name = document.pop(TASK, None)
        if name not in self.tasks:
            raise RowError(f"the case is of none of the tasks {list(self.tasks)}")
        loaded = self._load(str(name))
        # Other metrics of several choices compare their log-likelihoods alone.
        needs_greedy = (
            str(loaded.task.OUTPUT_TYPE) == "loglikelihood"
            or self.metric == "exact_match"
        )
        responses = _responses(ctx.result, loaded, needs_greedy=needs_greedy)
        filtered = _filtered(loaded.task, self.filter, document, responses)
        values = loaded.task.process_results(document, filtered)
        value = values.get(self.metric)
        if value is None:
            raise RowError(f"lm-eval gives no {self.metric!r} for this document")
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise RowError(
                f"lm-eval's {self.metric!r} of a document is no number: {value!r:.60}"
            ) from None
        details = {"answer": filtered[0]} if loaded.is_generated else None
        return Score(value=number, details=details if _is_json(details) else None)

    def _load(self, name: str) -> LmEvalTask:
        return load_task(LmEvalDataset.model_validate(self.tasks[name]))


def _responses(
    result: GenerationResult,
    loaded: LmEvalTask,
    *,
    needs_greedy: bool,
) -> list[Any]:
    """Return a row's answers to lm-eval's requests of the document, in order."""
    output = result.final_output
    if loaded.is_generated:
        if not isinstance(output, str):
            raise RowError(f"the output is no text: {output!r:.60}")
        # A generator that knows no stop texts has gone on behind them.
        for stop in stop_texts(loaded):
            output = output.split(stop)[0]
        return [output]
    rated = (result.artifacts or {}).get(_RATED)
    if rated is None and isinstance(output, list):
        rated = [{"logprob": one[0], "is_greedy": one[1]} for one in _pairs(output)]
    if not rated or "is_greedy" not in rated[0]:
        raise RowError(
            "the row has no rated continuations; generate with llama_choice or "
            "vllm_choice"
        )
    if needs_greedy:
        _check_greedy(rated)
    return [(one["logprob"], bool(one["is_greedy"])) for one in rated]


def _check_greedy(rated: Sequence[Mapping[str, Any]]) -> None:
    """Raise `RowError` if a server has not said whether an answer is greedy."""
    for one in rated:
        if one["is_greedy"] is None:
            raise RowError(
                "the server does not say which tokens are the likeliest "
                "(`top_logprobs`), so that whether an answer is greedy is not known"
            )


def _pairs(output: Sequence[Any]) -> list[Sequence[Any]]:
    for one in output:
        if not isinstance(one, list) or len(one) != 2:
            raise RowError(
                f"the output is no list of [logprob, is_greedy]: {output!r:.60}"
            )
    return list(output)


def _filtered(
    task: Any,
    name: str,
    document: Mapping[str, Any],
    responses: Sequence[Any],
) -> list[Any]:
    """Return the responses as a filter of the task leaves them."""
    from lm_eval.api.instance import Instance

    instances = []
    for index, response in enumerate(responses):
        instance = Instance(
            request_type=task.OUTPUT_TYPE,
            doc=dict(document),
            arguments=(),
            idx=index,
            metadata=(task.config.task, 0, 1),
            resps=[response],
        )
        instances.append(instance)
    # `apply_filters` would go through every filter of the task.
    ensemble = next(one for one in task._filters if one.name == name)
    ensemble.apply(instances)
    return [instance.filtered_resps[name] for instance in instances]


def _is_json(value: Any) -> bool:
    try:
        canonical_json(value)
    except ValueError:
        return False
    return True
