"""Progress notes of a run's folder."""

import json

from benchmark.runs.progress_notes import NO_PROGRESS, ProgressNotes

PACKED: dict[str, object] = {"drafts": ["prompt"], "pace": {"rows": 4}}
HALVED: dict[str, object] = {"drafts": ["prompt"], "pace": {"rows": 2}}


def test_notes_are_read_back() -> None:
    """A resumed run keeps batch sizes, compositions, states and seconds of earlier starts."""
    history = (
        NO_PROGRESS.restarted().extended(4, PACKED, 3, 1.5).restarted().extended(2, HALVED, 2, 0.25)
    )
    stored = json.loads(json.dumps(history.as_json()))
    assert ProgressNotes.from_json(stored, "progress.json", 4) == history
    assert (history.batch_size, history.timing.decoded_states, history.timing.seconds) == (
        2,
        5,
        1.75,
    )
    assert history.timing.starts == 2


def test_each_size_and_composition_is_listed_once() -> None:
    """Equal batch sizes and compositions are listed once, in order."""
    history = NO_PROGRESS
    for size, composition in ((4, PACKED), (4, PACKED), (2, HALVED), (2, dict(HALVED))):
        history = history.extended(size, composition, 1, 0.0)
    assert history.batch_sizes == (4, 2)
    assert history.compositions == (PACKED, HALVED)


def test_engine_without_composition() -> None:
    """An engine without a composition adds no ``compositions``."""
    history = NO_PROGRESS.extended(1, {}, 1, 0.5)
    assert set(history.as_json()) == {"batch_sizes", "timing"}
    notes = history.restarted()
    assert ProgressNotes.from_json(notes.as_json(), "progress.json", 4) == notes


def test_notes_of_an_older_version() -> None:
    """They do not count the starts."""
    old = {"batch_sizes": [2], "timing": {"decoded_states": 2, "seconds": 1}}
    assert ProgressNotes.from_json(old, "progress.json", 2).timing.starts == 1
