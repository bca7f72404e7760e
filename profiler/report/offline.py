"""Pages that carry everything inside: one HTML file with its scripts and data, loading nothing.

Whatever comes from files is escaped: by the template in text, here in scripts. A page's own policy
lets browsers run its scripts only, and load nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from compofa.common.console import printable
from compofa.profiler.report.style import Spec, themes

EXPOSED = "window.vegaEmbed = vegaEmbed;"
"""The one name that the bundle of Vega libraries has for the page's own script."""


def offline_page(
    template: str,
    charts: Mapping[str, Spec],
    scripts: Sequence[str] = (),
    data: Mapping[str, Any] | None = None,
    **context: Any,
) -> str:
    """A page.

    Args:
        template: Jinja source that extends ``base.html``.
        charts: Vega-Lite specifications, by the id of the element that they are drawn in.
        scripts: JavaScript that runs after the page is there.
        data: what the scripts read as JSON, by the id of the element that holds it.
        context: what the template refers to; `title` at least.
    """
    from jinja2 import DictLoader, Environment, StrictUndefined

    library, own = _library(), [page_part(__package__, "page.js"), *scripts]
    packed = {name: _packed(spec) for name, spec in charts.items()}
    environment = Environment(
        loader=DictLoader({"base.html": page_part(__package__, "base.html")}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    return environment.from_string(template).render(
        context,
        style=page_part(__package__, "page.css"),
        policy=f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
        f"script-src {' '.join(map(_hash, [library, *own]))}",
        scripts=[library, *own],
        data={
            name: _json(value)
            for name, value in {"charts": packed, "themes": themes(), **(data or {})}.items()
        },
    )


def page_part(package: str | None, name: str) -> str:
    """The text of a file that ships with a package: a template, a style sheet, a script."""
    return resources.files(package or "").joinpath(name).read_text(encoding="utf-8")


@cache
def _library() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script."""
    import vl_convert

    # The bundle's own names must not meet the page's: it gets a scope to itself.
    return f"(() => {{{vl_convert.javascript_bundle(EXPOSED)}}})();"


def _shown(value: Any) -> Any:
    """What the template puts out: text without control characters, markup as it is."""
    return value if hasattr(value, "__html__") else printable(str(value))


def _packed(spec: Spec) -> Spec:
    """`spec` with its data as rows under the names of their fields, which are then written once."""
    values = spec["data"]["values"]
    fields = list(values[0]) if values else []
    rows = [[each[name] for name in fields] for each in values]
    return {**spec, "data": {"fields": fields, "rows": rows}}


def _json(value: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e")


def _hash(script: str) -> str:
    """How a content security policy names a script that stands in the page."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
