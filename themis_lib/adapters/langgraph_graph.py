"""The generator `langgraph`: a graph produces the output of each row.

Parsing, scoring and everything else stays the pipeline's.
"""

from __future__ import annotations

import copy
import inspect
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal

from themis_lib.adapters.conversations import (
    FORMS_VERSION,
    InputBuilder,
    has_new_forms,
)
from themis_lib.adapters.faults import translated
from themis_lib.adapters.json_objects import JsonObject
from themis_lib.adapters.langgraph_calls import load_graph, run_graph
from themis_lib.adapters.langgraph_identity import (
    config_identity,
    graph_identity,
    identity_of,
)
from themis_lib.adapters.langgraph_run import INTERRUPTED
from themis_lib.adapters.langgraph_values import loaded_class
from themis_lib.adapters.masking import Mask, mask_logs, masked_fault, masked_result
from themis_lib.adapters.openai_parts import rendered_turns
from themis_lib.components.builtin import Builtin
from themis_lib.components.imports import import_named
from themis_lib.core.contexts import GenerateContext
from themis_lib.core.models import Case, GenerationResult
from themis_lib.core.parts import is_parts
from themis_lib.core.prompts import PromptSpec
from themis_lib.core.secrets import (
    referenced_values,
    resolve_public,
    resolve_references,
)
from themis_lib.errors import ComponentError, RowError, nearest

#: Whose parts LangChain's models read, whoever their provider is.
_API_MODE: Literal["chat_completions"] = "chat_completions"


@dataclass(frozen=True)
class LangGraph(Builtin):
    """A compiled LangGraph graph, or any object with its methods, run once per row.

    `graph` is the graph, a function that returns it, or the name of either
    (`my_graphs:graph`). Trace and output come from one stream: `astream_events`, or,
    for a graph without async methods, `stream` in a thread. The output is the graph's
    final output, or its `output_key`. Only if the event stream carries no final output
    is the graph run again, by `ainvoke`.

    The graph's input: an input that is an object as it is, a list of messages or of
    content parts as `{"messages": […]}`, with parts as Chat Completions write them,
    anything else as `{"input": …}`. `input_builder(case, ctx)`, a
    function or its name, returns something else instead; if it reads more of the case
    than the input, name that in `reads`. `config` is the graph's own
    (`recursion_limit`, `configurable`, …). Its `configurable` gains `seed`,
    `prompt_spec` (a plain dict for the nodes to use) and `thread_id`, a new one per
    row, so that a checkpointer carries nothing from row to row. Credentials that
    `config` names as `${NAME}` are masked in results, errors and log lines.

    Identity is the structure of the graph and the code of its nodes, `graph_id`
    (default: the graph's name), `output_key`, `config` without its credentials, and the
    code of the input builder.
    """

    component_id: ClassVar[str] = "langgraph"
    version: ClassVar[str] = "1"
    #: Settings that may contain `${NAME}` references, resolved when the graph runs.
    resolves: ClassVar[tuple[str, ...]] = ("config",)

    graph: Any = field(repr=False)
    graph_id: str | None = None
    output_key: str | None = None
    input_builder: Any = None
    config: dict[str, Any] | None = field(
        default=None,
        repr=False,
    )
    reads: Sequence[str] = ("input",)

    def check_settings(self) -> None:
        """Raise `ComponentError` if a setting has the wrong type."""
        super().check_settings()
        configurable = (self.config or {}).get("configurable", {})
        if not isinstance(configurable, Mapping):
            raise ComponentError(
                "config.configurable is no object; write names and values"
            )

    def check(self) -> None:
        """Import graph and input builder. Raises `ComponentError` if one is unusable."""
        _ = self._build_input
        # Objects that only look like a graph do not say which outputs they have.
        known = getattr(self._loaded_graph, "output_channels", None)
        if self.output_key is None or not isinstance(known, (list, tuple)):
            return
        if self.output_key not in known:
            raise ComponentError(
                f"output_key={self.output_key!r}: the graph has no such output; "
                f"{nearest(self.output_key, known)}"
            )

    def settings(self) -> JsonObject:
        """Return the graph by structure and code, and how its rows are made."""
        graph = self._loaded_graph
        name = getattr(graph, "name", None)
        if not isinstance(name, str):
            name = type(graph).__name__
        config = resolve_public(self.config or {}, where="config")
        builder = None
        # The default builder has the version of this class.
        if self.input_builder is not None:
            builder = identity_of(self._build_input)
        return {
            "graph_id": self.graph_id or name,
            "graph": self._graph_digests,
            "output_key": self.output_key,
            "config": config_identity(config),
            "input_builder": builder,
        }

    def input_version(
        self,
        case_input: Any,
        prompt_spec: PromptSpec,
    ) -> str | None:
        """Return the version of the graph's input; `None` if it never changed."""
        if self.input_builder is not None:
            return None
        is_new = has_new_forms(case_input, api_mode=_API_MODE)
        return FORMS_VERSION if is_new else None

    async def generate(
        self,
        case: Case,
        ctx: GenerateContext,
    ) -> GenerationResult:
        """Run the graph for one case and return its output and trace.

        The trace has a step for each node, tool and model call that ended.
        """
        payload = self._build_input(case, ctx)
        # Before the graph runs: making the mask also masks the log.
        mask = self._secret_mask
        try:
            config = resolve_references(self.config or {}, where="config")
            configurable = {
                **config.get("configurable", {}),
                "seed": ctx.seed,
                "prompt_spec": ctx.prompt_spec.model_dump(mode="json"),
                # A new thread per row: a checkpointer would carry on the last row's.
                "thread_id": str(uuid.uuid4()),
            }
            run = await run_graph(
                self._loaded_graph,
                payload,
                {
                    **config,
                    "configurable": configurable,
                },
            )
            return masked_result(run.result(self.output_key), mask.for_outputs)
        except Exception as error:
            failure = _failure_of_graph(error)
            if mask.secrets:
                # Without its cause, whose message may contain a secret too.
                raise masked_fault(failure, mask) from None
            if failure is error:
                raise
            raise failure from error

    @cached_property
    def _loaded_graph(self) -> Any:
        return load_graph(self.graph)

    # Cached: digesting the code of a large graph takes as long as a small run.
    @cached_property
    def _graph_digests(self) -> Any:
        return graph_identity(self._loaded_graph)

    @cached_property
    def _build_input(self) -> InputBuilder:
        build = self.input_builder
        if build is None:
            return _default_input
        if isinstance(build, str):
            build = import_named("input_builder", build)
        if not callable(build) or inspect.iscoroutinefunction(build):
            raise ComponentError(
                f"input_builder is {build!r}; give a function of case and context that "
                "is not async"
            )
        return build  # type: ignore[no-any-return]

    @cached_property
    def _secret_mask(self) -> Mask:
        found = referenced_values(self.config or {}, only_credentials=True)
        # A model may write an ordinary word by itself: outputs keep those.
        words = filter(str.isalpha, found)
        mask = Mask(found, words=words)
        if mask.secrets:
            mask_logs(mask)
        return mask


def _default_input(
    case: Case,
    ctx: GenerateContext,
) -> Any:
    # A copy: a node may change it, and the case's other samples start from it.
    value: Any = copy.deepcopy(case.input)
    if is_parts(value):
        value = [{"role": "user", "content": value}]
    if isinstance(value, dict):
        return value
    if not isinstance(value, list) or not value:
        return {"input": value}
    for turn in value:
        if not isinstance(turn, dict) or not {"role", "content"} <= turn.keys():
            return {"input": value}
    return {"messages": rendered_turns(value, ctx.contents, api_mode=_API_MODE)}


def _failure_of_graph(error: Exception) -> Exception:
    """Return what an exception of the graph means for its row."""
    # The same graph would loop, or wait for a person, at every try.
    if isinstance(error, loaded_class("langgraph.errors", "GraphRecursionError")):
        # The first line; a link to the documentation follows.
        return RowError(str(error).partition("\n")[0])
    if isinstance(error, loaded_class("langgraph.errors", "GraphInterrupt")):
        return RowError(INTERRUPTED)
    return translated(error)
