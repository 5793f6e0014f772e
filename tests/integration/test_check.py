"""``check`` on servers with seeded faults, each of which is found; a correct server passes."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmark.checks.decode_prefill import check_decode_prefill
from benchmark.checks.findings import CheckResult
from benchmark.checks.invariance import check_invariance
from benchmark.checks.subject import Subject
from benchmark.checks.text import check_lines
from benchmark.decoding.connection import ConnectInputs, ExternalSettings
from benchmark.decoding.engine import DecodingLimits
from benchmark.decoding.engines import compile_constraint
from benchmark.decoding.external.completions import ReplyCheck
from benchmark.decoding.external.http_client import Patience, ServerError
from benchmark.decoding.external.server_probe import connect
from benchmark.decoding.external.server_scoring import ServerScoring
from benchmark.decoding.log_probs import Arrangement, DecodedAnswer, ForcedSequence, TokenLogProbs
from benchmark.errors import SettingError
from benchmark.models.location import locate
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.models.tokenizer_loading import load_tokenizer
from benchmark.records import TokenIds
from benchmark.runs.data import load_states
from benchmark.runs.evaluation import Questions
from benchmark.runs.requests import NOT_WRITTEN, DataRequest, Quiet, RunRequest
from benchmark.runs.resolution import resolve
from benchmark.tasks import DEFAULT, task_named
from fakes.command_line import command_line
from fakes.fault_server import CACHED_ERROR, CHAT_TEMPLATE, FaultServer

MODEL = Path(__file__).parents[2] / "fixtures" / "models" / "track"
TASK = task_named(DEFAULT)
STATES = 4
SHORT = Patience(0.0, 0.001)

Open = Callable[..., tuple[FaultServer, Subject]]


@pytest.fixture(scope="module")
def questions() -> Questions:
    """Prompts and correct answers."""
    request = RunRequest(str(MODEL), NOT_WRITTEN, device="cpu")
    tokenizer = load_tokenizer(locate(str(MODEL)))
    return Questions(TASK, resolve(request), tokenizer, load_states(DataRequest(states=STATES)))


@pytest.fixture
def opened(questions: Questions) -> Iterator[Open]:
    """Return a function that starts a server and opens it for a check."""
    tokenizer = questions.tokenizer
    answers = {p: _split(tokenizer, a) for p, a in questions.drafts.items()}
    constraint = compile_constraint(TASK.expression, tokenizer)
    with ExitStack() as stack:

        def start(kind: str = "vllm") -> tuple[FaultServer, Subject]:
            server = stack.enter_context(FaultServer(kind, tokenizer, answers))
            inputs = ConnectInputs(
                ExternalSettings(server.url),
                locate(str(MODEL)),
                tokenizer,
                TASK.expression,
                DecodingLimits(1, 256),
                "float32",
                "cpu",
                print,
            )
            check = ReplyCheck(tokenizer, constraint, 256)
            engine = ServerScoring(connect(inputs, SHORT), check, SHORT)
            return server, Subject(kind, engine, list(answers), tokenizer, "float32", 2)

        yield start


def _split(tokenizer: TransformersTokenizer, ids: TokenIds) -> TokenIds:
    """Return other ids of the same text: the first token that two others spell is those two."""
    by_bytes = {text: token for token, text in tokenizer.token_bytes.items()}
    for place, token in enumerate(ids):
        text = tokenizer.token_bytes[token]
        for cut in range(1, len(text)):
            if text[:cut] in by_bytes and text[cut:] in by_bytes:
                return (*ids[:place], by_bytes[text[:cut]], by_bytes[text[cut:]], *ids[place + 1 :])
    raise AssertionError("no token can be split")


def _kinds(result: CheckResult) -> set[str]:
    return {difference.kind for difference in result.differences}


@pytest.mark.parametrize("kind", ["vllm", "sglang"])
def test_a_correct_server_passes(opened: Open, kind: str) -> None:
    """Its answers and log-probabilities are the same in all arrangements, and in both ways."""
    _, subject = opened(kind)
    for result in (check_invariance(subject, 2, Quiet()), check_decode_prefill(subject, Quiet())):
        assert (result.exit_status, result.largest) == (0, 0.0)
        assert result.places > 50
        assert not result.notes


def test_answers_that_depend_on_the_batch(opened: Open) -> None:
    """They are listed with place and tokens; the exit status is that of a regression."""
    server, subject = opened()
    server.answers_by_position = True
    result = check_invariance(subject, 2, Quiet())
    assert result.exit_status == 4
    assert "answer" in _kinds(result)
    first = next(d for d in result.differences if d.kind == "answer")
    assert len(first.tokens) == 2
    assert first.tokens[0] != first.tokens[1]
    assert "answers depend on the other prompts" in "\n".join(check_lines(result))


@pytest.mark.parametrize("kind", ["vllm", "sglang"])
def test_prefill_that_is_shifted(opened: Open, kind: str) -> None:
    """Its values are found at nearly all places, and said to be those of the place before."""
    server, subject = opened(kind)
    server.prefill = "shifted"
    result = check_decode_prefill(subject, Quiet())
    assert (result.exit_status, _kinds(result)) == (3, {"decoding"})
    assert len(result.differences) > 0.9 * result.places
    assert result.notes == ("the prefill's values are those of the previous place",)


@pytest.mark.parametrize("kind", ["vllm", "sglang"])
def test_ids_that_are_encoded_again(opened: Open, kind: str) -> None:
    """Scores of other ids of the same text are no scores of the answer."""
    server, subject = opened(kind)
    server.prefill = "re-encoded"
    result = check_decode_prefill(subject, Quiet())
    assert (result.exit_status, _kinds(result)) == (4, {"ids"})
    assert len(result.differences) == STATES
    assert check_invariance(subject, 1, Quiet()).exit_status == 4


def test_a_server_without_log_probabilities(opened: Open) -> None:
    """llama.cpp's answers are compared; its prompts cannot be scored."""
    _, subject = opened("llama.cpp")
    result = check_invariance(subject, 1, Quiet())
    assert result.exit_status == 0
    assert any("no log-probabilities of given ids" in note for note in result.notes)
    with pytest.raises(SettingError, match="tells no log-probabilities of given ids"):
        check_decode_prefill(subject, Quiet())


@pytest.mark.parametrize(
    ("kind", "untold"),
    [("vllm", "null"), ("vllm", "absent"), ("sglang", "null"), ("llama.cpp", "absent")],
)
def test_log_probabilities_that_are_missing(opened: Open, kind: str, untold: str) -> None:
    """Answers are compared without them; a check of them alone is an error, and does not pass."""
    server, subject = opened(kind)
    server.untold = untold
    subject = replace(subject, prompts=subject.prompts[:1], together=1)
    result = check_invariance(subject, 1, Quiet())
    assert (result.exit_status, result.places, result.answers) == (0, 0, 1)
    assert "the engine tells no log-probabilities while decoding" in result.notes
    with pytest.raises(SettingError, match="log-probabilit"):
        check_decode_prefill(subject, Quiet())


def test_arrangements_share_no_prefix_cache(opened: Open) -> None:
    """A vLLM server gets a salt per arrangement; llama.cpp is told to keep nothing."""
    server, subject = opened()
    server.requests.clear()
    check_invariance(replace(subject, prompts=subject.prompts[:1], together=1), 1, Quiet())
    salts = [request["cache_salt"] for request in server.requests]
    assert len(salts) == len(set(salts)) == 6  # three arrangements, decoded and scored
    server, subject = opened("llama.cpp")
    assert isinstance(subject.engine, ServerScoring)
    assert subject.engine.connection.facts["cache_prompt"] is True
    server.requests.clear()
    check_invariance(replace(subject, prompts=subject.prompts[:1], together=1), 1, Quiet())
    assert {request["cache_prompt"] for request in server.requests} == {False}


def test_the_cache_of_sglang_is_emptied(opened: Open) -> None:
    """Before each arrangement, so that a cached prompt is no difference; a busy server waits."""
    server, subject = opened("sglang")
    assert isinstance(subject.engine, ServerScoring)
    patient = replace(subject.engine, patience=Patience(5.0, 0.001))
    subject = replace(subject, engine=patient)
    server.caches, server.busy, server.emptied = True, 2, 0
    result = check_invariance(subject, 2, Quiet())
    assert (result.exit_status, result.largest, server.busy) == (0, 0.0, 0)
    assert server.emptied == 8  # the first arrangement twice and two others, decoded and scored
    server.busy = 1_000
    subject = replace(subject, engine=replace(patient, patience=SHORT))
    with pytest.raises(ServerError, match=r"/flush_cache: .*status 400: Cache flushed"):
        check_invariance(subject, 1, Quiet())


def test_a_cache_that_is_not_emptied_is_noise(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same server without the request: noise of two nats, which would hide differences."""
    server, subject = opened("sglang")
    monkeypatch.setattr("benchmark.decoding.external.server_kinds.Sglang.emptied_at", None)
    server.caches = True
    assert check_invariance(subject, 1, Quiet()).floor == 4 * CACHED_ERROR


def _rendering(
    server: FaultServer, *options: str, model: Path = MODEL
) -> tuple[int, dict[str, object]]:
    words = ("--base-url", server.url, "--states", "2", "--json", "-q", *options)
    done = command_line("check", "rendering", model, *words)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize("kind", ["vllm", "llama.cpp"])
def test_rendering_of_text(opened: Open, kind: str) -> None:
    """A server's ids of a prompt's text are those of a run; a lost BOS is found and named."""
    server, _ = opened(kind)
    assert _rendering(server)[0] == 0
    server.adds_bos = False
    status, document = _rendering(server)
    assert status == 4
    assert document["notes"] == [
        "the server leaves out the first token of the prompt, such as a BOS"
    ]


@pytest.fixture(scope="module")
def chat_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the control with the server's chat template."""
    folder = tmp_path_factory.mktemp("chat") / "track"
    shutil.copytree(MODEL, folder)
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    return folder


@pytest.mark.parametrize(
    ("kind", "renders_only", "endpoints"),
    [("vllm", False, 2), ("vllm", True, 2), ("llama.cpp", False, 1)],
)
def test_rendering_of_a_chat(
    opened: Open, chat_model: Path, kind: str, *, renders_only: bool, endpoints: int
) -> None:
    """The chat endpoint's ids, or their number, are ours; its own system prompt is found."""
    server, _ = opened(kind)
    server.renders_only = renders_only
    status, document = _rendering(server, "--prompt-format", "chat", model=chat_model)
    assert (status, document["differences"]) == (0, [])
    once, places = document["answers"], document["places"]
    assert (once, isinstance(places, int) and places % endpoints) == (2, 0)
    server.chat_prefix = "[system] Be brief.\n"
    status, document = _rendering(server, "--prompt-format", "chat", model=chat_model)
    assert status == 4
    differences = document["differences"]
    assert isinstance(differences, list)
    assert len(differences) == 2  # of the chat endpoint alone
    path = "/v1/chat/completions" + "/render" * renders_only
    assert all(one["arrangement"].startswith(path) for one in differences)


def test_rendering_of_text_by_the_endpoint_that_generates(opened: Open) -> None:
    """It is compared too, unless the server has no weights."""
    server, _ = opened()
    with_both = _rendering(server)[1]["places"]
    server.renders_only = True
    alone = _rendering(server)[1]["places"]
    assert isinstance(alone, int)
    assert with_both == 2 * alone > 0


class _Rounding:
    """An engine whose log-probabilities depend on the batch by ``size`` nats."""

    scores = True

    def __init__(self, size: float, *, ties: bool = False, margin: float = 1e-4) -> None:
        """Take the size; with ``ties`` the third token of an answer flips with it."""
        self.size, self.ties, self.margin = size, ties, margin

    def decoded(self, prompts: Sequence[TokenIds], arrangement: Arrangement) -> list[DecodedAnswer]:
        """Return three tokens for each prompt."""
        last = 9 if self.ties and arrangement.together == 1 else 8
        values = np.full(3, -1.0) + self._off(arrangement)
        return [DecodedAnswer((5, 6, last), finished=False, values=values) for _ in prompts]

    def scored(
        self, rows: Sequence[ForcedSequence], arrangement: Arrangement, others: int
    ) -> list[TokenLogProbs]:
        """Return values of the answer's tokens and of one other."""
        ids = [[[token, 9 if token == 8 else 8] for token in row.answer] for row in rows]
        values = np.array([[-1.0, -1.0 - self.margin]] * 3) + self._off(arrangement)
        return [
            TokenLogProbs(np.array(one, dtype=np.int32)[:, : others + 1], values) for one in ids
        ]

    def _off(self, arrangement: Arrangement) -> float:
        return self.size if arrangement.together == 1 else 0.0


@pytest.mark.parametrize(
    ("size", "margin", "status", "kinds"),
    [
        (1e-5, None, 0, set()),
        (0.01, None, 3, {"decoding", "prefill"}),
        (0.01, 1e-4, 3, {"decoding", "prefill", "near tie"}),
        (5.0, 3.0, 4, {"decoding", "prefill", "answer"}),
    ],
)
def test_the_floor_of_invariance(
    questions: Questions,
    size: float,
    margin: float | None,
    status: int,
    kinds: set[str],
) -> None:
    """Below a record's resolution is noise; an answer that flips at a near tie is no other one.

    A fault of 5 nats does not make a margin of 3 a near tie.
    """
    engine = _Rounding(size, ties=margin is not None, margin=margin or 1e-4)
    subject = Subject("f", engine, [(1,), (2,)], questions.tokenizer, "float32", 2)
    result = check_invariance(subject, 1, Quiet())
    assert (result.exit_status, _kinds(result)) == (status, kinds)


def test_the_floor_of_decoding_and_prefill(questions: Questions) -> None:
    """It is what rounding explains in the dtype, and four times what batches differ by."""
    for size, dtype, floor in (
        (0.0, "float32", 1e-3),
        (0.0, "bfloat16", 0.2),
        (0.1, "float32", 0.4),
    ):
        subject = Subject("f", _Rounding(size), [(1,), (2,)], questions.tokenizer, dtype, 2)
        result = check_decode_prefill(subject, Quiet())
        assert result.floor == pytest.approx(floor)
        assert result.exit_status == 0


def test_an_infinite_difference(questions: Questions) -> None:
    """It counts, also in the largest difference, and is null in JSON."""
    engine = _Rounding(np.inf)
    subject = Subject("f", engine, [(1,), (2,)], questions.tokenizer, "float32", 2)
    result = check_invariance(subject, 1, Quiet())
    assert (result.exit_status, result.largest) == (3, np.inf)
    assert result.places == 12
    document = result.as_json()
    assert document["largest"] is None
    assert "Infinity" not in json.dumps(document)


def test_the_own_engine() -> None:
    """By the command line: batches change nothing, and decoding agrees with teacher forcing."""
    for verb in ("invariance", "decode-prefill"):
        options = ("--states", "1", "--device", "cpu", "--json", "-q")
        done = command_line("check", verb, MODEL, *options)
        assert done.returncode == 0, done.stdout + done.stderr
        document: Mapping[str, object] = json.loads(done.stdout)
        assert document["check"] == verb
        assert document["differences"] == []
        assert isinstance(document["places"], int)
        assert document["places"] > 10
