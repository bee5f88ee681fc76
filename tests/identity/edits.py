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
    "context variable": "import contextvars\nK = contextvars.ContextVar('k', default=11).get()",
    "thread's own": "import threading\nclass V:\n  def __init__(self): self.k = threading.local()\n"
    "  def __repr__(self): return str(self.k.k)\nK = V()\nK.k.k = 11",
    "weak": "import weakref\nclass W: pass\nw = W()\nw.k = 11\nclass V:\n"
    "  def __init__(self): self.k = weakref.ref(w)\n"
    "  def __repr__(self): return str(self.k().k)\nK = V()",
    "made class": "import dataclasses\nK = dataclasses.make_dataclass('P', [('k', int, 11)])()",
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

#: Members of classes, and what acts on them.
_CLASSES = {
    "bases alone": (
        "class A:\n"
        "  def f(self): return 1\n"
        "class B:\n"
        "  def f(self): return 2\n"
        "class C(A, B): pass\n"
        "def metric(v): return C().f()",
        "(A, B)",
        "(B, A)",
    ),
    "arguments of a base": (
        "import typing\n"
        "T=typing.TypeVar('T')\n"
        "class G(typing.Generic[T]):\n"
        "  def f(self): return self.__orig_bases__\n"
        "class C(G[int]): pass\n"
        "def metric(v): return typing.get_args(C.__orig_bases__[0])",
        "G[int]",
        "G[str]",
    ),
    "values of slots": (
        "class C:\n  __slots__=('a','b')\ndef metric(v): return C.__slots__",
        "'b'",
        "'c'",
    ),
    "annotation of a model": (
        "import pydantic\n"
        "class P(pydantic.BaseModel):\n"
        "  k: int\n"
        "def metric(v): return P(k='1').k",
        "k: int",
        "k: float",
    ),
    "configuration of a model": (
        "import pydantic\n"
        "class P(pydantic.BaseModel):\n"
        "  model_config={'str_to_lower':True}\n"
        "  k: str\n"
        "def metric(v): return P(k='A').k",
        "True",
        "False",
    ),
    "validator of a field": (
        "import pydantic\n"
        "class P(pydantic.BaseModel):\n"
        "  k: int\n"
        "  @pydantic.field_validator('k')\n"
        "  @classmethod\n"
        "  def c(cls,v): return v+1\n"
        "def metric(v): return P(k='1').k",
        "v+1",
        "v+2",
    ),
    "mode of a validator": (
        "import pydantic\n"
        "class P(pydantic.BaseModel):\n"
        "  k: int\n"
        "  @pydantic.field_validator('k',mode='after')\n"
        "  @classmethod\n"
        "  def c(cls,v): return str(v)\n"
        "def metric(v): return P(k='1').k",
        "'after'",
        "'before'",
    ),
    "fields of a validator": (
        "import pydantic\n"
        "class P(pydantic.BaseModel):\n"
        "  k: int\n"
        "  j: int\n"
        "  @pydantic.field_validator('k')\n"
        "  @classmethod\n"
        "  def c(cls,v): return v+1\n"
        "def metric(v): return P(k='1',j=2).k",
        "validator('k')",
        "validator('j')",
    ),
    "private attribute of a model": (
        "import pydantic\n"
        "class P(pydantic.BaseModel):\n"
        "  _k: int = pydantic.PrivateAttr(default_factory=lambda: 11)\n"
        "  def f(self): return self._k\n"
        "def metric(v): return P().f()",
        "11",
        "22",
    ),
    "validator in an annotation": (
        "import pydantic, typing\n"
        "def g(v): return 11\n"
        "class P(pydantic.BaseModel):\n"
        "  k: typing.Annotated[int, pydantic.AfterValidator(g)]\n"
        "def metric(v): return P(k=1).k",
        "11",
        "22",
    ),
    "alias of a field": (
        "import pydantic\n"
        "class P(pydantic.BaseModel):\n"
        "  k: int = pydantic.Field(1,serialization_alias='a')\n"
        "def metric(v): return P(k='1').model_dump(by_alias=True)",
        "'a'",
        "'b'",
    ),
    "exclusion of a field": (
        "import pydantic\n"
        "class P(pydantic.BaseModel):\n"
        "  k: int = pydantic.Field(1,exclude=True)\n"
        "def metric(v): return P(k='1').model_dump()",
        "True",
        "False",
    ),
    "annotation as text": (
        "from __future__ import annotations\n"
        "import pydantic\n"
        "class Q(pydantic.BaseModel):\n"
        "  j: int = 11\n"
        "class P(pydantic.BaseModel):\n"
        "  k: Q\n"
        "def metric(v): return P(k={}).k.j",
        "11",
        "22",
    ),
    "annotation of a validated call": (
        "import pydantic\n@pydantic.validate_call\ndef metric(v: int): return v",
        "v: int",
        "v: str",
    ),
    "adapter of a model": (
        "import pydantic\n"
        "class P(pydantic.BaseModel):\n"
        "  k: int = 11\n"
        "X=pydantic.TypeAdapter(P)\n"
        "def metric(v): return X.validate_python({}).k",
        "11",
        "22",
    ),
    "annotations read as values": (
        "import typing\n"
        "X=int\n"
        "def g(a: X): pass\n"
        "def metric(v): return typing.get_type_hints(g)",
        "X=int",
        "X=str",
    ),
    "attribute of an enum": (
        "import enum\n"
        "class E(enum.Enum):\n"
        "  A=1\n"
        "  K=enum.nonmember(11)\n"
        "def metric(v): return E.K",
        "11",
        "22",
    ),
    "private attribute of an enum": (
        "import enum\n"
        "class E(enum.Enum):\n"
        "  A=1\n"
        "  __k=11\n"
        "  def f(self): return self.__k\n"
        "def metric(v): return E.A.f()",
        "11",
        "22",
    ),
    "attribute of a member": (
        "import enum\n"
        "class E(enum.Enum):\n"
        "  A=1\n"
        "E.A.k=11\n"
        "def metric(v): return E.A.k",
        "11",
        "22",
    ),
    "cached property of an enum": (
        "import enum,functools\n"
        "class E(enum.Enum):\n"
        "  A=1\n"
        "  @functools.cached_property\n"
        "  def f(self): return 11\n"
        "def metric(v): return E.A.f",
        "11",
        "22",
    ),
    "order of members": (
        "import enum\nclass E(enum.Enum):\n  A=1\n  B=2\ndef metric(v): return list(E)",
        "A=1\n  B=2",
        "B=2\n  A=1",
    ),
    "boundary of a flag": (
        "import enum\n"
        "class E(enum.Flag, boundary=enum.KEEP):\n"
        "  A=1\n"
        "def metric(v): return E(9)",
        "KEEP",
        "CONFORM",
    ),
    "missing members": (
        "import enum\n"
        "class E(enum.Enum):\n"
        "  A=1\n"
        "  @classmethod\n"
        "  def _missing_(cls, v): return 11\n"
        "def metric(v): return E(5)",
        "11",
        "22",
    ),
    "patched base of a library": (
        "from string import Formatter\n"
        "Formatter.k=property(lambda s: 11)\n"
        "class C(Formatter): pass\n"
        "def metric(v): return C().k",
        "11",
        "22",
    ),
    "docstring of a function": (
        "def g():\n  'aa'\ndef metric(v): return g.__doc__",
        "'aa'",
        "'bb'",
    ),
    "docstring of a class": (
        "class g:\n  'aa'\ndef metric(v): return g.__doc__",
        "'aa'",
        "'bb'",
    ),
    "docstring by inspect": (
        "import inspect\ndef g():\n  'aa'\ndef metric(v): return inspect.getdoc(g)",
        "'aa'",
        "'bb'",
    ),
    "docstring of a property": (
        "class C:\n"
        "  f=property(lambda s:1,doc='aa')\n"
        "def metric(v): return C.f.__doc__",
        "'aa'",
        "'bb'",
    ),
    "subclass of property": (
        "class P(property):\n"
        "  def __get__(self,o,t=None): return 11\n"
        "class C:\n"
        "  @P\n"
        "  def f(self): return 1\n"
        "def metric(v): return C().f",
        "11",
        "22",
    ),
    "subclass of partial": (
        "import functools\n"
        "class P(functools.partial):\n"
        "  def __call__(self,*a): return self.k\n"
        "g=P(len)\n"
        "g.k=11\n"
        "def metric(v): return g(v)",
        "11",
        "22",
    ),
    "descriptor": (
        "class D:\n"
        "  def __init__(self,k): self.k=k\n"
        "  def __get__(self,o,t=None): return self.k\n"
        "class C:\n"
        "  f=D(11)\n"
        "def metric(v): return C().f",
        "11",
        "22",
    ),
    "class arguments": (
        "class B:\n"
        "  def __init_subclass__(cls,k): cls.k=k\n"
        "class C(B,k=11): pass\n"
        "def metric(v): return C.k",
        "11",
        "22",
    ),
    "registered class": (
        "import abc\n"
        "class A(abc.ABC): pass\n"
        "class X: pass\n"
        "class Y: pass\n"
        "A.register(X)\n"
        "def metric(v): return isinstance(X(),A)",
        "register(X)",
        "register(Y)",
    ),
    "abstract method": (
        "import abc\n"
        "class A(abc.ABC):\n"
        "  @abc.abstractmethod\n"
        "  def f(self): return 11\n"
        "class C(A):\n"
        "  def f(self): return super().f()\n"
        "def metric(v): return C().f()",
        "11",
        "22",
    ),
    "protocol": (
        "import typing\n"
        "@typing.runtime_checkable\n"
        "class P(typing.Protocol):\n"
        "  def real(self): ...\n"
        "def metric(v): return isinstance(1,P)",
        "def real",
        "def fake",
    ),
    "subclasses": (
        "class B: pass\n"
        "class C(B):\n"
        "  k=11\n"
        "def metric(v): return [s.k for s in B.__subclasses__()]",
        "11",
        "22",
    ),
    "context variable": (
        "import contextvars\n"
        "K=contextvars.ContextVar('K',default=11)\n"
        "def metric(v): return K.get()",
        "11",
        "22",
    ),
    "private slots": (
        "class C:\n"
        "  __slots__=('__k',)\n"
        "  def __init__(self,k): self.__k=k\n"
        "  def f(self): return self.__k\n"
        "c=C(11)\n"
        "def metric(v): return c.f()",
        "11",
        "22",
    ),
    "cached property": (
        "import functools\n"
        "class C:\n"
        "  @functools.cached_property\n"
        "  def f(self): return 11\n"
        "c=C()\n"
        "def metric(v): return c.f",
        "11",
        "22",
    ),
    "method of a named tuple": (
        "import typing\n"
        "class N(typing.NamedTuple):\n"
        "  k: int = 1\n"
        "  def f(self): return 11\n"
        "def metric(v): return N().f()",
        "11",
        "22",
    ),
    "parameters of a dataclass": (
        "from dataclasses import dataclass\n"
        "@dataclass(order=True)\n"
        "class C:\n"
        "  a: int\n"
        "def metric(v): return C(1)<C(2)",
        "True",
        "False",
    ),
    "single dispatch method": (
        "import functools\n"
        "class C:\n"
        "  @functools.singledispatchmethod\n"
        "  def f(self,v): return 0\n"
        "  @f.register\n"
        "  def _(self,v:str): return 11\n"
        "def metric(v): return C().f(v)",
        "11",
        "22",
    ),
    "partial method": (
        "import functools\n"
        "class C:\n"
        "  def f(self,k): return k\n"
        "  g=functools.partialmethod(f,11)\n"
        "def metric(v): return C().g()",
        "11",
        "22",
    ),
    "setting by another name": (
        "import decimal\n"
        "ctx=decimal.getcontext()\n"
        "ctx.prec=11\n"
        "def metric(v): return str(decimal.Decimal(1)/3)",
        "11",
        "22",
    ),
    "setting in a function": (
        "import decimal\n"
        "def setup(): decimal.getcontext().prec=11\n"
        "setup()\n"
        "def metric(v): return str(decimal.Decimal(1)/3)",
        "11",
        "22",
    ),
    "setting in a match": (
        "import decimal\n"
        "match 1:\n"
        "  case 1: decimal.getcontext().prec=11\n"
        "def metric(v): return str(decimal.Decimal(1)/3)",
        "11",
        "22",
    ),
    "setting among others": (
        "import decimal\n"
        "a, decimal.getcontext().prec = 1, 11\n"
        "def metric(v): return str(decimal.Decimal(1)/3)",
        "11",
        "22",
    ),
    "setting from a constant": (
        "import decimal\n"
        "P=11\n"
        "decimal.getcontext().prec=P\n"
        "def metric(v): return str(decimal.Decimal(1)/3)",
        "11",
        "22",
    ),
    "setting in a loop": (
        "import decimal\n"
        "for i in [11]: decimal.getcontext().prec=i\n"
        "def metric(v): return str(decimal.Decimal(1)/3)",
        "11",
        "22",
    ),
    "setting in a class": (
        "import decimal\n"
        "class C:\n"
        "  decimal.getcontext().prec=11\n"
        "def metric(v): return str(decimal.Decimal(1)/3)",
        "11",
        "22",
    ),
    "setting under a condition": (
        "import decimal\n"
        "X=11\n"
        "if X==11: decimal.getcontext().prec=11\n"
        "def metric(v): return str(decimal.Decimal(1)/3)",
        "X=11",
        "X=22",
    ),
}
for _name, (_text, _old, _new) in _CLASSES.items():
    EDITS[_name] = ({"main.py": _text}, _old, _new)

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
