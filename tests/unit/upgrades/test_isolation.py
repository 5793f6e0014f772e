"""Code or environment: told apart by running the old code now."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from benchmark.errors import SettingError
from benchmark.fingerprints.digests import StageRecord, digest
from benchmark.fingerprints.noise import Repeat
from benchmark.fingerprints.record import Fingerprint
from benchmark.fingerprints.run_environment import data_described
from benchmark.fingerprints.storage import write_fingerprint
from benchmark.runs.environment import Environment, versions
from benchmark.runs.requests import DataRequest
from benchmark.upgrades import isolation
from benchmark.upgrades.isolation import isolate, probe_of
from benchmark.upgrades.probes import Probe

TRACK = Path(__file__).parents[3] / "fixtures" / "models" / "track"
REPEAT = Repeat(1, 1, "reversed", 0.01, 0.0, 0, 0)


def _record(outcome: str) -> Fingerprint:
    stages = {name: StageRecord((digest([name]),)) for name in ("dataset", "prompt")}
    stages["weights"] = StageRecord((digest([outcome]),))
    protocol = {"name": "default", "dtype": "float32", "batch_size": 4, "quantization": None}
    data = {"seed": 3, "states": 1}
    return Fingerprint(Environment(versions=versions(), protocol=protocol, data=data), stages)


VERDICTS = [
    ("a", "a", "a", "nothing"),
    ("a", "b", "b", "the environment"),
    ("a", "a", "b", "the code"),
    ("a", "b", "c", "both: the environment moves the old code too"),
    ("a", "b", "a", "both: the environment moves the old code, and the new code moves it back"),
]

PROGRAM = """
import shutil, sys
from pathlib import Path

out = sys.argv[sys.argv.index("--out") + 1]
shutil.copy(Path(__file__).with_name("gives.json.gz"), out)
"""


def _git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository whose package, when it is run, gives the record that was committed with it."""
    folder = tmp_path / "repository"
    (folder / "benchmark").mkdir(parents=True)
    _git(folder, "init", "-q")
    return folder


def _commit(repository: Path, outcome: str) -> dict[str, str]:
    """Commit a package that gives this record; the digests of its code."""
    program = f"# {outcome}\n{PROGRAM}"
    (repository / "benchmark" / "__init__.py").touch()
    (repository / "benchmark" / "__main__.py").write_text(program)
    write_fingerprint(_record(outcome), repository / "benchmark" / "gives.json.gz")
    _git(repository, "add", "-A")
    _git(repository, "commit", "-qm", outcome)
    files = {"__init__.py": "", "__main__.py": program}
    return {name: sha256(text.encode()).hexdigest()[:12] for name, text in files.items()}


@pytest.mark.parametrize(("old", "old_code_now", "new_code_now", "verdict"), VERDICTS)
def test_who_it_was(
    old: str, old_code_now: str, new_code_now: str, verdict: str, repository: Path, tmp_path: Path
) -> None:
    """The old code is taken out of git by its digests and run: what it gives is the environment's.

    Real git, a real worktree and a real process; only what the old package computes is given.
    """
    code = _commit(repository, old_code_now)
    _commit(repository, "later")
    paths = tmp_path / "old.json.gz", tmp_path / "new.json.gz"
    write_fingerprint(replace(_record(old), code=code), paths[0])
    write_fingerprint(_record(new_code_now), paths[1])
    said = list[str]()
    found = isolate(*paths, "model", said.append, repository=repository)
    assert found.verdict.startswith(verdict)
    assert found.lines()[-1] == f"it was {found.verdict}"
    first = _git(repository, "rev-list", "--reverse", "HEAD").split()[0]
    assert found.as_json()["commit"] == first
    assert said == [f"code of {first[:10]}, on model"]
    assert len(_git(repository, "worktree", "list").splitlines()) == 1


def test_the_old_code_measures_its_floor_here(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is held against the old code's run is held against repeats of that run."""
    asked = list[Probe]()

    def run(python: Path, project: Path, wanted: Probe, out: Path, along: Path) -> None:
        asked.append(wanted)
        write_fingerprint(replace(_record("a"), repeats=(REPEAT,)), out)

    monkeypatch.setattr(isolation, "run_probe", run)
    _commit(repository, "a")
    path = tmp_path / "old.json.gz"
    for repeats, wanted in ((0, "2"), (3, "3")):
        write_fingerprint(replace(_record("a"), repeats=(REPEAT,) * repeats), path)
        found = isolate(path, path, "model", lambda line: None, "HEAD", repository)
        assert asked[-1].arguments[-2:] == ("--repeats", wanted)
        assert found.by_code.floor.measured == REPEAT.largest


def test_compare_isolates(
    repository: Path, tmp_path: Path, command_line: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """The verb prints comparison and verdict, and writes both; without a model it is misuse."""
    code = _commit(repository, "a")
    old, new, out = (tmp_path / name for name in ("old.json.gz", "new.json.gz", "x.json"))
    write_fingerprint(replace(_record("a"), code=code), old)
    write_fingerprint(_record("b"), new)
    asked = ("compare", str(old), str(new), "--isolate")
    files = ("--repository", str(repository), "--json", str(out))
    done = command_line(*asked, "--model", "model", *files)
    assert done.returncode == 3, done.stderr
    assert "it began at weights" in done.stdout
    verdict = "it was the code: the old code gives the old record in this environment"
    assert done.stdout.splitlines()[-1] == verdict
    document = json.loads(out.read_text())
    assert document["stage"] == document["isolation"]["by_code"]["stage"] == "weights"
    assert document["isolation"]["by_environment"]["severity"] == "same"
    done = command_line(*asked)
    assert (done.returncode, "--model" in done.stderr) == (2, True)


def test_another_environment_than_the_new_record_s(tmp_path: Path, repository: Path) -> None:
    """Is refused before anything runs: the old code would be run in a third environment."""
    path = tmp_path / "new.json.gz"
    elsewhere = {**versions(), "torch": "1.0"}
    write_fingerprint(replace(_record("a"), environment=Environment(versions=elsewhere)), path)
    with pytest.raises(SettingError, match=r"made with torch 1\.0, and here it is"):
        isolate(path, path, "model", lambda line: None, "HEAD", repository)


def test_a_run_that_makes_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its last line is the error."""
    monkeypatch.setattr(isolation, "run_probe", lambda *_: "ImportError: gone")
    path = tmp_path / "old.json.gz"
    write_fingerprint(_record("a"), path)
    with pytest.raises(SettingError, match="makes no record here: ImportError: gone"):
        isolation._record(probe_of(_record("a"), "m"), tmp_path, tmp_path / "x", path)


def test_the_record_says_how_it_was_made() -> None:
    """Seed, states and every setting of the protocol that was not left out."""
    probe = probe_of(_record("a"), "owner/name")
    assert probe.kind == "fingerprint"
    assert " ".join(probe.arguments) == (
        "owner/name --seed 3 --states 1 --protocol default --dtype float32 --batch-size 4"
    )
    data = data_described(DataRequest(seed=3, states=2))
    plain = Fingerprint(Environment(protocol={"name": "vanilla"}, data=data), {})
    assert probe_of(plain, "owner/name") == Probe(
        "vanilla", ("owner/name", "--seed", "3", "--states", "2"), ""
    )


def test_data_of_a_file_is_refused() -> None:
    """A record does not hold where it is."""
    record = Fingerprint(Environment(data={"source": "mine.jsonl"}), {})
    with pytest.raises(SettingError, match="came from a file"):
        probe_of(record, "model")


def test_another_model_is_refused(tmp_path: Path) -> None:
    """Records of two models, and a model that neither was made with, tell nothing of code."""
    named = {name: tmp_path / f"{name}.json" for name in "ab"}
    for name, path in named.items():
        environment = Environment(versions=versions(), model={"fingerprint": name})
        write_fingerprint(replace(_record("x"), environment=environment), path)
    with pytest.raises(SettingError, match="of two models; isolate two records of one"):
        isolate(named["a"], named["b"], "m", print)
    with pytest.raises(SettingError, match=r"--model .*track: not the model that .*a\.json was"):
        isolate(named["a"], named["a"], str(TRACK), print)
