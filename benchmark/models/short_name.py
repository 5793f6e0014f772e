"""The short name of a model, for titles and messages."""

from pathlib import Path


def short_name(model: str) -> str:
    """Return the last part of an identifier or path; a folder given as ``.`` or ``..`` by its name.

    >>> short_name("owner/model")
    'model'
    """
    return last_part(model) or Path(model).resolve().name or model


def last_part(model: str) -> str:
    """Return the last part of an identifier or path; an empty text if it is ``.`` or ``..``."""
    name = Path(model).name
    return "" if name == ".." else name
