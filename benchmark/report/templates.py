"""The page's templates, and what may go into them: everything is escaped."""

import hashlib
import json
from base64 import b64encode
from functools import cache
from importlib.resources import files

import regex
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

_INVISIBLE = regex.compile(
    r"[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]"
)
"""What is not seen, or turns what is seen around; fillers and variation selectors too."""

_HTML_IN_JSON = {ord(character): f"\\u{ord(character):04x}" for character in "<>&"}


@cache
def environment() -> Environment:
    """The templates with autoescape; a name that is not there is an error."""
    made = Environment(
        loader=PackageLoader("benchmark.report", "web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["visible"] = visible
    made.filters["percent"] = percent
    made.filters["points"] = points
    return made


def source(name: str) -> Markup:
    """A style sheet or script of ours, which stands in the page as it is."""
    return Markup(files("benchmark.report").joinpath("web", name).read_text(encoding="utf-8"))  # noqa: S704  # our own file


def digest(text: str) -> str:
    """What a content security policy knows a script or style sheet by."""
    return f"sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def script_json(value: object) -> Markup:
    """JSON that can stand in a script element: no character of it ends or opens one."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return Markup(text.translate(_HTML_IN_JSON))  # noqa: S704  # escaped on the line above


def visible(text: object) -> str:
    """The text with every character spelled out that is not seen or turns its direction."""
    spelled: str = _INVISIBLE.sub(lambda found: f"\u27e8U+{ord(found[0]):04X}\u27e9", str(text))
    return spelled


def percent(share: float, digits: int = 1) -> str:
    """A share in 0..1 in per cent."""
    return f"{100 * share:.{digits}f}"


def points(share: float) -> str:
    """A difference of shares in points, with its sign."""
    return f"{100 * share:+.1f}".replace("-", "\N{MINUS SIGN}")
