"""The process of one of the benchmark's own engines, of the limit, or of margins."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from benchmark.decoding.constraint import Constraint
from benchmark.decoding.engine import CountsPasses
from benchmark.decoding.engines import ENGINES, row_from_json
from benchmark.models.hardware import gpu_memory, release
from benchmark.models.loading import LoadOptions, load_model, load_tokenizer
from benchmark.models.location import locate
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.runs.evaluation import Decoder
from benchmark.runs.requests import RunRequest
from benchmark.runs.resolution import resolve
from benchmark.speed.matmul_limit import Products, open_choices
from benchmark.speed.messages import (
    Copied,
    CopyWork,
    LimitTaken,
    LimitWork,
    MarginTaken,
    MarginWork,
    Setup,
    Taken,
    Work,
)
from benchmark.speed.serving import serve

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

_Reply = Taken | LimitTaken | MarginTaken | Copied


@dataclass
class _Count:
    """Forward passes of a model, and the tokens in them, padding included."""

    passes: int = 0
    tokens: int = 0

    @contextmanager
    def of(self, model: "PreTrainedModel | None") -> Iterator[None]:
        """Count the passes of a model; without one there are none to count."""
        if model is None:
            yield
            return

        def seen(_: object, positional: tuple[object, ...], named: dict[str, object]) -> None:
            ids = named.get("input_ids", positional[0] if positional else None)
            self.passes += 1
            self.tokens += cast("torch.Tensor", ids).numel()

        hook = model.register_forward_pre_hook(seen, with_kwargs=True)
        try:
            yield
        finally:
            hook.remove()


class _Own:
    """An engine of the benchmark, made anew for each round, so that none learns from the last."""

    def __init__(self, setup: Setup) -> None:
        name = setup["engine"]
        # A row that only the measuring process knows is known here from now on.
        row = ENGINES.setdefault(name, row_from_json(setup["row"]))
        settings = resolve(
            RunRequest(
                setup["model"],
                Path("unused"),
                engine=name,
                device=setup["device"],
                dtype=setup["dtype"],
                max_new_tokens=setup["max_new_tokens"],
            )
        )
        self._said: list[str] = []
        location = locate(setup["model"])
        model = load_model(location, settings.options) if row.loads_weights else None
        tokenizer = load_tokenizer(location)
        self._decoder = Decoder(settings, setup["expression"], tokenizer, model, self._said.append)

    def __call__(self, work: Work) -> Taken:
        decoder, said = self._decoder, self._said
        prompts = [tuple(ids) for ids in work["prompts"]]
        expected = dict(zip(prompts, map(tuple, work["expected"]), strict=True))
        decoder.check(prompts)
        said.clear()
        release()  # free what the round before held
        limits = replace(decoder.settings.limits, batch_size=work["batch_size"])
        engine = decoder.engine(limits, expected)
        answers: dict[int, list[int]] = {}
        count = _Count()
        with count.of(decoder.model):
            started, processor = time.perf_counter(), time.process_time()
            for batch in engine.generate(prompts):
                answers.update((i, list(completion.token_ids)) for i, completion in batch)
            seconds = time.perf_counter() - started
            processor = time.process_time() - processor
        # Its passes call the model's layers one by one, where no hook sees them.
        told = engine.statistics if isinstance(engine, CountsPasses) else count
        taken: Taken = {
            "seconds": seconds,
            "processor": processor,
            "passes": told.passes,
            "tokens": told.tokens,
            "answers": [answers[i] for i in range(len(prompts))],
        }
        if said:
            taken["stood_in"] = said[0]
        if (held := gpu_memory(decoder.settings.options.device)) is not None:
            taken["gpu_memory"] = held
        return taken


class _Limit:
    """The model's matrix products alone."""

    def __init__(self, setup: Setup) -> None:
        model, tokenizer = _load(setup)
        self._products = Products(model)
        constraint = Constraint(setup["expression"], tokenizer.token_bytes, tokenizer.eos_id)
        self._choices = open_choices(constraint, tokenizer.token_bytes)

    def __call__(self, work: LimitWork) -> LimitTaken:
        counts = [self._choices(answer) for answer in work["answers"]]
        choices = sum(counts) / len(counts) if counts else 0.0
        timed = self._products.seconds()
        return {
            "layers": timed.layers,
            "head": timed.head,
            "reading": timed.reading,
            "choices": choices,
        }


class _Margins:
    """Differences of logits, from a pass over the whole text at once."""

    def __init__(self, setup: Setup) -> None:
        self._model, _ = _load(setup)

    def __call__(self, work: MarginWork) -> MarginTaken:
        import torch

        margins = []
        with torch.inference_mode():
            for place in work["differences"]:
                ids = [[*place["prompt"], *place["before"]]]
                given = torch.tensor(ids, device=self._model.device)
                logits = self._model(input_ids=given, logits_to_keep=1).logits[0, -1].float()
                margins.append((logits[place["theirs"]] - logits[place["ours"]]).item())
        return {"margins": margins}


class _Copy:
    """The model as a folder of safetensors, for engines that take no GGUF file."""

    def __init__(self, setup: Setup) -> None:
        self._model, self._tokenizer = _load(setup)

    def __call__(self, work: CopyWork) -> Copied:
        folder = Path(work["folder"])
        # A folder by that name is a whole copy: what is stopped halfway leaves none.
        unfinished = folder.with_name(f"{folder.name}.unfinished")
        # The numbers are no longer those of the file, whose quantization transformers remembers.
        if hasattr(self._model.config, "quantization_config"):
            del self._model.config.quantization_config
            self._model.hf_quantizer = None
        self._model.save_pretrained(unfinished)
        self._tokenizer.raw.save_pretrained(unfinished)
        unfinished.rename(folder)
        return {"folder": str(folder)}


def _load(setup: Setup) -> tuple["PreTrainedModel", TransformersTokenizer]:
    location = locate(setup["model"])
    tokenizer = load_tokenizer(location)
    return load_model(location, LoadOptions(setup["device"], setup["dtype"])), tokenizer


def _create(setup: Setup) -> Callable[..., _Reply]:
    kinds: dict[str, Callable[[Setup], Callable[..., _Reply]]]
    kinds = {"limit": _Limit, "margins": _Margins, "copy": _Copy}
    return kinds.get(setup["engine"], _Own)(setup)


if __name__ == "__main__":
    serve(_create)
