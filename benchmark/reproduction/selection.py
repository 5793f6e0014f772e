"""Choose pairs by an expression such as ``code and not 70b``, as ``pytest -k`` does."""

import re
from collections.abc import Callable

from benchmark.errors import SettingError
from benchmark.models.registry_types import Pair, Registry

_TOKENS = re.compile(r"[()]|[\w.-]+|\S")
_RESERVED = {"and", "or", "not"}

Occurs = Callable[[str], bool]
"""Returns whether a word occurs in what is tested."""


def selected_pairs(
    registry: Registry,
    only: str | None = None,
    experiment: str | None = None,
    *,
    paper: bool = False,
) -> list[Pair]:
    """Return the pairs of the registry that are selected, in its order.

    Args:
        registry: the models and pairs.
        only: words with and, or, not and parentheses. A word selects a pair if it occurs in its
            identifier, its experiment or a key of its models, in any case of letters.
        experiment: the experiment of the pairs.
        paper: whether only pairs of the paper are selected.

    Raises:
        SettingError: if none is selected, or the expression cannot be read.
    """
    matches = parsed(only) if only is not None else lambda _: True
    pairs = [
        pair
        for pair in registry.pairs.values()
        if experiment in {None, pair.experiment}
        and (pair.paper or not paper)
        and matches(_occurs_in(pair))
    ]
    if not pairs:
        raise SettingError("these options select no pair; see: list pairs")
    return pairs


def _occurs_in(pair: Pair) -> Occurs:
    names = [n.lower() for n in (pair.id, pair.experiment, pair.base, pair.variant)]
    return lambda word: any(word.lower() in name for name in names)


def parsed(text: str) -> Callable[[Occurs], bool]:
    """Return the expression as a function.

    Raises:
        SettingError: naming what is unexpected.
    """
    return _Parser(text).parse()


class _Parser:
    """Parses ``or`` of ``and`` of ``not`` of words and parentheses, from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._rest = _TOKENS.findall(text)[::-1]

    def parse(self) -> Callable[[Occurs], bool]:
        expression = self._either()
        if self._rest:
            raise self._unexpected()
        return expression

    def _either(self) -> Callable[[Occurs], bool]:
        parts = [self._both()]
        while self._next_is("or"):
            parts.append(self._both())
        return lambda occurs: any(part(occurs) for part in parts)

    def _both(self) -> Callable[[Occurs], bool]:
        parts = [self._single()]
        while self._next_is("and"):
            parts.append(self._single())
        return lambda occurs: all(part(occurs) for part in parts)

    def _single(self) -> Callable[[Occurs], bool]:
        if self._next_is("not"):
            negated = self._single()
            return lambda occurs: not negated(occurs)
        if self._next_is("("):
            inner = self._either()
            if not self._next_is(")"):
                raise self._unexpected()
            return inner
        if not self._rest or not _is_word(self._rest[-1]):
            raise self._unexpected()
        word = self._rest.pop()
        return lambda occurs: occurs(word)

    def _next_is(self, word: str) -> bool:
        """Take the next token if it is this one."""
        if self._rest and self._rest[-1] == word:
            self._rest.pop()
            return True
        return False

    def _unexpected(self) -> SettingError:
        token = repr(self._rest[-1]) if self._rest else "the end"
        return SettingError(
            f"--only {self._text!r}: unexpected {token}; write words with and, or, not and "
            "parentheses, such as: code and not 70b"
        )


def _is_word(token: str) -> bool:
    return token not in _RESERVED and bool(re.fullmatch(r"[\w.-]+", token))
