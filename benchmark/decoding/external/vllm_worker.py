"""The process of vLLM; runs in the environment of ``make speed-engines`` if there is one."""

import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, overload

from benchmark.decoding.external.messages import (
    DecodeReply,
    DecodeRequest,
    EngineSetup,
    ScoredRow,
    ScoreRequest,
    StreamedAnswer,
    StreamRequest,
)
from benchmark.decoding.external.serving import serve

if TYPE_CHECKING:
    from vllm import SamplingParams


class VllmEngine:
    """vLLM's offline engine: it gets all prompts at once and batches them itself."""

    def __init__(self, setup: EngineSetup) -> None:
        """Load the model; prefix caching is on, as it is by default."""
        # Run the engine in this process, so that its steps and its memory can be measured.
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        from vllm import LLM, SamplingParams
        from vllm.platforms import current_platform
        from vllm.sampling_params import StructuredOutputsParams

        if current_platform.is_cpu() != (setup["device"].partition(":")[0] == "cpu"):
            raise RuntimeError(
                f"this vLLM computes on {current_platform.device_type}, not on {setup['device']}; "
                "choose another --device"
            )
        self._create_sampling = SamplingParams
        self._llm = LLM(
            model=setup["model"],
            tokenizer=setup.get("tokenizer"),  # None: the model's own
            dtype=setup["dtype"],
            # A repository's sampling settings would change the paper's greedy decoding.
            generation_config="vllm",
            enable_prefix_caching=True,
            disable_log_stats=True,
            max_model_len=setup["max_model_len"],
            **_memory(setup),
            **setup["tuned"],
        )
        self._arguments = {
            "temperature": 0.0,
            "max_tokens": setup["max_new_tokens"],
            "structured_outputs": StructuredOutputsParams(regex=setup["expression"]),
        }
        self._sampling = SamplingParams(**self._arguments)
        self._stops = set(setup["stops"])
        self._steps = 0
        engine = self._llm.llm_engine
        step = engine.step

        def counted() -> object:
            self._steps += 1
            return step()

        engine.step = counted

    @overload
    def __call__(self, request: DecodeRequest) -> DecodeReply: ...

    @overload
    def __call__(self, request: StreamRequest) -> Iterator[StreamedAnswer]: ...

    @overload
    def __call__(self, request: ScoreRequest) -> Iterator[ScoredRow]: ...

    def __call__(
        self, request: DecodeRequest | StreamRequest | ScoreRequest
    ) -> DecodeReply | Iterator[StreamedAnswer] | Iterator[ScoredRow]:
        """Decode the prompts, with an empty prefix cache or one by one, or score answers."""
        if "score" in request:
            return self._scored(request)
        return self._streamed(request) if "stream" in request else self._timed(request)

    def _streamed(self, request: StreamRequest) -> Iterator[StreamedAnswer]:
        sampling = self._sampling
        if request.get("forget"):
            self._forget()
        if request.get("values"):  # of the chosen token alone
            sampling = self._create_sampling(**self._arguments, logprobs=0)
        for output in self._finished(request["stream"], sampling):
            (answer,) = output.outputs
            ids = list(answer.token_ids)
            streamed: StreamedAnswer = {
                "index": int(output.request_id),
                "token_ids": ids,
                "finished": answer.finish_reason == "stop",
            }
            if request.get("values"):
                by_id = zip(ids, answer.logprobs, strict=True)
                streamed["values"] = [place[token].logprob for token, place in by_id]
            yield streamed

    def _scored(self, request: ScoreRequest) -> Iterator[ScoredRow]:
        if request.get("forget"):
            self._forget()
        sampling = self._create_sampling(
            temperature=0.0, max_tokens=1, prompt_logprobs=request["likeliest"] + 1
        )
        for output in self._finished(request["score"], sampling):
            index = int(output.request_id)
            places = output.prompt_logprobs[request["starts"][index] :]
            yield {
                "index": index,
                "places": [[(i, one.logprob) for i, one in place.items()] for place in places],
            }

    def _finished(self, prompts: list[list[int]], sampling: "SamplingParams") -> "Iterator[Any]":
        """Yield the engine's output for each prompt when it is finished."""
        from vllm.inputs import TokensPrompt

        engine = self._llm.llm_engine
        for index, ids in enumerate(prompts):
            engine.add_request(str(index), TokensPrompt(prompt_token_ids=list(ids)), sampling)
        while engine.has_unfinished_requests():
            yield from (output for output in engine.step() if output.finished)

    def _forget(self) -> None:
        if not self._llm.reset_prefix_cache():
            raise RuntimeError("vLLM could not clear its prefix cache of the round before")

    def _timed(self, request: DecodeRequest) -> DecodeReply:
        from vllm.inputs import TokensPrompt

        self._forget()
        self._steps = 0
        prompts = [TokensPrompt(prompt_token_ids=ids) for ids in request["prompts"]]
        started, processor = time.perf_counter(), time.process_time()
        outputs = self._llm.generate(prompts, self._sampling, use_tqdm=False)
        seconds, processor = time.perf_counter() - started, time.process_time() - processor
        answers = [list(output.outputs[0].token_ids) for output in outputs]
        # The last token of an answer is not run, and cached tokens are not computed.
        tokens = sum(
            len(output.prompt_token_ids) - (output.num_cached_tokens or 0) + len(ids) - 1
            for output, ids in zip(outputs, answers, strict=True)
        )
        return {
            "seconds": seconds,
            "processor": processor,
            "passes": self._steps,
            "tokens": tokens,
            "answers": [[i for i in ids if i not in self._stops] for ids in answers],
        }


def _memory(setup: EngineSetup) -> dict[str, float]:
    """Return the share of each GPU's memory that vLLM may take: what is free, less its context.

    By default it asks for nearly all of the memory, and does not start if another program holds
    part of it. The share is no part of a run's identity: it changes the room for the cache only.
    """
    if setup["device"].partition(":")[0] == "cpu":
        return {}
    from benchmark.models.gpus import free_share
    from benchmark.planning.planning import planning

    tuned = setup["tuned"]
    ranks = [int(str(tuned.get(f"{name}_parallel_size", 1))) for name in ("tensor", "pipeline")]
    return {
        "gpu_memory_utilization": free_share(
            ranks[0] * ranks[1], planning().assumptions.context_bytes
        )
    }


if __name__ == "__main__":
    serve(VllmEngine)
