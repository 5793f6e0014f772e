"""Fingerprints of an engine that runs elsewhere, by fake servers."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmark.decoding.external.http_client import ServerError
from benchmark.fingerprints.compare import compare
from benchmark.fingerprints.comparison import Severity
from benchmark.fingerprints.logits import RESOLUTION
from benchmark.fingerprints.record import Fingerprint
from benchmark.fingerprints.record_run import FingerprintRequest, fingerprint
from benchmark.fingerprints.storage import fingerprint_text, read_text
from benchmark.models.location import locate
from benchmark.models.tokenizer_loading import load_tokenizer
from benchmark.runs.data import load_states
from benchmark.runs.evaluation import Questions
from benchmark.runs.requests import NOT_WRITTEN, DataRequest, Quiet, RunRequest
from benchmark.runs.resolution import resolve
from benchmark.tasks import DEFAULT, task_named
from fakes.fault_server import FaultServer, log_prob

MODEL = Path(__file__).parents[2] / "fixtures" / "models" / "track"
STATES = 2

Serve = Callable[..., FaultServer]


@pytest.fixture(scope="module")
def questions() -> Questions:
    """Prompts and correct answers, which the servers know."""
    settings = resolve(RunRequest(str(MODEL), NOT_WRITTEN, device="cpu"))
    states = load_states(DataRequest(states=STATES))
    return Questions(task_named(DEFAULT), settings, load_tokenizer(locate(str(MODEL))), states)


@pytest.fixture
def serve(questions: Questions) -> Iterator[Serve]:
    """Return a function that starts a server of a kind."""
    with ExitStack() as stack:

        def start(kind: str = "vllm") -> FaultServer:
            server = FaultServer(kind, questions.tokenizer, questions.drafts)
            return stack.enter_context(server)

        yield start


def _record(url: str, along: Fingerprint | None = None, repeats: int = 0) -> Fingerprint:
    data = DataRequest(states=STATES)
    run = RunRequest(
        str(MODEL), NOT_WRITTEN, data, device="cpu", engine="server", base_url=url, batch_size=2
    )
    return fingerprint(FingerprintRequest(run, along, repeats), Quiet())


def test_an_upgrade_of_a_server(serve: Serve, questions: Questions) -> None:
    """Its log-probabilities are recorded as it tells them, and its version is the first suspect."""
    server = serve()
    old = _record(server.url, repeats=1)
    assert set(old.stages) >= {"prompt_ids", "logits", "generated_ids", "answer", "outcome"}
    assert "weights" not in old.stages
    assert not [name for name, stage in old.stages.items() if stage.failed]
    assert old.environment.engine["kind"] == "vllm"
    assert old.environment.engine["versions.vllm"] == "0.32.0"
    assert [repeat.outputs for repeat in old.repeats] == [0]
    prompt, path = questions.prompt_ids[1], old.path[1]
    assert path == (*questions.correct[1], questions.tokenizer.eos_id)
    assert old.logits is not None
    told = old.logits.state(1)[1][:, 0] * RESOLUTION
    expected = [log_prob((*prompt, *path), len(prompt) + place) for place in range(len(path))]
    assert told == pytest.approx(expected, abs=RESOLUTION)
    assert read_text(fingerprint_text(old)).environment == old.environment
    server.version, server.answers_by_position = "0.33.0", True
    diff = compare(old, _record(server.url, along=old))
    assert (diff.stage, diff.severity) == ("generated_ids", Severity.REGRESSION)
    assert diff.suspects[0].name == "vllm (engine)"
    assert (diff.suspects[0].old, diff.suspects[0].new) == ("0.32.0", "0.33.0")


def test_a_server_without_log_probabilities(serve: Serve) -> None:
    """llama.cpp has no stage of them; everything else is recorded."""
    record = _record(serve("llama.cpp").url)
    assert "logits" not in record.stages
    assert record.logits is None
    assert record.environment.engine["versions.llama.cpp"] == "b9999"
    assert record.outcomes


def test_a_server_that_ignores_the_constraint_after_an_upgrade(serve: Serve) -> None:
    """The stage fails in a record that follows an older one; a server that is gone is an error."""
    server = serve()
    old = _record(server.url)
    server.ignores_constraint = True
    diff = compare(old, _record(server.url, along=old))
    assert "ignores the constraint" in diff.failed["generated_ids"]
    assert diff.severity is Severity.REGRESSION
    with pytest.raises(ServerError):
        _record("http://127.0.0.1:9", along=old)
