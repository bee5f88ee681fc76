"""A page in one file: its template with style, scripts and data inside, which asks no
network for anything.

Its policy lets run only the scripts that are written here. What a model wrote reaches
the page as data, or as text that the template engine escapes.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from themis_lib.identity.digests import canonical_json
from themis_lib.report.html_charts import number

_FOLDER = Path(__file__).parent / "page"
_POLICY = "default-src 'none'; script-src {script}; style-src {style}; img-src data:; base-uri 'none'; form-action 'none'"


def render_page(
    template: str,
    *,
    scripts: Sequence[str],
    data: str,
    **context: Any,
) -> str:
    """The page that a template makes; `data` is what `html_cases.pack` gives to its
    scripts.
    """
    style = _read_source("page.css")
    script = "(() => {\n" + "\n".join(map(_read_source, scripts)) + "})();\n"
    policy = _POLICY.format(
        script=_csp_digest(script),
        style=_csp_digest(style),
    )
    return (
        _make_environment()
        .get_template(template)
        .render(
            style=Markup(style),
            script=Markup(script),
            data=Markup(data),
            policy=Markup(policy),
            **context,
        )
    )


def score(value: float | None) -> str:
    """A mean with as many digits as are read; an em dash where there is none.

    >>> score(0.65555), score(1234.5678), score(0.000012), score(None)
    ('0.656', '1,234.6', '1.2e-05', '—')
    """
    return "—" if value is None else f"{value:,{_format_number(value)}}"


def signed(value: float | None) -> str:
    """A difference with its sign.

    >>> signed(0.05), signed(-0.05), signed(0.0), signed(0.0004), signed(None)
    ('+0.050', '−0.050', '0.000', '+0.0004', '—')
    """
    return (
        "—"
        if value is None
        else "0.000"
        if value == 0
        else f"{value:+,{_format_number(value)}}".replace("-", "−")
    )


def p_value(value: float | None) -> str:
    """A p value; small ones as a bound.

    >>> p_value(0.03716), p_value(0.000037), p_value(1.0)
    ('0.037', '< 0.001', '1.000')
    """
    if value is None:
        return "—"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def seconds(value: float | None) -> str:
    """A time to three digits.

    >>> seconds(0.01234), seconds(75.0), seconds(3700.0)
    ('12.3 ms', '1 min 15 s', '1 h 1 min')
    """
    if value is None:
        return "—"
    if value < 1:
        return f"{1000 * value:.3g} ms"
    if value < 60:
        return f"{value:.3g} s"
    minutes, rest = divmod(round(value), 60)
    return (
        f"{minutes} min {rest} s"
        if minutes < 60
        else f"{minutes // 60} h {minutes % 60} min"
    )


def moment(text: str | None) -> str:
    """A time of a manifest for people.

    >>> moment("2026-11-21T19:10:09+00:00")
    '21 November 2026, 19:10:09 UTC'
    """
    if text is None:
        return "—"
    time = datetime.fromisoformat(text)
    return f"{time.day} {time:%B %Y, %H:%M:%S} {time.tzname() or ''}".rstrip()


def indented(value: Any) -> str:
    """A value as JSON with indents."""
    return json.dumps(
        json.loads(canonical_json(value)),
        indent=2,
        ensure_ascii=False,
    )


def _format_number(value: float) -> str:
    """Digits behind the point; two that count for a number that would be shown as zero."""
    if 0 < abs(value) < 0.0005:
        return ".2g"
    return ".3f" if abs(value) < 100 else ".1f"


def _format_thousands(value: int | None) -> str:
    return "—" if value is None else f"{value:,}"


@cache
def _make_environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = (score, signed, p_value, seconds, moment, indented, number)
    environment.filters.update({function.__name__: function for function in filters})
    environment.filters["thousands"] = _format_thousands
    return environment


@cache
def _read_source(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _csp_digest(text: str) -> str:
    return (
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
    )
