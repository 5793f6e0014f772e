"""Validate entries of data files."""

from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from benchmark.errors import DataError


class Entry(BaseModel):
    """An immutable entry of a data file; unknown fields and wrong types are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


T = TypeVar("T", bound=BaseModel)


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
