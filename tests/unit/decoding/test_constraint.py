"""Allowed tokens, compared with an independent regular expression library.

The oracle is the third-party ``regex`` module, which can recognize the prefix of a match. It works
on bytes, as tokens do, which may end within a character.

The constraint equals the oracle for deterministic expressions whose matches are extended only
through further matches, such as the paper's. Other tests show what outlines-core does with other
expressions.
"""

from collections.abc import Iterator, Mapping

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from benchmark.boxes.answers import answer_expression
from benchmark.decoding.constraint import Constraint
from benchmark.errors import ModelError

EXAMPLES: dict[str, tuple[str, ...]] = {
    answer_expression(1): ("Statement: Box 0 contains the map.", "Statement: Box 0 contains."),
    answer_expression(2): ("Statement: Box 0 contains the map and the Bag, Box 1 contains x.",),
    r"( [a-zA-Z]+)*\.": (" the map.", " a b Z.", "."),
    r"a{2,4}\.": ("aaaa.",),
    r"a*": ("aaa",),
    r"(ab|cd)+e": ("abcde", "cdabe"),
    r"(é|日)+x?\.": ("é日日éx.",),
    r"x(yz)*w": ("xyzw",),
    r"": ("",),
}
"""Expressions with matches that together take every branch of the expression."""

FINITE = ("ab|cd", "a{1,3}b?", "(ab|cd)e?f", "é(è|日)", "a?")
"""Expressions with matches of six bytes at most."""

EOS = 1000


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, dict[int, bytes]]:
    """An expression and a vocabulary that can spell its matches.

    In addition to single bytes it has parts of matches, also within characters, arbitrary bytes,
    empty tokens and several tokens with the same bytes. Its ids have gaps, and EOS is in one.
    """
    expression = draw(st.sampled_from(sorted(EXAMPLES)))
    match = st.sampled_from([example.encode() for example in EXAMPLES[expression]])
    part = st.tuples(match, st.integers(0, 60), st.integers(0, 6)).map(
        lambda cut: cut[0][cut[1] : cut[1] + cut[2]]
    )
    needed = {bytes([byte]) for example in EXAMPLES[expression] for byte in example.encode()}
    more = draw(st.lists(part | st.binary(max_size=3), max_size=20))
    tokens = sorted(needed) + more
    size = len(tokens)
    ids = st.integers(0, 2 * EOS).filter(lambda i: i != EOS)
    drawn = draw(st.lists(ids, unique=True, min_size=size, max_size=size))
    return expression, dict(zip(drawn, tokens, strict=True))


def _allowed(expression: str, token_bytes: Mapping[int, bytes], text: bytes) -> frozenset[int]:
    """Return the ids that may follow the text, by the oracle."""
    pattern = regex.compile(expression.encode())
    follow = {
        token_id
        for token_id, spelling in token_bytes.items()
        if spelling and token_id != EOS and pattern.fullmatch(text + spelling, partial=True)
    }
    return frozenset(follow | {EOS} if pattern.fullmatch(text) else follow)


@given(case=cases(), data=st.data())
def test_allowed_tokens_lead_to_a_match(
    case: tuple[str, dict[int, bytes]], data: st.DataObject
) -> None:
    """A token is allowed if and only if the text with it is the prefix of a match.

    EOS is allowed if and only if the text is a match.
    """
    expression, token_bytes = case
    constraint = Constraint(expression, token_bytes, EOS)
    path: tuple[int, ...] = ()
    for _ in range(data.draw(st.integers(0, 40))):
        text = b"".join(token_bytes[i] for i in path)
        allowed = constraint.allowed(path)
        assert allowed == _allowed(expression, token_bytes, text)
        if not allowed - {EOS}:
            break
        path += (data.draw(st.sampled_from(sorted(allowed - {EOS}))),)


def _reachable(expression: str, token_bytes: Mapping[int, bytes]) -> Iterator[tuple[int, ...]]:
    """Yield every path of allowed tokens, by the oracle; there are finitely many."""
    paths: list[tuple[int, ...]] = [()]
    while paths:
        path = paths.pop()
        yield path
        text = b"".join(token_bytes[i] for i in path)
        paths += [(*path, i) for i in _allowed(expression, token_bytes, text) if i != EOS]


@given(
    expression=st.sampled_from(FINITE),
    tokens=st.lists(
        st.sampled_from(
            [
                *(b"", b"a", b"b", b"ab", b"aa", b"c", b"cd", b"d", b"e", b"ef", b"f", b"abe"),
                *(b"\xc3", b"\xa8", b"\xa9", b"\xc3\xa9", b"\xa9\xc3", b"\xe6\x97", b"\xa5"),
            ]
        ),
        max_size=7,
    ),
)
def test_incomplete_vocabulary(expression: str, tokens: list[bytes]) -> None:
    """A vocabulary is refused if and only if allowed tokens can lead to a dead end.

    Whether the vocabulary can finish a match is not checked: otherwise a token is allowed if and
    only if the text with it is the prefix of a match.
    """
    token_bytes = dict(enumerate(tokens))
    texts = {
        path: b"".join(token_bytes[i] for i in path) for path in _reachable(expression, token_bytes)
    }
    allowed = {path: _allowed(expression, token_bytes, text) for path, text in texts.items()}
    if all(allowed.values()):
        constraint = Constraint(expression, token_bytes, EOS)
        assert {path: constraint.allowed(path) for path in texts} == allowed
    else:
        with pytest.raises(ModelError):
            Constraint(expression, token_bytes, EOS)


def test_a_dead_end_refuses_the_whole_vocabulary() -> None:
    """One dead end is enough, even if another path leads to a match."""
    token_bytes = {0: b"a", 1: b"b", 2: b"c"}
    Constraint("ab|c", token_bytes, EOS)
    with pytest.raises(ModelError, match="incompatible"):
        Constraint("ab|cd", token_bytes, EOS)


def test_endless_loop_is_allowed() -> None:
    """A vocabulary that can continue forever but never finish is not refused."""
    constraint = Constraint("ax*b", {0: b"a", 1: b"x"}, EOS)
    assert constraint.allowed((0, 1, 1)) == {1}


@pytest.mark.parametrize("path", [(1,), (0, 0), (0, 1, 0), (5,), (0, 1, EOS), (EOS,)])
def test_a_path_that_is_not_allowed(path: tuple[int, ...]) -> None:
    """A path that leaves the expression, has an unknown id or continues after EOS is an error."""
    constraint = Constraint("ab", {0: b"a", 1: b"b"}, EOS)
    with pytest.raises(ValueError, match="No next state"):
        constraint.allowed(path)


def test_ids_with_the_same_bytes_are_all_allowed() -> None:
    """If several ids have the same bytes, the model chooses."""
    constraint = Constraint("A+", {3: b"A", 7: b"A", 9: b"AA", 11: b"B"}, EOS)
    assert constraint.allowed(()) == {3, 7, 9}
    assert constraint.allowed((7,)) == {3, 7, 9, EOS}


def test_bytes_within_a_character() -> None:
    """Tokens that end within a character are allowed where that character is."""
    token_bytes = {0: b"\xe6", 1: b"\x97", 2: b"\xa5", 3: b"\x97\xa5", 4: "日".encode()}
    constraint = Constraint("日", token_bytes, EOS)
    assert constraint.allowed(()) == {0, 4}
    assert constraint.allowed((0,)) == {1, 3}
    assert constraint.allowed((0, 1)) == {2}
    assert constraint.allowed((0, 3)) == {EOS}


def test_eos_is_not_text() -> None:
    """The bytes of EOS are never text, even if they would match."""
    constraint = Constraint("a+", {0: b"a", EOS: b"a"}, EOS)
    assert constraint.allowed(()) == {0}
    assert constraint.allowed((0,)) == {0, EOS}


def test_earlier_alternatives_win() -> None:
    """A match of a later alternative is not allowed if an earlier one matches a prefix of it.

    As in a search, outlines-core stops where an earlier alternative has matched.
    """
    token_bytes = {0: b"a", 1: b"b"}
    assert Constraint("a|ab", token_bytes, EOS).allowed((0,)) == {EOS}
    assert Constraint("ab|a", token_bytes, EOS).allowed((0,)) == {1, EOS}


def test_a_match_is_not_left_by_one_byte() -> None:
    """At a match, a token is not allowed if its last byte leaves the match.

    outlines-core takes the match of the text before that byte for a match of the text with it. So
    a longer match is reached only through other matches, or by a longer token.
    """
    token_bytes = {0: b"x", 1: b"y", 2: b"z", 3: b"yz"}
    assert Constraint("x(yz)?", token_bytes, EOS).allowed((0,)) == {3, EOS}
    assert Constraint("xy?z?", token_bytes, EOS).allowed((0,)) == {1, 2, 3, EOS}


@pytest.mark.parametrize("expression", ["[", "a(?=b)b", r"(a)\1"])
def test_invalid_expression(expression: str) -> None:
    """An invalid expression, or one with look-around or back-references, is refused."""
    with pytest.raises(ModelError, match="DFA"):
        Constraint(expression, {0: b"a", 1: b"b"}, EOS)
