"""Kinds of runs, each with its own snapshots: a hardware class and a protocol."""

import re
from collections.abc import Mapping
from pathlib import Path


def kind_of_run(identity: Mapping[str, object]) -> str:
    """Return the folder name of a run's hardware class and protocol.

    The name of a task other than the paper's comes first.
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
    """Return the folder of a test file's snapshots of a kind: ``snapshots/what/kind/test file``.

    The test file's name is last, since syrupy relates a snapshot to its test by the last folder.
    """
    return folder.parent / what / kind / folder.name
