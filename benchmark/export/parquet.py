"""Parquet files of results and datasets, written with pyarrow."""

from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from benchmark.export.rows import correct_column
from benchmark.extras import check_extra
from benchmark.scoring.outcomes import SCORES
from benchmark.writing import replacing

if TYPE_CHECKING:
    import pyarrow as pa

_GROUP_SIZE = 20_000
"""Rows per row group, and rows in memory."""

_COMPRESSION = "zstd"


def write_results(path: Path, rows: Iterable[Mapping[str, object]]) -> int:
    """Write rows of results to the file atomically; return their number.

    Raises:
        MissingLibraryError: without pyarrow.
    """
    arrow = _arrow()
    text, number = arrow.string(), arrow.int32()
    category = arrow.dictionary(arrow.int32(), text)  # few distinct values in many rows
    schema = arrow.schema(
        [
            *((name, category) for name in ("run", "model", "model_fingerprint", "data_sha256")),
            *((name, category) for name in ("protocol", "engine", "prompt_format", "dtype")),
            *((name, category) for name in ("quantization", "device")),
            *((name, number) for name in ("batch_size", "max_new_tokens")),
            ("environment", category),
            ("state", category),
            *((name, number) for name in ("sequence", "operations")),
            ("description", category),
            *((name, number) for name in ("box", "numops")),
            ("numops_by_op", _by_op(arrow)),
            ("gold", arrow.list_(text)),
            ("predicted", arrow.list_(text)),
            *((correct_column(by), arrow.bool_()) for by in SCORES),
            *((name, category) for name in ("error", "last_change", "last_operation")),
            ("text", category),
        ]
    )
    return _write(path, schema, rows)


def write_dataset(path: Path, rows: Iterable[Mapping[str, object]]) -> int:
    """Write rows in the authors' schema to the file atomically; return their number.

    Raises:
        MissingLibraryError: without pyarrow.
    """
    arrow = _arrow()
    names = ("sentence", "sentence_masked", "masked_content")
    schema = arrow.schema(
        [
            *((name, arrow.string()) for name in names),
            *((name, arrow.int64()) for name in ("sample_id", "numops")),
            ("numops_by_op", _by_op(arrow, wide=True)),
        ]
    )
    return _write(path, schema, rows)


def _arrow() -> ModuleType:
    check_extra("pyarrow", "export", "Parquet")
    import_module("pyarrow.parquet")
    return import_module("pyarrow")


def _by_op(arrow: ModuleType, *, wide: bool = False) -> "pa.DataType":
    number = arrow.int64() if wide else arrow.int32()
    return arrow.struct([(kind, number) for kind in ("move", "remove", "put")])


def _write(path: Path, schema: "pa.Schema", rows: Iterable[Mapping[str, object]]) -> int:
    arrow, count = _arrow(), 0
    with (
        replacing(path) as temporary,
        temporary.open("wb") as file,  # pyarrow opens no path that is not UTF-8
        arrow.parquet.ParquetWriter(file, schema, compression=_COMPRESSION) as writer,
    ):
        for group in _groups(rows):
            writer.write_table(arrow.Table.from_pylist(group, schema=schema))
            count += len(group)
    return count


def _groups(rows: Iterable[Mapping[str, object]]) -> Iterator[list[Mapping[str, object]]]:
    remaining = iter(rows)
    while group := list(islice(remaining, _GROUP_SIZE)):
        yield group
