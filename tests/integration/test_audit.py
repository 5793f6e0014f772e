"""The audit of the paper's claims: on the published results and on a folder of runs."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from syrupy.assertion import SnapshotAssertion

from benchmark.cli.app import app, main
from benchmark.hypotheses.claims import claims
from benchmark.models.registry import registry
from benchmark.pytest_plugin.snapshots.extension import PublishedExtension
from benchmark.records import Outcome, State
from benchmark.stats.summary import Scored, scores_as_json
from fakes import finished_runs

Command = Callable[..., str]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Return a function that runs ``claims`` and returns its output."""

    def run(*arguments: str) -> str:
        capsys.readouterr()
        app(["claims", *arguments], standalone_mode=False)
        return capsys.readouterr().out

    return run


def test_the_audit_of_the_published_results(command: Command, snapshot: SnapshotAssertion) -> None:
    """Every verdict on the published table equals the recorded one, with its figures."""
    document = json.loads(command("--results", "published", "--json"))
    assert document == snapshot.use_extension(PublishedExtension)


def test_table_and_json_agree(command: Command) -> None:
    """Every claim has the same verdict in the table and in the JSON."""
    table = command("--results", "published")
    document = json.loads(command("--results", "published", "--json"))
    assert [claim["id"] for claim in document["claims"]] == list(claims())
    for claim in document["claims"]:
        (line,) = (line for line in table.splitlines() if line.startswith(f" {claim['id']} "))
        assert f" {claim['verdict']} " in line


def _write(folder: Path, model: str, rates: Mapping[str, float], at_zero: float) -> None:
    """Write a result as ``run`` does: 200 states of 100 sequences.

    ``rates`` are the accuracies at numops >= 1 by score, ``at_zero`` is the one at numops 0. A
    larger rate keeps every correct answer of a smaller one.
    """
    drawn = np.random.default_rng(1).random((200, 7))
    numops = (0, 0, 1, 2, 3, 1, 7)
    scores = {
        by: Scored.of(
            Outcome(n // 2, numops, tuple(map(bool, row)))
            for n, row in enumerate(drawn < np.array([at_zero] * 2 + [rate] * 5))
        )
        for by, rate in rates.items()
    }
    chance = {"by_numops": {str(n): 15.0 for n in range(8)}}
    document = {
        **scores_as_json(scores),
        "baseline": chance | ({"set": chance, "mentions": chance} if "exact" in scores else {}),
        "model": {"name": model, "fingerprint": "0123"},
        "data": {"sha256": "d1", "states": 200},
        "protocol": {"engine": "outlines", "prompt_format": "completion"},
    }
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps(document))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Write runs of Llama 7B, FLoat and a model that is not registered.

    FLoat is better at numops >= 1 by both scores, by ``set`` much more than the paper's "slightly",
    and worse at numops 0.
    """
    for name, exact, by_set, at_zero in (
        ("llama-7b", 0.05, 0.06, 0.6),
        ("float-7b", 0.08, 0.22, 0.3),
    ):
        rates = {"set": by_set, "exact": exact}
        _write(tmp_path / "runs" / name, registry().model(name).huggingface_id, rates, at_zero)
    _write(tmp_path / "runs" / "other", "somebody/else", {"set": 0.9, "exact": 0.9}, 0.9)
    return tmp_path / "runs"


def test_a_folder_of_runs(command: Command, runs: Path) -> None:
    """Claims about the models that were run are decided by the paired test, the others are not."""
    document = json.loads(command("--results", str(runs), "--json"))
    verdicts = {claim["id"]: claim["verdict"] for claim in document["claims"]}
    decided = {claim for claim, verdict in verdicts.items() if verdict != "undecided"}
    assert decided == {"M2", "M3"}
    assert verdicts["M3"] == "supported"
    m2 = next(claim for claim in document["claims"] if claim["id"] == "M2")
    assert m2["parts"][0]["findings"][0]["test"] == "paired"
    assert document["ignored"] == [f"{runs / 'other' / 'result.json'}: somebody/else"]
    assert document["notes"] == []
    assert "left out of all claims: " in command("--results", str(runs))


def test_a_different_verdict_by_set_is_shown(command: Command, runs: Path) -> None:
    """Verdicts are by exact; table and JSON show a different verdict by set, too."""
    document = json.loads(command("--results", str(runs), "--json"))
    m2, m3 = (c for c in document["claims"] if c["id"] in {"M2", "M3"})
    assert (m2["score"], m2["verdict"], m2["other"]["verdict"]) == (
        "exact",
        "supported",
        "not supported",
    )
    assert m2["other"]["figures"] != m2["figures"]
    assert m3["other"]["verdict"] == "not supported"
    table = command("--results", str(runs))
    assert table.count("by set not supported:") == 2
    assert "2 with a different verdict by set" in " ".join(table.split())
    assert max(map(len, table.splitlines()[:-1])) <= 80


def test_older_runs_are_decided_by_set_with_a_note(command: Command, runs: Path) -> None:
    """Without exact and without predictions, a claim is decided by set, and a note says why."""
    path = runs / "float-7b"
    (path / "result.json").unlink()
    path.rmdir()
    _write(path, registry().model("float-7b").huggingface_id, {"set": 0.22}, 0.3)
    document = json.loads(command("--results", str(runs), "--json"))
    m2 = next(claim for claim in document["claims"] if claim["id"] == "M2")
    assert (m2["score"], m2["verdict"], m2["other"]) == ("set", "not supported", None)
    (note,) = document["notes"]
    assert note.startswith(f"{path / 'result.json'}: only the set score is available")
    table = command("--results", str(runs))
    assert "note: " in table
    assert " by set " in table


def test_an_alternative_repository_is_named(command: Command, tmp_path: Path) -> None:
    """A result from an alternative repository is named."""
    states, other = finished_runs.first_states(26), "google/gemma-1.1-7b-it"
    folders = [
        finished_runs.write_run(tmp_path / "runs" / str(n), model, states, answers)
        for n, (model, answers) in enumerate(
            {
                "google/gemma-7b": finished_runs.initial_answer,
                other: finished_runs.correct_answer,
            }.items()
        )
    ]
    document = json.loads(command("--results", str(tmp_path / "runs"), "--json"))
    assert document["alternatives"] == [
        {
            "model": "gemma-7b-instruct",
            "alternative": other,
            "source": str(folders[1] / "result.json"),
        }
    ]
    line = f"gemma-7b-instruct: measured as {other}"
    assert document["notes"] == [line]
    assert f"\nnote: {line}\n" in command("--results", str(tmp_path / "runs"))


def test_a_user_registry_names_local_models(command: Command, runs: Path, tmp_path: Path) -> None:
    """With ``--registry`` a result of a user's model is registered, and decides no claim."""
    own = tmp_path / "own.toml"
    own.write_text(
        '[models.mine]\nname = "Mine"\nhuggingface_id = "somebody/else"\narchitecture = "llama"\n'
        'size = "7B"\nadded = []\nformat = "completion"\npaper = false\n'
    )
    with_own = json.loads(command("--results", str(runs), "--registry", str(own), "--json"))
    without = json.loads(command("--results", str(runs), "--json"))
    assert with_own["ignored"] == []
    assert with_own["claims"] == without["claims"]


def test_misuse_ends_in_one_line(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder without results, or with an invalid one, is exit code 2 and one line."""
    (runs / "broken").mkdir()
    (runs / "broken" / "result.json").write_text("[]")
    for folder, words in ((runs, "not a JSON object"), (runs / "nowhere", "no result.json")):
        monkeypatch.setattr("sys.argv", ["benchmark", "claims", "--results", str(folder)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        error = capsys.readouterr().err
        assert ended.value.code == 2
        assert words in error
        assert error.count("\n") == 1


def test_formatting_is_decided_on_unconstrained_runs(command: Command, tmp_path: Path) -> None:
    """D2 is decided by the formats of unconstrained answers, from their predictions."""
    states = finished_runs.first_states(130)  # ten sequences

    def breaks(state: State) -> str:
        return finished_runs.correct_answer(state).replace("Box 5 contains", "Box 5 has")

    sizes = {"llama2": ("7b", "13b", "70b"), "codellama": ("7b", "13b", "34b", "70b")}
    for key in (f"{family}-{size}" for family in sizes for size in sizes[family]):
        finished_runs.write_run(
            tmp_path / "runs" / key,
            registry().model(key).huggingface_id,
            states,
            finished_runs.correct_answer if key.endswith("70b") else breaks,
            protocol={"engine": "unconstrained", "prompt_format": "completion"},
        )
    document = json.loads(command("--results", str(tmp_path / "runs"), "--json"))
    d2 = next(claim for claim in document["claims"] if claim["id"] == "D2")
    findings = [finding for part in d2["parts"] for finding in part["findings"]]
    assert (d2["verdict"], d2["score"], d2["other"]) == ("supported", None, None)
    assert [finding["test"] for finding in findings] == ["paired"] * 5
    assert {(finding["before"], finding["after"]) for finding in findings} == {(0.0, 100.0)}
