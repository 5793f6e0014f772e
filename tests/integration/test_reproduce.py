"""``reproduce`` and ``merge`` with the controls on a CPU: shards, resuming, verdicts, errors."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmark.cli.app import app
from benchmark.errors import MissingLibraryError, SettingError
from benchmark.reproduction import ray_cluster
from benchmark.runs.requests import Quiet

CONTROLS = Path(__file__).parents[2] / "fixtures" / "models" / "registry.toml"
_CPU = ("--registry", str(CONTROLS), "--device", "cpu", "--states", "2", "--batch-size", "2", "-q")

OWN = """
alone = true
[models.one]
name = "One"
huggingface_id = "nobody/one"
architecture = "llama"
size = "1B"
added = []
format = "completion"
paper = false

[models.two]
name = "Two"
huggingface_id = "./two"
architecture = "llama"
size = "1B"
added = ["code"]
format = "completion"
paper = false

[[pairs]]
id = "code-own"
experiment = "code"
base = "one"
variant = "two"
hypothesis = "gain"
source = "a test"
"""


def _run(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    """Run a verb and return its JSON."""
    app([*map(str, words), "--json"], standalone_mode=False)
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def test_an_array_s_shards_are_merged_and_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each model is in one shard; the merged store has all verdicts, and is resumed."""
    shards = []
    for task in ("1", "2"):
        monkeypatch.setenv("SLURM_ARRAY_TASK_ID", task)
        own = ("--shard", "slurm/2", "--store", tmp_path / task)
        shards.append(_run(capsys, "reproduce", *_CPU, *own))
    assert [shard["shard"] for shard in shards] == ["1/2", "2/2"]
    names = [name for shard in shards for name in shard["models"]]
    assert sorted(names) == ["copy-a", "copy-b", "track"]
    merged = tmp_path / "merged"
    words = ("--registry", CONTROLS, "--out", merged)
    document = _run(capsys, "merge", tmp_path / "1", tmp_path / "2", *words)
    assert len(document["runs"]) == 3
    assert document["pairs"].keys() == {"control-copy-a-to-track", "control-copy-a-to-copy-b"}
    assert document["missing"] == []
    verdicts = [pair["verdict"] for pair in document["pairs"].values()]
    assert verdicts == ["undecided", "undecided"]  # two states
    times = {path: path.stat().st_mtime_ns for path in merged.glob("*/result.json")}
    again = _run(capsys, "reproduce", *_CPU, "--store", merged, "--only", "copy-b")
    assert (
        again["pairs"]["control-copy-a-to-copy-b"] == document["pairs"]["control-copy-a-to-copy-b"]
    )
    assert {path: path.stat().st_mtime_ns for path in merged.glob("*/result.json")} == times


def test_pairs_that_no_shard_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They and their models are listed; with --require-all the exit code is 1."""
    store = tmp_path / "store"
    shard = ("--only", "copy-b", "--shard", "2/2", "--store", store)
    app([*map(str, ("reproduce", *_CPU, *shard))], standalone_mode=False)
    (line,) = capsys.readouterr().out.splitlines()  # no pair is in this shard alone
    assert line.endswith(f"merge {store} --out {store} --only copy-b --registry {CONTROLS}"), (
        "the command has the options that select the pairs"
    )
    words = ["merge", *map(str, (store, "--out", store, "--registry", CONTROLS))]
    assert app(words, standalone_mode=False) is None
    lines = capsys.readouterr().out.splitlines()
    assert "pairs of which no model is measured: control-copy-a-to-track" in lines
    assert "models that are not measured: copy-a, track" in lines
    assert app([*words, "--require-all"], standalone_mode=False) == 1
    capsys.readouterr()
    (tmp_path / "none").mkdir()
    words[1] = str(tmp_path / "none")
    words[3] = str(tmp_path / "new")
    assert app([*words, "--json"], standalone_mode=False) is None
    document = json.loads(capsys.readouterr().out)
    assert document["missing"] == ["copy-a", "track", "copy-b"]
    assert {pair["verdict"] for pair in document["pairs"].values()} == {None}


def test_models_that_are_not_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An unavailable model is skipped, an unusable one fails; pair and exit code say so."""
    (tmp_path / "own.toml").write_text(OWN)
    (tmp_path / "two").mkdir()
    words = ["reproduce", "--registry", str(tmp_path / "own.toml"), "--device", "cpu"]
    words += ["--states", "2", "--store", str(tmp_path / "store")]
    assert app(words, standalone_mode=False) == 1
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert any(line.startswith("skipped: one: nobody/one: no such local") for line in lines)
    assert any(line.startswith("FAILED: two: ") for line in lines)
    assert any(
        line.startswith("code-own") and "not judged: one: nobody/one" in line for line in lines
    )
    assert "(2 of 2)" in err


def test_dry_run(capsys: pytest.CaptureFixture[str]) -> None:
    """The models of a shard with their planned times; nothing is loaded."""
    app(["reproduce", "--paper", "--shard", "1/29", "--dry-run"], standalone_mode=False)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("1 models, about 3 min one after the other")


def test_ray_does_not_print_into_the_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Ray prints goes to standard error, and the folder's marker is removed at the end."""

    def init(**_: object) -> None:
        print("Raylet is terminated.")  # noqa: T201  # as Ray does

    fake = SimpleNamespace(init=init, shutdown=lambda: print("the end"))  # noqa: T201
    monkeypatch.setitem(sys.modules, "ray", fake)
    monkeypatch.setattr(ray_cluster, "check_extra", lambda *_: None)
    monkeypatch.setattr(ray_cluster, "RayCluster", lambda *_: "cluster")
    with ray_cluster.connected("local", tmp_path, Quiet(), ray_cluster.RayOptions()) as cluster:
        assert (str(cluster), len(list(tmp_path.iterdir()))) == ("cluster", 1)
    assert capsys.readouterr() == ("", "Raylet is terminated.\nthe end\n")
    assert not list(tmp_path.iterdir())
    words = ["reproduce", "--device", "cpu", "--store", str(tmp_path), "--ray", "127.0.0.1:1"]
    with pytest.raises(SettingError, match=r"no cluster there: .*; start one with ray start"):
        app(words, standalone_mode=False)


def test_ray_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line says what to install; a device with numbers is refused before."""
    monkeypatch.setattr("benchmark.extras.find_spec", lambda _: None)
    words = ["reproduce", "--ray", "auto", "--store", str(tmp_path)]
    with pytest.raises(MissingLibraryError, match=r"--ray needs ray, .*pip install ray .*\[ray\]"):
        app(words, standalone_mode=False)
    with pytest.raises(SettingError, match="Ray chooses the GPUs; leave out --device cuda:0"):
        app([*words, "--device", "cuda:0"], standalone_mode=False)
