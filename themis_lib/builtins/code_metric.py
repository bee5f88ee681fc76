"""Whether code passes tests, as in HumanEval and MBPP: it is run, in a sandbox."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, TypeAlias

from pydantic import Field, PositiveInt

from themis_lib.builtins.expected import ExpectedMetric, shown
from themis_lib.builtins.parsers import as_text
from themis_lib.core.contexts import ScoreContext
from themis_lib.core.models import Case, ParsedOutput, Score, ScoreError
from themis_lib.cpus import available_cpus
from themis_lib.errors import ComponentError, FatalError, TransientError
from themis_lib.sandbox.sandbox import (
    Isolation,
    TestedCode,
    check_isolation,
    run_tests,
)
from themis_lib.sandbox.verdicts import Limits
from themis_lib.sandbox.wire import UnusableFrameError
from themis_lib.stages.calls import in_thread

_Row: TypeAlias = tuple[ParsedOutput, Case, ScoreContext]
_Outcome: TypeAlias = Score | ScoreError | Exception

#: What an expected output may hold. Tests are one text or a list of them.
_TESTS = ("test", "test_list")
_SETUPS = ("test_imports", "test_setup_code")


@dataclass(frozen=True)
class CodeTests(ExpectedMetric):
    """1 where the value is Python code that passes the tests of its case, else 0.

    The expected output is an object: of HumanEval (Chen et al. 2021) `prompt`, `test`
    and `entry_point`, of MBPP (Austin et al. 2021) `test_list` and, if there are any,
    `test_imports` and `test_setup_code`; or the tests alone, as a text or a list of
    texts. The code is put behind the `prompt`, if there is one: it continues it, or
    defines the function again.

    `details` has the `outcome` (`passed`, `wrong`, `raised`, `timeout`, `memory`, …)
    and a `message`. Tests that cannot be used are an error of the row.

    The code runs in a sandbox, if `run_code` allows it. Its process may take `max_cpu_s`
    seconds of processor time, `max_memory_mb` and files of `max_file_mb`; a row takes
    `max_wall_s` seconds at most. With `isolation: landlock` there are no namespaces
    around it. (Linux only.)
    """

    component_id: ClassVar[str] = "builtin/code_tests"
    version: ClassVar[str] = "1"

    run_code: bool = False
    isolation: Isolation = "namespaces"
    max_cpu_s: PositiveInt = 3
    max_wall_s: PositiveInt = 15
    # Python itself takes some 40.
    max_memory_mb: Annotated[int, Field(ge=64)] = 512
    max_file_mb: PositiveInt = 16

    def settings(self) -> dict[str, Any]:
        """Return the settings that can change a result.

        Not the permission to run code, nor the isolation: a result is what the code
        does where both allow it.
        """
        settings = super().settings()
        del settings["run_code"], settings["isolation"]
        return settings

    def check(self) -> None:
        """Raise `ComponentError` unless code may run, and there is a sandbox for it."""
        if not self.run_code:
            raise ComponentError(
                "builtin/code_tests runs code that the model writes; to allow it, set "
                "`run_code: true` beside `use: builtin/code_tests`, or give "
                "evaluation.metrics.0.run_code=true on the command line"
            )
        try:
            check_isolation(self.isolation)
        except FatalError as error:
            fix = "allow user namespaces"
            if self.isolation == "namespaces":
                fix += ", or set `isolation: landlock`, which is weaker"
            raise ComponentError(f"builtin/code_tests: {error}; {fix}") from None

    def score_batch(
        self,
        parsed: Sequence[ParsedOutput],
        cases: Sequence[Case],
        contexts: Sequence[ScoreContext],
    ) -> list[_Outcome]:
        """Return the score of each row, or the reason there is none.

        As many rows run at once as there are cores.
        """
        rows = list(zip(parsed, cases, contexts, strict=True))
        outcomes: list[_Outcome] = [ScoreError(reason="not scored")] * len(rows)
        # One iterator for all: a row that takes long holds up no others.
        waiting = iter(range(len(rows)))

        def score_rows() -> None:
            for position in waiting:
                outcomes[position] = self._score_row(rows[position])

        async def score_all() -> None:
            calls = []
            for _ in range(min(available_cpus(), len(rows))):
                calls.append(in_thread(score_rows))
            await asyncio.gather(*calls)

        asyncio.run(score_all())
        return outcomes

    def _score_row(self, row: _Row) -> _Outcome:
        try:
            return self.score(*row)
        except TransientError as error:
            # One sandbox that was killed must not cost the other rows their scores.
            return error

    def _score_value(
        self,
        value: Any,
        expected: Any,
    ) -> Score | ScoreError:
        try:
            question = _question(as_text(value), expected)
        except ValueError as error:
            return ScoreError(reason=str(error))
        limits = Limits(
            cpu_s=self.max_cpu_s,
            wall_s=self.max_wall_s,
            memory_mb=self.max_memory_mb,
            file_mb=self.max_file_mb,
        )
        try:
            verdict = run_tests(question, limits, self.isolation)
        except UnusableFrameError as error:
            return ScoreError(reason=f"code and tests are too long: {error}")
        if verdict.outcome == "unusable tests":
            return ScoreError(reason=f"unusable tests: {verdict.message}")
        return Score(
            value=float(verdict.outcome == "passed"),
            details={"outcome": verdict.outcome, "message": verdict.message},
        )


def _question(
    code: str,
    expected: Any,
) -> TestedCode:
    """Return what to run. Raise `ValueError` for an expected output without tests."""
    if not isinstance(expected, dict):
        expected = {"test_list": expected}
    tests = _texts(expected, _TESTS)
    if not tests:
        raise ValueError(
            f"the expected output has no tests in test or test_list: {shown(expected)}"
        )
    function = "".join(_texts(expected, ("entry_point",))) or None
    return TestedCode(
        code=code,
        parts=[*_texts(expected, _SETUPS), *tests],
        prompt="".join(_texts(expected, ("prompt",))),
        function=function,
        check="check" if function and "test" in expected else None,
    )


def _texts(
    expected: dict[str, Any],
    names: Sequence[str],
) -> list[str]:
    """Return the texts under some names. Raise `ValueError` for anything else there."""
    texts: list[str] = []
    for name in names:
        content = expected.get(name)
        items = content if isinstance(content, list) else [content]
        for item in items:
            if item is None or item == "":
                continue
            if not isinstance(item, str):
                raise ValueError(
                    f"{name} of the expected output is no text: {shown(item)}"
                )
            texts.append(item)
    return texts
