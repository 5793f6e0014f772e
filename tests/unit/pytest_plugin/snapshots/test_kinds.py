"""Kinds of runs, and the folders of their snapshots."""

from pathlib import Path

import pytest
from syrupy.location import PyTestLocation

from benchmark.pytest_plugin.snapshots.extension import MeasurementExtension
from benchmark.pytest_plugin.snapshots.fingerprints import Blessing, fingerprint_extension
from benchmark.pytest_plugin.snapshots.kinds import kind_of_run, protocol_of_kind
from benchmark.pytest_plugin.snapshots.pairs import pair_extension


def test_name_of_a_kind() -> None:
    """Each hardware class and protocol has a name that is valid for a folder."""
    hardware = {"hardware_class": "NVIDIA H100 80GB HBM3"}
    identity = {"environment": {"hardware": hardware}, "protocol": {"name": "paper"}}
    assert kind_of_run(identity) == "nvidia-h100-80gb-hbm3-paper"
    other = {**identity, "data": {"task": "move-contents"}}
    assert kind_of_run(other) == "move-contents-nvidia-h100-80gb-hbm3-paper"
    assert kind_of_run({**identity, "data": {"states": 3}}) == kind_of_run(identity)
    protocol = {"name": "default", "dtype": "float32", "changed": []}
    assert kind_of_run({"protocol": protocol}) == "default"
    protocol["changed"] = ["batch_size", "dtype"]
    assert kind_of_run({"protocol": protocol}) == "default-float32"


@pytest.mark.parametrize(
    ("kind", "protocol"),
    [
        ("nvidia-h100-80gb-hbm3-paper", "paper"),
        ("x86-64-avx2-default", "default"),
        ("nvidia-l4-default-float32", "default-float32"),
        ("gpu-other", "other"),
    ],
)
def test_protocol_of_a_kind(kind: str, protocol: str) -> None:
    """Only records under the same protocol and dtype are compared across hardware."""
    assert protocol_of_kind(kind) == protocol


@pytest.mark.parametrize(
    ("what", "extension"),
    [
        ("fingerprints", fingerprint_extension("gpu-default", Blessing(None))),
        ("pairs", pair_extension("gpu-default")),
    ],
)
def test_snapshot_of_a_kind_belongs_to_its_test(
    what: str, extension: type[MeasurementExtension], request: pytest.FixtureRequest
) -> None:
    """Otherwise syrupy warns: "can not relate snapshot location"."""
    test = PyTestLocation(request.node)
    location = extension.get_location(test_location=test, index=0)
    assert Path(location).parts[-5:-1] == ("snapshots", what, "gpu-default", "test_kinds")
    assert extension.matches_test_location(test_location=test, snapshot_location=location)
    # With the folders swapped it does not.
    swapped = Path(location).parents[1].parent / "test_kinds" / "gpu-default" / Path(location).name
    assert not extension.matches_test_location(test_location=test, snapshot_location=str(swapped))
