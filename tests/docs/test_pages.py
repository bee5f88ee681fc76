"""What the documentation shows is what happens."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.docs.__main__ import page_paths
from tests.docs.pages import PageError, parse_page, read_page
from tests.docs.running import ROOT, provider_variables, run_page, updated
from tests.support.sandboxes import needs

#: Pages about a library that only an extra brings.
_LIBRARIES = {"docs/guides/lm-eval.md": "lm_eval"}


def parameters() -> Iterator[object]:
    for path in page_paths():
        name = path.relative_to(ROOT).as_posix()
        try:
            page = read_page(path, name)
        except PageError:
            # Its test says what is wrong.
            yield pytest.param(path, id=name)
            continue
        marks = [pytest.mark.slow] if page.is_slow else []
        library = _LIBRARIES.get(name)
        if library is not None and find_spec(library) is None:
            marks.append(pytest.mark.skip(f"{library} is not installed"))
        if page.blocks:
            yield pytest.param(path, id=name, marks=marks)


@pytest.fixture(scope="session")
def programs(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("programs")


@pytest.fixture
def run(tmp_path, programs):
    """Runs the text of a page; returns the problems as texts."""

    def run_text(text: str) -> list[str]:
        folder = tmp_path / "page"
        folder.mkdir(exist_ok=True)
        page = parse_page(text, "page.md")
        return list(map(str, run_page(page, folder, programs, variables={})))

    return run_text


@pytest.mark.parametrize("path", list(parameters()))
def test_page_is_true(path, request, tmp_path, programs, facts):
    """Every block runs, every output is the one that is shown, and every experiment
    compiles.
    """
    page = read_page(path, path.relative_to(ROOT).as_posix())
    if "run_code: true" in path.read_text(encoding="utf-8"):
        needs("namespaces")
    variables = {"THEMIS_CACHE_DIR": str(facts.parent)}
    if page.has_commands:
        # The commands find its password in its home.
        variables["PREFECT_API_URL"] = request.getfixturevalue("prefect_api")
    if page.has_provider:
        with provider_variables() as provider:
            variables |= provider
            problems = run_page(page, tmp_path, programs, variables=variables)
    else:
        problems = run_page(page, tmp_path, programs, variables=variables)

    assert [] == list(map(str, problems))


def test_right_page_has_no_problems(run):
    """Blocks share a namespace and a folder; files are there when they are needed."""
    text = """
```python title="numbers_of_mine.py"
LUCKY = 7
```
```python
from numbers_of_mine import LUCKY
print(LUCKY)
```

```text
7
```
<!-- run: echo hidden > hidden.txt -->
```console
$ cat hidden.txt
hidden
$ echo one; \\
> echo two; exit 3
one
…
(exit code 3)
```
<!-- not run: it would fail -->
```python
raise SystemExit
```
```yaml
generation: {candidate_policy: {num_samples: 3}}
```
```yaml
on: push
```
<!-- refused -->
```yaml title="typo.yaml"
evaluation: {metrics: [builtin/exact_mach]}
```
"""

    assert [] == run(text)


@pytest.mark.parametrize(
    "text",
    [
        "```python\nprint(1)\n```\n```text\n2\n```\n",
        "```python\nprint(1)\n```\n",
        "```python\n1 / 0\n```\n",
        "```console\n$ echo 1\n2\n```\n",
        "```console\n$ echo 1\n```\n",
        "```console\n$ exit 1\n```\n",
        "```console\n$ true\n(exit code 2)\n```\n",
        "<!-- run: exit 1 -->\n",
        "```yaml\ngeneration: {generater: 1}\n```\n",
        "```yaml\nevaluation: {metrics: [builtin/exact_mach]}\n```\n",
        "```yaml\ngeneration: [\n```\n",
        "<!-- refused -->\n```yaml\ngeneration: {}\n```\n",
        "```python\nimport os; os._exit(3)\n```\n",
        "```console\n$ echo 1; exit 2\n2\n(exit code 2)\n```\n",
    ],
)
def test_wrong_page_has_a_problem(run, text):
    """A page that shows what is not so, raises or does not compile is found out."""
    assert 1 == len(run(text))


def test_page_goes_on_behind_an_error(run):
    """Everything that is wrong with a page is told at once."""
    text = (
        "```python\n1 / 0\n```\n```python\nimport os; os._exit(3)\n```\n"
        "```python\nprint(1)\n```\n```console\n$ echo 1\n```\n"
    )

    assert 4 == len(run(text))


@pytest.mark.parametrize(
    "text",
    ["```bash\nls\n```\n", "```\nls\n```\n", "```python\n", "```console\nls\n```\n"],
)
def test_page_that_nobody_could_run_is_refused(text):
    """Commands that are not marked as such, and blocks without an end, are refused."""
    with pytest.raises(PageError, match=r"page\.md:\d"):
        parse_page(text, "page.md")


def test_update_writes_what_was_printed(tmp_path, programs):
    """Updating a page replaces the outputs that differ, and leaves the others."""
    text = (
        "```python\nprint('a')\n```\n```text\n```\n"
        "1. A list:\n\n    ```console\n    $ echo b; exit 2\n    x\n    $ echo cd\n    c…\n    ```\n"
    )
    page = parse_page(text, "page.md")

    problems = run_page(page, tmp_path, programs, variables={})

    assert (
        "```python\nprint('a')\n```\n```text\na\n```\n"
        "1. A list:\n\n    ```console\n    $ echo b; exit 2\n    b\n    (exit code 2)\n"
        "    $ echo cd\n    c…\n    ```\n"
    ) == updated(page, problems)


@pytest.mark.parametrize(
    ("shown", "output", "is_same"),
    [
        ("a … c", "a b c", True),
        ("a … c", "a b\nc", False),
        ("a\n…\nd", "a\nb\nc\nd", True),
        ("a\n…\nd", "a\nd", True),
        (
            "run 20260102-030405-abcdef in 3.2 s",
            "run 20261130-101112-012345 in 12 s",
            True,
        ),
        ("run 20260102-030405-abcdef", "run 20261130", False),
        ("1.5 s", "1.5 GB", False),
        ("13.8 kB in 834186e21998", "9 bytes in d3bcda1e2a98", True),
        ("in 834186e21998", "in nothing", False),
        ("a.c", "abc", False),
    ],
)
def test_output_agrees(shown, output, is_same):
    """`…` is any text, and run ids and times may be others; nothing else may."""
    from tests.docs.outputs import agrees

    assert is_same == agrees(shown.splitlines(), output)
