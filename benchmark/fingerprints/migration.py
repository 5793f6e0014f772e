"""Records of older formats: read as records of now, and rewritten in place by ``migrate``.

Format 1 called three stages ``tokens``, ``output`` and ``verdict``, and the libraries used alone
``plain use``. A record's paths of source files stay as they were recorded: ``compare --isolate``
finds the commit by them, and :func:`current_path` says where such a file is now.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from importlib.resources import files
from pathlib import Path

from benchmark.fingerprints.digests import StageRecord
from benchmark.fingerprints.record import Fingerprint

FORMAT = 2
"""The format that is written."""

_STAGES = {"tokens": "prompt_ids", "output": "generated_ids", "verdict": "counts"}
_PROTOCOLS = {"plain use": "vanilla"}
_NOT_REACHED = re.compile(r"(?<=^not reached: )(\w+)(?= failed$)")


def readable_formats() -> tuple[int, ...]:
    """Return the formats that can be read."""
    return (1, FORMAT)


def current_document(document: Mapping[str, object]) -> Mapping[str, object]:
    """Return the readable part of a record as the format of now has it.

    Raises:
        TypeError: if it is damaged.
    """
    if document.get("format") == FORMAT:
        return document
    stages, environment = document.get("stages"), document.get("environment")
    if not isinstance(stages, dict) or not isinstance(environment, dict):
        raise TypeError("no stages or no environment")
    return {
        **document,
        "format": FORMAT,
        "stages": {_STAGES.get(name, name): _failure(str(v)) for name, v in stages.items()},
        "environment": {**environment, "protocol": _protocol(environment.get("protocol"))},
    }


def current_stages(record: Fingerprint) -> Fingerprint:
    """Return the record with the stages' names of now."""
    stages = {
        _STAGES.get(name, name): StageRecord(
            stage.digests, None if stage.failed is None else _failure(stage.failed)
        )
        for name, stage in record.stages.items()
    }
    return replace(record, stages=stages)


@cache
def _moved() -> Mapping[str, str]:
    path = files("benchmark.fingerprints").joinpath("moved_files.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))


def current_path(path: str) -> str:
    """Return where a file of the package is now, by its path when a record was made."""
    return _moved().get(path, path)


def record_files(path: Path) -> Iterator[Path]:
    """Yield the records at a path: the file itself, or all below a folder, in order."""
    if not path.is_dir():
        yield path
        return
    for each in sorted(path.rglob("*.json*")):
        if each.name.endswith(".json.gz") or _has_columns(each):
            yield each


def _has_columns(path: Path) -> bool:
    return path.suffix == ".json" and path.with_suffix(".columns.xz").is_file()


def _failure(line: str) -> str:
    return _NOT_REACHED.sub(lambda name: _STAGES.get(name[0], name[0]), line)


def _protocol(protocol: object) -> object:
    if not isinstance(protocol, dict):
        return protocol
    name = protocol.get("name")
    return {**protocol, "name": _PROTOCOLS.get(str(name), name)} if "name" in protocol else protocol
