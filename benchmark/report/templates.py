"""The page's templates, and the escaping of everything that goes into them."""

import hashlib
import json
from base64 import b64encode
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from benchmark.output import escape_invisible
from benchmark.package_data import package_text
from benchmark.stats.points import signed, signed_points
from benchmark.terminal import p_value

_HTML_IN_JSON = {ord(character): f"\\u{ord(character):04x}" for character in "<>&"}


@cache
def template_environment() -> Environment:
    """Return the templates' environment: it escapes all values; an undefined name is an error."""
    environment = Environment(
        loader=PackageLoader("benchmark.report", "web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["escape_invisible"] = escape_invisible
    environment.filters["percent"] = percent
    environment.filters["points"] = points
    environment.filters["signed"] = signed
    environment.filters["p_value"] = p_value
    return environment


def asset(name: str) -> Markup:
    """Return a style sheet or script of the package, to be inserted unescaped."""
    return Markup(package_text(f"report/web/{name}"))  # noqa: S704  # our own file


def csp_hash(text: str) -> str:
    """Return the hash that names an inline script or style in a content security policy."""
    return f"sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def script_json(value: object) -> Markup:
    """Return JSON that is safe inside a script element: it contains no ``<``, ``>`` or ``&``."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return Markup(text.translate(_HTML_IN_JSON))  # noqa: S704  # escaped on the line above


def percent(share: float, digits: int = 1) -> str:
    """Format a share in 0..1 in per cent."""
    return f"{100 * share:.{digits}f}"


def points(share: float) -> str:
    """Format a difference of shares in percentage points, with its sign."""
    return signed_points(share).replace("-", "\N{MINUS SIGN}")
