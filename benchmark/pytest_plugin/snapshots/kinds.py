"""Kinds of runs, each with its own snapshots: a hardware class, a protocol and its dtype."""

import re
from collections.abc import Mapping
from pathlib import Path

from benchmark.package_data import package_toml


def kind_of_run(identity: Mapping[str, object]) -> str:
    """Return the folder name of a run's hardware class and protocol.

    The name of a task other than the paper's comes first, a dtype other than the protocol's last.
    """
    data = identity.get("data")
    task = data.get("task", "") if isinstance(data, dict) else ""
    protocol = identity.get("protocol")
    settings = protocol if isinstance(protocol, dict) else {}
    dtype = settings.get("dtype", "") if "dtype" in settings.get("changed", ()) else ""
    environment = identity.get("environment")
    hardware = environment.get("hardware") if isinstance(environment, dict) else None
    name = hardware.get("hardware_class", "") if isinstance(hardware, dict) else ""
    return (
        re.sub(r"[^A-Za-z0-9]+", "-", f"{task} {name} {settings.get('name', '')} {dtype}")
        .strip("-")
        .lower()
    )


def protocol_of_kind(kind: str) -> str:
    """Return the part of a folder name from the protocol on: protocol, and dtype if it differs."""
    parts, names = kind.split("-"), package_toml("decoding/protocols.toml")
    starts = [number for number, part in enumerate(parts) if part in names]
    return "-".join(parts[starts[-1] :]) if starts else parts[-1]


def of_kind(folder: Path, what: str, kind: str) -> Path:
    """Return the folder of a test file's snapshots of a kind: ``snapshots/what/kind/test file``.

    The test file's name is last, since syrupy relates a snapshot to its test by the last folder.
    """
    return folder.parent / what / kind / folder.name
