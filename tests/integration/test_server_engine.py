"""``--engine server`` against a server with faults: nothing is lost, and nothing doubled."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import pytest

from benchmark.decoding.connection import ConnectInputs, EngineFaultError, ExternalSettings
from benchmark.decoding.engine import DecodingLimits
from benchmark.decoding.engines import compile_constraint
from benchmark.decoding.external.completions import EngineReply, FaultyReplyError, ReplyCheck
from benchmark.decoding.external.http_client import KEY_VARIABLE, Patience, ServerError
from benchmark.decoding.external.messages import DecodeReply
from benchmark.decoding.external.server_engine import ServerEngine
from benchmark.decoding.external.server_probe import ServerConnection, connect
from benchmark.errors import ModelError, SettingError
from benchmark.models.location import locate
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.models.tokenizer_loading import load_tokenizer
from benchmark.runs.data import load_states
from benchmark.runs.evaluation import Questions
from benchmark.runs.requests import NOT_WRITTEN, DataRequest, RunRequest
from benchmark.runs.resolution import resolve
from benchmark.speed import own_worker
from benchmark.speed.comparison import SpeedRequest
from benchmark.speed.engine_pool import SpeedInputs
from benchmark.speed.figures import ArithmeticLimit, Measurement, figures
from benchmark.speed.progress import EnginesProgress
from benchmark.speed.run import speed
from benchmark.speed.specs import parse
from benchmark.tasks import DEFAULT, task_named
from benchmark.terminal import console
from fakes.command_line import command_line
from fakes.fault_server import FAULTS, FaultServer

MODEL = Path(__file__).parents[2] / "fixtures" / "models" / "track"
TASK = task_named(DEFAULT)
STATES = 6
KINDS = ("vllm", "sglang", "llama.cpp")
KEY = "a-secret-key"
SHORT = Patience(0.0, 0.001)
"""After the first failure a request is given up."""

LONG = Patience(20.0, 0.001)

Serve = Callable[..., FaultServer]


@pytest.fixture(scope="module")
def questions() -> Questions:
    """Prompts and correct answers, which the servers know."""
    request = RunRequest(str(MODEL), NOT_WRITTEN, device="cpu")
    tokenizer = load_tokenizer(locate(str(MODEL)))
    return Questions(TASK, resolve(request), tokenizer, load_states(DataRequest(states=STATES)))


@pytest.fixture(scope="module")
def tokenizer(questions: Questions) -> TransformersTokenizer:
    """The tokenizer of the controls."""
    return questions.tokenizer


@pytest.fixture
def serve(questions: Questions) -> Iterator[Serve]:
    """Return ``serve(kind, faults=...)``, which starts a server."""
    with ExitStack() as stack:

        def start(kind: str = "vllm", **options: object) -> FaultServer:
            server = FaultServer(kind, questions.tokenizer, questions.drafts, **options)  # type: ignore[arg-type]
            return stack.enter_context(server)

        yield start


def _connect(server: FaultServer, questions: Questions, **settings: object) -> ServerConnection:
    external = ExternalSettings(server.url, **settings)  # type: ignore[arg-type]
    limits = DecodingLimits(1, 256)
    location = locate(str(MODEL))
    inputs = ConnectInputs(
        external, location, questions.tokenizer, TASK.expression, limits, "float32", "cpu", print
    )
    return connect(inputs, SHORT)


def _engine(
    server: FaultServer, questions: Questions, patience: Patience = LONG, **settings: object
) -> ServerEngine:
    constraint = compile_constraint(TASK.expression, questions.tokenizer)
    connection = _connect(server, questions, **settings)
    return ServerEngine(connection, ReplyCheck(questions.tokenizer, constraint, 256), patience)


def _answers(engine: ServerEngine, questions: Questions) -> list[tuple[int, tuple[int, ...]]]:
    return [
        (index, completion.token_ids)
        for batch in engine.generate(questions.prompt_ids)
        for index, completion in batch
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_found_and_asked(serve: Serve, questions: Questions, kind: str) -> None:
    """Its answers come back; every field that changes a choice is sent, in tree order."""
    server = serve(kind)
    engine = _engine(server, questions, concurrency=1)
    assert engine.connection.facts["kind"] == kind
    assert engine.connection.enforced is True
    assert dict(_answers(engine, questions)) == dict(enumerate(questions.correct))
    bodies = server.requests[-STATES:]
    sent = [tuple(body["input_ids" if kind == "sglang" else "prompt"]) for body in bodies]
    assert sent == sorted(questions.prompt_ids)
    for body in bodies:
        fields = {**body, **body.get("sampling_params", {})}
        assert fields["temperature"] == 0
        assert fields["top_p"] == 1
        assert fields.get("repetition_penalty", fields.get("repeat_penalty")) == 1
        assert 256 in {fields.get(n) for n in ("max_tokens", "max_new_tokens", "n_predict")}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_loses_nothing(serve: Serve, questions: Questions, kind: str, fault: str) -> None:
    """After one faulty reply each, all answers are there once."""
    server = serve(kind, faults={number: [fault] for number in range(0, STATES, 2)})
    answers = _answers(_engine(server, questions), questions)
    assert sorted(answers) == list(enumerate(questions.correct))


def test_finished_answers_come_before_the_failure(serve: Serve, questions: Questions) -> None:
    """One prompt fails for good; those that were open with it are yielded first."""
    server = serve(faults={0: ["500"] * 99, 1: ["slow"]})
    engine = _engine(server, questions, SHORT, concurrency=STATES)
    answers = list[int]()
    words = "status 500: later; given up after .* s; finished answers are kept, rerun to resume$"
    with pytest.raises(ServerError, match=words):
        answers.extend(
            index for batch in engine.generate(questions.prompt_ids) for index, _ in batch
        )
    assert sorted(answers) == [1, 2, 3, 4, 5]


def test_an_answer_that_stays_wrong(serve: Serve, questions: Questions) -> None:
    """A greedy server repeats it; it is asked for five times, not for minutes."""
    server = serve(faults={0: ["broken constraint"] * 99})
    engine = _engine(server, questions, concurrency=1)
    words = r"an answer that breaks the constraint.*given up after \d+ s$"  # before any answer
    with pytest.raises(ServerError, match=words):
        next(engine.generate(questions.prompt_ids[:1]))
    assert [tuple(body["prompt"]) for body in server.requests].count(questions.prompt_ids[0]) == 5


def test_requests_do_not_keep_the_process(serve: Serve, questions: Questions) -> None:
    """Threads that wait for a server are not waited for, as after Ctrl-C."""
    before = set(threading.enumerate())
    server = serve(faults={number: ["slow"] for number in range(1, STATES)})
    batches = _engine(server, questions, concurrency=STATES).generate(questions.prompt_ids)
    first = next(batches)
    started = set(threading.enumerate()) - before
    rest = list(batches)  # a connection that is left open would be a warning
    assert len(first) + len(rest) == STATES
    assert started
    assert all(thread.daemon for thread in started)


@pytest.mark.parametrize(
    ("ids", "finished", "message"),
    [
        ((*range(20, 29), 0), True, "breaks the constraint"),
        (None, False, r"of \d+ tokens, where the limit is 4"),
    ],
)
def test_replies_that_are_no_answers(
    questions: Questions,
    ids: tuple[int, ...] | None,
    finished: bool,  # noqa: FBT001  # passed by name
    message: str,
) -> None:
    """A wrong text before another end, and a text that is longer than the limit."""
    constraint = compile_constraint(TASK.expression, questions.tokenizer)
    check = ReplyCheck(questions.tokenizer, constraint, 4)
    with pytest.raises(FaultyReplyError, match=message):
        check.completion(EngineReply(ids or questions.correct[0], finished))


def test_another_end_than_the_tokenizers(questions: Questions) -> None:
    """A server may end an answer by a token without a text, such as the end of a turn."""
    constraint = compile_constraint(TASK.expression, questions.tokenizer)
    check = ReplyCheck(questions.tokenizer, constraint, 256)
    answer = questions.correct[0]
    special = max(questions.tokenizer.token_bytes) + 100
    for end in ((), (questions.tokenizer.eos_id,), (special,)):
        completion = check.completion(EngineReply((*answer, *end), finished=True))
        assert (completion.token_ids, completion.finished) == (answer, True)
    with pytest.raises(FaultyReplyError, match="breaks the constraint"):
        check.completion(EngineReply((*answer[:-1], special), finished=True))


def test_an_empty_reply_does_not_show_the_constraint(
    serve: Serve, questions: Questions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A constrained reply without a token breaks the constraint too."""
    server = serve()
    reply = server.reply

    def empty(prompt: tuple[int, ...], body: dict[str, object], fault: str | None) -> object:
        document = reply(prompt, body, fault)
        if "structured_outputs" in body:
            document["choices"][0]["token_ids"] = []
        return document

    monkeypatch.setattr(server, "reply", empty)
    with pytest.raises(SettingError, match="ignores the constraint"):
        _connect(server, questions)


def test_an_ignored_constraint_is_refused(serve: Serve, questions: Questions) -> None:
    """The line says what to change."""
    server = serve()
    server.ignores_constraint = True
    with pytest.raises(SettingError, match=r"ignores the constraint.*start vLLM 0.12 or newer"):
        _connect(server, questions)


def test_a_server_that_returns_no_ids(serve: Serve, questions: Questions) -> None:
    """It is refused at once."""
    server = serve()
    server.returns_no_ids = True
    with pytest.raises(ServerError, match="returns no token ids"):
        _connect(server, questions)


def test_another_vocabulary(
    serve: Serve, questions: Questions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server whose ids mean other texts has another model."""
    server = serve()
    monkeypatch.setattr("fakes.fault_server.detokenize", lambda *_: "other words")
    with pytest.raises(ModelError, match="served has another vocabulary than --model"):
        _connect(server, questions)


def test_another_kind_than_named(serve: Serve, questions: Questions) -> None:
    """A named kind is the only one that is asked for."""
    with pytest.raises(SettingError, match="does not answer as sglang does"):
        _connect(serve("vllm"), questions, kind="sglang")


def _model(name: str, **more: object) -> dict[str, object]:
    return {"id": name, "root": "/models/base", "parent": None, "max_model_len": 4096, **more}


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        ([_model("another")], "another"),
        ([_model("base"), _model("track", parent="base", root="/lora")], "track"),
        ([_model("base"), _model(str(MODEL))], str(MODEL)),
        ([_model("x", root="/x"), _model("a", root=str(MODEL)), _model("b", root=str(MODEL))], "a"),
    ],
)
def test_one_of_several_models(
    serve: Serve, questions: Questions, models: list[dict[str, object]], expected: str
) -> None:
    """The one with the name of --model is asked, by its last part or its files too."""
    server = serve("vllm")
    server.models = models
    assert _connect(server, questions).facts["model"] == expected
    assert {body["model"] for body in server.requests} == {expected}


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ([_model("base"), _model("x")], "has several models, base, x, and none is .*track; give"),
        ([_model("base"), _model("lora", parent="base", root=str(MODEL))], "has several models"),
        ([], "lists no model"),
    ],
)
def test_models_without_the_one_that_is_meant(
    serve: Serve, questions: Questions, models: list[dict[str, object]], message: str
) -> None:
    """None is asked in its place."""
    server = serve("vllm")
    server.models = models
    with pytest.raises(EngineFaultError, match=message):
        _connect(server, questions)
    assert not server.requests


def test_a_router_of_llama_cpp(serve: Serve, questions: Questions) -> None:
    """It has no model itself; the line names those that it starts."""
    server = serve("llama.cpp")
    server.router, server.models = True, [{"id": "one"}, {"id": "two"}]
    with pytest.raises(EngineFaultError, match=r"a router of llama.cpp.*\(one, two\).*-m FILE"):
        _connect(server, questions)


@pytest.mark.parametrize(
    "page", [(400, b"{}"), (403, b"no"), (307, b"{}"), (200, b"<html>welcome</html>")]
)
def test_a_gateway_that_refuses_a_path(
    serve: Serve, questions: Questions, page: tuple[int, bytes]
) -> None:
    """Another kind's path, or one that tells settings, does not end the search."""
    server = serve("vllm")
    server.pages = dict.fromkeys(("/props", "/server_info"), page)
    assert _connect(server, questions).facts["kind"] == "vllm"
    server.pages["/version"] = page
    with pytest.raises(ServerError, match=r"/props.*; if you know the server's kind, give --kind"):
        _connect(server, questions)
    with pytest.raises(ServerError, match="/version") as error:
        _connect(server, questions, kind="vllm")
    assert "--kind" not in str(error.value)


def test_prompts_longer_than_the_server_takes(serve: Serve, questions: Questions) -> None:
    """The line says so before anything is asked."""
    server = serve()
    server.longest = 300
    engine = _engine(server, questions)
    with pytest.raises(SettingError, match="the server takes 300"):
        _answers(engine, questions)


def test_a_redirect_is_not_followed(
    serve: Serve, questions: Questions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key does not reach another server."""
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    other, server = serve(), serve()
    server.redirect = f"{other.url}/v1/completions"
    with pytest.raises(ServerError, match=r"is redirected to .* which is not followed"):
        _answers(_engine(server, questions), questions)
    assert not other.keys
    assert set(server.keys) == {f"Bearer {KEY}"}


def _run(server: FaultServer, out: Path, *options: str) -> tuple[int, str]:
    done = command_line(
        *("run", "--model", MODEL, "--device", "cpu", "--states", str(STATES), "--out", out),
        *("--engine", "server", "--base-url", server.url, "--concurrency", "1", *options),
    )
    return done.returncode, done.stdout + done.stderr


def _lines(out: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]


def test_a_run_resumes_at_another_server(
    serve: Serve, questions: Questions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server refuses requests in the middle of a run; the rest is asked of the next one.

    The key that it repeats is neither printed nor stored.
    """
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    first, second, out = serve(), serve(), tmp_path / "run"
    first.status, first.fails_after = 401, 3
    code, text = _run(first, out)
    assert (code, "status 401" in text, KEY in text) == (2, True, False)
    assert len(_lines(out)) == 3
    code, text = _run(second, out)
    assert code == 0, text
    lines = _lines(out)
    assert [line["input"] for line in lines] == [s.description for s in questions.states]
    assert [tuple(line["token_ids"]) for line in lines] == questions.correct  # type: ignore[arg-type]
    known = [prompt for prompt in second.asked if prompt in questions.drafts]
    assert len(known) == STATES - 3
    result = json.loads((out / "result.json").read_text())
    assert result["engine"]["version"] == "0.32.0"
    assert result["engine"]["weights"].startswith("unknown")
    assert not any(KEY in path.read_text() for path in out.iterdir())


def test_a_server_that_is_not_there(serve: Serve, tmp_path: Path) -> None:
    """The line names the address; nothing is written."""
    server = serve()
    server.__exit__()
    code, text = _run(server, tmp_path / "run")
    assert (code, server.url in text) == (2, True)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--engine", "server"), "needs --base-url"),
        (("--engine", "server", "--base-url", "ftp://x"), "give http://HOST:PORT"),
        (("--engine", "server", "--base-url", "http://u:p@x"), "without user, key or query"),
        (("--engine", "server", "--base-url", "http://☃.example"), "Invalid IDNA hostname"),
        (("--base-url", "http://x"), "--base-url is for --engine server"),
        (("--engine", "server", "--base-url", "http://x", "--concurrency", "0"), "--concurrency"),
    ],
)
def test_misuse(options: Sequence[str], message: str, tmp_path: Path) -> None:
    """Each is one line."""
    done = command_line("run", "--model", MODEL, "--out", tmp_path / "run", *options)
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_speed_times_a_server(serve: Serve, questions: Questions, kind: str) -> None:
    """Its worker has the answers; what a server does not tell about itself is not reported."""
    inputs = SpeedInputs(
        model=str(MODEL),
        gguf=None,
        digest="",
        device="cpu",
        max_new_tokens=256,
        expression=TASK.expression,
        grammar="",
        stops=(questions.tokenizer.eos_id,),
        prompts=questions.prompt_ids,
        expected=[()] * STATES,
        external=ExternalSettings(serve(kind).url),
    )
    (spec,) = parse("server", "float32", 32)
    measured = Measurement(spec, range(STATES))
    worker = own_worker._create(inputs.setup(spec))
    for _ in range(2):
        reply = worker(inputs.request(spec, range(STATES)))
        measured.rounds.append(cast("DecodeReply", reply))
    assert measured.answers == dict(enumerate(map(list, questions.correct)))
    row = figures(measured, None, ArithmeticLimit(1, 1, 1, 1, 1, 1, STATES))
    assert row.seconds is not None
    assert row.seconds > 0
    unknown = (row.processor, row.passes, row.tokens, row.peak_memory, row.to_limit, row.roofline)
    assert unknown == (None,) * 6


@pytest.mark.parametrize(
    ("engines", "address", "message"),
    [
        ("server,speculative", None, "server needs --base-url"),
        ("speculative", "http://127.0.0.1:1", "are for the engine server"),
    ],
)
def test_speed_needs_an_address_for_a_server(
    engines: str, address: str | None, message: str
) -> None:
    """It is asked for before anything is loaded, and refused where no engine takes it."""
    run = RunRequest(str(MODEL), NOT_WRITTEN, DataRequest(states=1), device="cpu")
    request = SpeedRequest(run, engines, external=ExternalSettings(address))
    with pytest.raises(SettingError, match=message):
        speed(request, EnginesProgress(console(quiet=True)))
