"""The engine ``vllm`` with a fake of its process; tests/engines has the real one."""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmark.decoding.connection import ConnectInputs, ExternalSettings
from benchmark.decoding.constraint import Constraint
from benchmark.decoding.engine import DecodingLimits
from benchmark.decoding.external import session, vllm_engine
from benchmark.decoding.external.completions import ReplyCheck
from benchmark.decoding.external.installed import versions_in
from benchmark.decoding.external.messages import EngineSetup, StreamedAnswer
from benchmark.decoding.external.process import EngineProcessError
from benchmark.decoding.external.vllm_engine import VllmConnection, VllmEngine
from benchmark.errors import ModelError, SettingError
from benchmark.models.location import locate
from benchmark.models.tokenizer_loading import load_tokenizer

MODEL = Path(__file__).parents[4] / "fixtures" / "models" / "track"
EXPRESSION = "Statement:( Box)+"

Connect = Callable[..., VllmConnection]


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Return a function that finds a vLLM in this environment, of these versions."""
    monkeypatch.setattr(vllm_engine, "engine_environment", lambda *_: Path(sys.prefix))
    monkeypatch.setattr("benchmark.decoding.external.launch.find_spec", lambda _: True)
    monkeypatch.setattr(vllm_engine, "processors", lambda: [0, 1, 2, 3])
    location = locate(str(MODEL))
    inputs = ConnectInputs(
        ExternalSettings(),
        location,
        load_tokenizer(location),
        EXPRESSION,
        DecodingLimits(1, 20),
        "float32",
        "cpu",
        print,
    )

    def start(versions: dict[str, str] | None = None, **changes: object) -> VllmConnection:
        found = {"vllm": "0.32.0"} if versions is None else versions
        monkeypatch.setattr(vllm_engine, "versions_in", lambda *_: found)
        return vllm_engine.connect(replace(inputs, **changes))  # type: ignore[arg-type]

    return start


def test_what_the_identity_has(connect: Connect) -> None:
    """Versions, parallelism, the pinned backend and all arguments are in it."""
    facts = connect(settings=ExternalSettings(tensor_parallel=2, pipeline_parallel=2)).facts
    assert facts["versions"] == {"vllm": "0.32.0"}
    arguments = facts["arguments"]
    assert isinstance(arguments, dict)
    assert arguments["structured_outputs_config"] == {"backend": "xgrammar"}
    assert (arguments["tensor_parallel_size"], arguments["pipeline_parallel_size"]) == (2, 2)


def test_processors_and_gpus(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranks on a CPU share its processors; those on GPUs are as many as the device names."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    environment = connect(settings=ExternalSettings(tensor_parallel=2)).command.environment
    assert environment["VLLM_CPU_OMP_THREADS_BIND"] == "0,1|2,3"
    connection = connect(device="cuda:4,6")
    assert connection.command.environment["CUDA_VISIBLE_DEVICES"] == "4,6"
    assert connection.arguments["tensor_parallel_size"] == 2
    assert "kv_cache_memory_bytes" not in connection.arguments
    settings = ExternalSettings(pipeline_parallel=2)
    arguments = connect(device="cuda:0,1", settings=settings).arguments
    assert (arguments["tensor_parallel_size"], arguments["pipeline_parallel_size"]) == (1, 2)
    assert connect(device="cuda").arguments["tensor_parallel_size"] == 1
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    assert connect(device="cuda").arguments["distributed_executor_backend"] == "ray"


@pytest.mark.parametrize(("gpus", "ranks"), [(0, 1), (1, 1), (2, 1), (6, 3), (8, 3)])
def test_all_gpus_of_the_device(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, gpus: int, ranks: int
) -> None:
    """``cuda`` is all that torch sees; a model of three heads is divided among one or three."""
    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    monkeypatch.setattr(vllm_engine, "configuration", lambda _: None)
    monkeypatch.setattr(vllm_engine, "shape", lambda _: SimpleNamespace(heads=3))
    assert connect(device="cuda").arguments["tensor_parallel_size"] == ranks
    given = ExternalSettings(tensor_parallel=2)
    assert connect(device="cuda", settings=given).arguments["tensor_parallel_size"] == 2

    def unknown(_: object) -> SimpleNamespace:
        raise ModelError("its size cannot be counted")

    monkeypatch.setattr(vllm_engine, "shape", unknown)
    powers = {0: 1, 1: 1, 2: 2, 6: 4, 8: 8}
    assert connect(device="cuda").arguments["tensor_parallel_size"] == powers[gpus]


def test_the_gpus_that_were_leased(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine was found for two GPUs, and computes on the two that it gets."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    settings = ExternalSettings().on_gpus(2)
    assert ExternalSettings(pipeline_parallel=2).on_gpus(4) == ExternalSettings(
        tensor_parallel=2, pipeline_parallel=2
    )
    assert ExternalSettings(tensor_parallel=4).on_gpus(2).ranks == 4
    connection = connect(device="cuda", settings=settings)
    placed = connection.placed("cuda:1,3")
    assert placed.command.environment["CUDA_VISIBLE_DEVICES"] == "5,7"
    assert placed.facts == connection.facts
    assert connection.placed("cuda") == connection.placed("cpu") == connection
    with pytest.raises(SettingError, match="engine vllm: 2 ranks for --device cuda:1"):
        connection.placed("cuda:1")


def test_gpus_of_a_process_that_sees_some(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers count the visible GPUs, which may have names."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,GPU-6f")
    assert vllm_engine.visible_gpus("0,2") == "4,GPU-6f"
    with pytest.raises(SettingError, match="CUDA_VISIBLE_DEVICES has 3 GPUs"):
        vllm_engine.visible_gpus("3")


def test_a_tokenizer_elsewhere(connect: Connect, tmp_path: Path) -> None:
    """The folder is told to vLLM, as its constraint needs the vocabulary."""
    location = replace(locate(str(MODEL)), tokenizer=tmp_path)
    assert connect(location=location).setup([(1,)], 20, 2)["tokenizer"] == str(tmp_path)
    assert "tokenizer" not in connect().setup([(1,)], 20, 2)


def test_weights_are_not_fetched_to_find_the_engine(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are fetched when something is decoded, if they fit."""
    location = replace(locate(str(MODEL)), digest="commit:0")
    assert location.on_hub
    for name in ("fetch_weights", "fetch_missing_weights"):
        monkeypatch.setattr(f"benchmark.models.location.{name}", None)  # calling it is an error
    assert connect(location=location).model == str(MODEL)


def test_misuse(connect: Connect) -> None:
    """Each is refused before anything is started."""
    with pytest.raises(SettingError, match="build for CPUs; use --device cpu"):
        connect({"vllm-cpu": "0.32.0"}, device="cuda")
    with pytest.raises(SettingError, match="engine vllm takes safetensors"):
        connect(location=replace(locate(str(MODEL)), gguf="m.gguf"))
    with pytest.raises(SettingError, match="5 ranks for 4 processors"):
        connect(settings=ExternalSettings(tensor_parallel=5))


def test_versions_of_an_environment() -> None:
    """They are those of the packages that are installed there."""
    versions = versions_in(Path(sys.prefix), ("torch", "no-such-library"))
    assert versions.keys() == {"torch"}


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A fake process that answers with ``answers``, the last prompt first."""
    fake = SimpleNamespace(answers=[], killed=0, setups=[])

    def create(_: str, *arguments: object) -> SimpleNamespace:
        fake.setups.append(arguments[-1])
        return fake

    def stream(prompts: Sequence[Sequence[int]]) -> Iterator[StreamedAnswer]:
        fake.prompts = list(prompts)
        for index in reversed(range(len(prompts))):
            yield {"index": index, "token_ids": fake.answers[index], "finished": True}

    def kill() -> None:
        fake.killed += 1

    fake.stream, fake.kill = stream, kill
    monkeypatch.setattr(session, "EngineProcess", create)
    return fake


@pytest.fixture
def engine(connect: Connect) -> VllmEngine:
    """The engine for a small expression."""
    tokenizer = load_tokenizer(locate(str(MODEL)))
    constraint = Constraint(EXPRESSION, tokenizer.token_bytes, tokenizer.eos_id)
    return VllmEngine(connect(), ReplyCheck(tokenizer, constraint, 20))


def test_answers_in_tree_order(engine: VllmEngine, process: SimpleNamespace) -> None:
    """Prompts are sorted, those that are done left out, and indices are those of the caller."""
    tokenizer = engine.check.tokenizer
    one, two = tokenizer.encode("Statement: Box"), tokenizer.encode("Statement: Box Box")
    process.answers = [[*one, tokenizer.eos_id], [*two, tokenizer.eos_id]]
    batches = list(engine.generate([(5, 7), (5, 9), (5, 6)], done={1}))
    assert process.prompts == [[5, 6], [5, 7]]
    assert [(index, c.text) for ((index, c),) in batches] == [
        (0, "Statement: Box Box"),
        (2, "Statement: Box"),
    ]
    setup: EngineSetup = process.setups[0]
    assert (setup["max_model_len"], setup["expression"]) == (23, EXPRESSION)
    assert process.killed == 1
    assert not list(engine.generate([(5, 7)], done={0}))


def test_a_broken_answer(engine: VllmEngine, process: SimpleNamespace) -> None:
    """It ends the run with one line, and the process."""
    process.answers = [[5, 5]]
    with pytest.raises(EngineProcessError, match="vllm: an answer that breaks the constraint"):
        list(engine.generate([(5, 7)]))
    assert process.killed == 1
