"""Evaluations as Prefect flows."""

import os
import sys
from collections.abc import Sequence
from types import ModuleType

# Here, since Prefect reads it on import, and then asks to have its use counted by a
# service on the internet: no call goes out but the user's own.
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")


def _is_program() -> bool:
    """Return whether this process is `python -m flows…` or `python -m deployments…`."""
    # So `sys.argv` begins until the module is found; its name is in `orig_argv` alone.
    if sys.argv[:1] != ["-m"]:
        return False
    module = sys.orig_argv[-len(sys.argv)].removeprefix("-m")
    return module.partition(".")[0] in ("deployments", "flows")


def _is_served() -> bool:
    """Return whether Prefect started this process for a run of `deployments.serve`."""
    return os.environ.get("PYTHONSAFEPATH") == "themis"


class _WorkingDirectoryLast:
    """Moves the working directory to the end of `sys.path` before an import.

    `python -m` puts it first: a `logging.py` or a `yaml.py` in it would be taken for
    the library. The installation's `themis_flows.pth` imports this package before
    Python has done so, which is why it waits for an import. Prefect puts it first
    whenever it loads a flow.
    """

    @classmethod
    def find_spec(
        cls,
        name: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> None:
        del name, path, target
        # Safe mode (`-P`) leaves it out.
        if sys.path[:1] in ([""], [os.getcwd()]):  # noqa: PTH109
            sys.path.append(sys.path.pop(0))
            if not _is_served():
                sys.meta_path.remove(cls)


if _is_program() or _is_served():
    sys.meta_path.insert(0, _WorkingDirectoryLast)


def __getattr__(name: str) -> object:
    from themis_lib.components.shared_names import attribute_beside

    return attribute_beside(__name__, name)
