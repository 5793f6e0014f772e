"""Convert records of older formats to the current one.

Format 1 called three stages ``tokens``, ``output`` and ``verdict``, and vanilla use ``plain use``.
A record's paths of source files stay as they were recorded, since ``compare --isolate`` finds the
commit by them; :func:`current_path` returns where such a file is now.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

from benchmark.fingerprints.digests import StageRecord
from benchmark.fingerprints.record import Fingerprint
from benchmark.package_data import package_toml

FORMAT = 2
"""The format of records that are written."""

_STAGES = {"tokens": "prompt_ids", "output": "generated_ids", "verdict": "counts"}
_PROTOCOLS = {"plain use": "vanilla"}
_NOT_REACHED = re.compile(r"(?<=^not reached: )(\w+)(?= failed$)")


def readable_formats() -> tuple[int, ...]:
    """Return the formats that can be read, oldest first."""
    return (1, FORMAT)


def current_document(document: Mapping[str, object]) -> Mapping[str, object]:
    """Return the readable part of a record in the current format.

    Raises:
        TypeError: if the part is damaged.
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
    """Return the record with the current names of its stages."""
    stages = {
        _STAGES.get(name, name): StageRecord(
            stage.digests, None if stage.failed is None else _failure(stage.failed)
        )
        for name, stage in record.stages.items()
    }
    return replace(record, stages=stages)


@cache
def _moved() -> Mapping[str, str]:
    return package_toml("fingerprints/moved_files.toml")


def current_path(path: str) -> str:
    """Return where a file of the package is now, by its path when a record was made."""
    return _moved().get(path, path)


def record_files(path: Path) -> Iterator[Path]:
    """Yield the records at a path: the file itself, or all below a folder, in order."""
    if not path.is_dir():
        yield path
        return
    for file in sorted(path.rglob("*.json*")):
        if file.name.endswith(".json.gz") or (
            file.suffix == ".json" and file.with_suffix(".columns.xz").is_file()
        ):
            yield file


def _failure(line: str) -> str:
    return _NOT_REACHED.sub(lambda name: _STAGES.get(name[0], name[0]), line)


def _protocol(protocol: object) -> object:
    if not isinstance(protocol, dict):
        return protocol
    name = protocol.get("name")
    return {**protocol, "name": _PROTOCOLS.get(str(name), name)} if "name" in protocol else protocol
