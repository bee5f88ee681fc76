"""Edits of user code by kind: the files before, and one text replaced in them."""

from __future__ import annotations

HELPER = "def f(v): return len(v) + 1\n"

#: By kind: files with `main.metric`, the text that is edited, and what it becomes.
#: Every one of them changes what `metric("ab")` returns.
EDITS: dict[str, tuple[dict[str, str], str, str]] = {
    "import m": (
        {"main.py": "import h\ndef metric(v): return h.f(v)", "h.py": HELPER},
        "+ 1",
        "+ 2",
    ),
    "from m import f": (
        {"main.py": "from h import f\ndef metric(v): return f(v)", "h.py": HELPER},
        "+ 1",
        "+ 2",
    ),
    "relative import": (
        {
            "main.py": "from p.a import metric",
            "p/__init__.py": "",
            "p/a.py": "from .b import f\ndef metric(v): return f(v)",
            "p/b.py": HELPER,
        },
        "+ 1",
        "+ 2",
    ),
    "aliased import": (
        {"main.py": "import h as k\ndef metric(v): return k.f(v)", "h.py": HELPER},
        "+ 1",
        "+ 2",
    ),
    "star import": (
        {"main.py": "from h import *\ndef metric(v): return f(v)", "h.py": HELPER},
        "+ 1",
        "+ 2",
    ),
    "import in a function": (
        {"main.py": "def metric(v):\n  from h import f\n  return f(v)", "h.py": HELPER},
        "+ 1",
        "+ 2",
    ),
    "relative import in a function": (
        {
            "main.py": "from p.a import metric",
            "p/__init__.py": "",
            "p/a.py": "def metric(v):\n  from . import b\n  return b.f(v)",
            "p/b.py": HELPER,
        },
        "+ 1",
        "+ 2",
    ),
    "importlib with a literal": (
        {
            "main.py": "import importlib\ndef metric(v):\n"
            "  return importlib.import_module('h').f(v)",
            "h.py": HELPER,
        },
        "+ 1",
        "+ 2",
    ),
    "importlib with a computed name": (
        {
            "main.py": "import importlib\ndef metric(v):\n"
            "  return importlib.import_module('h' + v[2:]).f(v)",
            "h.py": HELPER,
        },
        "+ 1",
        "+ 2",
    ),
    "two modules away": (
        {
            "main.py": "import a\ndef metric(v): return a.g(v)",
            "a.py": "from h import f\ndef g(v): return f(v)",
            "h.py": HELPER,
        },
        "+ 1",
        "+ 2",
    ),
    "package": (
        {
            "main.py": "import p.q.h\ndef metric(v): return p.q.h.f(v)",
            "p/__init__.py": "",
            "p/q/__init__.py": "",
            "p/q/h.py": HELPER,
        },
        "+ 1",
        "+ 2",
    ),
    "module in a table": (
        {
            "main.py": "import h\nT = {'h': h}\ndef metric(v): return T['h'].f(v)",
            "h.py": HELPER,
        },
        "+ 1",
        "+ 2",
    ),
    "base class in another file": (
        {
            "main.py": "from h import B\nclass C(B): pass\ndef metric(v): return C().f(v)",
            "h.py": "class B:\n  def f(self, v): return len(v) + 1",
        },
        "+ 1",
        "+ 2",
    ),
    "metaclass": (
        {
            "main.py": "class M(type):\n  def f(cls): return 1 + 1\n"
            "class C(metaclass=M): pass\ndef metric(v): return C.f()"
        },
        "+ 1",
        "+ 2",
    ),
    "subclass of a built-in": (
        {
            "main.py": "from themis_lib.builtins.metrics import ExactMatch\n"
            "class C(ExactMatch):\n  def extra(self): return 1 + 1\n"
            "def metric(v): return C().extra()"
        },
        "+ 1",
        "+ 2",
    ),
    "wrapping decorator": (
        {
            "main.py": "from h import d\n@d\ndef metric(v): return 1",
            "h.py": "import functools\ndef d(f):\n  @functools.wraps(f)\n"
            "  def g(v): return f(v) + 1\n  return g",
        },
        "+ 1",
        "+ 2",
    ),
    "function below a decorator": (
        {
            "main.py": "from h import d\n@d\ndef metric(v): return 1 + 1",
            "h.py": "def d(f):\n  def g(v): return f(v)\n  return g",
        },
        "+ 1",
        "+ 2",
    ),
    "cached function": (
        {
            "main.py": "import functools\n@functools.lru_cache\n"
            "def f(v): return 1 + 1\ndef metric(v): return f(v)"
        },
        "+ 1",
        "+ 2",
    ),
    "single dispatch": (
        {
            "main.py": "import functools\n@functools.singledispatch\n"
            "def f(v): return 0\n@f.register\ndef _(v: str): return 1 + 1\n"
            "def metric(v): return f(v)"
        },
        "+ 1",
        "+ 2",
    ),
    "registering decorator": (
        {
            "main.py": "import rules\nfrom h import T\n"
            "def metric(v): return sum(f(v) for f in T.values())",
            "h.py": "T = {}\ndef register(f):\n  T[f.__name__] = f\n  return f",
            "rules.py": "from h import register\n@register\ndef rule(v): return 1 + 1",
        },
        "+ 1",
        "+ 2",
    ),
    "exec of a literal": (
        {
            "main.py": "def metric(v):\n  n = {}\n"
            "  exec('import h; r = h.f(\"ab\")', n)\n  return n['r']",
            "h.py": HELPER,
        },
        "+ 1",
        "+ 2",
    ),
    "computed getattr": (
        {
            "main.py": "import h\ndef metric(v): return getattr(h, v[:0] + 'f')(v)",
            "h.py": HELPER,
        },
        "+ 1",
        "+ 2",
    ),
    "globals by name": (
        {
            "main.py": "def g(v): return 1 + 1\n"
            "def metric(v): return globals()['g' + v[2:]](v)"
        },
        "+ 1",
        "+ 2",
    ),
    "eval of a computed text": (
        {"main.py": "import h\ndef metric(v): return eval('h.' + 'f')(v)", "h.py": HELPER},
        "+ 1",
        "+ 2",
    ),
    "sys.modules": (
        {
            "main.py": "import sys, h\ndef metric(v): return sys.modules['h'].f(v)",
            "h.py": HELPER,
        },
        "+ 1",
        "+ 2",
    ),
    "nested function": (
        {"main.py": "def metric(v):\n  def g(): return 1 + 1\n  return g()"},
        "+ 1",
        "+ 2",
    ),
    "static method": (
        {
            "main.py": "class C:\n  @staticmethod\n  def f(): return 1 + 1\n"
            "def metric(v): return C.f()"
        },
        "+ 1",
        "+ 2",
    ),
    "class method": (
        {
            "main.py": "class C:\n  @classmethod\n  def f(cls): return 1 + 1\n"
            "def metric(v): return C.f()"
        },
        "+ 1",
        "+ 2",
    ),
    "property": (
        {
            "main.py": "class C:\n  @property\n  def f(self): return 1 + 1\n"
            "def metric(v): return C().f"
        },
        "+ 1",
        "+ 2",
    ),
    "default of a dataclass with slots": (
        {
            "main.py": "from dataclasses import dataclass\n@dataclass(slots=True)\n"
            "class C:\n  k: int = 11\ndef metric(v): return C().k"
        },
        "11",
        "22",
    ),
    "patched helper": (
        {"main.py": "import h\nh.f = lambda v: 11\ndef metric(v): return h.f(v)", "h.py": HELPER},
        "11",
        "22",
    ),
    "constant set by the script": (
        {"main.py": "import h\nh.K = 11\ndef metric(v): return h.g()", "h.py": "K = 0\ndef g(): return K"},
        "11",
        "22",
    ),
    "setting of a library": (
        {
            "main.py": "import decimal\ndecimal.getcontext().prec = 11\n"
            "def metric(v): return str(decimal.Decimal(1) / 3)"
        },
        "11",
        "22",
    ),
}  # fmt: skip

_TABLES = {
    "constant": "K = 11",
    "loop": "K = {}\nfor i in 'ab': K[i] = 11",
    "match": "match 1:\n  case 1: K = 11",
    "walrus": "print(end='' if (K := 11) else '')",
    "setattr": "import sys\nsetattr(sys.modules[__name__], 'K', 11)",
    "globals": "globals()['K'] = 11",
    "list": "K = [11]",
    "regex": "import re\nK = re.compile('11').pattern",
    "pattern": "import re\nK = re.compile('11')",
    "set": "K = {11, 'b'}",
    "deque": "import collections\nK = collections.deque([1], maxlen=11)",
    "ordered": "import collections\nK = collections.OrderedDict(a=11)",
    "enum": "import enum\nclass E(enum.Enum):\n  A = 11\nK = E.A.value",
    "path": "import pathlib\nK = pathlib.Path('11')",
    "date": "import datetime\nK = datetime.date(2000, 1, 11)",
    "dataclass": "from dataclasses import dataclass\n@dataclass\nclass D:\n  k: int\nK = D(11)",
    "slots": "class S:\n  __slots__ = ('k',)\n  def __repr__(self): return str(self.k)\n"
    "K = S()\nK.k = 11",
    "text subclass": "class S(str): pass\nK = S('11')",
    "number subclass": "class S(int): pass\nK = S(11)",
    "date subclass": "import datetime\nclass S(datetime.date): pass\nK = S(2000, 1, 11)",
    "exception": "class S(Exception): pass\nK = S(11)",
    "hidden items": "class S(dict):\n  def items(self): return ()\nK = S(a=11)",
    "numpy": "import numpy\nK = numpy.array([11, 2])",
    "pandas": "import pandas\nK = pandas.DataFrame({'a': [11]}).to_dict\nK = K()",
    "frame": "import pandas\nK = pandas.DataFrame({'a': [11]})",
    "arrow": "import pyarrow\nK = pyarrow.table({'a': [11]})",
    "pydantic": "import pydantic\nclass P(pydantic.BaseModel):\n  k: int\nK = P(k=11)",
    "partial": "import functools\nK = functools.partial(max, 11, 1)()",
    "bound partial": "import functools\nclass W:\n  def __init__(self, f): self.f = f\n"
    "  def __repr__(self): return str(self.f())\nK = W(functools.partial(max, 11, 1))",
    "bound method": "class W:\n  def __init__(self): self.k = 11\n  def f(self): return self.k\n"
    "  def __repr__(self): return 'w'\nclass V:\n  def __init__(self, f): self.f = f\n"
    "  def __repr__(self): return str(self.f())\nK = V(W().f)",
    "itemgetter": "import operator\nK = operator.itemgetter(11)",
    "slice": "K = slice(1, 11)",
}  # fmt: skip
for _name, _text in _TABLES.items():
    EDITS[f"value: {_name}"] = (
        {"main.py": f"{_text}\ndef metric(v): return str(K)"},
        "11",
        "22",
    )
    _body = "\n".join(f"  {line}" for line in _text.splitlines())
    if _name not in ("setattr", "globals"):
        EDITS[f"closure: {_name}"] = (
            {
                "main.py": f"def make():\n{_body}\n  def metric(v): return str(K)\n"
                "  return metric\nmetric = make()"
            },
            "11",
            "22",
        )
for _name, _signature in {
    "default": "v, k=11",
    "keyword default": "v, *, k=11",
}.items():
    EDITS[_name] = ({"main.py": f"def metric({_signature}): return k"}, "11", "22")
for _name, _text in {
    "class attribute": "class C:\n  k = 11\nc = C()",
    "instance attribute": "class C:\n  def __init__(self, k): self.k = k\nc = C(11)",
}.items():
    EDITS[_name] = (
        {"main.py": f"{_text}\ndef metric(v): return c.k"},
        "11",
        "22",
    )

BASE = {
    "main.py": "from h import f\ndef metric(v):\n  'Doc.'\n  return f(v)  # comment\n",
    "h.py": "import re\n\ndef f(v):\n  return len(v)\n\ndef unrelated(v): return 1\n",
    "other.py": "K = 1\n",
}

#: Edits that change nothing: file, text, and what it becomes.
FREE_EDITS: dict[str, tuple[str, str, str]] = {
    "comment": ("main.py", "# comment", "# another"),
    "docstring": ("main.py", "'Doc.'", "'Another.'"),
    "layout": ("main.py", "f(v)  #", "(\n    f( v )\n  )  #"),
    "unrelated definition": ("h.py", "return 1", "return 2"),
    "new definition": ("h.py", "def unrelated", "def new(): pass\n\ndef unrelated"),
    "unused import": ("h.py", "import re", "import re, json"),
    "unrelated module": ("other.py", "K = 1", "K = 2"),
}
