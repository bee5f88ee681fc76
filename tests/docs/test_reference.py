"""The reference of the documentation is what its generator writes."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from importlib.util import find_spec

import pytest

import themis_lib
import tools.reference
from flows.cli import VERBS
from themis_lib.core.experiment_spec import ExperimentSpec
from tools.reference.__main__ import FOLDER, PAGES
from tools.reference.components import components_of, settings_of
from tools.reference.configuration import sections_of
from tools.reference.markdown import meaning, meanings
from tools.reference.python_api import grouped_names
from tools.reference.stored_tables import TABLES

MODULES = [
    f"tools.reference.{module.name}"
    for module in pkgutil.iter_modules(tools.reference.__path__)
    if module.name != "__main__"
]
KINDS = ("generator", "parser", "metric", "reducer")


@pytest.mark.parametrize("name", PAGES)
def test_page_is_up_to_date(name):
    """A page is what the generator writes; if not, run `python -m tools.reference`."""
    assert PAGES[name]() == (FOLDER / name).read_text(encoding="utf-8")


def test_there_is_no_other_page():
    """A page that the generator no longer writes is removed."""
    assert set(PAGES) == {path.name for path in FOLDER.iterdir()}


def test_every_setting_of_an_experiment_has_a_meaning():
    """A new setting is explained in `tools/reference/meanings.yaml`, and one that is
    gone is removed there.
    """
    settings = {
        (model.__name__, name)
        for _, model in sections_of(ExperimentSpec)
        for name in model.model_fields
    }
    explained = {
        (model, name)
        for model, known in meanings()["configuration"].items()
        for name in known
    }

    assert settings == explained


def test_every_setting_of_a_component_has_a_meaning():
    """A new setting of a built-in is explained, and one that is gone is removed."""
    missing = set()
    used = set()
    for kind in KINDS:
        for name, definition in components_of(kind):
            for setting, *_ in settings_of(definition):
                if not meaning("components", definition, setting):
                    missing.add((name, setting))
                used |= {(base.__name__, setting) for base in definition.__mro__}
    explained = {
        (owner, setting)
        for owner, known in meanings()["components"].items()
        for setting in known
    }

    assert (set(), set()) == (missing, explained - used)


def test_every_column_has_a_meaning():
    """A new table or column is explained, and one that is gone is removed."""
    explained = set(meanings()["columns"])
    columns = {f"{table}.{name}" for table in TABLES for name in TABLES[table].names}
    # A meaning of one table's column wins over that of the name in all tables.
    used = {
        column if column in explained else column.partition(".")[2]
        for column in columns
    }

    assert (set(TABLES), used) == (set(meanings()["tables"]), explained)


def test_every_public_name_is_on_the_page():
    """The page of the Python API leaves out no public name."""
    assert set(themis_lib.__all__) == grouped_names()


def test_every_verb_has_a_section():
    """The page of the command line leaves out no verb."""
    page = PAGES["command-line.md"]()
    verbs = [name for name, verb in VERBS.items() if find_spec(verb.module)]

    assert [] == [name for name in verbs if f"\n## `themis {name}`\n" not in page]


@pytest.mark.parametrize("name", MODULES)
def test_docstrings_are_true(name):
    """Every example in the generator's docstrings gives what it says."""
    assert 0 == doctest.testmod(importlib.import_module(name)).failed
