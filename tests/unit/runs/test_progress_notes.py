"""What a run's folder notes about how it went."""

import json

from benchmark.runs.progress_notes import ProgressNotes

PACKED: dict[str, object] = {"drafts": ["prompt"], "pace": {"rows": 4}}
HALVED: dict[str, object] = {"drafts": ["prompt"], "pace": {"rows": 2}}


def test_notes_come_back_as_they_were() -> None:
    """A run that goes on has the sizes, compositions, states and seconds of what was before."""
    history = ProgressNotes().again().plus(4, PACKED, 3, 1.5).again().plus(2, HALVED, 2, 0.25)
    assert ProgressNotes.of(json.loads(json.dumps(history.as_json()))) == history
    assert (history.batch_size, history.decoded, history.seconds) == (2, 5, 1.75)
    assert history.starts == 2


def test_each_size_and_composition_is_listed_once() -> None:
    """Batches that are alike are one entry, in the order in which they came."""
    history = ProgressNotes()
    for size, composition in ((4, PACKED), (4, PACKED), (2, HALVED), (2, dict(HALVED))):
        history = history.plus(size, composition, 1, 0.0)
    assert history.batch_sizes == (4, 2)
    assert history.compositions == (PACKED, HALVED)


def test_nothing_is_noted_where_the_size_says_it_all() -> None:
    """Engines without a composition leave the notes as they were before there was one."""
    history = ProgressNotes().plus(1, {}, 1, 0.5)
    assert set(history.as_json()) == {"batch_sizes", "timing"}
    assert ProgressNotes.of(history.again().as_json()) == history.again()
    assert ProgressNotes.of({}) == ProgressNotes()
