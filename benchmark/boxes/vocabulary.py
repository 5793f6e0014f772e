"""The names of objects: the project's own list, or a user's."""

import csv
import re
from pathlib import Path

from benchmark.boxes.language import RESERVED
from benchmark.boxes.world import BOXES, CAPACITY
from benchmark.errors import DataError
from benchmark.package_data import package_text
from benchmark.reading.files import read_text
from benchmark.records import Contents

COLUMN = "object_name"

_NAME = re.compile("[a-zA-Z]+")


def default_vocabulary() -> Contents:
    """Return the project's own 100 nouns, in alphabetical order."""
    text = package_text("boxes/vocabulary.csv")
    return _parse(text, "vocabulary.csv")


def read_vocabulary(path: Path) -> Contents:
    """Return the nouns in the column ``object_name`` of a CSV file, in alphabetical order.

    Raises:
        DataError: if the file cannot be read, or naming the line of an invalid name.
    """
    return _parse(read_text(path), str(path))


def _parse(text: str, source: str) -> Contents:
    rows = csv.DictReader(text.splitlines(keepends=True), strict=True)
    try:
        names = _names(rows, source)
    except csv.Error as error:
        raise DataError(f"{source}:{rows.reader.line_num}: not CSV: {error}") from error
    if len(names) < BOXES * CAPACITY:
        raise DataError(f"{source}: {len(names)} objects; at least {BOXES * CAPACITY} are needed")
    return tuple(sorted(names))


def _names(rows: "csv.DictReader[str]", source: str) -> set[str]:
    if COLUMN not in (rows.fieldnames or ()):
        raise DataError(f"{source}:1: no column {COLUMN!r}; name it in the first line")
    names: set[str] = set()
    for row in rows:
        where = f"{source}:{rows.line_num}"
        name = row[COLUMN] or ""
        if not _NAME.fullmatch(name):
            raise DataError(f"{where}: {name[:40]!r} is not one word of letters a to z")
        if name in RESERVED:
            raise DataError(f"{where}: {name!r} is a word of the sentences themselves")
        if name in names:
            raise DataError(f"{where}: {name!r} occurs twice in the vocabulary")
        names.add(name)
    return names
