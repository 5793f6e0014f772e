"""The process of llama.cpp; runs in the environment of ``make speed-engines``."""

import os
import time
from typing import Any

from benchmark.decoding.external.messages import DecodeReply, DecodeRequest, EngineSetup
from benchmark.decoding.external.serving import serve


class LlamaCppEngine:
    """llama.cpp's own server, in this process, one prompt at a time.

    The prefix that a prompt shares with the one before stays cached. With 4 and 16 slots it took
    1.5 and 2 times as long on two cores, because each slot computes the prefix again.
    """

    def __init__(self, setup: EngineSetup) -> None:
        """Load the GGUF file; the dtype is that of the file."""
        import xllamacpp

        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        parameters = xllamacpp.CommonParams()
        parameters.model.path = setup["model"]
        parameters.n_parallel = 1
        parameters.n_ctx = setup["max_model_len"]
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = cores
        parameters.n_gpu_layers = 0
        parameters.verbosity = 0
        parameters.cache_ram_mib = 0  # do not keep earlier prompts in memory
        self._batch: int = parameters.n_batch
        self._server = xllamacpp.Server(parameters)
        self._setup = setup

    def __call__(self, request: DecodeRequest) -> DecodeReply:
        """Decode the prompts sorted by their tokens, so that neighbours share long prefixes."""
        order = sorted(range(len(request["prompts"])), key=request["prompts"].__getitem__)
        self._forget(request["prompts"][order[0]][-1])
        started, processor = time.perf_counter(), time.process_time()
        replies = {i: self._reply(request["prompts"][i]) for i in order}
        seconds, processor = time.perf_counter() - started, time.process_time() - processor
        timings = [reply["timings"] for reply in replies.values()]
        return {
            "seconds": seconds,
            "processor": processor,
            "passes": sum(-(-t["prompt_n"] // self._batch) + t["predicted_n"] - 1 for t in timings),
            "tokens": sum(t["prompt_n"] + t["predicted_n"] - 1 for t in timings),
            "answers": [self._answer(replies[i]) for i in range(len(replies))],
        }

    def _forget(self, token: int) -> None:
        """Overwrite the only slot, so that nothing of the last round stays cached."""
        self._server.handle_completions({"prompt": [token], "n_predict": 1, "cache_prompt": False})

    def _reply(self, prompt: list[int]) -> dict[str, Any]:
        reply: dict[str, Any] = self._server.handle_completions(
            {
                "prompt": prompt,
                "n_predict": self._setup["max_new_tokens"],
                "grammar": self._setup["grammar"],
                "samplers": ["top_k"],
                "top_k": 1,
                "temperature": 0.0,
                "repeat_penalty": 1.0,
                "cache_prompt": True,
                "logprobs": 1,  # without it the reply has no token ids
            }
        )
        if "error" in reply:
            raise RuntimeError(str(reply["error"]))
        return reply

    def _answer(self, reply: dict[str, Any]) -> list[int]:
        (choice,) = reply["choices"]
        ids = [token["id"] for token in choice["logprobs"]["content"]]
        return [i for i in ids if i not in self._setup["stops"]]


if __name__ == "__main__":
    serve(LlamaCppEngine)
