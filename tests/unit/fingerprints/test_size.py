"""The size of a record of the whole evaluated set."""

from pathlib import Path

import numpy as np

from benchmark.fingerprints.digests import StageRecord, digest
from benchmark.fingerprints.logits import concatenate_states
from benchmark.fingerprints.noise import Repeat
from benchmark.fingerprints.record import Allowed, AllowedSet, Fingerprint, Sample
from benchmark.fingerprints.stages import STAGES
from benchmark.fingerprints.storage import columns_path, read_fingerprint, write_fingerprint
from benchmark.records import Outcome
from benchmark.runs.environment import Environment, code_digests, versions
from benchmark.scoring.outcomes import SCORES

STATES = 716
MEGABYTE = 10**6
OTHERS = 3
"""As in benchmark.fingerprints.inference."""

WORDS = 100
VOCABULARY = 49152


def _record(rng: np.random.Generator) -> Fingerprint:
    """Return a record with as many states as the paper and answers as long as SmolLM2's.

    Its answers have 57 to 100 tokens, two in three from the expression itself. The
    log-probabilities are noise, which does not compress.
    """
    frame = rng.integers(0, VOCABULARY, 40).tolist()
    words = rng.integers(0, VOCABULARY, WORDS)
    paths = tuple(
        (*frame, *rng.choice(words, rng.integers(17, 60)).tolist(), 2) for _ in range(STATES)
    )
    ids = [_with_others(path, words, rng) for path in paths]
    values = [np.log(rng.dirichlet(np.ones(OTHERS + 2), len(path)))[:, 1:] for path in paths]
    sets = tuple(
        AllowedSet(digest([n]), int(rng.integers(1, VOCABULARY)), int(rng.integers(1, 10**9)))
        for n in range(137)
    )
    stages = {name: StageRecord(tuple(digest([name, n]) for n in range(STATES))) for name in STAGES}
    stages |= {name: StageRecord((digest([name]),)) for name in ("weights", "counts")}
    prompt = "".join(rng.choice(list("abcdefgh ,."), 2500).tolist())
    return Fingerprint(
        environment=Environment(versions=versions()),
        stages=stages,
        path=paths,
        output=paths,
        texts=tuple(" ".join(map(str, path)) for path in paths),
        lengths=tuple(rng.integers(500, 900, STATES).tolist()),
        allowed=Allowed(sets, tuple(tuple(rng.integers(0, 137, len(p)).tolist()) for p in paths)),
        logits=concatenate_states(ids, values),
        scores={by: _outcomes(rng) for by in SCORES},
        samples=(Sample(prompt, tuple(rng.integers(0, VOCABULARY, 700).tolist())),) * 3,
        repeats=(Repeat(1, 1, "reversed", 0.001, 1e-9, 0, 0),) * 6,
        code=code_digests(),
    )


def _outcomes(rng: np.random.Generator) -> tuple[Outcome, ...]:
    return tuple(
        Outcome(n // 2, tuple(n % 8 for n in range(7)), tuple((rng.random(7) < 0.4).tolist()))
        for n in range(STATES)
    )


def _with_others(
    path: tuple[int, ...], words: "np.typing.NDArray[np.int64]", rng: np.random.Generator
) -> "np.typing.NDArray[np.int32]":
    """Return the path's tokens, each with other likely tokens."""
    others = rng.choice(words, (len(path), OTHERS))
    return np.column_stack([np.array(path), others]).astype(np.int32)


def test_record_of_the_evaluated_set_is_under_a_megabyte(tmp_path: Path) -> None:
    """Both the two files of 716 states and the single file are."""
    record = _record(np.random.Generator(np.random.PCG64(1)))
    apart, one = tmp_path / "x.json", tmp_path / "x.json.gz"
    write_fingerprint(record, apart)
    write_fingerprint(record, one)
    sizes = [apart.stat().st_size + columns_path(apart).stat().st_size, one.stat().st_size]
    assert all(size < MEGABYTE for size in sizes), sizes
    assert len(read_fingerprint(one).texts) == STATES
