"""The page: one HTML file with its scripts and data inside, that loads nothing from anywhere.

Whatever comes from files is escaped: by the template in text, here in scripts. The page's own
policy lets browsers run these two scripts only, and load nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

from compofa.profiler.report.section import Section
from compofa.profiler.report.style import Spec, themes
from compofa.supernet.console import printable

EXPOSED = "window.vegaEmbed = vegaEmbed;"
"""The one name that the bundle of Vega libraries has for the page's own script."""


def render_page(sections: Sequence[Section]) -> str:
    """The page of one or several tables."""
    from jinja2 import Environment, StrictUndefined

    library, script = _library(), _part("page.js")
    charts = {
        f"chart-{number}-{figure.name}": _packed(figure.spec)
        for number, section in enumerate(sections)
        for figure in section.figures
    }
    names = [section.title for section in sections]
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    return environment.from_string(_part("page.html")).render(
        title=f"Latency tables: {', '.join(names[:3])}{' and others' if len(names) > 3 else ''}",
        sections=sections,
        style=_part("page.css"),
        policy=f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
        f"script-src {_hash(library)} {_hash(script)}",
        library=library,
        script=script,
        charts=_json(charts),
        themes=_json(themes()),
    )


@cache
def _library() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script."""
    import vl_convert

    # The bundle's own names must not meet the page's: it gets a scope to itself.
    return f"(() => {{{vl_convert.javascript_bundle(EXPOSED)}}})();"


def _part(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


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
