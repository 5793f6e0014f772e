"""Types of error that grew between two records."""

from dataclasses import replace

import pytest

from benchmark.fingerprints.ci import properties, step_summary
from benchmark.fingerprints.columns import pack, unpack
from benchmark.fingerprints.compare import compare
from benchmark.fingerprints.record import Fingerprint
from benchmark.fingerprints.terminal import rendered
from fakes.fake_fingerprints import fake_fingerprint

OLD = fake_fingerprint()
NEW = replace(OLD, errors=(".o", "o.", "im"))


def test_growth_by_type() -> None:
    """A query that changed its type is past in one and new in the other; others do not count."""
    changes = compare(OLD, NEW).errors
    counted = {name: (change.test.gained, change.test.lost) for name, change in changes.items()}
    assert counted == {"initial_contents": (0, 1), "other_box": (2, 0)}
    assert compare(NEW, OLD).errors["other_box"].growth == -2
    assert compare(OLD, OLD).errors == {}


def test_line_of_the_report() -> None:
    """The terminal, CI and JSON have the growth, the largest first."""
    comparison = compare(OLD, NEW)
    line = "types of error: other box +2 (p 1), initial contents -1 (p 1)"
    assert line in rendered(comparison).splitlines()
    assert "types of error: other box" in step_summary(comparison, "a -> b")
    assert comparison.as_json()["errors"]["other_box"]["growth"] == 2  # type: ignore[index]
    assert properties(comparison)["shift.errors"] == line
    assert "types of error" not in rendered(compare(OLD, OLD))
    assert properties(compare(OLD, OLD))["shift.errors"] == ""


@pytest.mark.parametrize(
    "record", [replace(OLD, errors=()), replace(OLD, errors=("?.", "..", ".."))]
)
def test_records_of_other_versions_are_not_compared_by_type(record: Fingerprint) -> None:
    """Older records have no types; a letter of a newer version is not of this version's list."""
    assert compare(record, NEW).errors == compare(NEW, record).errors == {}


def test_types_are_stored_and_older_records_are_read() -> None:
    """A record without the key has no types; damaged ones are refused."""
    again = unpack(pack(OLD), OLD.environment, (), "here")
    assert again.errors == OLD.errors
    empty = unpack(pack(replace(OLD, errors=())), OLD.environment, (), "here")
    assert empty.errors == ()
