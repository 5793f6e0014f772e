"""The libraries' own way, recorded: ``AutoTokenizer``, ``from_transformers``, a ``str`` prompt.

The benchmark builds prompts, token ids and constraint by itself, so much of what an upgrade moves
does not reach it. It does reach whoever calls the libraries as their documentation says. The same
stages are recorded here that way, so that ``compare`` and ``bisect`` tell of both.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmark.errors import ModelError
from benchmark.fingerprints.record import Allowed, Fingerprint, first_samples
from benchmark.fingerprints.run_environment import data_described
from benchmark.fingerprints.stage_recorder import StageRecorder, needed
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
from benchmark.models.location import Location, locate
from benchmark.prompts.rendering import completion
from benchmark.records import Answer, Outcome, State, TokenIds
from benchmark.runs.data import load_states
from benchmark.runs.environment import Environment, code_digests, versions
from benchmark.runs.requests import DataRequest
from benchmark.scoring.counts import count
from benchmark.tasks import DEFAULT, task_named

_NEW_TOKENS = 160
"""Enough for a whole answer in most tokenizers; outlines alone would stop at 20."""

_FORBIDDEN = -1

_TASK = task_named(DEFAULT)

_TOKENIZERS = ("*token*", "vocab*", "*.gguf")
"""Files that a tokenizer is read from, whatever the family."""


def vanilla_fingerprint(model: Path, data: DataRequest) -> Fingerprint:
    """The stages of vanilla use, in the environment that this runs in.

    ``model`` is a folder or GGUF file. A folder with a tokenizer and no weights gets a tiny random
    model, and the stages that depend on weights are left out.

    Raises:
        ModelError: when there is no such folder or file, or no tokenizer in it.
    """
    if not model.exists():
        raise ModelError(f"{model}: no such folder or GGUF file; vanilla use takes no identifiers")
    if model.is_dir() and not any(any(model.glob(name)) for name in _TOKENIZERS):
        raise ModelError(f"{model}: no tokenizer in this folder ({', '.join(_TOKENIZERS)})")
    return _Plain(load_states(data), model, data).record()


@dataclass
class _Plain:
    """Each stage made once, by what a user of the libraries would write."""

    states: Sequence[State]
    model: Path
    data: DataRequest
    attempts: StageRecorder = field(default_factory=StageRecorder)

    def record(self) -> Fingerprint:
        make, attempt = self.attempts.make, self.attempts.attempt
        make(DATASET, lambda: [list(_TASK.rows(state)) for state in self.states])
        sent = make(PROMPT, self._sent)
        ids = make(PROMPT_IDS, lambda: self._encoded(sent))
        path = attempt("path", lambda: self._answers_after(sent), PROMPT_IDS.digests)
        allowed = make(CONSTRAINT, lambda: self._allowed(ids, path))
        said = list[str]()
        scores: Mapping[str, tuple[Outcome, ...]] | None = None
        if self._location is not None:
            make(WEIGHTS, lambda: self._raw_model)
            said = attempt(GENERATED_IDS.name, lambda: self._said(ids), PROMPT.digests) or []
            answers = make(ANSWER, lambda: _answers(said))
            scores = make(OUTCOME, lambda: _TASK.score(needed(answers, ANSWER.name), self.states))
            make(COUNTS, lambda: list(map(count, (scores or {}).values())))
        return Fingerprint(
            environment=self._environment(),
            stages={n: stage for n, stage in self.attempts.stages.items() if n in STAGES},
            path=tuple(path or ()),
            texts=tuple(said),
            lengths=tuple(map(len, ids or ())),
            allowed=allowed,
            scores=scores or {},
            samples=first_samples(sent, ids),
            code=code_digests(),
        )

    @cached_property
    def _location(self) -> Location | None:
        """The weights; None where the folder has only a tokenizer."""
        try:
            return locate(str(self.model))
        except ModelError:
            return None

    @cached_property
    def _raw_tokenizer(self) -> Any:  # noqa: ANN401  # whatever class the release chooses
        from transformers import AutoTokenizer

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

    def _sent(self) -> list[str]:
        """The text that outlines makes of a ``str`` prompt."""
        adapter = self._outlines.type_adapter
        return [str(adapter.format_input(completion(s.description))) for s in self.states]

    def _encoded(self, sent: Sequence[str] | None) -> list[TokenIds]:
        texts = needed(sent, PROMPT.name)
        return [tuple(self._outlines.tokenizer.encode([t])[0][0].tolist()) for t in texts]

    def _answers_after(self, sent: Sequence[str] | None) -> list[TokenIds]:
        """The correct answers in the tokens that they have after their prompts."""
        texts = needed(sent, PROMPT.name)
        return [self._answer(text, state) for text, state in zip(texts, self.states, strict=True)]

    def _answer(self, sent: str, state: State) -> TokenIds:
        encode = self._raw_tokenizer.encode
        before = encode(sent, add_special_tokens=False)
        whole = encode(sent + _TASK.correct_text(state), add_special_tokens=False)
        return tuple(whole[len(before) :])

    def _allowed(
        self, prompts: Sequence[TokenIds] | None, path: Sequence[TokenIds] | None
    ) -> Allowed:
        """What outlines' own processor allows along the correct answers."""
        known = dict[TokenIds, int]()
        along = tuple(
            self._along(ids, answer, known)
            for ids, answer in zip(
                needed(prompts, PROMPT_IDS.name), needed(path, PROMPT_IDS.name), strict=True
            )
        )
        sets = tuple(map(allowed_set, known))
        return Allowed(sets, along)

    def _along(
        self, ids: TokenIds, answer: TokenIds, known: dict[TokenIds, int]
    ) -> tuple[int, ...]:
        """The number of the set that each token was chosen from; after a forbidden one, -1."""
        import torch

        processor = self._generator.logits_processor
        if hasattr(processor, "reset"):
            processor.reset()
        else:  # before 1.2 a processor was for one prompt
            del self._generator
            processor = self._generator.logits_processor
        size, numbers = self._raw_model.get_input_embeddings().num_embeddings, list[int]()
        with _eager():
            for place, token in enumerate(answer):
                so_far = torch.tensor([[*ids, *answer[:place]]])
                logits = processor(so_far, torch.zeros(1, size))
                some = tuple(torch.isfinite(logits[0]).nonzero().flatten().tolist())
                numbers.append(known.setdefault(some, len(known)))
                if token not in some:
                    return (*numbers, *[_FORBIDDEN] * (len(answer) - place - 1))
        return tuple(numbers)

    def _said(self, prompts: Sequence[TokenIds] | None) -> list[str]:
        needed(prompts, PROMPT_IDS.name)
        with _eager(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # advice on generation, another in every release
            return [
                str(self._generator(completion(s.description), max_new_tokens=_NEW_TOKENS))
                for s in self.states
            ]

    def _environment(self) -> Environment:
        """What a user would know: versions, the model's files, and what was chosen for them."""
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


def _random_model(rows_: int) -> Any:  # noqa: ANN401
    """A tiny model for a tokenizer without weights; nothing that is recorded depends on them."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=rows_,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
    )
    return LlamaForCausalLM(config).eval()


def _eager() -> Any:  # noqa: ANN401
    """No compiling of outlines' kernels: the same masks, without the wait."""
    import torch

    return torch.compiler.set_stance("force_eager")


def _answers(said: Sequence[str]) -> list[Answer]:
    return [_TASK.parse(text) for text in needed(said or None, GENERATED_IDS.name)]
