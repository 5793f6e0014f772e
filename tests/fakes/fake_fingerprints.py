"""Hand-written fingerprints: three states of two sequences, with two boxes each."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from benchmark.fingerprints.digests import StageRecord, digest
from benchmark.fingerprints.logits import Logits, concatenate_states
from benchmark.fingerprints.noise import Repeat
from benchmark.fingerprints.record import Allowed, AllowedSet, Fingerprint, Sample
from benchmark.fingerprints.stages import STAGES
from benchmark.records import Outcome
from benchmark.runs.environment import Environment
from benchmark.scoring.outcomes import SCORES

PATH = ((5, 6, 1), (5, 7, 1), (5, 8, 8, 1))
OTHERS = (9, 10)


def fake_logits(shift: float = 0.0) -> Logits:
    """Return the answer's tokens at -0.1 nats and others at -3 and -4, all minus ``shift``."""
    ids = [np.array([[own, *OTHERS] for own in path], dtype=np.int32) for path in PATH]
    values = [np.array([[-0.1, -3.0, -4.0]] * len(path)) - shift for path in PATH]
    return concatenate_states(ids, values)


def fake_fingerprint(
    floor: float | None = None, versions: Mapping[str, str] | None = None
) -> Fingerprint:
    """Return a valid fingerprint, with a noise floor from one repeat if ``floor`` is given."""
    repeats = () if floor is None else (Repeat(1, 1, "reversed", floor, 0.0, 0, 0),)
    stages = {name: StageRecord(tuple(digest([name, n]) for n in range(3))) for name in STAGES}
    stages["weights"] = StageRecord((digest(["weights"]),))
    stages["counts"] = StageRecord(tuple(digest(["counts", by]) for by in SCORES))
    return Fingerprint(
        environment=Environment(
            versions=versions or {"torch": "2.13", "outlines_core": "0.2.14"},
            hardware={"hardware_class": "x86_64 AVX512", "threads": 1},
            protocol={"name": "default", "dtype": "float32"},
        ),
        stages=stages,
        path=PATH,
        output=PATH,
        texts=("Box 0 contains the hat.", "Box 0 contains the map.", "Box 0 contains nothing."),
        lengths=(20, 21, 22),
        allowed=Allowed(
            (AllowedSet("aa", 5, 30), AllowedSet("bb", 1, 1)),
            tuple((0,) * (len(path) - 1) + (1,) for path in PATH),
        ),
        logits=fake_logits(),
        scores=by_all_scores(
            (
                Outcome(1, (0, 1), (True, False)),
                Outcome(1, (0, 2), (True, True)),
                Outcome(2, (1, 1), (False, False)),
            )
        ),
        errors=(".i", "..", "im"),
        samples=(Sample("Description: the hat\n", (0, 3, 4)),),
        repeats=repeats,
        code={"scoring/parsing.py": "12"},
    )


def by_all_scores(outcomes: Sequence[Outcome]) -> dict[str, tuple[Outcome, ...]]:
    """Return the same outcomes for every score."""
    return dict.fromkeys(SCORES, tuple(outcomes))


def with_changed_stage(record: Fingerprint, stage: str, states: tuple[int, ...]) -> Fingerprint:
    """Return the fingerprint with changed digests of a stage for the given states."""
    old = record.stages[stage].digests
    new = tuple(digest(["moved", d]) if n in states else d for n, d in enumerate(old))
    return replace(record, stages={**record.stages, stage: StageRecord(new)})
