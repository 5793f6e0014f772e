"""Validate entries of data files."""

from collections.abc import Mapping
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmark.errors import DataError


class Entry(BaseModel):
    """An immutable entry of a data file; unknown fields and wrong types are errors.

    A type is wrong if it had to be converted: ``"1"`` and ``true`` are no numbers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


T = TypeVar("T", bound=BaseModel)
Item = TypeVar("Item")

Items = Annotated[tuple[Item, ...], Field(strict=False)]
"""The items of an array, which files have for tuples; the items themselves are not converted."""


def validate(kind: type[T], fields: Mapping[str, object], where: str) -> T:
    """Return the entry with these fields.

    Raises:
        DataError: for invalid fields, naming ``where`` and the first of them.
    """
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise DataError(f"{where}: {name}: {first['msg']}") from error
