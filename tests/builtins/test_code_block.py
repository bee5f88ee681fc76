"""The code in an answer: which block, and with which indentation."""

from __future__ import annotations

import pytest

from tests.support.golden_builtins import PARSE
from themis_lib.builtins.code_block import CodeBlock
from themis_lib.core.models import GenerationResult


def parsed(output):
    return CodeBlock().parse(GenerationResult(final_output=output), PARSE)


@pytest.mark.parametrize(
    ("output", "code"),
    [
        ("Sure:\n```python\ndef f(): pass\n```\nBye.", "def f(): pass\n"),
        ("```\nx = 1\n```", "x = 1\n"),
        ("```Python3 title=a\nx = 1\n```", "x = 1\n"),
        ("~~~py\nx = 1\n~~~", "x = 1\n"),
        # Lines end as on Windows.
        ("```python\r\nx = 1\r\n```\r\nBye.", "x = 1\r\n"),
        ("def f():\r\n    pass\r\n```\r\nBye.", "def f():\r\n    pass\r\n"),
        ("````\n'''\n```\n'''\n````", "'''\n```\n'''\n"),
        # A solution, and an example of its use.
        ("```python\ndef f(): pass\n```\nUse:\n```python\nf()\n```", "def f(): pass\n"),
        # A draft, and a solution.
        (
            "```python\ndef f(): 1\n```\nBetter:\n```python\ndef f(): 2\n```",
            "def f(): 2\n",
        ),
        # Nothing is defined.
        ("```python\nx = 1\n```\n```python\nprint(x)\n```", "x = 1\n"),
        ("```bash\npip install x\n```\n```python\nx = 1\n```", "x = 1\n"),
        # Cut off.
        ("Here:\n```python\ndef f():\n    return", "def f():\n    return"),
        ("Here:\n```\ndef f():\n    return", "def f():\n    return"),
        # The block is indented, as in a list; the completion is, as its prompt needs.
        (
            "1. So:\n   ```python\n   def f():\n       pass\n   ```",
            "def f():\n    pass\n",
        ),
        ("```python\n    return 1\n```", "    return 1\n"),
        # The whole text is code, up to the end of the prompt's fence.
        ("    return 1\n", "    return 1\n"),
        ("    return 1\n```\n\nIt returns 1.", "    return 1\n"),
        ("def f():\n    pass\n```", "def f():\n    pass\n"),
        ("<think>```python\nx = 0\n```</think>\n```python\nx = 1\n```", "x = 1\n"),
    ],
)
def test_code_is_found_with_its_indentation(output, code):
    """The code is returned as it is written, without fence and prose."""
    assert code == parsed(output).value


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (None, "the output is null"),
        ({"code": "x"}, "the output is no text"),
        ("```js\nx\n```", "no block of Python in the output"),
        ("```python\n\n```", "the code is blank"),
        ("  \n", "the code is blank"),
    ],
)
def test_output_without_code_says_why(output, reason):
    """Without code there is a null and the reason."""
    assert (None, reason) == (parsed(output).value, parsed(output).error)
