"""Details of lighteval: ``details_TASK_DATE.parquet``, by ``--save-details``.

A row has ``doc``, ``model_response`` and ``metric`` (version 0.10 and newer), or ``full_prompt``,
``gold`` and ``metrics`` (older versions).
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmark.errors import DataError, first_line
from benchmark.extras import check_extra
from benchmark.gate.samples import Sample, TaskLog, cluster_of, digest, scores
from benchmark.reading.bounds import READ_MORE, current_bounds, size
from benchmark.reading.documents import check_no_pointer
from benchmark.reading.files import read_bytes

KIND = "lighteval"

_NAME = re.compile(r"details_(?P<task>.+?)(?:_(?P<date>\d{4}-\d\d-\d\dT[\d.:-]+))?\.parquet")
_FOLDER = "details"
_BATCH = 256
_DOCUMENT = ("query", "choices", "gold_index")
_OLD_DOCUMENT = ("example", "choices", "gold")

Row = Mapping[str, object]


def is_log(path: Path) -> bool:
    """Return whether a file has the name of such a log."""
    return _NAME.fullmatch(path.name) is not None


def read(path: Path, cluster: str | None) -> dict[str, TaskLog]:
    """Return the task of a log.

    Args:
        path: the file.
        cluster: a field of the documents, or of their ``specific``, that says which belong
            together.

    Raises:
        DataError: if the file is damaged, too large, or has other columns.
        MissingLibraryError: without pyarrow.
    """
    check_extra("pyarrow", "export", "reading details of lighteval")
    samples = [
        _sample(row, cluster, f"{path}: row {number}")
        for number, row in enumerate(_rows(path), start=1)
    ]
    match = _NAME.fullmatch(path.name)
    failed = sum(not sample.metrics for sample in samples)
    name, date = (match["task"], match["date"]) if match else (path.stem, None)
    return {name: TaskLog(samples, failed=failed, model=_model(path, date))}


def _model(path: Path, date: str | None) -> str:
    """Return the model by the folders ``details/MODEL/DATE``; empty if the file is elsewhere."""
    *folders, last, _ = path.resolve().parts
    if last != date or _FOLDER not in folders:
        return ""
    start = len(folders) - folders[::-1].index(_FOLDER)
    return "/".join(folders[start:])


def _rows(path: Path) -> Iterator[Row]:
    from pyarrow import ArrowException, BufferReader, parquet

    content = read_bytes(path)
    check_no_pointer(content, str(path))
    limit = current_bounds().unpacked
    try:
        file = parquet.ParquetFile(BufferReader(content))
        groups = map(file.metadata.row_group, range(file.metadata.num_row_groups))
        if sum(group.total_byte_size for group in groups) > limit:
            raise DataError(f"{path}: unpacks to more than {size(limit)}; {READ_MORE}")
        names = ("doc", "metric", "metrics", "full_prompt", "specifics", *_OLD_DOCUMENT)
        columns = [name for name in names if name in file.schema_arrow.names]
        for batch in file.iter_batches(_BATCH, columns=columns):
            if batch.nbytes > limit:
                raise DataError(f"{path}: unpacks to more than {size(limit)}; {READ_MORE}")
            yield from batch.to_pylist()
    except (ArrowException, OSError, ValueError, OverflowError) as error:
        raise DataError(f"{path}: not Parquet, or damaged: {first_line(error)}") from error


def _sample(row: Row, cluster: str | None, where: str) -> Sample:
    document, metrics = row.get("doc"), row.get("metric", row.get("metrics"))
    if not isinstance(metrics, dict):
        raise DataError(f"{where}: no row of {KIND}: it needs the column metric or metrics")
    places: tuple[object, ...]
    if isinstance(document, dict):
        content = [document.get(name) for name in _DOCUMENT]
        prompt = digest(content, document.get("instruction"), document.get("fewshot_samples"))
        places = (document.get("specific"), document)
    else:
        content = [row.get(name) for name in _OLD_DOCUMENT]
        prompt = digest(row.get("full_prompt"))
        places = (row.get("specifics"), row)
    return Sample(digest(content), scores(metrics), prompt, cluster_of(places, cluster, where))
