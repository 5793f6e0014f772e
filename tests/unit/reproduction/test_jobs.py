"""The models of a reproduction as jobs: every machine plans the same, with or without files."""

import shutil
from pathlib import Path

import pytest

from benchmark.models.registry_types import Pair, RegisteredModel, Registry
from benchmark.reproduction.jobs import jobs_of
from benchmark.reproduction.shards import Shard, shard_of
from benchmark.runs.requests import NOT_WRITTEN, RunRequest

CONTROL = Path(__file__).parents[3] / "fixtures" / "models" / "track"
SHARDS = 3
REQUEST = RunRequest("", NOT_WRITTEN, device="cuda")
SIZES = ("70B", "13B", "7B", "0.7M", "large", "huge", "base", "tiny")
"""As the registry has them; half of them are no numbers."""


def _registry(folder: Path) -> Registry:
    """Return local models of these sizes in a folder, which may not exist, and pairs of them."""
    models = {
        f"m{number}": RegisteredModel(
            key=f"m{number}",
            name=size,
            huggingface_id=str(folder / f"m{number}"),
            architecture="llama",
            size=size,
            added=(),
            format="completion",
            paper=False,
        )
        for number, size in enumerate(SIZES)
    }
    pairs = {
        f"p{n}": Pair(id=f"p{n}", experiment="code", base="m0", variant=f"m{n}", hypothesis="gain")
        for n in range(1, len(SIZES))
    }
    return Registry(models=models, pairs=pairs)


@pytest.fixture
def with_files(tmp_path: Path) -> Registry:
    """Return a registry whose models are all there: each is the control, of any stated size."""
    for number in range(len(SIZES)):
        shutil.copytree(CONTROL, tmp_path / "here" / f"m{number}")
    return _registry(tmp_path / "here")


def test_machines_without_the_files_of_local_models_agree(
    with_files: Registry, tmp_path: Path
) -> None:
    """Order, times and shards are those of a machine that has the files, or only some of them.

    Models of unknown size, which take all GPUs of a node, start first.
    """
    plans = []
    some = _registry(tmp_path / "some")
    shutil.copytree(tmp_path / "here" / "m1", tmp_path / "some" / "m1")
    for registry in (with_files, _registry(tmp_path / "none"), some):
        jobs = jobs_of(registry, registry.pairs.values(), REQUEST)
        shards = [shard_of(jobs, Shard(n, SHARDS)) for n in range(1, SHARDS + 1)]
        plans.append(
            ([(j.name, j.seconds) for j in jobs], [[j.name for j in shard] for shard in shards])
        )
    assert plans[0] == plans[1] == plans[2]
    order, parts = plans[0]
    assert [name for name, _ in order][:6] == ["m4", "m5", "m6", "m7", "m0", "m1"]
    assert sorted(name for part in parts for name in part) == sorted(with_files.models)


def test_models_of_unknown_size_are_spread(tmp_path: Path) -> None:
    """They take the time of a model of 7B, so that they are not all in the shard of least time."""
    registry = _registry(tmp_path)
    seconds = {job.name: job.seconds for job in jobs_of(registry, registry.pairs.values(), REQUEST)}
    assert {seconds[f"m{n}"] for n in (4, 5, 6, 7)} == {seconds["m2"]}
    assert seconds["m0"] == pytest.approx(10 * seconds["m2"])
    pairs = [registry.pairs["p5"], registry.pairs["p6"], registry.pairs["p7"]]
    jobs = jobs_of(registry, pairs, REQUEST)
    assert [len(shard_of(jobs, Shard(n, 4))) for n in (1, 2, 3, 4)] == [1, 1, 1, 1]


def test_slots_are_those_of_the_files(with_files: Registry, tmp_path: Path) -> None:
    """A local model takes the GPUs that its own configuration needs, without it those of its size.

    The control is small, also if a registry says 70B.
    """
    eighty = 80 * 10**9
    for registry, slots in ((with_files, 1), (_registry(tmp_path / "none"), 3)):
        jobs = jobs_of(registry, [registry.pairs["p1"]], REQUEST)
        assert [job.slots_on(8, eighty) for job in jobs if job.name == "m0"] == [slots]
