"""Fingerprints as snapshots: fallbacks are visible, updates need a reason."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from syrupy.data import Snapshot, SnapshotCollection
from syrupy.location import PyTestLocation

from benchmark.errors import DataError, SettingError
from benchmark.fingerprints.compare import compare
from benchmark.fingerprints.record import Fingerprint
from benchmark.fingerprints.stage_diffs import StageDiff
from benchmark.fingerprints.storage import columns_path, fingerprint_text, read_fingerprint
from benchmark.pytest_plugin.snapshots import confirmation
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
from benchmark.stats.constants import SAME_MARGIN, fresh_rng
from benchmark.stats.paired import paired_test
from fakes.fake_fingerprints import by_all_scores, fake_fingerprint, fake_logits, with_changed_stage

HERE, THERE = "x86-64-avx512-default", "arm64-neon-default"
FIRST = Blessing("first", updating=True)


@pytest.fixture
def snapshots(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The folder of this test's snapshots by kind, in a project of its own."""
    folder = tmp_path / "snapshots" / "test_it"
    monkeypatch.setattr(FingerprintExtension, "dirname", lambda test_location: str(folder))
    fingerprint_extension.cache_clear()
    return tmp_path / "snapshots" / "fingerprints"


@pytest.fixture
def location(snapshots: Path, request: pytest.FixtureRequest) -> Callable[[str], Path]:
    """``location(kind)``: the path of this test's snapshot."""
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
    confirmation.record(path.parent)


def _read(path: Path, blessing: Blessing) -> str | None:
    extension = fingerprint_extension(path.parent.parent.name, blessing)()
    return extension.read_snapshot_data_from_location(
        snapshot_location=str(path), snapshot_name="it", session_id=""
    )


def _reported(
    request: pytest.FixtureRequest, record: Fingerprint, blessing: Blessing
) -> dict[str, object]:
    """Return the properties that a comparison adds to this test, and remove them."""
    properties = request.node.user_properties
    before = len(properties)
    assert_matches(request.node, record, blessing)
    added = dict(properties[before:])
    del properties[before:]
    return added


def _elsewhere(record: Fingerprint) -> Fingerprint:
    hardware = {"hardware_class": "arm64 NEON", "threads": 1}
    return replace(record, environment=replace(record.environment, hardware=hardware))


def test_kind_of_a_record() -> None:
    """Hardware class and protocol name the folder."""
    assert kind_of_record(fake_fingerprint()) == HERE
    assert kind_of_record(_elsewhere(fake_fingerprint())) == THERE


def test_other_hardware_is_used_visibly(
    location: Callable[[str], Path], request: pytest.FixtureRequest
) -> None:
    """A property of the test says which snapshot was used instead."""
    _write(location(HERE), fake_fingerprint(), FIRST)
    assert stored(location(THERE)) == location(HERE)
    assert _read(location(THERE), Blessing(None)) == fingerprint_text(fake_fingerprint())
    properties = _reported(request, _elsewhere(fake_fingerprint()), Blessing(None))
    line = f"no snapshot for {THERE}, compared with {HERE} instead; outcomes equal within 1 point: "
    assert f"{line}undecided (2 sequences, " in str(properties[FALLBACK])
    assert properties["shift.severity"] == "same"
    assert FALLBACK not in _reported(request, fake_fingerprint(), Blessing(None))


def test_update_ignores_other_hardware(
    location: Callable[[str], Path], request: pytest.FixtureRequest
) -> None:
    """An update writes the kind's own snapshot and keeps the other one."""
    _write(location(HERE), fake_fingerprint(), FIRST)
    before = location(HERE).read_bytes()
    assert _read(location(THERE), FIRST) is None
    new = _elsewhere(fake_fingerprint())
    assert _reported(request, new, FIRST) == {}
    _write(location(THERE), new, FIRST)
    assert location(HERE).read_bytes() == before
    assert stored(location(THERE)) == location(THERE)
    assert read_fingerprint(location(THERE)).environment.hardware["hardware_class"] == "arm64 NEON"


def test_no_snapshot_at_all(snapshots: Path, location: Callable[[str], Path]) -> None:
    """Then there is nothing to compare with."""
    assert stored(location(HERE)) is None
    assert _read(location(HERE), Blessing(None)) is None


@pytest.mark.parametrize("name", ["test_it[a-b].json", "test_it[[x]].json", "test_it[a?].json"])
def test_names_with_brackets_are_found(name: str, tmp_path: Path) -> None:
    """Special characters of patterns are taken literally."""
    other = tmp_path / "a-default" / "test_file" / name
    other.parent.mkdir(parents=True)
    other.touch()
    other.with_name("test_it[b].json").touch()
    assert stored(tmp_path / "b-default" / "test_file" / name) == other
    assert stored(tmp_path / "b-paper" / "test_file" / name) is None


def test_update_appends_its_reason(location: Callable[[str], Path]) -> None:
    """Each blessing is kept with its reason, after the earlier ones."""
    _write(location(HERE), fake_fingerprint(), FIRST)
    changed = with_changed_stage(fake_fingerprint(), "answer", (1,))
    _write(location(HERE), changed, Blessing("  the scorer was wrong ", updating=True))
    assert json.loads(location(HERE).read_text())["blessings"] == [
        {"reason": "first", "change": "first record"},
        {
            "reason": "the scorer was wrong",
            "change": "drift: first changed stage: answer (1 of 3 states)",
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
    blessing: Blessing, line: str, location: Callable[[str], Path]
) -> None:
    """Without a reason, or with several workers, the file is not changed."""
    _write(location(HERE), fake_fingerprint(), FIRST)
    before = location(HERE).read_bytes()
    with pytest.raises(SettingError, match=line):
        _write(location(HERE), with_changed_stage(fake_fingerprint(), "answer", (1,)), blessing)
    assert location(HERE).read_bytes() == before


def test_damaged_snapshot_is_replaced(
    location: Callable[[str], Path], request: pytest.FixtureRequest
) -> None:
    """A blessing replaces it and says so; without one it is an error."""
    path = location(HERE)
    _write(path, fake_fingerprint(), FIRST)
    columns_path(path).write_bytes(b"cut")
    with pytest.raises(DataError, match="belongs to a different record"):
        _read(path, Blessing(None))
    again = Blessing("a merge went wrong", updating=True)
    assert _read(path, again) is None
    assert _reported(request, fake_fingerprint(), again) == {}
    _write(path, fake_fingerprint(), again)
    assert _read(path, Blessing(None)) == fingerprint_text(fake_fingerprint())
    last = json.loads(path.read_text())["blessings"][-1]
    assert last["change"].startswith("replaces a record that could not be read: ")


def test_snapshot_is_removed_with_its_columns(location: Callable[[str], Path]) -> None:
    """An unused snapshot leaves no file."""
    path = location(HERE)
    _write(path, fake_fingerprint(), FIRST)
    extension = fingerprint_extension(HERE, FIRST)()
    extension.delete_snapshots(snapshot_location=str(path), snapshot_names={"it"})
    assert list(path.parent.iterdir()) == []


def test_tolerance_of_other_hardware() -> None:
    """Log-probabilities and few outcomes may differ on other hardware, token ids may not."""
    old = fake_fingerprint()
    drifted = replace(with_changed_stage(old, "logits", (0, 1, 2)), logits=fake_logits(shift=0.2))
    assert not acceptable(compare(old, drifted))
    assert acceptable(compare(old, _elsewhere(drifted)))
    assert not acceptable(compare(old, _elsewhere(with_changed_stage(old, "prompt_ids", (0,)))))
    flipped = replace(
        with_changed_stage(old, "outcome", (0,)),
        scores=by_all_scores((Outcome(1, (0, 1), (False, False)), *old.outcomes[1:])),
    )
    assert not acceptable(compare(old, _elsewhere(flipped)))  # one of six, and 1 % are allowed


def test_equality_on_other_hardware_must_not_be_refuted() -> None:
    """Records whose accuracies differ by more than a margin of 0.05 points do not match.

    At the default margin the largest number of changes that is allowed does not refute equality.
    """
    old = fake_fingerprint()
    before = [Outcome(n, (1,) * 5, (True,) * 5) for n in range(500)]
    lost = [n % 50 == 0 for n in range(500)]  # 10 of 2,500 queries
    after = [
        replace(outcome, correct=(not bad, *(True,) * 4))
        for outcome, bad in zip(before, lost, strict=True)
    ]
    test = paired_test(before, after, fresh_rng())
    found = compare(old, _elsewhere(old), 0.0005)
    drifted = replace(found, stage_diffs=(StageDiff("logits", (0,), 3),), tests={"set": test})
    assert test.is_equal(drifted.margin).verdict == "not supported"
    assert not drifted.severity.within_noise
    assert not acceptable(drifted)
    assert acceptable(replace(drifted, margin=SAME_MARGIN))
    most = [Outcome(n, (1,) * 5, (n % 20 > 0, *(True,) * 4)) for n in range(500)]  # 1 %
    assert paired_test(before, most, fresh_rng()).is_equal().verdict == "undecided"


def test_other_types_are_refused() -> None:
    """Comparing anything else is an error of the test."""
    with pytest.raises(TypeError, match="expected a Fingerprint, got dict"):
        FingerprintExtension().serialize({})
