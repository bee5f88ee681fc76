"""Tasks of lm-eval by name: the file that defines one."""

import pytest

from themis_lib import DatasetError
from themis_lib.data.lm_eval_names import task_file

pytest.importorskip("lm_eval")


def test_a_task_is_found_by_its_line():
    """Quoted or not, and in a file of another name."""
    names = ["arc_easy", "mmlu_anatomy", "winogrande", "squad_completion"]

    assert [
        "arc/arc_easy.yaml",
        "mmlu/default/mmlu_anatomy.yaml",
        "winogrande/default.yaml",
        "squad_completion/squad_completion.yaml",
    ] == ["/".join(task_file(name).parts).partition("/tasks/")[2] for name in names]


def test_a_folder_of_ones_own_takes_precedence(tmp_path):
    """As in lm-eval."""
    own = tmp_path / "tasks" / "mine.yaml"
    own.parent.mkdir()
    own.write_text("# a comment\ntask: arc_easy  # mine\ninclude: other.yaml\n")

    assert own == task_file("arc_easy", [str(tmp_path)])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("arc_esy", "lm-eval has no task 'arc_esy'; did you mean 'arc_easy'?"),
        ("§§§", "lm-eval has no task '§§§'; `lm-eval ls tasks` lists them"),
        ("mmlu", "'mmlu' is a group of tasks; give each of them as a dataset"),
    ],
)
def test_other_names_are_refused(name, reason):
    """With the nearest name, or tasks of the group."""
    with pytest.raises(DatasetError) as caught:
        task_file(name)
    assert str(caught.value).startswith(reason)


def test_a_folder_that_does_not_exist_is_refused():
    """Before any task is looked for in it."""
    with pytest.raises(DatasetError, match="there is no folder 'nowhere'"):
        task_file("arc_easy", ["nowhere"])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_files_are_those_of_lm_evals_own_index():
    """For every task and group that it knows."""
    from lm_eval.tasks import TaskManager
    from lm_eval.tasks._index import Kind

    index = TaskManager().task_index
    expected = {
        name: entry.yaml_path
        for name, entry in index.items()
        if entry.kind in (Kind.TASK, Kind.PY_TASK)
    }

    assert expected == {name: task_file(name) for name in expected}
