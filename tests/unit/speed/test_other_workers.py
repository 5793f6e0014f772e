"""What the workers of vLLM and llama.cpp ask of these libraries, and make of their answers.

The libraries themselves are in an environment of their own; here something stands in for them.
"""

import sys
from collections.abc import Callable, Sequence
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from benchmark.speed.llama_cpp_worker import LlamaCppEngine
from benchmark.speed.messages import Setup, Work
from benchmark.speed.vllm_worker import VllmEngine

EOS = 9
SETUP: Setup = {
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
WORK: Work = {"batch_size": 1, "prompts": [[1, 2, 4], [1, 2, 3]], "expected": [[], []]}


def _module(monkeypatch: pytest.MonkeyPatch, name: str, **contents: object) -> None:
    module = ModuleType(name)
    vars(module).update(contents)
    monkeypatch.setitem(sys.modules, name, module)


class FakeLlama:
    """llama.cpp's server with one slot: what it holds of a prompt need not be computed again."""

    def __init__(self, parameters: SimpleNamespace) -> None:
        """Begin with an empty slot."""
        self.parameters = parameters
        self.held: list[int] = []
        self.asked: list[dict[str, Any]] = []

    def handle_completions(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer with 5, and the end."""
        self.asked.append(request)
        prompt = request["prompt"]
        if 7 in prompt:
            return {"error": "no room"}
        known = 0
        while request["cache_prompt"] and known < min(len(prompt) - 1, len(self.held)):
            if prompt[known] != self.held[known]:
                break
            known += 1
        self.held = prompt
        content = [{"id": 5}, {"id": EOS}]
        return {
            "timings": {"prompt_n": len(prompt) - known, "predicted_n": len(content)},
            "choices": [{"logprobs": {"content": content}}],
        }


@pytest.fixture
def llama(monkeypatch: pytest.MonkeyPatch) -> list[FakeLlama]:
    """The servers that are made."""
    made: list[FakeLlama] = []

    def server(parameters: SimpleNamespace) -> FakeLlama:
        made.append(FakeLlama(parameters))
        return made[-1]

    def parameters() -> SimpleNamespace:
        parts = {name: SimpleNamespace() for name in ("model", "cpuparams", "cpuparams_batch")}
        return SimpleNamespace(n_batch=2, **parts)

    _module(monkeypatch, "xllamacpp", CommonParams=parameters, Server=server)
    return made


def test_llama_cpp_forgets_between_rounds(llama: list[FakeLlama]) -> None:
    """A round computes what its first prompt shares with the last round, and no sibling's again."""
    engine = LlamaCppEngine(SETUP)
    rounds = [engine(WORK) for _ in range(2)]
    assert [taken["answers"] for taken in rounds] == [[[5], [5]]] * 2
    # Three tokens of the first prompt, in batches of two; one of the second; one of each answer.
    assert [taken["tokens"] for taken in rounds] == [3 + 1 + 2] * 2
    assert [taken["passes"] for taken in rounds] == [2 + 1 + 2] * 2
    (server,) = llama
    assert server.parameters.cache_ram_mib == 0
    assert server.parameters.model.path == "there"
    decoded = [asked for asked in server.asked if asked["cache_prompt"]]
    assert [asked["prompt"] for asked in decoded] == [[1, 2, 3], [1, 2, 4]] * 2
    assert {(asked["grammar"], asked["top_k"]) for asked in decoded} == {(SETUP["grammar"], 1)}


def test_what_llama_cpp_refuses_is_an_error(llama: list[FakeLlama]) -> None:
    """Its own word for it is passed on."""
    engine = LlamaCppEngine(SETUP)
    with pytest.raises(RuntimeError, match="no room"):
        engine({**WORK, "prompts": [[7, 7]], "expected": [[]]})


class FakeLlm:
    """vLLM's engine: two prompts a step, and a cache that may not be emptied."""

    def __init__(self, **given: object) -> None:
        """Keep what it is given."""
        self.given = given
        self.clean = True
        self.llm_engine = SimpleNamespace(step=lambda: None)

    def reset_prefix_cache(self) -> bool:
        """Whether it could."""
        return self.clean

    def generate(self, prompts: Sequence[Any], sampling: Any, *, use_tqdm: bool) -> list[Any]:  # noqa: ANN401  # a fake
        """Answer with 5, and the end, in one step a token."""
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
    """The worker's engine on a fake."""
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    _module(monkeypatch, "vllm", LLM=FakeLlm, SamplingParams=dict)
    _module(monkeypatch, "vllm.sampling_params", StructuredOutputsParams=dict)
    _module(monkeypatch, "vllm.inputs", TokensPrompt=dict)
    return lambda: VllmEngine(SETUP)


def test_vllm_is_asked_as_the_paper_decodes(vllm: Callable[[], VllmEngine]) -> None:
    """Greedy under the expression, whatever the repository says; what was cached is not counted."""
    engine = vllm()
    taken = engine(WORK)
    assert taken["answers"] == [[5], [5]]
    assert taken["passes"] == 2
    assert taken["tokens"] == (3 + 1) + (3 - 2 + 1)
    given = engine._llm.given
    assert (given["generation_config"], given["block_size"]) == ("vllm", 32)
    assert engine._sampling == {
        "temperature": 0.0,
        "max_tokens": 30,
        "structured_outputs": {"regex": "a+"},
    }
    assert engine(WORK)["passes"] == 2


def test_vllm_that_cannot_forget_is_an_error(vllm: Callable[[], VllmEngine]) -> None:
    """A round on a warm cache would be no measurement."""
    engine = vllm()
    engine._llm.clean = False
    with pytest.raises(RuntimeError, match="did not forget"):
        engine(WORK)
