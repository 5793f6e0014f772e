"""The process of a benchmark engine, or of ``limit``, ``margins`` or ``copy``."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from benchmark.decoding.certificate import AnswerRule, EngineAnswer, certify
from benchmark.decoding.connection import ExternalSettings
from benchmark.decoding.constraint import Constraint
from benchmark.decoding.engine import CountsPasses
from benchmark.decoding.engines import ENGINES, row_from_json
from benchmark.decoding.external.messages import (
    CopyReply,
    CopyRequest,
    DecodeReply,
    DecodeRequest,
    EngineSetup,
    LimitReply,
    LimitRequest,
    MarginPosition,
    MarginReply,
    MarginRequest,
)
from benchmark.decoding.external.serving import serve
from benchmark.decoding.finite_logits import finite_rows, naming_states
from benchmark.decoding.logit_tolerance import dtype_named
from benchmark.decoding.speculative.matmul_backends import option_name
from benchmark.errors import ModelError
from benchmark.models.gpus import peak_gpu_memory
from benchmark.models.hardware import release
from benchmark.models.library_messages import messages_of
from benchmark.models.loading import LoadOptions, load_model
from benchmark.models.location import locate
from benchmark.models.short_name import short_name
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.models.tokenizer_loading import load_tokenizer
from benchmark.runs.evaluation import Decoder
from benchmark.runs.requests import NOT_WRITTEN, RunRequest
from benchmark.runs.resolution import connected, resolve
from benchmark.runs.settings import validated
from benchmark.speed.matmul_limit import MatmulTimer, choice_counter

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

_Reply = DecodeReply | LimitReply | MarginReply | CopyReply


@dataclass
class _PassCounter:
    """Forward passes of a model, and the tokens in them, padding included."""

    passes: int = 0
    tokens: int = 0

    @contextmanager
    def counting(self, model: "PreTrainedModel | None") -> Iterator[None]:
        """Count the passes of a model; do nothing without a model."""
        if model is None:
            yield
            return

        def count(_: object, positional: tuple[object, ...], named: dict[str, object]) -> None:
            ids = named.get("input_ids", positional[0] if positional else None)
            self.passes += 1
            self.tokens += cast("torch.Tensor", ids).numel()

        hook = model.register_forward_pre_hook(count, with_kwargs=True)
        try:
            yield
        finally:
            hook.remove()


class _BenchmarkEngine:
    """An engine of the benchmark, created again for each round so that rounds are independent."""

    def __init__(self, setup: EngineSetup) -> None:
        name = setup["engine"]
        # The measuring process may have rows that this one does not have.
        row = ENGINES.setdefault(name, row_from_json(setup["row"]))
        settings = resolve(
            RunRequest(
                setup["model"],
                NOT_WRITTEN,
                engine=name,
                device=setup["device"],
                dtype=setup["dtype"],
                max_new_tokens=setup["max_new_tokens"],
            )
        )
        self._messages: list[str] = []
        location = locate(setup["model"])
        self._name = location.name
        model = load_model(location, settings.options) if row.loads_weights else None
        tokenizer = load_tokenizer(location)
        expression = setup["expression"]
        if "external" in setup:
            settings = replace(settings, external=validated(ExternalSettings, setup["external"]))
        settings = connected(settings, location, tokenizer, expression, self._messages.append)
        self._decoder = Decoder(
            settings,
            expression,
            tokenizer,
            model,
            self._messages.append,
            setup.get("products"),
            fused=setup.get("fused", True),
        )

    def __call__(self, request: DecodeRequest) -> DecodeReply:
        decoder, messages = self._decoder, self._messages
        prompts = [tuple(ids) for ids in request["prompts"]]
        expected = dict(zip(prompts, map(tuple, request["expected"]), strict=True))
        decoder.check(prompts)
        messages.clear()
        release()  # free the memory of the round before
        limits = replace(decoder.settings.limits, batch_size=request["batch_size"])
        engine = decoder.engine(limits, expected)
        answers: dict[int, list[int]] = {}
        counter = _PassCounter()
        naming = naming_states(request["states"], self._name, decoder.model)
        with counter.counting(decoder.model), naming:
            started, processor = time.perf_counter(), time.process_time()
            for batch in engine.generate(prompts):
                answers.update((i, list(completion.token_ids)) for i, completion in batch)
            seconds = time.perf_counter() - started
            processor = time.process_time() - processor
        # The speculative engine calls the decoder inside the model, where the hook sees nothing.
        counted = decoder.model is not None or isinstance(engine, CountsPasses)
        counts = engine.statistics if isinstance(engine, CountsPasses) else counter
        reply: DecodeReply = {
            "seconds": seconds,
            "processor": processor,
            "passes": counts.passes if counted else None,
            "tokens": counts.tokens if counted else None,
            "answers": [answers[i] for i in range(len(prompts))],
        }
        if messages:
            reply["stood_in"] = "; ".join(messages)
        if products := engine.composition.get("products"):
            reply["products"] = option_name(str(products))
        if kernels := engine.composition.get("kernels"):
            reply["kernels"] = str(kernels)
        if decoder.model is not None and (warnings := messages_of(decoder.model)):
            reply["library_warnings"] = list(warnings)
        if (memory := peak_gpu_memory(decoder.settings.options.device)) is not None:
            reply["gpu_memory"] = memory
        return reply


class _Limit:
    """The model's matrix products alone."""

    def __init__(self, setup: EngineSetup) -> None:
        model, tokenizer = _load(setup)
        self._timer = MatmulTimer(model)
        constraint = Constraint(setup["expression"], tokenizer.token_bytes, tokenizer.eos_id)
        self._count_choices = choice_counter(constraint, tokenizer.token_bytes)

    def __call__(self, request: LimitRequest) -> LimitReply:
        counts = [self._count_choices(answer) for answer in request["answers"]]
        choices = sum(counts) / len(counts) if counts else 0.0
        times = self._timer.seconds()
        return {
            "layers": times.layers,
            "attention": list(times.attention.items()),
            "head": times.head,
            "reading": times.reading,
            "choices": choices,
            "products": list(times.products),
            "disturbed": times.disturbed,
        }


class _Margins:
    """Differences of logits, from one pass over the whole text, and certificates of answers."""

    def __init__(self, setup: EngineSetup) -> None:
        self._model, tokenizer = _load(setup)
        constraint = Constraint(setup["expression"], tokenizer.token_bytes, tokenizer.eos_id)
        dtype = dtype_named(setup["dtype"])
        limit = setup["max_new_tokens"]
        self._rule = AnswerRule(constraint, (tokenizer.eos_id,), limit, (dtype, dtype))
        self._name, self._dtype = short_name(tokenizer.name), setup["dtype"]

    def __call__(self, request: MarginRequest) -> MarginReply:
        import torch

        margins = []
        with torch.inference_mode():
            for position in request["differences"]:
                ids = [[*position["prompt"], *position["before"]]]
                input_ids = torch.tensor(ids, device=self._model.device)
                logits = self._model(input_ids=input_ids, logits_to_keep=1).logits[0, -1].float()
                if not finite_rows(logits):
                    raise ModelError(f"{self._name}: the logits are not finite in {self._dtype}")
                margins.append((logits[position["theirs"]] - logits[position["ours"]]).item())
        reply: MarginReply = {"margins": margins}
        if "answers" in request:
            reply["certified"] = self._certified(request["differences"], request["answers"])
        return reply

    def _certified(
        self, positions: Sequence[MarginPosition], ids: Sequence[Sequence[int]]
    ) -> list[bool]:
        limit = self._rule.max_new_tokens
        answers = [
            EngineAnswer(tuple(position["prompt"]), tuple(answer), len(answer) < limit)
            for position, answer in zip(positions, ids, strict=True)
        ]
        certificate = certify(self._model, answers, self._rule, 1)
        broken = {violation.answer for violation in certificate.violations}
        return [index not in broken for index in range(len(answers))]


class _Copy:
    """Writes the model as a folder of safetensors, for engines that do not take GGUF files."""

    def __init__(self, setup: EngineSetup) -> None:
        self._model, self._tokenizer = _load(setup)

    def __call__(self, request: CopyRequest) -> CopyReply:
        folder = Path(request["folder"])
        # Renamed when complete, so that an interrupted copy is never taken for a whole one.
        unfinished = folder.with_name(f"{folder.name}.unfinished")
        # The weights are no longer quantized, but transformers would save the file's quantization.
        if hasattr(self._model.config, "quantization_config"):
            del self._model.config.quantization_config
            self._model.hf_quantizer = None
        self._model.save_pretrained(unfinished)
        self._tokenizer.raw.save_pretrained(unfinished)
        unfinished.rename(folder)
        return {"folder": str(folder)}


def _load(setup: EngineSetup) -> tuple["PreTrainedModel", TransformersTokenizer]:
    location = locate(setup["model"])
    tokenizer = load_tokenizer(location)
    return load_model(location, LoadOptions(setup["device"], setup["dtype"])), tokenizer


def _create(setup: EngineSetup) -> Callable[..., _Reply]:
    kinds: dict[str, Callable[[EngineSetup], Callable[..., _Reply]]]
    kinds = {"limit": _Limit, "margins": _Margins, "copy": _Copy}
    return kinds.get(setup["engine"], _BenchmarkEngine)(setup)


if __name__ == "__main__":
    serve(_create)
