"""The default engine: greedy constrained decoding in few passes, with the paper's tokens.

Several draft tokens are verified in one pass. Where the likeliest allowed token is the drafted
one, the pass has already continued from it; otherwise the model's token replaces the draft. So no
draft can change the outcome. :mod:`benchmark.decoding.speculative.scheduler` describes what a
pass contains.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import torch

from benchmark.decoding import outlines_engine
from benchmark.decoding.constraint import Constraint
from benchmark.decoding.engine import DecodingLimits, Engine
from benchmark.decoding.engines import EngineInputs
from benchmark.decoding.speculative.automaton import Automaton
from benchmark.decoding.speculative.batch import NOT_FINITE, NextTokenRequest
from benchmark.decoding.speculative.compatibility import unsupported_reason
from benchmark.decoding.speculative.cost_model import CostModel
from benchmark.decoding.speculative.draft_model import ANSWERS, EXPRESSION
from benchmark.decoding.speculative.drafts import (
    Drafter,
    completion_lookup,
    expected_answers,
    prompt_lookup,
)
from benchmark.decoding.speculative.fused.choice import NAME, described, fused_kernels
from benchmark.decoding.speculative.matmul_choice import matmul_backend_for
from benchmark.decoding.speculative.model_runner import ModelRunner, prepared_runner
from benchmark.decoding.speculative.scheduler import Scheduler
from benchmark.decoding.speculative.sequence_state import GenerationRules, Statistics
from benchmark.decoding.stops import stop_ids
from benchmark.errors import first_line
from benchmark.models.hardware import trim_heap, uncollected
from benchmark.models.memory_errors import is_out_of_memory
from benchmark.models.tokenizer import TransformersTokenizer, detokenize
from benchmark.records import Completion, TokenIds

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from benchmark.decoding.speculative.fused.passes import FusedKernels


def create(inputs: EngineInputs) -> Engine:
    """Return the engine; for an unsupported model, ``outlines`` with the reason."""
    if inputs.constraint is None:
        raise TypeError("the speculative engine drafts from a constraint")
    kernels: set[str] = set()
    fused, failure = _usable_kernels(inputs)
    if not fused and (reason := unsupported_reason(inputs.model, kernels)):
        inputs.say(f"engine outlines is used instead of speculative for this model: {reason}")
        return outlines_engine.create(inputs, fallback_reason=reason)
    if failure:
        inputs.say(f"kernels compiled by {NAME} are not used: {failure}")
    drafters = {"expected": expected_answers(inputs.expected)} if inputs.expected else {}
    return SpeculativeEngine(
        inputs.model,
        inputs.tokenizer,
        inputs.limits,
        inputs.constraint,
        drafters,
        inputs.products,
        inputs.say,
        kernels,
        fused,
    )


def _usable_kernels(inputs: EngineInputs) -> "tuple[FusedKernels | None, str | None]":
    """Return the compiled kernels, or why the model's logits with them are not right.

    Neither if there are none for this device, dtype or installation.
    """
    fused = fused_kernels(inputs.model.device, inputs.model.dtype) if inputs.fused else None
    if fused is None:
        return None, None
    try:
        reason = unsupported_reason(inputs.model, fused=fused)
        reason = reason or _wrong_choice(inputs.model, fused)
    except Exception as error:  # what compiling raises
        if is_out_of_memory(error):
            raise
        fused.forget()
        return None, f"{first_line(error)}; the next run will compile them again"
    return (None, reason) if reason else (fused, None)


def _wrong_choice(model: "PreTrainedModel", fused: "FusedKernels") -> str | None:
    """Return what the kernel that chooses tokens does wrong; None if it does nothing wrong."""
    sets = fused.allowed_tokens([torch.tensor([0, 2, 4]), torch.tensor([1, 3])])
    logits = torch.tensor([[3, 9, 5, 1, 5.0], [3, 2, 9, 8, 9]], dtype=model.dtype)
    chosen = sets.choose(logits, [0, 1], NOT_FINITE).tolist()
    return None if chosen == [2, 3] else f"of tokens 2 and 3 it chooses {chosen}"


class SpeculativeEngine:
    """Greedy decoding under a constraint, many prompts at a time."""

    def __init__(
        self,
        model: "PreTrainedModel",
        tokenizer: TransformersTokenizer,
        limits: DecodingLimits,
        constraint: Constraint,
        drafters: Mapping[str, Drafter] | None = None,
        products: str | None = None,
        say: Callable[[str], None] = print,
        kernels: AbstractSet[str] = frozenset(),
        fused: "FusedKernels | None" = None,
    ) -> None:
        """Prepare decoding. The model is changed only while completions are generated.

        Args:
            model: the model that decodes.
            tokenizer: its tokenizer.
            limits: how many prompts are decoded together, and how long completions may be.
            constraint: what completions must match.
            drafters: sources of drafts by name, in addition to the constraint and the prompt.
            products: the name of the matrix-product backend; by default it is chosen by a trial.
            say: takes a line of text if the next run may choose another backend.
            kernels: the names of the attention kernels that its layers use; none on a CPU.
            fused: the compiled kernels that its layers use on a CPU.

        Raises:
            SettingError: if this backend is not available here.
        """
        self._model = model
        self._token_bytes = tokenizer.token_bytes
        self._backend = matmul_backend_for(model, limits.batch_size, products, say)
        self._cost_model = CostModel.on(model.device.type, limits.batch_size)
        self._kernels = sorted(kernels)
        self._fused = fused
        self._drafters = {
            "prompt": prompt_lookup,
            "completion": completion_lookup,
            **(drafters or {}),
        }
        automaton = Automaton.from_constraint(constraint, tokenizer.token_bytes)
        stops = stop_ids(model, tokenizer.eos_id)
        self._rules = GenerationRules(automaton, stops, limits.max_new_tokens)
        self.values: dict[int, dict[int, torch.Tensor]] | None = None
        """If not None, it gets log-probabilities of the vocabulary by prompt and place.

        They are those of places whose token was chosen among several, before the constraint.
        """
        self.statistics = Statistics()
        """Totals over all calls of :meth:`generate`."""

    @property
    def composition(self) -> dict[str, object]:
        """What decides which prompts and drafts share a pass.

        The prompts themselves and those already done decide it too. In float32 it changes logits
        by rounding only; in bfloat16 it can flip near ties.
        """
        return {
            "order": "sorted token ids, rows replaced as they finish",
            "drafts": sorted([*self._drafters, ANSWERS, EXPRESSION]),
            "pace": asdict(self._cost_model),
            "products": self._backend.name if self._backend else "the model's own",
            **({"attention": self._kernels} if self._kernels else {}),
            **({"kernels": described(self._fused)} if self._fused else {}),
        }

    def generate(
        self, prompts: Sequence[TokenIds], done: AbstractSet[int] = frozenset()
    ) -> Iterator[list[tuple[int, Completion]]]:
        """Yield completions as they finish, not in the order of the prompts.

        Prompts that are done are left out.

        Raises:
            NonFiniteLogitsError: if the model returns logits that are not finite.
        """
        pending = {i: prompt for i, prompt in enumerate(prompts) if i not in done}
        with ExitStack() as stack:
            stack.callback(trim_heap)  # of packed weights, of which each engine makes its own
            runner = stack.enter_context(
                prepared_runner(
                    self._model,
                    self._rules.automaton,
                    self._cost_model,
                    self._backend,
                    self._fused,
                )
            )
            scheduler = Scheduler(
                runner,
                self._rules,
                self._drafters,
                self._cost_model,
                self.statistics,
                None if self.values is None else _Observer(runner, self.values),
            )
            batches = scheduler.decode(pending)
            while True:
                # Not around the yield: neither is for the caller's code.
                with torch.inference_mode(), uncollected():
                    sequences = next(batches, None)
                if sequences is None:
                    return
                yield [
                    (index, Completion(ids, detokenize(self._token_bytes, ids), finished=finished))
                    for index, ids, finished in sequences
                ]


@dataclass(frozen=True, slots=True)
class _Observer:
    """Keeps the log-probabilities at the places that a pass decided."""

    runner: ModelRunner
    values: dict[int, dict[int, torch.Tensor]]

    def __call__(
        self, prompt: int, places: Sequence[int], requests: Sequence[NextTokenRequest]
    ) -> None:
        if places:
            rows = self.runner.log_probs(requests).cpu()
            self.values.setdefault(prompt, {}).update(zip(places, rows, strict=True))
