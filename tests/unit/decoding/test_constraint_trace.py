"""The sets of allowed tokens along an answer."""

from types import SimpleNamespace
from typing import cast

import pytest

from benchmark.decoding.constraint import Constraint
from benchmark.decoding.constraint_trace import FORBIDDEN, ConstraintTrace
from benchmark.decoding.external.completions import (
    EngineReply,
    FaultyReplyError,
    ReplyCheck,
    accepts_start,
)
from benchmark.models.tokenizer import Tokenizer

SPELLINGS = {1: b"a", 2: b"b", 3: b"ab", 4: b".", 5: b" a"}
EOS = 0
CONSTRAINT = Constraint(r"a( a| b)*\.", SPELLINGS | {6: b" "}, EOS)


def test_sets_are_those_of_the_constraint_itself() -> None:
    """At every token of an answer the set is what the constraint allows after the earlier ones."""
    trace = ConstraintTrace(CONSTRAINT)
    for answer in ((1, 6, 2, 5, 4, EOS), (1, 5, 6, 1, 4, EOS), (1, 4)):
        numbers = trace.set_numbers(answer)
        assert len(numbers) == len(answer)
        for position, number in enumerate(numbers):
            assert set(trace.sets[number]) == CONSTRAINT.allowed(answer[:position])


def test_equal_sets_have_one_number() -> None:
    """Sets are numbered in order of first occurrence and keep their number."""
    trace = ConstraintTrace(CONSTRAINT)
    first = trace.set_numbers((1, 5, 5, 4, EOS))
    assert first == trace.set_numbers((1, 5, 5, 4, EOS))
    assert first[2] == first[3]
    assert len(set(trace.sets)) == len(trace.sets)


def test_forbidden_token_ends_the_trace() -> None:
    """The set at a forbidden token is numbered; later positions are forbidden."""
    trace = ConstraintTrace(CONSTRAINT)
    numbers = trace.set_numbers((1, 2, 5, 4))
    assert set(trace.sets[numbers[1]]) == CONSTRAINT.allowed((1,))
    assert numbers[2:] == (FORBIDDEN, FORBIDDEN)


def test_nothing_follows_the_end() -> None:
    """The set at the end is numbered; later positions are forbidden, also of further ends."""
    trace = ConstraintTrace(CONSTRAINT)
    whole = trace.set_numbers((1, 4, EOS))
    for more in ((EOS, EOS), (1, 4)):
        assert trace.set_numbers((1, 4, EOS, *more)) == (*whole, FORBIDDEN, FORBIDDEN)


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize("more", [(EOS,), (EOS, EOS), (1, 4, EOS), (1, 4)])
def test_a_reply_with_tokens_after_the_end(more: tuple[int, ...], *, finished: bool) -> None:
    """Ends that fill an answer up to the limit, and text after an end, are faults."""
    tokenizer = SimpleNamespace(eos_id=EOS, token_bytes=SPELLINGS)
    ids = (1, 4, EOS, *more)
    check = ReplyCheck(cast("Tokenizer", tokenizer), CONSTRAINT, len(ids))
    with pytest.raises(FaultyReplyError, match="after its end"):
        check.completion(EngineReply(ids, finished))
    assert not accepts_start(CONSTRAINT, ids)
    assert check.completion(EngineReply((1, 4, EOS), finished=True)).token_ids == (1, 4)
