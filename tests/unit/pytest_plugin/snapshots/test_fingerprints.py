"""Fingerprints as snapshots: stand-ins are visible, updates have a reason and write their own."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from syrupy.data import Snapshot, SnapshotCollection
from syrupy.location import PyTestLocation

from benchmark.errors import DataError, SettingError
from benchmark.fingerprints.compare import compare
from benchmark.fingerprints.record import Fingerprint
from benchmark.fingerprints.storage import columns_path, fingerprint_text, read_fingerprint
from benchmark.pytest_plugin.snapshots.fingerprints import (
    FALLBACK,
    Blessing,
    FingerprintExtension,
    acceptable,
    assert_matches,
    fingerprint_extension,
    kind_of_record,
    stored,
)
from benchmark.records import Outcome

HERE, THERE = "x86-64-avx512-default", "arm64-neon-default"
FIRST = Blessing("first", updating=True)


@pytest.fixture
def place(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test's snapshots are, by kind; a project of its own."""
    folder = tmp_path / "snapshots" / "test_it"
    monkeypatch.setattr(FingerprintExtension, "dirname", lambda test_location: str(folder))
    fingerprint_extension.cache_clear()
    return tmp_path / "snapshots" / "fingerprints"


@pytest.fixture
def location(place: Path, request: pytest.FixtureRequest) -> Callable[[str], Path]:
    """``location(kind)``: the file of this test's snapshot."""
    test = PyTestLocation(request.node)

    def of(kind: str) -> Path:
        extension = fingerprint_extension(kind, Blessing(None))
        return Path(extension.get_location(test_location=test, index=0))

    return of


def _write(path: Path, record: Fingerprint, blessing: Blessing) -> None:
    collection = SnapshotCollection(location=str(path))
    collection.add(Snapshot(name="it", data=fingerprint_text(record)))
    extension = fingerprint_extension(kind_of_record(record), blessing)
    extension.write_snapshot_collection(snapshot_collection=collection)


def _read(path: Path, blessing: Blessing) -> str | None:
    extension = fingerprint_extension(path.parent.parent.name, blessing)()
    return extension.read_snapshot_data_from_location(
        snapshot_location=str(path), snapshot_name="it", session_id=""
    )


def _reported(
    request: pytest.FixtureRequest, record: Fingerprint, blessing: Blessing
) -> dict[str, object]:
    """The properties that a comparison adds to this test, taken off again."""
    properties = request.node.user_properties
    before = len(properties)
    assert_matches(request.node, record, blessing)
    added = dict(properties[before:])
    del properties[before:]
    return added


def _elsewhere(record: Fingerprint) -> Fingerprint:
    hardware = {"hardware_class": "arm64 NEON", "threads": 1}
    return replace(record, environment=replace(record.environment, hardware=hardware))


def test_a_record_has_the_kind_of_its_run(hand: ModuleType) -> None:
    """Hardware class and protocol name the folder."""
    assert kind_of_record(hand.fake_record()) == HERE
    assert kind_of_record(_elsewhere(hand.fake_record())) == THERE


def test_another_kind_stands_in_visibly(
    hand: ModuleType, location: Callable[[str], Path], request: pytest.FixtureRequest
) -> None:
    """Where a kind has none the other's is read, and a property of the test says so."""
    _write(location(HERE), hand.fake_record(), FIRST)
    assert stored(location(THERE)) == location(HERE)
    assert _read(location(THERE), Blessing(None)) == fingerprint_text(hand.fake_record())
    found = _reported(request, _elsewhere(hand.fake_record()), Blessing(None))
    assert str(found[FALLBACK]).endswith(f"{THERE} has none, so {HERE} stands in")
    assert found["shift.severity"] == "same"
    assert FALLBACK not in _reported(request, hand.fake_record(), Blessing(None))


def test_nothing_stands_in_where_snapshots_are_written(
    hand: ModuleType, location: Callable[[str], Path], request: pytest.FixtureRequest
) -> None:
    """An update finds none for a new kind, so syrupy writes its own; the other's stays."""
    _write(location(HERE), hand.fake_record(), FIRST)
    before = location(HERE).read_bytes()
    assert _read(location(THERE), FIRST) is None
    new = _elsewhere(hand.fake_record())
    assert _reported(request, new, FIRST) == {}
    _write(location(THERE), new, FIRST)
    assert location(HERE).read_bytes() == before
    assert stored(location(THERE)) == location(THERE)
    assert read_fingerprint(location(THERE)).environment.hardware["hardware_class"] == "arm64 NEON"


def test_no_kind_has_one(place: Path, location: Callable[[str], Path]) -> None:
    """Then there is nothing to hold a record against."""
    assert stored(location(HERE)) is None
    assert _read(location(HERE), Blessing(None)) is None


@pytest.mark.parametrize("name", ["test_it[a-b].json", "test_it[[x]].json", "test_it[a?].json"])
def test_names_of_parametrized_tests_are_found(name: str, tmp_path: Path) -> None:
    """Brackets and other signs of patterns stand for themselves."""
    other = tmp_path / "a-default" / "test_file" / name
    other.parent.mkdir(parents=True)
    other.touch()
    other.with_name("test_it[b].json").touch()
    assert stored(tmp_path / "b-default" / "test_file" / name) == other
    assert stored(tmp_path / "b-paper" / "test_file" / name) is None


def test_every_update_adds_its_reason(hand: ModuleType, location: Callable[[str], Path]) -> None:
    """What was blessed is kept with why, after what was blessed before."""
    _write(location(HERE), hand.fake_record(), FIRST)
    moved = hand.restaged(hand.fake_record(), "answer", (1,))
    _write(location(HERE), moved, Blessing("  the scorer was wrong ", updating=True))
    assert json.loads(location(HERE).read_text())["blessings"] == [
        {"reason": "first", "change": "first record"},
        {
            "reason": "the scorer was wrong",
            "change": "drift: it began at answer, which moved in 1 of 3 states",
        },
    ]


@pytest.mark.parametrize(
    ("blessing", "line"),
    [
        (Blessing(None), "needs a reason"),
        (Blessing("   "), "needs a reason"),
        (Blessing("right", parallel=True), "not updated in parallel"),
    ],
)
def test_refused_updates_write_nothing(
    blessing: Blessing, line: str, hand: ModuleType, location: Callable[[str], Path]
) -> None:
    """Without a reason, or from one of several workers, the file stays as it was."""
    _write(location(HERE), hand.fake_record(), FIRST)
    before = location(HERE).read_bytes()
    with pytest.raises(SettingError, match=line):
        _write(location(HERE), hand.restaged(hand.fake_record(), "answer", (1,)), blessing)
    assert location(HERE).read_bytes() == before


def test_a_damaged_snapshot_is_written_anew(
    hand: ModuleType, location: Callable[[str], Path], request: pytest.FixtureRequest
) -> None:
    """Blessing takes its place, and says so; without blessing it is an error that names it."""
    place = location(HERE)
    _write(place, hand.fake_record(), FIRST)
    columns_path(place).write_bytes(b"cut")
    with pytest.raises(DataError, match="of another record"):
        _read(place, Blessing(None))
    again = Blessing("a merge went wrong", updating=True)
    assert _read(place, again) is None
    assert _reported(request, hand.fake_record(), again) == {}
    _write(place, hand.fake_record(), again)
    assert _read(place, Blessing(None)) == fingerprint_text(hand.fake_record())
    last = json.loads(place.read_text())["blessings"][-1]
    assert last["change"].startswith("in place of a record that could not be read: ")


def test_removed_with_its_columns(hand: ModuleType, location: Callable[[str], Path]) -> None:
    """An unused snapshot leaves nothing behind."""
    path = location(HERE)
    _write(path, hand.fake_record(), FIRST)
    extension = fingerprint_extension(HERE, FIRST)()
    extension.delete_snapshots(snapshot_location=str(path), snapshot_names={"it"})
    assert list(path.parent.iterdir()) == []


def test_what_other_hardware_may_differ_in(hand: ModuleType) -> None:
    """Log-probabilities and few outcomes on other hardware; no token anywhere."""
    old = hand.fake_record()
    drifted = replace(hand.restaged(old, "logits", (0, 1, 2)), logits=hand.fake_logits(shift=0.2))
    assert not acceptable(compare(old, drifted))
    assert acceptable(compare(old, _elsewhere(drifted)))
    assert not acceptable(compare(old, _elsewhere(hand.restaged(old, "prompt_ids", (0,)))))
    flipped = replace(
        hand.restaged(old, "outcome", (0,)),
        scores=hand.by_all_scores((Outcome(1, (0, 1), (False, False)), *old.outcomes[1:])),
    )
    assert not acceptable(compare(old, _elsewhere(flipped)))  # one of six, and 2 % are allowed


def test_only_records_are_fingerprints() -> None:
    """Anything else is a mistake of the test."""
    with pytest.raises(TypeError, match="a fingerprint is wanted, not dict"):
        FingerprintExtension().serialize({})
