"""The grammar for llama.cpp accepts what an expression does."""

import re
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.boxes.answers import answer_expression
from benchmark.boxes.vocabulary import default_vocabulary
from benchmark.decoding.external.gbnf import grammar
from benchmark.errors import SettingError
from benchmark.tasks import TASKS, Task

BOXES = 2
_ITEM = re.compile(r'\s*("[^"]*"|\[[^\]]*\]|[()*+]|[a-z]+)')


def _accepts(rules_text: str, text: str) -> bool:
    """Return whether the text can be derived, by trying every path through the grammar."""
    rules = dict(line.split(" ::= ") for line in rules_text.splitlines())

    def follow(items: list[str], at: set[int]) -> set[int]:
        ends, place = at, 0
        while place < len(items):
            item = items[place]
            if item == "(":
                close = items.index(")", place)
                part, place = items[place + 1 : close], close + 1
            else:
                part, place = [item], place + 1
            times = items[place] if place < len(items) and items[place] in "*+" else ""
            place += len(times)
            before, ends = ends, once(part, ends)
            if times:
                new = ends
                while new:
                    new = once(part, new) - ends
                    ends |= new
                ends |= before if times == "*" else set()
        return ends

    def once(part: list[str], at: set[int]) -> set[int]:
        if len(part) > 1:
            return follow(part, at)
        item = part[0]
        if item.startswith('"'):
            return {i + len(item) - 2 for i in at if text.startswith(item[1:-1], i)}
        if item.startswith("["):
            return {i + 1 for i in at if re.match(item, text[i : i + 1])}
        return follow(_ITEM.findall(rules[item]), at)

    return len(text) in follow(_ITEM.findall(rules["root"]), {0})


PIECES = st.sampled_from(
    ["Statement: Box 0 contains", ", Box 1 contains", " the", " bag", " ", ".", ",", "3", " A"]
)
ANSWERS = st.from_regex(answer_expression(BOXES), fullmatch=True)


@given(st.one_of(st.lists(PIECES, max_size=8).map("".join), ANSWERS))
def test_grammar_and_expression_accept_the_same(text: str) -> None:
    """Random texts from pieces of answers are accepted by both or by neither."""
    assert _accepts(grammar(answer_expression(BOXES)), text) == bool(
        re.fullmatch(answer_expression(BOXES), text)
    )


@given(ANSWERS, st.integers(0, 60), st.sampled_from(" .,aZ3"))
def test_changed_answers(text: str, place: int, character: str) -> None:
    """Answers with one replaced character are accepted by both or by neither."""
    place %= len(text)
    changed = text[:place] + character + text[place + 1 :]
    assert _accepts(grammar(answer_expression(BOXES)), changed) == bool(
        re.fullmatch(answer_expression(BOXES), changed)
    )


@pytest.mark.parametrize("boxes", [1, 7])
def test_any_number_of_boxes(boxes: int) -> None:
    """The shortest answer for the number of boxes is accepted, that for one more is not."""
    text = "Statement: " + ", ".join(f"Box {box} contains" for box in range(boxes)) + "."
    assert _accepts(grammar(answer_expression(boxes)), text)
    assert not _accepts(grammar(answer_expression(boxes + 1)), text)


@pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))
def test_correct_answers_of_every_task_are_accepted(task: Task) -> None:
    """The correct answer to a state is accepted by the task's grammar; a truncated one is not."""
    for state in islice(task.generate("dev", 4, default_vocabulary()), 0, 39, 13):
        text = task.correct_text(state)
        assert _accepts(task.grammar, text)
        assert not _accepts(task.grammar, text.removesuffix("."))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("ab*", 'root ::= "a" "b"*\n'),
        (r"a\.(b|cd){2,3}[^x\]]?", 'root ::= "a." ("b" | "cd"){2,3} [^x\\]]?\n'),
        (r"(?:[0-9]+ )+\n", 'root ::= ([0-9]+ " ")+ "\\n"\n'),
        ('say "a"\\\\', 'root ::= "say \\"a\\"\\\\"\n'),
        (".|", 'root ::= [^\\n] | ""\n'),
    ],
)
def test_parts_of_expressions(expression: str, expected: str) -> None:
    """Literals, escapes, classes, groups, alternatives and repetitions have their notation."""
    assert grammar(expression) == expected


@pytest.mark.parametrize(
    "expression",
    [
        *("^a", "a$", "(?=a)", "(?P<n>a)", r"\b", "a)", "(a", "[", "*a", r"\1", "a*?"),
        *(r"\d", r"[\d ]", "[[:alpha:]]+", "[a-z&&[^aeiou]]+", "[a-z&&b]", "[^]a]"),
        *(r"[a\-z]", "[a--b]"),
    ],
)
def test_other_parts_are_refused(expression: str) -> None:
    """An expression that is not covered has no grammar."""
    with pytest.raises(SettingError, match="no grammar for the expression"):
        grammar(expression)
