"""Tell code from environment by running the old code in the new environment."""

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from benchmark.errors import SettingError
from benchmark.fingerprints.digests import StageRecord, digest
from benchmark.fingerprints.noise import Repeat
from benchmark.fingerprints.record import Fingerprint
from benchmark.fingerprints.run_environment import data_described
from benchmark.fingerprints.storage import read_fingerprint, write_fingerprint
from benchmark.models.location import locate
from benchmark.runs.environment import Environment, versions
from benchmark.runs.requests import DataRequest
from benchmark.upgrades import isolation
from benchmark.upgrades.isolation import _check_model, isolate, probe_of
from benchmark.upgrades.probes import Probe
from fakes.command_line import command_line
from fakes.git import git

TRACK = Path(__file__).parents[3] / "fixtures" / "models" / "track"
REPEAT = Repeat(1, 1, "reversed", 0.01, 0.0, 0, 0)


def _record(outcome: str) -> Fingerprint:
    stages = {name: StageRecord((digest([name]),)) for name in ("dataset", "prompt")}
    stages["weights"] = StageRecord((digest([outcome]),))
    protocol = {"name": "default", "dtype": "float32", "batch_size": 4, "quantization": None}
    data = {"seed": 3, "states": 1}
    return Fingerprint(Environment(versions=versions(), protocol=protocol, data=data), stages)


VERDICTS = [
    ("a", "a", "a", "none"),
    ("a", "b", "b", "the environment"),
    ("a", "a", "b", "the code"),
    ("a", "b", "c", "both: the environment changes the old code's record, the new code changes m"),
    ("a", "b", "a", "both: the environment changes the old code's record, the new code undoes it"),
]

PROGRAM = """
import shutil, sys
from pathlib import Path

out = sys.argv[sys.argv.index("--out") + 1]
shutil.copy(Path(__file__).with_name("record.json.gz"), out)
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository whose package, when run, writes the record that was committed with it."""
    folder = tmp_path / "repository"
    (folder / "benchmark").mkdir(parents=True)
    git(folder, "init", "-q")
    return folder


def _commit(repository: Path, outcome: str) -> dict[str, str]:
    """Commit a package that writes this record; return the digests of its code."""
    program = f"# {outcome}\n{PROGRAM}"
    (repository / "benchmark" / "__init__.py").touch()
    (repository / "benchmark" / "__main__.py").write_text(program)
    write_fingerprint(_record(outcome), repository / "benchmark" / "record.json.gz")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", outcome)
    files = {"__init__.py": "", "__main__.py": program}
    return {name: sha256(text.encode()).hexdigest()[:12] for name, text in files.items()}


@pytest.mark.parametrize(("old", "old_code_now", "new_code_now", "verdict"), VERDICTS)
def test_cause_of_a_change(
    old: str, old_code_now: str, new_code_now: str, verdict: str, repository: Path, tmp_path: Path
) -> None:
    """The old code is found by its digests and run in this environment.

    Git, worktree and process are real; only the record that the old package writes is fixed.
    """
    code = _commit(repository, old_code_now)
    _commit(repository, "later")
    paths = tmp_path / "old.json.gz", tmp_path / "new.json.gz"
    write_fingerprint(replace(_record(old), code=code), paths[0])
    write_fingerprint(_record(new_code_now), paths[1])
    said = list[str]()
    result = isolate(*paths, "model", said.append, repository=repository)
    assert result.verdict.startswith(verdict)
    assert result.lines()[-1] == f"cause: {result.verdict}"
    first = git(repository, "rev-list", "--reverse", "HEAD").split()[0]
    assert result.as_json()["commit"] == first
    assert said == [f"code of {first[:10]}, on model"]
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_old_code_measures_its_own_noise_floor(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new code is compared with the old code's repeats in this environment."""
    probes = list[Probe]()

    def run(python: Path, project: Path, probe: Probe, out: Path, along: Path) -> None:
        probes.append(probe)
        write_fingerprint(replace(_record("a"), repeats=(REPEAT,)), out)

    monkeypatch.setattr(isolation, "run_probe", run)
    _commit(repository, "a")
    path = tmp_path / "old.json.gz"
    for repeats, expected in ((0, "2"), (3, "3")):
        write_fingerprint(replace(_record("a"), repeats=(REPEAT,) * repeats), path)
        result = isolate(path, path, "model", lambda line: None, "HEAD", repository)
        assert probes[-1].arguments[-2:] == ("--repeats", expected)
        assert result.by_code.floor.measured == REPEAT.largest


def test_compare_with_isolate(repository: Path, tmp_path: Path) -> None:
    """The command prints comparison and cause, and writes both; without a model it is misuse."""
    code = _commit(repository, "a")
    old, new, out = (tmp_path / name for name in ("old.json.gz", "new.json.gz", "x.json"))
    write_fingerprint(replace(_record("a"), code=code), old)
    write_fingerprint(_record("b"), new)
    arguments = ("compare", str(old), str(new), "--isolate")
    files = ("--repository", str(repository), "--json-file", str(out))
    done = command_line(*arguments, "--model", "model", *files)
    assert done.returncode == 3, done.stderr
    assert "first changed stage: weights" in done.stdout
    cause = "cause: the code: the old code still makes the old record in this environment"
    assert done.stdout.splitlines()[-1] == cause
    document = json.loads(out.read_text())
    assert document["stage"] == document["isolation"]["by_code"]["stage"] == "weights"
    assert document["isolation"]["by_environment"]["severity"] == "same"
    done = command_line(*arguments)
    assert (done.returncode, "--model" in done.stderr) == (2, True)


def test_wrong_environment_is_refused(tmp_path: Path, repository: Path) -> None:
    """Old code runs only in the environment of the new record."""
    path = tmp_path / "new.json.gz"
    elsewhere = {**versions(), "torch": "1.0"}
    write_fingerprint(replace(_record("a"), environment=Environment(versions=elsewhere)), path)
    with pytest.raises(SettingError, match=r"made with torch 1\.0, but .* is installed"):
        isolate(path, path, "model", lambda line: None, "HEAD", repository)


def test_failed_run_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error has the run's last line."""
    monkeypatch.setattr(isolation, "run_probe", lambda *_: "ImportError: gone")
    path = tmp_path / "old.json.gz"
    write_fingerprint(_record("a"), path)
    with pytest.raises(SettingError, match="made no record here: ImportError: gone"):
        isolation._record(probe_of(_record("a"), "m"), tmp_path, tmp_path / "x", path)


def test_probe_repeats_the_recorded_run() -> None:
    """The probe has the seed, the states and every recorded setting."""
    probe = probe_of(_record("a"), "owner/name")
    assert probe.kind == "fingerprint"
    assert " ".join(probe.arguments) == (
        "owner/name --seed 3 --states 1 --protocol default --dtype float32 --batch-size 4"
    )
    data = data_described(DataRequest(seed=3, states=2))
    vanilla = Fingerprint(Environment(protocol={"name": "vanilla"}, data=data), {})
    assert probe_of(vanilla, "owner/name") == Probe(
        "vanilla", ("owner/name", "--seed", "3", "--states", "2"), ""
    )


def test_data_from_a_file_are_refused() -> None:
    """A record does not hold the file's path."""
    record = Fingerprint(Environment(data={"source": "mine.jsonl"}), {})
    with pytest.raises(SettingError, match="came from a file"):
        probe_of(record, "model")


def test_different_models_are_refused(tmp_path: Path) -> None:
    """Two records of different models, or a model that made neither, are refused."""
    named = {name: tmp_path / f"{name}.json" for name in "ab"}
    for name, path in named.items():
        environment = Environment(versions=versions(), model={"fingerprint": name})
        write_fingerprint(replace(_record("x"), environment=environment), path)
    with pytest.raises(SettingError, match="of different models; isolate two of one model"):
        isolate(named["a"], named["b"], "m", print)
    with pytest.raises(SettingError, match=r"--model .*track: not the model that .*a\.json was"):
        isolate(named["a"], named["a"], str(TRACK), print)


def test_digest_of_an_older_version_is_the_model(tmp_path: Path) -> None:
    """A record with the digest of version 0.1 is of the model whose files have it."""
    paths = tmp_path / "a.json", tmp_path / "b.json"
    recorded = ("sha256:d81ddc0c628d36ab", locate(str(TRACK)).digest)
    for path, model in zip(paths, recorded, strict=True):
        environment = Environment(versions=versions(), model={"fingerprint": model})
        write_fingerprint(replace(_record("x"), environment=environment), path)
    old, new = (read_fingerprint(path) for path in paths)
    _check_model(old, paths[0], new, paths[1], str(TRACK))
    with pytest.raises(SettingError, match=r"copy-a: not the model that .*a\.json was"):
        _check_model(old, paths[0], new, paths[1], str(TRACK.parent / "copy-a"))
