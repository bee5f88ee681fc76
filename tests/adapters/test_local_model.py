"""What generators that run a local model share: its file, its engine, its prompts."""

from __future__ import annotations

import inspect
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.asking import ask
from tests.support.new_process import printed_in_new_process
from themis_lib import ComponentError, ConfigError, ModelError, RowError
from themis_lib.adapters import llama, llama_choice
from themis_lib.adapters.local_model import LocalModel
from themis_lib.engine.tiny import TINY


def test_settings_are_the_file_the_engine_and_the_template() -> None:
    """The window is part of the engine's identity."""
    settings = LocalModel("tiny").settings()

    assert ["model", "engine", "template"] == list(settings)
    assert "auto" == settings["template"]
    assert settings["engine"] != LocalModel("tiny", window=256).settings()["engine"]


def test_place_of_the_file_is_no_identity() -> None:
    """A path would differ between machines."""
    assert str(TINY.parent) not in str(LocalModel("tiny").settings())


def test_identity_is_the_content_of_the_file(tmp_path: Path) -> None:
    """A model moved or copied is the same model; another file is not."""
    copied = shutil.copy(TINY, tmp_path / "other.gguf")

    expected = LocalModel("tiny").settings()
    assert expected == LocalModel(str(copied)).settings()
    assert expected == LocalModel(size="tiny").settings()


def test_prompt_over_the_window_is_told() -> None:
    """A prompt that is too long loses its middle, and the trace says how much."""
    result = ask(llama(model="tiny", max_tokens=4, window=64), "word " * 200)

    assert isinstance(result.final_output, str)
    assert 0 < (result.trace or [])[0].metadata["dropped_prompt_tokens"]


def test_conversation_is_sent_as_one() -> None:
    """An input that is a list of messages reaches the chat template as turns."""
    turns = [
        {"role": "user", "content": "Copy: lamp"},
        {"role": "assistant", "content": "lamp"},
        {"role": "user", "content": "Copy: tree"},
    ]

    result = ask(llama(model="tiny", max_tokens=8), turns)

    assert [*turns, {"role": "assistant", "content": result.final_output}] == [
        {"role": message.role, "content": message.content}
        for message in result.conversation or []
    ]


def test_evaluation_never_falls_back(tmp_path: Path) -> None:
    """Without llama-cpp-python it stops, and says which command to run."""
    program = (
        "import sys\n"
        "sys.modules['llama_cpp'] = None\n"
        "from themis_lib import ModelError, evaluate\n"
        "from themis_lib.adapters import llama\n"
        "try:\n"
        "    evaluate(model=llama(model='tiny'), data=[{'input': 'a', 'expected_output': 'b'}])\n"
        "except ModelError as error:\n"
        "    print(error)\n"
    )

    said = printed_in_new_process(program, THEMIS_CACHE_DIR=str(tmp_path))

    assert "pip install 'themis-flows[local]'" in said


def test_local_model_is_free_and_repeats_itself() -> None:
    """A budget counts nothing for it, and equal rows are computed once."""
    assert ("input",) == LocalModel.reads
    assert LocalModel.deterministic
    assert LocalModel.is_free


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"model": "tinny"}, "did you mean 'tiny'"),
        ({"model": "/nowhere/model.gguf"}, "does not exist"),
        ({"size": "huge"}, "huge"),
        ({"model_repo": "a/b"}, "model_filename"),
    ],
    ids=["name", "path", "size", "repo"],
)
def test_model_that_cannot_be_found_is_named(
    settings: dict[str, Any], said: str
) -> None:
    """No other model replaces it."""
    with pytest.raises(ModelError, match=said):
        LocalModel(**settings).check()


@pytest.mark.parametrize("generator", [llama, llama_choice])
def test_window_and_template_are_given_by_name(generator: Any) -> None:
    """Subclasses have positional settings of their own after the model's four."""
    parameters = inspect.signature(generator).parameters.values()

    assert ["model", "model_repo", "model_filename", "size"] == [
        one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD
    ][:4]
    assert {"template", "window"} == {
        one.name for one in parameters if one.kind is one.KEYWORD_ONLY
    }


@pytest.mark.parametrize("template", ["chta", None])
def test_template_is_one_of_those_there_are(template: Any) -> None:
    """The error is that of the setting."""
    with pytest.raises(ComponentError, match="template="):
        llama("tiny", template=template)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([{"type": "image_url"}], "content part 1 is of no known form"),
        (
            [{"type": "image", "url": "https://x.test"}],
            "llama reads text alone; part 1",
        ),
        (
            None,
            "llama reads text; `content` of the user turn is neither text nor parts",
        ),
        (3, "llama reads text; `content` of the user turn is neither text nor parts"),
    ],
    ids=["parts", "image", "null", "number"],
)
def test_message_that_is_no_text_is_the_error_of_its_row(
    content: Any, message: str
) -> None:
    """A chat template writes text."""
    with pytest.raises(RowError, match=f"^{message}"):
        ask(llama("tiny", max_tokens=1), [{"role": "user", "content": content}])


@pytest.mark.parametrize("window", [0, 15, 10**6])
def test_window_is_one_that_the_model_has(window: int) -> None:
    """The message has the bounds of the model."""
    with pytest.raises(ConfigError, match=rf"^window={window}: tiny takes 16 to 1024 "):
        LocalModel("tiny", window=window).check()


def test_template_decides_what_the_model_reads() -> None:
    """The raw text has none of the template's own tokens."""
    tokens = {}
    for template in ("auto", "chat", "raw"):
        result = ask(llama("tiny", max_tokens=1, template=template), "Copy: lamp")
        assert result.usage is not None
        tokens[template] = result.usage.input_tokens or 0

    assert tokens["auto"] == tokens["chat"]
    assert tokens["raw"] < tokens["chat"]
