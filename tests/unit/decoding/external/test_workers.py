"""The workers of vLLM and llama.cpp with fakes of these libraries.

The libraries themselves are installed in another environment.
"""

import sys
from collections.abc import Callable, Sequence
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from benchmark.decoding.external.llama_cpp_worker import LlamaCppEngine
from benchmark.decoding.external.messages import DecodeRequest, EngineSetup
from benchmark.decoding.external.vllm_worker import VllmEngine
from benchmark.errors import DoesNotFitError
from benchmark.models import gpus
from benchmark.models.gpus import Gpu, GpuUse

EOS = 9
SETUP: EngineSetup = {
    "engine": "",
    "row": {"name": ""},
    "model": "there",
    "dtype": "float32",
    "device": "cpu",
    "max_new_tokens": 30,
    "max_model_len": 100,
    "expression": "a+",
    "grammar": 'root ::= "a"+',
    "stops": [EOS],
    "tuned": {"block_size": 32},
}
WORK: DecodeRequest = {
    "batch_size": 1,
    "states": [0, 1],
    "prompts": [[1, 2, 4], [1, 2, 3]],
    "expected": [[], []],
}


def _module(monkeypatch: pytest.MonkeyPatch, name: str, **contents: object) -> None:
    module = ModuleType(name)
    vars(module).update(contents)
    monkeypatch.setitem(sys.modules, name, module)


class FakeLlama:
    """llama.cpp's server with one slot, which caches the prefix of the last prompt."""

    def __init__(self, parameters: SimpleNamespace) -> None:
        """Begin with an empty slot."""
        self.parameters = parameters
        self.slot: list[int] = []
        self.requests: list[dict[str, Any]] = []

    def handle_completions(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer with 5 and EOS."""
        self.requests.append(request)
        prompt = request["prompt"]
        if 7 in prompt:
            return {"error": "no room"}
        cached = 0
        while request["cache_prompt"] and cached < min(len(prompt) - 1, len(self.slot)):
            if prompt[cached] != self.slot[cached]:
                break
            cached += 1
        self.slot = prompt
        content = [{"id": 5}, {"id": EOS}]
        return {
            "timings": {"prompt_n": len(prompt) - cached, "predicted_n": len(content)},
            "choices": [{"logprobs": {"content": content}}],
        }


@pytest.fixture
def llama(monkeypatch: pytest.MonkeyPatch) -> list[FakeLlama]:
    """The servers created."""
    servers: list[FakeLlama] = []

    def server(parameters: SimpleNamespace) -> FakeLlama:
        servers.append(FakeLlama(parameters))
        return servers[-1]

    def parameters() -> SimpleNamespace:
        parts = {name: SimpleNamespace() for name in ("model", "cpuparams", "cpuparams_batch")}
        return SimpleNamespace(n_batch=2, **parts)

    _module(monkeypatch, "xllamacpp", CommonParams=parameters, Server=server)
    return servers


def test_llama_cpp_forgets_between_rounds(llama: list[FakeLlama]) -> None:
    """A round starts with an empty cache and computes the prefix shared by its prompts once."""
    engine = LlamaCppEngine(SETUP)
    rounds = [engine(WORK) for _ in range(2)]
    assert [reply["answers"] for reply in rounds] == [[[5], [5]]] * 2
    # Three tokens of the first prompt, in batches of two; one of the second; one per answer.
    assert [reply["tokens"] for reply in rounds] == [3 + 1 + 2] * 2
    assert [reply["passes"] for reply in rounds] == [2 + 1 + 2] * 2
    (server,) = llama
    assert server.parameters.cache_ram_mib == 0
    assert server.parameters.model.path == "there"
    decoded = [r for r in server.requests if r["cache_prompt"]]
    assert [r["prompt"] for r in decoded] == [[1, 2, 3], [1, 2, 4]] * 2
    assert {(r["grammar"], r["top_k"]) for r in decoded} == {(SETUP["grammar"], 1)}


def test_llama_cpp_error(llama: list[FakeLlama]) -> None:
    """The server's error message is raised."""
    engine = LlamaCppEngine(SETUP)
    with pytest.raises(RuntimeError, match="no room"):
        engine({**WORK, "prompts": [[7, 7]], "expected": [[]]})


class FakeLlm:
    """vLLM's engine with two prompts, and a cache that may fail to be cleared."""

    def __init__(self, **arguments: object) -> None:
        """Keep the arguments."""
        self.arguments = arguments
        self.clean = True
        self.cleared = 0
        self.waiting: list[tuple[str, list[int]]] = []
        self.samplings: list[dict[str, Any]] = []
        self.llm_engine = SimpleNamespace(
            step=self._step,
            add_request=self._add,
            has_unfinished_requests=lambda: bool(self.waiting),
        )

    def _add(self, name: str, prompt: dict[str, list[int]], sampling: dict[str, Any]) -> None:
        self.waiting.append((name, prompt["prompt_token_ids"]))
        self.samplings.append(sampling)

    def _step(self) -> list[SimpleNamespace]:
        """Finish the last request, and tell of another one that is not finished."""
        places = [{5: SimpleNamespace(logprob=-0.5)}, {EOS: SimpleNamespace(logprob=-0.25)}]
        answer = SimpleNamespace(token_ids=(5, EOS), finish_reason="stop", logprobs=places)
        ended = [self.waiting.pop() for _ in self.waiting[-1:]]
        outputs = [
            SimpleNamespace(
                request_id=name,
                finished=True,
                outputs=[answer],
                prompt_logprobs=[None, *({i: places[0][5]} for i in ids[1:])],
            )
            for name, ids in ended
        ]
        return [*outputs, SimpleNamespace(request_id="9", finished=False, outputs=[answer])]

    def reset_prefix_cache(self) -> bool:
        """Return whether the cache was cleared."""
        self.cleared += 1
        return self.clean

    def generate(self, prompts: Sequence[Any], sampling: Any, *, use_tqdm: bool) -> list[Any]:  # noqa: ANN401  # a fake
        """Answer with 5 and EOS, in one step per token."""
        for _ in range(2):
            self.llm_engine.step()
        return [
            SimpleNamespace(
                prompt_token_ids=prompt["prompt_token_ids"],
                num_cached_tokens=cached,
                outputs=[SimpleNamespace(token_ids=[5, EOS])],
            )
            for prompt, cached in zip(prompts, (None, 2), strict=True)
        ]


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch) -> Callable[[], VllmEngine]:
    """Return a function that creates the worker's engine on a fake vLLM."""
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    _module(monkeypatch, "vllm", LLM=FakeLlm, SamplingParams=dict)
    _module(monkeypatch, "vllm.sampling_params", StructuredOutputsParams=dict)
    _module(monkeypatch, "vllm.inputs", TokensPrompt=dict)
    platform = SimpleNamespace(is_cpu=lambda: True, device_type="cpu")
    _module(monkeypatch, "vllm.platforms", current_platform=platform)
    return lambda: VllmEngine(SETUP)


@pytest.mark.usefixtures("vllm")
def test_vllm_of_another_device() -> None:
    """A build for CPUs is not taken for one on a GPU, nor the other way round."""
    with pytest.raises(RuntimeError, match="this vLLM computes on cpu, not on cuda:0"):
        VllmEngine({**SETUP, "device": "cuda:0"})


@pytest.mark.usefixtures("vllm")
@pytest.mark.parametrize(
    ("free", "share"), [((60, 70), 0.737), ((80, 40), 0.487), ((80, 80), 0.92), ((80, 0.5), None)]
)
def test_vllm_takes_memory_that_is_free(
    monkeypatch: pytest.MonkeyPatch, free: tuple[float, float], share: float | None
) -> None:
    """Its share is that of the fullest of its GPUs, less its context; a third one has none left."""
    cards = tuple(Gpu(f"gpu-{n}", 80 * 10**9) for n in range(3))
    uses = dict(enumerate(GpuUse(int(bytes_ * 1e9)) for bytes_ in (*free, 0)))
    monkeypatch.setattr(gpus, "gpus", lambda: cards)
    monkeypatch.setattr(gpus, "gpu_uses", lambda _, numbers: {n: uses[n] for n in numbers})
    platform = SimpleNamespace(is_cpu=lambda: False, device_type="cuda")
    _module(monkeypatch, "vllm.platforms", current_platform=platform)
    setup: EngineSetup = {**SETUP, "device": "cuda", "tuned": {"tensor_parallel_size": 2}}
    if share is None:
        with pytest.raises(DoesNotFitError, match=r"free: cuda:0 \(GPU\) 80 of 80 GB, cuda:1"):
            VllmEngine(setup)
        return
    assert VllmEngine(setup)._llm.arguments["gpu_memory_utilization"] == share


def test_vllm_decodes_as_the_paper_does(vllm: Callable[[], VllmEngine]) -> None:
    """It decodes greedily under the expression, without the repository's sampling settings.

    Cached tokens are not counted.
    """
    engine = vllm()
    reply = engine(WORK)
    assert reply["answers"] == [[5], [5]]
    assert reply["passes"] == 2
    assert reply["tokens"] == (3 + 1) + (3 - 2 + 1)
    arguments = engine._llm.arguments
    assert "gpu_memory_utilization" not in arguments
    assert (arguments["generation_config"], arguments["block_size"]) == ("vllm", 32)
    assert engine._sampling == {
        "temperature": 0.0,
        "max_tokens": 30,
        "structured_outputs": {"regex": "a+"},
    }
    assert engine(WORK)["passes"] == 2


def test_vllm_streams_answers_as_they_finish(vllm: Callable[[], VllmEngine]) -> None:
    """Each has the index of its prompt."""
    answers = list(vllm()({"stream": [[1, 2], [3]]}))
    assert answers == [
        {"index": index, "token_ids": [5, EOS], "finished": True} for index in (1, 0)
    ]


def test_vllm_tells_values(vllm: Callable[[], VllmEngine]) -> None:
    """Those of an answer's tokens while decoding, and those of given ids after a prompt."""
    engine = vllm()
    (answer,) = engine({"stream": [[1, 2]], "values": True})
    assert answer["values"] == [-0.5, -0.25]
    (scored,) = engine({"score": [[1, 2, 3, 4]], "starts": [2], "likeliest": 3})
    assert scored == {"index": 0, "places": [[(3, -0.5)], [(4, -0.5)]]}
    decoding, prefill = engine._llm.samplings
    assert decoding == {**engine._sampling, "logprobs": 0}
    assert prefill == {"temperature": 0.0, "max_tokens": 1, "prompt_logprobs": 4}


def test_vllm_forgets_if_asked(vllm: Callable[[], VllmEngine]) -> None:
    """The answers of an arrangement must not come from the cache of another one."""
    engine = vllm()
    list(engine({"stream": [[1]]}))
    list(engine({"score": [[1, 2]], "starts": [1], "likeliest": 1}))
    assert engine._llm.cleared == 0
    list(engine({"stream": [[1]], "forget": True}))
    list(engine({"score": [[1, 2]], "starts": [1], "likeliest": 1, "forget": True}))
    assert engine._llm.cleared == 2


def test_vllm_cache_that_cannot_be_cleared(vllm: Callable[[], VllmEngine]) -> None:
    """It is an error, as a warm cache would make the round too fast."""
    engine = vllm()
    engine._llm.clean = False
    with pytest.raises(RuntimeError, match="could not clear its prefix cache"):
        engine(WORK)
