"""Record vanilla use: ``AutoTokenizer``, ``from_transformers`` and a ``str`` prompt.

The benchmark builds prompts, token ids and constraint itself, so that many changes of an upgrade do
not affect it. They do affect users who call the libraries as documented. This module records the
same stages for such use, so that ``compare`` and ``bisect`` cover both.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmark.errors import ModelError
from benchmark.fingerprints.error_changes import recorded_errors
from benchmark.fingerprints.record import Allowed, Fingerprint, first_samples
from benchmark.fingerprints.run_environment import data_described
from benchmark.fingerprints.stage_recorder import StageRecorder, require
from benchmark.fingerprints.stages import (
    ANSWER,
    CONSTRAINT,
    COUNTS,
    DATASET,
    GENERATED_IDS,
    OUTCOME,
    PROMPT,
    PROMPT_IDS,
    STAGES,
    WEIGHTS,
    allowed_set,
)
from benchmark.fingerprints.tokenizers import continuation
from benchmark.models.location import Location, locate
from benchmark.models.token_id_checks import check_ids
from benchmark.prompts.rendering import completion
from benchmark.records import Answer, Outcome, State, TokenIds
from benchmark.runs.data import load_states
from benchmark.runs.environment import Environment, code_digests, versions
from benchmark.runs.requests import DataRequest
from benchmark.scoring.counts import count
from benchmark.tasks import DEFAULT, task_named

_NEW_TOKENS = 160
"""Enough for a whole answer with most tokenizers; the default of outlines is 20."""

_FORBIDDEN = -1

_TASK = task_named(DEFAULT)

_TOKENIZERS = ("*token*", "vocab*", "*.gguf")
"""Patterns of the files from which tokenizers are read."""


def vanilla_fingerprint(model: Path, data: DataRequest) -> Fingerprint:
    """Record the stages of vanilla use in this environment.

    Args:
        model: a folder or GGUF file. A folder with a tokenizer and no weights gets a tiny random
            model, and the stages that depend on weights are left out.
        data: the states.

    Raises:
        ModelError: if there is no such folder or file, or it has no tokenizer.
    """
    if not model.exists():
        raise ModelError(f"{model}: no such folder or GGUF file; identifiers are not supported")
    if model.is_dir() and not any(any(model.glob(name)) for name in _TOKENIZERS):
        raise ModelError(f"{model}: no tokenizer in this folder ({', '.join(_TOKENIZERS)})")
    return _VanillaRecording(load_states(data), model, data).record()


@dataclass
class _VanillaRecording:
    """The stages, each made once by the calls that a user of the libraries would write."""

    states: Sequence[State]
    model: Path
    data: DataRequest
    recorder: StageRecorder = field(default_factory=StageRecorder)

    def record(self) -> Fingerprint:
        make, attempt = self.recorder.make, self.recorder.attempt
        make(DATASET, lambda: [list(_TASK.rows(state)) for state in self.states])
        prompts = make(PROMPT, self._prompts)
        ids = make(PROMPT_IDS, lambda: self._encoded(prompts))
        path = attempt("path", lambda: self._correct_answers(prompts), PROMPT_IDS.digests)
        allowed = make(CONSTRAINT, lambda: self._allowed(ids, path))
        generated = list[str]()
        answers: Sequence[Answer] | None = None
        scores: Mapping[str, tuple[Outcome, ...]] | None = None
        if self._location is not None:
            make(WEIGHTS, lambda: self._raw_model)
            generated = (
                attempt(GENERATED_IDS.name, lambda: self._generated(ids), PROMPT.digests) or []
            )
            answers = make(
                ANSWER,
                lambda: list(map(_TASK.parse, require(generated or None, GENERATED_IDS.name))),
            )
            scores = make(OUTCOME, lambda: _TASK.score(require(answers, ANSWER.name), self.states))
            make(COUNTS, lambda: list(map(count, (scores or {}).values())))
        return Fingerprint(
            environment=self._environment(),
            stages={n: stage for n, stage in self.recorder.stages.items() if n in STAGES},
            path=tuple(path or ()),
            texts=tuple(generated),
            lengths=tuple(map(len, ids or ())),
            allowed=allowed,
            scores=scores or {},
            errors=recorded_errors(_TASK, answers, self.states) if scores and answers else (),
            samples=first_samples(prompts, ids),
            code=code_digests(),
        )

    @cached_property
    def _location(self) -> Location | None:
        """The location of the weights; None if the folder has only a tokenizer."""
        try:
            return locate(str(self.model))
        except ModelError:
            return None

    @cached_property
    def _raw_tokenizer(self) -> Any:  # noqa: ANN401  # the release chooses the class
        from transformers import AutoTokenizer

        check_ids(str(self.model), self._folder)  # of a model without weights, which it decides
        return AutoTokenizer.from_pretrained(self._folder, **self._gguf)

    @cached_property
    def _raw_model(self) -> Any:  # noqa: ANN401
        from transformers import AutoModelForCausalLM

        if self._location is None:
            return _random_model(max(self._raw_tokenizer.get_vocab().values()) + 1)
        return AutoModelForCausalLM.from_pretrained(self._folder, **self._gguf).eval()

    @property
    def _folder(self) -> Path:
        return self._location.folder if self._location else self.model

    @property
    def _gguf(self) -> dict[str, str]:
        return {"gguf_file": self._location.gguf} if self._location and self._location.gguf else {}

    @cached_property
    def _outlines(self) -> Any:  # noqa: ANN401
        import outlines

        return outlines.from_transformers(self._raw_model, self._raw_tokenizer)

    @cached_property
    def _generator(self) -> Any:  # noqa: ANN401
        import outlines

        expression = outlines.types.Regex(_TASK.expression)
        return outlines.Generator(self._outlines, expression)

    def _prompts(self) -> list[str]:
        """Return the texts that outlines makes of ``str`` prompts."""
        adapter = self._outlines.type_adapter
        return [str(adapter.format_input(completion(s.description))) for s in self.states]

    def _encoded(self, prompts: Sequence[str] | None) -> list[TokenIds]:
        texts = require(prompts, PROMPT.name)
        return [tuple(self._outlines.tokenizer.encode([t])[0][0].tolist()) for t in texts]

    def _correct_answers(self, prompts: Sequence[str] | None) -> list[TokenIds]:
        """Return the token ids of the correct answers after their prompts."""
        texts = require(prompts, PROMPT.name)
        return [self._answer(text, state) for text, state in zip(texts, self.states, strict=True)]

    def _answer(self, prompt: str, state: State) -> TokenIds:
        def encode(text: str) -> list[int]:
            ids: list[int] = self._raw_tokenizer.encode(text, add_special_tokens=False)
            return ids

        return continuation(encode, prompt, _TASK.correct_text(state))

    def _allowed(
        self, prompts: Sequence[TokenIds] | None, path: Sequence[TokenIds] | None
    ) -> Allowed:
        """Return the tokens that outlines' own processor allows along the correct answers."""
        sets = dict[TokenIds, int]()
        along = tuple(
            self._along(ids, answer, sets)
            for ids, answer in zip(
                require(prompts, PROMPT_IDS.name), require(path, PROMPT_IDS.name), strict=True
            )
        )
        return Allowed(tuple(map(allowed_set, sets)), along)

    def _along(self, ids: TokenIds, answer: TokenIds, sets: dict[TokenIds, int]) -> tuple[int, ...]:
        """Return the index of the set at each token; -1 after a forbidden token."""
        import torch

        processor = self._generator.logits_processor
        if hasattr(processor, "reset"):
            processor.reset()
        else:  # before outlines 1.2 a processor served one prompt only
            del self._generator
            processor = self._generator.logits_processor
        size, numbers = self._raw_model.get_input_embeddings().num_embeddings, list[int]()
        with _eager():
            for position, token in enumerate(answer):
                prefix = torch.tensor([[*ids, *answer[:position]]])
                logits = processor(prefix, torch.zeros(1, size))
                allowed = tuple(torch.isfinite(logits[0]).nonzero().flatten().tolist())
                numbers.append(sets.setdefault(allowed, len(sets)))
                if token not in allowed:
                    return (*numbers, *[_FORBIDDEN] * (len(answer) - position - 1))
        return tuple(numbers)

    def _generated(self, prompts: Sequence[TokenIds] | None) -> list[str]:
        from benchmark.decoding.finite_logits import FiniteLogitsCheck

        require(prompts, PROMPT_IDS.name)
        check, texts = FiniteLogitsCheck(self._raw_model, frozenset()), list[str]()
        with _eager(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # advice on generation, different in every release
            for number, state in enumerate(self.states):
                with check.generating(number):
                    prompt = completion(state.description)
                    texts.append(str(self._generator(prompt, max_new_tokens=_NEW_TOKENS)))
        return texts

    def _environment(self) -> Environment:
        """Return versions, the model's files, and what the libraries chose for the user."""
        tokenizer, model = (self.__dict__.get(n) for n in ("_raw_tokenizer", "_raw_model"))
        chosen = {
            "tokenizer class": type(tokenizer).__name__ if tokenizer is not None else None,
            "dtype": str(getattr(model, "dtype", None)) if self._location else None,
        }
        return Environment(
            versions=versions(),
            protocol={"name": "vanilla", "max_new_tokens": _NEW_TOKENS},
            model={"name": self.model.name, **chosen},
            data=data_described(self.data),
        )


def _random_model(vocabulary_size: int) -> Any:  # noqa: ANN401
    """Return a tiny model for a tokenizer without weights; no record depends on its weights."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=vocabulary_size,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
    )
    return LlamaForCausalLM(config).eval()


def _eager() -> Any:  # noqa: ANN401
    """Return a context in which outlines' kernels are not compiled: equal masks, less time."""
    import torch

    return torch.compiler.set_stance("force_eager")
