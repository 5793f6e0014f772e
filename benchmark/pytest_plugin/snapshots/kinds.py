"""Kinds of runs, each with snapshots of its own: a class of hardware under a protocol."""

import re
from collections.abc import Mapping
from pathlib import Path


def kind_of_run(identity: Mapping[str, object]) -> str:
    """Hardware class and protocol of a run as a folder's name: each has records of its own.

    Runs on another task than the paper's have its name in front.
    """
    data = identity.get("data")
    task = data.get("task", "") if isinstance(data, dict) else ""
    protocol = identity.get("protocol")
    protocol_name = protocol.get("name", "") if isinstance(protocol, dict) else ""
    environment = identity.get("environment")
    hardware = environment.get("hardware") if isinstance(environment, dict) else None
    name = hardware.get("hardware_class", "") if isinstance(hardware, dict) else ""
    return re.sub(r"[^A-Za-z0-9]+", "-", f"{task} {name} {protocol_name}").strip("-").lower()


def of_kind(folder: Path, what: str, kind: str) -> Path:
    """Where a test file's snapshots of that kind of run are: ``snapshots/what/kind/test file``.

    The kind comes before the file's name: syrupy relates a snapshot to its test by the last folder,
    and warns of any other.
    """
    return folder.parent / what / kind / folder.name
