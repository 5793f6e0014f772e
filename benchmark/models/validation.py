"""Entries of the data files, validated when they are read."""

from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from benchmark.errors import DataError


class Entry(BaseModel):
    """An entry of a file: no field too many, none of another type."""

    model_config = ConfigDict(frozen=True, extra="forbid")


T = TypeVar("T", bound=BaseModel)


def valid(kind: type[T], fields: Mapping[str, object], where: str) -> T:
    """The entry with these fields.

    Raises:
        DataError: when they are not what they should be, naming where and which field.
    """
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise DataError(f"{where}: {name}: {first['msg']}") from error
