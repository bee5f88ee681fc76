"""Compiled templates, kept where Python keeps compiled modules.

Compiling those of a report takes a tenth of a second, which a short run has not.
"""

from __future__ import annotations

import contextlib
import sys
from importlib.util import cache_from_source
from pathlib import Path

import jinja2
from jinja2.bccache import Bucket


class CompiledTemplates(jinja2.FileSystemBytecodeCache):
    """Keeps compiled templates in the folder `__pycache__` of this package.

    Whoever may write there may change the modules, too. A template is compiled again if it
    has changed, or the module that makes its environment; where nothing can be written, it
    is compiled in each process.
    """

    def __init__(self, environment_module: str) -> None:
        folder = Path(cache_from_source(__file__)).parent
        python = sys.implementation.cache_tag
        super().__init__(
            str(folder), f"template-%s.{python}.jinja-{jinja2.__version__}"
        )
        # Options such as `autoescape` are compiled in, and filters of constants.
        self._environment_code = Path(environment_module).read_text(encoding="utf-8")

    def get_source_checksum(self, source: str) -> str:
        return super().get_source_checksum(f"{source}\0{self._environment_code}")

    def load_bytecode(self, bucket: Bucket) -> None:
        # Of a damaged file pickle and marshal raise almost anything.
        with contextlib.suppress(Exception):
            super().load_bytecode(bucket)

    def dump_bytecode(self, bucket: Bucket) -> None:
        if sys.dont_write_bytecode:
            return
        with contextlib.suppress(OSError):
            super().dump_bytecode(bucket)
