"""A page in one file: its template with style, scripts and data inside.

The page asks no network for anything. Its policy lets only the scripts run that are
written here. What a model wrote reaches the page as data, or as text that the template
engine escapes.
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
from themis_lib.report.compiled_templates import CompiledTemplates
from themis_lib.report.html_charts import number

_FOLDER = Path(__file__).parent / "page"
# Scripts and styles are allowed by their digests: one that a model wrote has another.
_POLICY = (
    "default-src 'none'; script-src {script}; style-src {style}; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)


def render_page(
    template: str,
    *,
    scripts: Sequence[str],
    data: str,
    **context: Any,
) -> str:
    """Return the page of a template.

    `data` is what `html_cases.pack` packs for the scripts.
    """
    style = _read_source("page.css")
    # In a function, so that the scripts add no names to the page's window.
    script = "(() => {\n" + "\n".join(map(_read_source, scripts)) + "})();\n"
    policy = _POLICY.format(
        script=_policy_digest(script),
        style=_policy_digest(style),
    )
    # `Markup` is text that is not escaped: all of it is from here, or base64.
    return (
        _page_environment()
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
    """Return a mean with as many digits as a reader needs; an em dash for `None`.

    >>> score(0.65555), score(1234.5678), score(0.000012), score(None)
    ('0.656', '1,234.6', '1.2e-05', '—')
    """
    if value is None:
        return "—"
    return f"{value:,{_format_spec(value)}}"


def signed(value: float | None) -> str:
    """Return a difference with its sign.

    >>> signed(0.05), signed(-0.05), signed(0.0), signed(0.0004), signed(None)
    ('+0.050', '−0.050', '0.000', '+0.0004', '—')
    """
    if value is None:
        return "—"
    # A difference of nothing has no sign.
    if value == 0:
        return "0.000"
    # A minus is as wide as a plus, a hyphen is not.
    return f"{value:+,{_format_spec(value)}}".replace("-", "−")


def p_value(value: float | None) -> str:
    """Return a p-value with three decimals; a smaller one is shown as a bound.

    >>> p_value(0.03716), p_value(0.000037), p_value(1.0)
    ('0.037', '< 0.001', '1.000')
    """
    if value is None:
        return "—"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def seconds(value: float | None) -> str:
    """Return a time, in seconds, with three digits and a unit that fits.

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
    if minutes < 60:
        return f"{minutes} min {rest} s"
    # Seconds say nothing beside hours.
    return f"{minutes // 60} h {minutes % 60} min"


def moment(text: str | None) -> str:
    """Return a time of a manifest as people write it.

    >>> moment("2026-11-21T19:10:09+00:00")
    '21 November 2026, 19:10:09 UTC'
    """
    if text is None:
        return "—"
    time = datetime.fromisoformat(text)
    return f"{time.day} {time:%B %Y, %H:%M:%S} {time.tzname() or ''}".rstrip()


def indented(value: Any) -> str:
    """Return a value as indented JSON, as it counts for identity."""
    # Canonical JSON sorts keys, so that equal values look equal.
    plain = json.loads(canonical_json(value))
    return json.dumps(
        plain,
        indent=2,
        ensure_ascii=False,
    )


def tojson_text(value: Any) -> str:
    """Return a value of a setting as people write it in YAML or JSON.

    >>> tojson_text(0.7), tojson_text(True), tojson_text(["a"])
    ('0.7', 'true', '["a"]')
    """
    return json.dumps(value, ensure_ascii=False)


def capitalize_first(text: str) -> str:
    """Return a line as a sentence begins: the rest of it stays as it is.

    >>> capitalize_first("the URL of vLLM")
    'The URL of vLLM'
    """
    return text[:1].upper() + text[1:]


def _format_spec(value: float) -> str:
    # Three decimals would show so small a number as zero.
    if 0 < abs(value) < 0.0005:
        return ".2g"
    return ".3f" if abs(value) < 100 else ".1f"


def thousands(value: int | None) -> str:
    """Return a count with separators; an em dash for `None`."""
    return "—" if value is None else f"{value:,}"


# Once a process: reading and compiling the templates takes longer than filling them.
@cache
def _page_environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        bytecode_cache=CompiledTemplates(__file__),
        # What models and datasets wrote must not become HTML.
        autoescape=True,
        # A misspelt name is an error, not an empty place on a page.
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = (
        score,
        signed,
        p_value,
        seconds,
        moment,
        indented,
        number,
        thousands,
        tojson_text,
        capitalize_first,
    )
    for function in filters:
        environment.filters[function.__name__] = function
    return environment


@cache
def _read_source(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _policy_digest(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest())
    return f"'sha256-{digest.decode()}'"
