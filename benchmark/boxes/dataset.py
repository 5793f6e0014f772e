"""Read and write states as the authors' JSON lines, seven lines per state.

Every state that is read is replayed. Gold contents or numops that do not follow from the
description are an error.
"""

import json
from collections.abc import Iterable, Iterator
from itertools import islice, takewhile
from pathlib import Path
from typing import NamedTuple

from benchmark.boxes import splits
from benchmark.boxes.generator import sequences, subsample_rng
from benchmark.boxes.language import STANDARD, Language, items
from benchmark.boxes.states import parse_state, states
from benchmark.boxes.subsample import subsample
from benchmark.boxes.world import BOXES
from benchmark.errors import DataError, LanguageError, RuleError
from benchmark.reading.documents import json_object
from benchmark.reading.files import read_lines
from benchmark.records import Contents, State

MASK = "<extra_id_0>"

_MASKED_END = f"{MASK} ."


def generate(
    split: str,
    seed: int,
    vocabulary: Contents,
    *,
    subsampled: bool = False,
    language: Language = STANDARD,
) -> Iterator[State]:
    """Return the states of a split (``train``, ``dev``, ``test`` or ``all``), or its subsample.

    The worlds and operations of a seed are the same in every language. Only the current sequence
    is in memory, and the reservoirs of a subsample.
    """
    names = list(splits.SHARES) if split == "all" else [split]

    def every() -> Iterator[State]:
        for name in names:
            for sequence in sequences(name, seed, vocabulary):
                yield from states(
                    sequence.sample_id, sequence.initial, sequence.operations, language
                )

    return subsample(every(), subsample_rng(seed)) if subsampled else every()


def rows(state: State, language: Language = STANDARD) -> Iterator[str]:
    """Return the state as seven JSON lines, without line ends."""
    # The language has no character that JSON escapes, and json.dumps takes three times as long.
    for query in state.queries:
        prefix = f"{state.description} {language.opening(query.box)} "
        gold = items(query.gold)
        move, remove, put = query.numops_by_op
        yield (
            f'{{"sentence": "{prefix}{gold}.", "sentence_masked": "{prefix}{_MASKED_END}", '
            f'"masked_content": "{MASK} {gold}", "sample_id": {state.sample_id}, '
            f'"numops": {query.numops}, '
            f'"numops_by_op": {{"move": {move}, "remove": {remove}, "put": {put}}}}}'
        )


def read_states(
    lines: Iterable[str], source: str, language: Language = STANDARD
) -> Iterator[State]:
    """Return the states of JSON lines in the authors' schema; ``source`` names them in errors.

    Raises:
        DataError: for a line that is malformed, incomplete or breaks the rules. The message names
            the source and the line.
    """
    numbered = ((f"{source}:{number}", line) for number, line in enumerate(lines, start=1))
    parsed = (
        DatasetRow(where, json_object(line, where)) for where, line in numbered if line.strip()
    )
    while group := list(islice(parsed, BOXES)):
        if len(group) < BOXES:
            raise DataError(
                f"{group[0].where}: {len(group)} row{'s' * (len(group) > 1)} left over; "
                f"a state is {BOXES} rows, "
                "one per box"
            )
        yield _state(group, language)


def read_file(path: Path, language: Language = STANDARD) -> Iterator[State]:
    """Return the states of a JSON lines file.

    Raises:
        DataError: as :func:`read_states`, or when the file cannot be read.
    """
    yield from read_states(read_lines(path), str(path), language)


class DatasetRow(NamedTuple):
    """A row as read: its fields, and the file and line they are in."""

    where: str
    fields: dict[str, object]


def _state(group: list[DatasetRow], language: Language) -> State:
    """Return the state of seven rows, after checking that they follow from its description."""
    first = group[0]
    try:
        state = parse_state(_sample_id(first), _description(first, language), language)
    except (LanguageError, RuleError) as error:
        raise DataError(f"{first.where}: {error}") from error
    for row, expected in zip(group, map(json.loads, rows(state, language)), strict=True):
        for name, value in expected.items():
            if not _same(row.fields.get(name), value):
                raise DataError(_difference(row, name, value))
    return state


def _same(value: object, expected: object) -> bool:
    """Return whether two values are equal as JSON, where true is not 1 and 1.0 is not 1."""
    return json.dumps(value, sort_keys=True) == json.dumps(expected, sort_keys=True)


def _sample_id(row: DatasetRow) -> int:
    value = row.fields.get("sample_id")
    if not isinstance(value, int) or isinstance(value, bool):
        raise DataError(f"{row.where}: sample_id is {value!r}, not a whole number")
    return value


def _description(row: DatasetRow, language: Language) -> str:
    masked = row.fields.get("sentence_masked")
    end = f" {language.opening(0)} {_MASKED_END}"
    if not isinstance(masked, str) or not masked.endswith(end):
        raise DataError(
            f"{row.where}: the first row of a state has no sentence_masked with {end!r}"
        )
    return masked.removesuffix(end)


def _difference(row: DatasetRow, name: str, expected: object) -> str:
    if name not in row.fields:
        return f"{row.where}: no field {name!r}"
    value = row.fields[name]
    if isinstance(value, str) and isinstance(expected, str):
        same = (a == b for a, b in zip(value, expected, strict=False))
        start = max(0, sum(takewhile(bool, same)) - 20)
        return (
            f"{row.where}: {name} has ...{value[start:][:60]!r}, not ...{expected[start:][:60]!r}"
        )
    return f"{row.where}: {name} is {value!r}, but by the description it is {expected!r}"
