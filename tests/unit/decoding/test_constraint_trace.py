"""What a constraint allows along an answer."""

from benchmark.decoding.constraint import Constraint
from benchmark.decoding.constraint_trace import FORBIDDEN, ConstraintTrace

SPELLINGS = {1: b"a", 2: b"b", 3: b"ab", 4: b".", 5: b" a"}
EOS = 0
CONSTRAINT = Constraint(r"a( a| b)*\.", SPELLINGS | {6: b" "}, EOS)


def test_sets_are_those_of_the_constraint_itself() -> None:
    """At every token of an answer the set is what the constraint allows after those before."""
    walker = ConstraintTrace(CONSTRAINT)
    for answer in ((1, 6, 2, 5, 4, EOS), (1, 5, 6, 1, 4, EOS), (1, 4)):
        numbers = walker.along(answer)
        assert len(numbers) == len(answer)
        for place, number in enumerate(numbers):
            assert set(walker.sets[number]) == CONSTRAINT.allowed(answer[:place])


def test_equal_sets_have_one_number() -> None:
    """Sets are numbered as they are met, and met again they keep their number."""
    walker = ConstraintTrace(CONSTRAINT)
    first = walker.along((1, 5, 5, 4, EOS))
    assert first == walker.along((1, 5, 5, 4, EOS))
    assert first[2] == first[3]
    assert len(set(walker.sets)) == len(walker.sets)


def test_what_is_not_allowed_ends_the_walk() -> None:
    """The set at a forbidden token is known, what would come after it is not."""
    walker = ConstraintTrace(CONSTRAINT)
    numbers = walker.along((1, 2, 5, 4))
    assert set(walker.sets[numbers[1]]) == CONSTRAINT.allowed((1,))
    assert numbers[2:] == (FORBIDDEN, FORBIDDEN)
