"""Stores of shards in one: conflicts are refused, copies are the same run, and verdicts follow."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from benchmark.errors import DataError, ResumeError
from benchmark.models.registry_types import Pair, Registry
from benchmark.reproduction.merging import Merged, MergedPairs, judge_merged, merge_stores
from benchmark.reproduction.verdicts import PairReport, UnjudgedPair
from benchmark.runs.model_store import measurement_lock
from benchmark.runs.store.results import read_results
from fakes.fake_cluster import fake_model
from fakes.finished_runs import Answers, correct_answer, initial_answer, write_stored_run


def _quiet(_: str) -> None:
    pass


def _run(
    store: Path,
    name: str,
    answers: Answers = correct_answer,
    states: int = 26,
    **changes: object,
) -> Path:
    """Write a run into a new store, or into one that is there."""
    store.mkdir(exist_ok=True)
    return write_stored_run(store, f"owner/{name}", answers, states, **changes)


def _files(store: Path) -> dict[str, str]:
    paths = sorted(path for path in store.rglob("*.json*"))
    return {str(path.relative_to(store)): path.read_text() for path in paths}


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    """Return two stores with one model each."""
    for name, answer in (("base", initial_answer), ("variant", correct_answer)):
        _run(tmp_path / name, name, answer)
    return [tmp_path / "base", tmp_path / "variant"]


def test_shards_are_one_store(shards: list[Path], tmp_path: Path) -> None:
    """The merged store has the files of all; merging again, or one shard twice, changes nothing."""
    out = tmp_path / "merged"
    merged = merge_stores(shards, out, _quiet, _registry())
    assert merged.copied == 2
    assert _files(out) == _files(shards[0]) | _files(shards[1])
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.json*")}
    again = merge_stores([*shards, shards[0], out], out, _quiet, _registry())
    assert (len(again.runs), again.copied) == (2, 0)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.json*")} == times
    assert merge_stores([shards[0]], out, _quiet, _registry()).copied == 0
    assert len(read_results(out, _registry()).entries) == 2


def _registry(*variants: str) -> Registry:
    """Return pairs of ``base`` with ``variant`` and others, each with the name of its variant."""
    pairs = {
        name: Pair(id=name, experiment="code", base="base", variant=name, hypothesis="gain")
        for name in ("variant", *variants)
    }
    models = {key: fake_model(key) for key in ("base", *pairs)}
    return Registry(models=models, pairs=pairs)


def _judge(merged: Merged, registry: Registry | None = None) -> MergedPairs:
    chosen = registry or _registry()
    return judge_merged(merged, chosen, chosen.pairs.values(), 0.05)


def test_pairs_are_judged_after_the_merge(shards: list[Path], tmp_path: Path) -> None:
    """A pair whose models were in two shards has a verdict; before, the missing model is named."""
    out = tmp_path / "merged"
    judged = _judge(merge_stores(shards[:1], out, _quiet, _registry()))
    (pair,) = judged.pairs
    assert isinstance(pair, UnjudgedPair)
    assert pair.reason == "variant: not measured"
    assert judged.missing == ("variant",)
    judged = _judge(merge_stores(shards[1:], out, _quiet, _registry()))
    (pair,) = judged.pairs
    assert isinstance(pair, PairReport)
    assert judged.missing == ()
    assert pair.verdict.status == "undecided"  # two sequences
    assert pair.problems == ()


def test_what_no_shard_measured_is_listed(shards: list[Path], tmp_path: Path) -> None:
    """Pairs without any model, models without a run, and a run that is not finished."""
    registry = _registry("third", "fourth")
    other = Pair(id="other", experiment="code", base="third", variant="fourth", hypothesis="gain")
    registry = Registry(models=registry.models, pairs={**registry.pairs, "other": other})
    _run(tmp_path / "more", "third", states=5)
    (tmp_path / "none").mkdir()
    empty = _judge(
        merge_stores([tmp_path / "none"], tmp_path / "empty", _quiet, _registry()), registry
    )
    assert [pair.id for pair in empty.unmeasured] == [*registry.pairs]
    assert empty.missing == ("base", "variant", "third", "fourth")
    judged = _judge(merge_stores(shards, tmp_path / "merged", _quiet, _registry()), registry)
    assert [pair.pair.id for pair in judged.pairs] == ["variant", "third", "fourth"]
    assert judged.unmeasured == (other,)
    assert [outcome.pair.id for outcome in judged.outcomes] == [*registry.pairs]
    assert judged.missing == ("third", "fourth")
    stores = [*shards, tmp_path / "more"]
    judged = _judge(merge_stores(stores, tmp_path / "merged", _quiet, _registry()), registry)
    assert judged.unmeasured == ()
    assert judged.missing == ("third", "fourth")
    assert isinstance(judged.pairs[1], UnjudgedPair)
    assert judged.pairs[1].reason == "third: only 5 states are measured"


def test_other_answers_are_refused(shards: list[Path], tmp_path: Path) -> None:
    """Two copies of one run with other answers to a state: both folders and the state are named."""
    other = tmp_path / "other"
    run = _run(other, "base", correct_answer)
    with pytest.raises(DataError, match="have other answers to the same state") as error:
        merge_stores([*shards, other], tmp_path / "merged", _quiet, _registry())
    assert str(run) in str(error.value)
    assert not (tmp_path / "merged").exists()


def test_other_tokens_are_other_answers(shards: list[Path], tmp_path: Path) -> None:
    """The same text by other tokens is another answer, where both runs have kept tokens."""
    stores = [tmp_path / name for name in ("one", "two")]
    for store, token in zip(stores, (1, 2), strict=True):
        predictions = _run(store, "base") / "predictions.jsonl"
        rows = [json.loads(line) for line in predictions.read_text().splitlines()]
        lines = [json.dumps({**r, "token_ids": [token], "finished": True}) for r in rows]
        predictions.write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match="have other answers to the same state"):
        merge_stores(stores, tmp_path / "merged", _quiet, _registry())
    older = tmp_path / "older"  # without tokens
    _run(older, "base")
    assert len(merge_stores([older, stores[0]], tmp_path / "merged", _quiet, _registry()).runs) == 1


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        (
            {"environment": {"hardware": {"name": "m"}, "versions": {"torch": "2.14.0"}}},
            'torch is "2.14.0" in the first and "2.13.0" in the second',
        ),
        (
            {"constraint": {"expression": "x"}},
            'expression is "x" in the first and not set in the second',
        ),
        (
            {"protocol": {"name": "paper", "engine": "outlines", "prompt_format": "completion"}},
            'protocol is "paper" in the first and "default" in the second',
        ),
    ],
)
def test_runs_of_two_reproductions_are_refused(
    shards: list[Path], tmp_path: Path, changes: dict[str, Any], difference: str
) -> None:
    """Other libraries, constraints or settings: the first difference is named."""
    _run(tmp_path / "other", "third", **changes)
    with pytest.raises(DataError, match="are not of one reproduction: ") as error:
        merge_stores([*shards, tmp_path / "other"], tmp_path / "merged", _quiet, _registry())
    assert difference in str(error.value)
    assert f"leave out or move away {tmp_path / 'other'}, then" in str(error.value)
    assert not (tmp_path / "merged").exists()


def test_folders_of_an_upgrade_are_named(shards: list[Path], tmp_path: Path) -> None:
    """Fewer runs have other libraries: a store of such runs alone, and single runs in others."""
    new = {"hardware": {"name": "m"}, "versions": {"torch": "2.14.0"}}
    single = _run(shards[1], "third", environment=new)
    for name in ("fourth", "fifth"):
        _run(tmp_path / "after", name, environment=new)
    for name in ("sixth", "seventh"):
        _run(tmp_path / "before", name)
    stores = [tmp_path / "after", *shards, tmp_path / "before"]
    with pytest.raises(DataError, match="4 of 7 runs are as the second; leave out") as error:
        merge_stores(stores, tmp_path / "merged", _quiet, _registry())
    places = f"{tmp_path / 'after'}, {single}"
    assert str(error.value).endswith(f"move away {places}, then measure what is missing")
    assert not (tmp_path / "merged").exists()
    single.rename(tmp_path / "away")
    assert len(merge_stores(stores[1:], tmp_path / "merged", _quiet, _registry()).runs) == 4


def test_two_ways_of_one_model_are_refused(shards: list[Path], tmp_path: Path) -> None:
    """A model at two commits has two identities: both folders and the difference are named."""
    _run(tmp_path / "other", "base", model={"name": "owner/base", "fingerprint": "other"})
    words = 'are two runs of base: fingerprint is "other" in the first and "0123abcd" in the second'
    with pytest.raises(DataError, match=words):
        merge_stores([*shards, tmp_path / "other"], tmp_path / "merged", _quiet, _registry())
    assert not (tmp_path / "merged").exists()


def test_an_abandoned_run_is_left_out(shards: list[Path], tmp_path: Path) -> None:
    """A model has an unfinished run on other hardware, and a finished one: that one counts."""
    environment = {"hardware": {"name": "Other CPU"}, "versions": {"torch": "2.14.0"}}
    abandoned = _run(shards[0], "base", states=3, environment=environment)
    (finished,) = (p.parent for p in shards[0].glob("*/result.json"))
    said: list[str] = []
    merged = merge_stores(shards, tmp_path / "merged", said.append, _registry())
    assert said[0] == (
        f"note: {abandoned}: an unfinished run of base is left out, as {finished} is finished: "
        'name is "Other CPU" in the first and "a machine" in the second'
    )
    assert [run.finished for run in merged.runs] == [True, True]
    assert merged.hardware == {"a machine": 2}
    assert not (tmp_path / "merged" / abandoned.name).exists()
    own = merge_stores([shards[0]], shards[0], _quiet, _registry())  # into itself
    assert ([run.path for run in own.runs], own.copied) == ([finished], 0)
    assert abandoned.exists()
    other = {"hardware": {"name": "Other CPU"}, "versions": {"torch": "2.13.0"}}
    shutil.rmtree(abandoned)
    _run(shards[0], "base", states=3, environment=other)
    (finished / "result.json").unlink()  # now both are unfinished
    with pytest.raises(DataError, match=r"are two runs of base: .*; leave one out"):
        merge_stores(shards, tmp_path / "unfinished", _quiet, _registry())


def test_a_repository_and_a_folder_of_one_model(shards: list[Path], tmp_path: Path) -> None:
    """Both are the registered model: nothing is written."""
    local = {"name": "/models/base", "fingerprint": "sha256:1"}
    _run(tmp_path / "other", "third", model=local)
    with pytest.raises(DataError, match='are two runs of base: name is "/models/base" in the'):
        merge_stores([*shards, tmp_path / "other"], tmp_path / "merged", _quiet, _registry())
    assert not (tmp_path / "merged").exists()


def test_a_result_that_contradicts_itself_is_refused(shards: list[Path], tmp_path: Path) -> None:
    """Valid JSON whose counts are not those of its outcomes: nothing is written."""
    copy = shutil.copytree(shards[0], tmp_path / "copy")
    path = next(copy.glob("*/result.json"))
    document = json.loads(path.read_text())
    next(iter(document["by_numops"].values()))["correct"] += 1
    path.write_text(json.dumps(document))
    for stores in ([copy, *shards], [*shards, copy]):
        with pytest.raises(DataError, match="does not count its outcomes") as error:
            merge_stores(stores, tmp_path / "merged", _quiet, _registry())
        assert str(path) in str(error.value)
        assert not (tmp_path / "merged").exists()


def test_other_results_of_the_same_answers_are_refused(tmp_path: Path) -> None:
    """Two finished copies of a run have the same answers, and other queries right."""
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    _run(right, "base", correct_answer)
    run = _run(wrong, "base", initial_answer)
    shutil.copy(next(right.glob("*/predictions.jsonl")), run / "predictions.jsonl")
    with pytest.raises(DataError, match="have other queries right"):
        merge_stores([right, wrong], tmp_path / "merged", _quiet, _registry())
    assert not (tmp_path / "merged").exists()


def test_other_hardware_is_noted(shards: list[Path], tmp_path: Path) -> None:
    """Nodes may have other GPUs; the merge counts the models of each."""
    hardware = {"hardware": {"name": "another"}, "versions": {"torch": "2.13.0"}}
    _run(tmp_path / "other", "third", environment=hardware)
    merged = merge_stores([*shards, tmp_path / "other"], tmp_path / "merged", _quiet, _registry())
    assert merged.hardware == {"a machine": 2, "another": 1}


def test_unfinished_copies_complete_each_other(tmp_path: Path) -> None:
    """A torn last line is left out, a finished copy wins, and the sources stay as they are."""
    stores = [tmp_path / name for name in ("five", "ten", "all")]
    for store, states in zip(stores, (5, 10, 26), strict=True):
        _run(store, "base", states=states)
    torn = next(stores[1].glob("*/predictions.jsonl"))
    text = torn.read_text()[:-5]
    torn.write_text(text)
    out = tmp_path / "merged"
    (run,) = merge_stores(stores[:2], out, _quiet, _registry()).runs
    assert (len(run.answers), run.finished) == (9, False)
    assert len((run.path / "predictions.jsonl").read_text().splitlines()) == 9
    (run,) = merge_stores(stores, out, _quiet, _registry()).runs
    assert (len(run.answers), run.finished) == (26, True)
    assert _files(out) == _files(stores[2])
    assert torn.read_text() == text


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("run.json", "run.json: not JSON"),
        ("result.json", "result.json: not JSON"),
        ("predictions.jsonl", "25 answers of a finished run of 26 states|not JSON"),
    ],
)
def test_torn_files_are_refused(
    shards: list[Path], tmp_path: Path, name: str, message: str
) -> None:
    """The file is named, nothing is written, and the error says what to do."""
    path = next(shards[1].glob(f"*/{name}"))
    path.write_text(path.read_text()[:-40])
    with pytest.raises(DataError, match=message) as error:
        merge_stores(shards, tmp_path / "merged", _quiet, _registry())
    assert str(path) in str(error.value)
    assert str(error.value).endswith("measure it again, or leave its folder out")
    assert not (tmp_path / "merged").exists()


def test_a_missing_last_line_is_seen(shards: list[Path], tmp_path: Path) -> None:
    """A finished run with fewer answers than states was torn."""
    path = next(shards[1].glob("*/predictions.jsonl"))
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(DataError, match="25 answers of a finished run of 26 states"):
        merge_stores(shards, tmp_path / "merged", _quiet, _registry())


def test_a_run_that_is_being_measured_is_left(shards: list[Path], tmp_path: Path) -> None:
    """Another process holds the lock of the measurement in the merged store."""
    out = tmp_path / "merged"
    out.mkdir()
    identity = json.loads(next(shards[0].glob("*/run.json")).read_text())
    with (
        measurement_lock(out, identity, wait=True),
        pytest.raises(ResumeError, match="another process measures it"),
    ):
        merge_stores(shards, out, _quiet, _registry())


def test_what_is_no_store(tmp_path: Path) -> None:
    """A folder that does not exist is named."""
    with pytest.raises(DataError, match=f"{tmp_path / 'none'}: not a folder"):
        merge_stores([tmp_path / "none"], tmp_path / "merged", _quiet, _registry())


@pytest.mark.parametrize("states", [26, 10])
def test_what_is_written_during_a_merge_is_kept(tmp_path: Path, states: int) -> None:
    """Another process adds answers to a run, or finishes it, after the merge has read the store."""
    out, shard = tmp_path / "merged", tmp_path / "shard"
    for name in ("first", "second"):
        _run(out, name, states=3)
        _run(shard, name, states=5)
    later: list[str] = []

    def measure_the_other(text: str) -> None:
        if not later:
            later.append("second" if text.startswith("first") else "first")
            shutil.rmtree(next(out.glob(f"{later[0]}-*/")))
            _run(out, later[0], states=states)

    merged = merge_stores([shard], out, measure_the_other, _registry())
    (run,) = (run for run in merged.runs if run.model == f"owner/{later[0]}")
    assert (len(run.answers), run.finished) == (states, states == 26)
    assert len((run.path / "predictions.jsonl").read_text().splitlines()) == states
    assert (run.path / "result.json").exists() == (states == 26)
