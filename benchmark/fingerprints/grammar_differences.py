"""Say how a grammar backend's sets differ from those of outlines-core, token by token."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import regex

from benchmark.decoding.grammar_backends import GrammarTrace
from benchmark.fingerprints.stage_recorder import line
from benchmark.models.tokenizer import TransformersTokenizer

KINDS = {
    "fails": "the backend raises an error",
    "answer": "a token of the correct answer is forbidden",
    "end": "EOS is allowed too early, or not at the end",
    "forced": "the text is forced, and only its usual tokens are allowed, not others that spell it",
    "special": "a special token, which is no text, is allowed or forbidden as its name",
    "byte": "a token that is one byte of SentencePiece's byte fallback, `<0xNN>`",
    "unused": "an id that no token has",
    "added": "an added token that is text, such as a run of spaces",
    "alias": "the token is forbidden, while another one with the same bytes is allowed",
    "beyond": "the token goes beyond the end of a complete answer",
    "dead": "the token is on no way to an answer",
    "other": "the token is on the way to an answer, and is forbidden all the same",
}
"""Every kind of difference and what it means; the first that fits counts."""


@dataclass(frozen=True, slots=True)
class GrammarDifference:
    """All tokens of one kind that a backend allows and the reference does not, or the opposite.

    Attributes:
        backend: the backend.
        kind: a name in ``KINDS``.
        more: True if the backend allows the tokens, False if it forbids them.
        tokens: their number, counted once.
        positions: the positions of the answer at which one of them differs.
        example: a token and the position, or the error.
    """

    backend: str
    kind: str
    more: bool
    tokens: int
    positions: int
    example: str


@dataclass
class TokenKinds:
    """Tells the kind of a token whose permission differs."""

    tokenizer: TransformersTokenizer
    expression: str

    def kind(self, token_id: int, text: bytes, allowed: frozenset[int]) -> str:
        """Return the first kind that fits a token after a text; ``allowed`` by the backend."""
        spelling = self.tokenizer.token_bytes.get(token_id)
        if token_id == self.tokenizer.eos_id:
            return "end"
        if spelling is None:
            return "special" if token_id in self._entries else "unused"
        if regex.fullmatch("<0x[0-9A-Fa-f]{2}>", self._entries[token_id]):
            return "byte"
        if token_id in self.tokenizer.raw.added_tokens_decoder:
            return "added"
        if token_id not in allowed and allowed.intersection(self._aliases[spelling]):
            return "alias"
        return self._unfitting(text, spelling) or "other"

    def is_forced(self, allowed: frozenset[int]) -> bool:
        """Return whether all these tokens spell the beginning of one text."""
        texts = sorted((self.text([token_id]) for token_id in allowed), key=len)
        return all(texts[-1].startswith(text) for text in texts)

    def _unfitting(self, text: bytes, spelling: bytes) -> str | None:
        """Return why a token cannot follow the text; None if it can."""
        if self._fits(text + spelling):
            return None
        begins = (text + spelling[:end] for end in range(len(spelling)))
        return "beyond" if any(map(self._pattern.fullmatch, begins)) else "dead"

    def _fits(self, text: bytes) -> bool:
        return self._pattern.fullmatch(text, partial=True) is not None

    @cached_property
    def _pattern(self) -> "regex.Pattern[bytes]":
        return regex.compile(self.expression.encode())

    @cached_property
    def _entries(self) -> dict[int, str]:
        return {token_id: entry for entry, token_id in self.tokenizer.raw.get_vocab().items()}

    @cached_property
    def _aliases(self) -> dict[bytes, list[int]]:
        by_bytes = dict[bytes, list[int]]()
        for token_id, spelling in self.tokenizer.token_bytes.items():
            by_bytes.setdefault(spelling, []).append(token_id)
        return by_bytes

    def text(self, token_ids: Sequence[int]) -> bytes:
        """Return the bytes of tokens."""
        return b"".join(self.tokenizer.token_bytes.get(token_id, b"") for token_id in token_ids)

    def shown(self, token_id: int, position: int) -> str:
        """Return a token's id and entry, and a position of the answer."""
        return f"{token_id} {self._entries.get(token_id, '-')!r} at token {position}"


def grammar_differences(
    backend: str, trace: GrammarTrace | Exception, reference: GrammarTrace, kinds: TokenKinds
) -> Iterator[GrammarDifference]:
    """Yield how a backend's sets differ from the reference's along the same answer."""
    if isinstance(trace, Exception):
        yield GrammarDifference(
            backend, "fails", more=False, tokens=0, positions=0, example=line(trace)
        )
        return
    places = defaultdict[tuple[str, bool], list[tuple[int, int]]](list)
    for position, (own, other) in enumerate(zip(trace.sets, reference.sets, strict=False)):
        text = kinds.text(trace.answer[:position])
        for token_id in sorted(own ^ other):
            kind = kinds.kind(token_id, text, own)
            if token_id == trace.answer[position]:
                kind = "answer"
            elif token_id not in own and len(own) == 1 and kinds.is_forced(other):
                kind = "forced"
            places[kind, token_id in own].append((token_id, position))
    for (kind, more), at in sorted(places.items(), key=lambda item: list(KINDS).index(item[0][0])):
        tokens, positions = ({pair[i] for pair in at} for i in (0, 1))
        example = kinds.shown(*at[0])
        yield GrammarDifference(backend, kind, more, len(tokens), len(positions), example)
