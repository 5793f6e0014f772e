"""The tokens that grammar backends allow along an answer, each by its own reading of a tokenizer.

outlines-core is used as this project does, over the exact bytes of every token. xgrammar and
llguidance read the tokenizer of transformers themselves, as their documentation says.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Protocol

import numpy as np

from benchmark.decoding.constraint import Constraint
from benchmark.errors import ModelError
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.records import TokenIds

REFERENCE = "outlines_core"
"""The backend with which the others are compared; it is that of the project's own engines."""


class GrammarMatcher(Protocol):
    """A place in an answer."""

    def allowed(self) -> frozenset[int]:
        """Return the ids that may come next."""

    def advance(self, token_id: int) -> None:
        """Go beyond a token that is allowed."""


@dataclass(frozen=True, slots=True)
class GrammarTrace:
    """The sets of tokens allowed along an answer.

    ``sets`` has one set for each token of the answer; fewer if a token of the answer is not in its
    set, after which there is no path to follow.
    """

    answer: TokenIds
    sets: tuple[frozenset[int], ...]

    @property
    def forbidden(self) -> bool:
        """Whether a token of the answer is not allowed."""
        return self.answer[len(self.sets) - 1] not in self.sets[-1]


def grammar_trace(
    backend: str, expression: str, tokenizer: TransformersTokenizer, answer: TokenIds
) -> GrammarTrace:
    """Return what an installed backend allows along an answer, which ends with EOS."""
    matcher, sets = BACKENDS[backend](expression, tokenizer), list[frozenset[int]]()
    for token_id in answer:
        sets.append(matcher.allowed())
        if token_id not in sets[-1]:
            break
        if token_id != tokenizer.eos_id:
            matcher.advance(token_id)
    return GrammarTrace(answer, tuple(sets))


def installed_backends() -> tuple[str, ...]:
    """Return the names of the backends that can be imported here."""
    return tuple(name for name in BACKENDS if find_spec(name) is not None)


class _OutlinesCore:
    def __init__(self, expression: str, tokenizer: TransformersTokenizer) -> None:
        from outlines_core import Guide

        constraint = Constraint(expression, tokenizer.token_bytes, tokenizer.eos_id)
        self._guide = Guide(constraint.index)

    def allowed(self) -> frozenset[int]:
        return frozenset(self._guide.get_tokens())

    def advance(self, token_id: int) -> None:
        self._guide.advance(token_id, return_tokens=False)


class _XGrammar:
    def __init__(self, expression: str, tokenizer: TransformersTokenizer) -> None:
        import xgrammar

        size = vocabulary_size(tokenizer)
        info = xgrammar.TokenizerInfo.from_huggingface(tokenizer.raw, vocab_size=size)
        compiled = xgrammar.GrammarCompiler(info, max_threads=1).compile_regex(expression)
        self._matcher = xgrammar.GrammarMatcher(compiled)
        self._mask = xgrammar.allocate_token_bitmask(1, size)

    def allowed(self) -> frozenset[int]:
        self._mask.fill_(-1)  # it is left unchanged if everything is allowed
        self._matcher.fill_next_token_bitmask(self._mask)
        return _ids(self._mask.numpy().tobytes())

    def advance(self, token_id: int) -> None:
        self._matcher.accept_token(token_id)


class _LLGuidance:
    def __init__(self, expression: str, tokenizer: TransformersTokenizer) -> None:
        import llguidance
        import llguidance.hf

        adapted = llguidance.hf.from_tokenizer(tokenizer.raw, n_vocab=vocabulary_size(tokenizer))
        grammar = llguidance.LLMatcher.grammar_from_regex(expression)
        self._matcher = llguidance.LLMatcher(adapted, grammar)
        self._check()

    def allowed(self) -> frozenset[int]:
        mask = self._matcher.compute_bitmask()
        self._check()
        return _ids(mask)

    def advance(self, token_id: int) -> None:
        self._matcher.consume_token(token_id)
        self._check()

    def _check(self) -> None:
        """Raise the matcher's error; it raises none itself."""
        if self._matcher.is_error():
            raise ModelError(f"llguidance: {self._matcher.get_error()}")


BACKENDS: Mapping[str, Callable[[str, TransformersTokenizer], GrammarMatcher]] = {
    REFERENCE: _OutlinesCore,
    "xgrammar": _XGrammar,
    "llguidance": _LLGuidance,
}
"""What makes a matcher, by the name of the module that is imported."""


def vocabulary_size(tokenizer: TransformersTokenizer) -> int:
    """Return the number of ids of a tokenizer, with ids that no token has."""
    ids: dict[str, int] = tokenizer.raw.get_vocab()
    return max(ids.values()) + 1


def _ids(mask: bytes) -> frozenset[int]:
    """Return the ids whose bits are set, the lowest bit of a byte first."""
    bits = np.unpackbits(np.frombuffer(mask, dtype=np.uint8), bitorder="little")
    return frozenset(np.flatnonzero(bits).tolist())


def traces(
    backends: Sequence[str], expression: str, tokenizer: TransformersTokenizer, answer: TokenIds
) -> dict[str, GrammarTrace | Exception]:
    """Return each backend's trace, or the error that it raised."""
    by_backend = dict[str, GrammarTrace | Exception]()
    for backend in backends:
        try:
            by_backend[backend] = grammar_trace(backend, expression, tokenizer, answer)
        except Exception as error:  # noqa: BLE001  # any error of a library is a result
            by_backend[backend] = error
    return by_backend
