"""The code in an answer: a fenced block of Markdown, or the whole text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar

from themis_lib.builtins.parsers import OutputParser
from themis_lib.core.models import ParsedOutput

# A fence ends with as many marks as it began with, or with the text: it was cut off, or
# the prompt had its begin. A block may be indented, as in a list.
_BLOCK = re.compile(
    r"^(?P<indent>[ \t]*)(?P<fence>```+|~~~+)"
    r"[ \t]*(?P<language>[\w+#.-]*)[^\n]*(?:\n|\Z)"
    r"(?P<code>.*?)"
    r"(?:^[ \t]*(?P=fence)[`~]*[ \t\r]*$|\Z)",
    re.DOTALL | re.MULTILINE,
)
# Where a completion ends that began inside the prompt's fence.
_LONE_END = re.compile(r"^[ \t]*```[ \t\r]*$.*", re.DOTALL | re.MULTILINE)
# Prose is not indented, and has no such word in front.
_CODE_BEGIN = re.compile(r"\s*?(?:[ \t]+\S|(?:def|class|import|from|return)\s|[@#])")
_DEFINITION = re.compile(r"^[ \t]*(?:async[ \t]+def|def|class)[ \t]", re.MULTILINE)
_PYTHON = {"", "python", "py", "python3", "py3"}


@dataclass(frozen=True)
class CodeBlock(OutputParser):
    """The Python code in the output, with its indentation.

    Of several fenced blocks it is the last that defines a function or a class, else the
    first: what comes behind a solution is often an example of its use. Blocks in other
    languages do not count. A fence without an end reaches to the end of the text.
    Without a fence, the whole text is the code, as a base model continues a prompt.
    """

    component_id: ClassVar[str] = "builtin/code_block"
    version: ClassVar[str] = "1"
    format: ClassVar[str] = "code"

    def _parse_output(self, output: Any) -> ParsedOutput:
        if not isinstance(output, str):
            return self._no_answer("the output is no text")
        code = _code_in(output)
        if code is None:
            return self._no_answer("no block of Python in the output")
        if not code.strip():
            return self._no_answer("the code is blank")
        return self._answer_with(code)


def _code_in(text: str) -> str | None:
    r"""Return the code in a text, `None` if all of its blocks are in other languages.

    >>> _code_in("Sure:\n```python\ndef f(): ...\n```\nUse it:\n```python\nf()\n```")
    'def f(): ...\n'
    >>> _code_in("    return 1\n")
    '    return 1\n'
    """
    blocks = list(_BLOCK.finditer(text))
    # The only fence is an end: the text began as code.
    if len(blocks) == 1 and _is_lone_end(blocks[0]):
        return _LONE_END.sub("", text)
    if not blocks:
        return text
    codes = []
    for block in blocks:
        if block["language"].lower() in _PYTHON:
            # The code's own indentation stays: it may continue a function.
            indent = re.compile(f"^{block['indent']}", re.MULTILINE)
            codes.append(indent.sub("", block["code"]))
    for code in reversed(codes):
        if _DEFINITION.search(code):
            return code
    return codes[0] if codes else None


def _is_lone_end(block: re.Match[str]) -> bool:
    before = block.string[: block.start()]
    if block["language"] or not before.strip():
        return False
    return not block["code"].strip() or _CODE_BEGIN.match(before) is not None
