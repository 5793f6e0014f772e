"""The process of llama.cpp; runs in the environment of ``make speed-engines``."""

import os
import time

from benchmark.speed.messages import Setup, Taken, Work
from benchmark.speed.serving import serve


class LlamaCppEngine:
    """llama.cpp, one prompt at a time: what a prompt shares with the one before stays cached."""

    def __init__(self, setup: Setup) -> None:
        """Load the GGUF file, whose own numbers it computes with."""
        from llama_cpp import Llama

        threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
        self._llama = Llama(
            model_path=setup["model"],
            n_ctx=setup["max_model_len"],
            n_threads=threads,
            n_threads_batch=threads,
            verbose=False,
        )
        self._grammar, self._limit = setup["grammar"], setup["max_new_tokens"]
        self._stops = {*setup["stops"], self._llama.token_eos()}
        self._passes = self._tokens = 0
        evaluate = self._llama.eval

        def counted(tokens: list[int]) -> None:
            self._passes += -(-len(tokens) // self._llama.n_batch)
            self._tokens += len(tokens)
            evaluate(tokens)

        self._llama.eval = counted

    def __call__(self, work: Work) -> Taken:
        """Decode the prompts in the order of their tokens, so that neighbours share the most."""
        self._llama.reset()
        self._passes = self._tokens = 0
        order = sorted(range(len(work["prompts"])), key=work["prompts"].__getitem__)
        started, processor = time.perf_counter(), time.process_time()
        answers = {i: self._answer(work["prompts"][i]) for i in order}
        return {
            "seconds": time.perf_counter() - started,
            "processor": time.process_time() - processor,
            "passes": self._passes,
            "tokens": self._tokens,
            "answers": [answers[i] for i in range(len(answers))],
        }

    def _answer(self, prompt: list[int]) -> list[int]:
        from llama_cpp import LlamaGrammar

        # A grammar is used up by an answer.
        grammar = LlamaGrammar.from_string(self._grammar, verbose=False)
        found: list[int] = []
        for token in self._llama.generate(prompt, temp=0.0, repeat_penalty=1.0, grammar=grammar):
            if token in self._stops:
                break
            found.append(token)
            if len(found) == self._limit:
                break
        return found


if __name__ == "__main__":
    serve(LlamaCppEngine)
