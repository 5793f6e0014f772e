"""Per-sample logs of lm-evaluation-harness: ``samples_TASK_DATE.jsonl``, by ``--log_samples``.

A line is a document under one filter of its task; ``metrics`` names the fields that are scores.
Versions before 0.4.4 lack it and the three hashes.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from benchmark.errors import DataError
from benchmark.gate.samples import Sample, TaskLog, cluster_of, digest, scores
from benchmark.reading.documents import json_object, read_json
from benchmark.reading.files import read_lines

KIND = "lm-evaluation-harness"

_NAME = re.compile(r"samples_(?P<task>.+?)(?:_(?P<date>\d{4}-\d\d-\d\dT[\d.:-]+))?\.jsonl")

_NO_SCORES = {
    "doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics",
    "doc_hash", "prompt_hash", "target_hash",
}  # fmt: skip
"""The fields of a line that describe the document, its prompt and the answer."""


def is_log(path: Path) -> bool:
    """Return whether a file has the name of such a log."""
    return _NAME.fullmatch(path.name) is not None


def task_name(path: Path) -> str:
    """Return the task that the file's name says; the whole name if it says none."""
    match = _NAME.fullmatch(path.name)
    return match["task"] if match else path.stem


def read(path: Path, cluster: str | None) -> dict[str, TaskLog]:
    """Return the task of a log.

    Args:
        path: the file.
        cluster: a field of the documents that says which belong together.

    Raises:
        DataError: naming the line that is malformed, or repeats a document under the same filter.
    """
    documents = dict[tuple[str, str], Sample]()
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        row = json_object(line, where, strict=False)
        sample = _sample(row, cluster, where)
        key = (str(row.get("doc_id")), sample.identity)
        before = documents.get(key)
        if before and (again := before.metrics.keys() & sample.metrics.keys()):
            raise DataError(
                f"{where}: document {key[0]} has {min(again)!r} a second time; "
                "use the log of one run"
            )
        metrics = {**(before.metrics if before else {}), **sample.metrics}
        documents[key] = replace(sample, metrics=metrics, number=key[0])
    name = task_name(path)
    failed = sum(not sample.metrics for sample in documents.values())
    results = _results(path)
    directions, model = _directions(results, name), _model(results)
    return {name: TaskLog([*documents.values()], directions, failed, model=model)}


def _sample(row: Mapping[str, object], cluster: str | None, where: str) -> Sample:
    document = row.get("doc")
    if "doc_id" not in row or document is None:
        raise DataError(f"{where}: no line of {KIND}: it needs doc_id and doc")
    # Not by doc_hash and target_hash, so that logs with and without them can be paired.
    identity = digest(document, str(row.get("target")))
    place = cluster_of((document, row), cluster, where)
    return Sample(identity, dict(_metrics(row)), _prompt(row), place)


def _prompt(row: Mapping[str, object]) -> str:
    """Return ``prompt_hash``, or for logs without it the same: SHA-256 of the first argument."""
    if isinstance(prompt_hash := row.get("prompt_hash"), str):
        return prompt_hash
    value = row.get("arguments")
    for _ in range(2):  # [[prompt, continuation], ...] or {"gen_args_0": {"arg_0": prompt, ...}}
        values = [*value.values()] if isinstance(value, dict) else value
        value = values[0] if isinstance(values, list) and values else None
    if not isinstance(value, str):
        return ""
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()


def _metrics(row: Mapping[str, object]) -> Iterator[tuple[str, float]]:
    """Yield the scores of a line; those under a filter other than ``none`` name it."""
    names = row.get("metrics")
    fields = names if isinstance(names, list) else [name for name in row if name not in _NO_SCORES]
    named = {str(name): row.get(str(name)) for name in fields}
    label = row.get("filter", "none")
    for name, value in scores(named).items():
        yield (name if label == "none" else f"{name},{label}"), value


def _results(path: Path) -> Mapping[str, object]:
    """Return the results next to the log; empty if there are none."""
    match = _NAME.fullmatch(path.name)
    results = path.with_name(f"results_{match['date']}.json") if match and match["date"] else None
    return read_json(results, strict=False) if results and results.is_file() else {}


def _model(results: Mapping[str, object]) -> str:
    """Return the model's name, or all arguments if the harness found no name among them."""
    config = results.get("config")
    arguments = config.get("model_args") if isinstance(config, dict) else None
    name = results.get("model_name") or arguments
    return name if isinstance(name, str) else ""


def _directions(results: Mapping[str, object], task: str) -> dict[str, bool]:
    """Return whether a higher value of each metric is better."""
    directions = results.get("higher_is_better")
    of_task = directions.get(task) if isinstance(directions, dict) else None
    pairs = of_task.items() if isinstance(of_task, dict) else ()
    return {str(name): higher for name, higher in pairs if isinstance(higher, bool)}
