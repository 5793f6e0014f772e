"""Checks of rendered chats on a tokenizer whose template is a function."""

from collections.abc import Callable, Sequence

import pytest

from benchmark.models.tokenizer import ChatTemplateError
from benchmark.prompts.chat_rendering import (
    PromptPart,
    render_chat,
)
from benchmark.prompts.generation_header import ReasoningBlock, reasoning_blocks
from benchmark.records import Message
from fakes.fake_tokenizer import FakeTokenizer

MESSAGES = [Message("user", "one"), Message("assistant", "one two"), Message("user", "three")]
PARTS = [PromptPart(f"part {i}", turn.content) for i, turn in enumerate(MESSAGES)]


def _turns(messages: Sequence[Message]) -> str:
    return "".join(f"<{turn.role}>{turn.content}</>" for turn in messages)


def test_a_part_may_begin_like_the_next_one() -> None:
    """A part that is also the beginning of a later part is found once, in its own place."""
    rendered = render_chat(FakeTokenizer(template=_turns), MESSAGES, PARTS)
    assert rendered.text == _turns(MESSAGES)
    assert rendered.as_json() == {
        "content_parts": False,
        "closed_reasoning": None,
        "completed_header": None,
        "omitted_header": "<assistant>",
    }


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda messages: messages[1:], "puts part 1 out of order"),
        (lambda messages: messages[:-1], "leaves part 2 out"),
        (lambda messages: messages[::-1], "out of order"),
        (lambda messages: [*messages, messages[0]], "repeats part 0"),
    ],
)
def test_incomplete_chats_are_refused(
    change: Callable[[Sequence[Message]], Sequence[Message]], fault: str
) -> None:
    """A missing, misplaced or repeated part is named."""
    tokenizer = FakeTokenizer(template=lambda messages: _turns(change(messages)))
    with pytest.raises(ChatTemplateError, match=fault):
        render_chat(tokenizer, MESSAGES, PARTS)


@pytest.mark.parametrize("block", reasoning_blocks(), ids=lambda block: block.close)
def test_reasoning_is_closed_only_if_it_is_open(block: ReasoningBlock) -> None:
    """A block that the template has already closed is left as it is."""
    opening, close = block.open, block.close
    ends = {opening: block.end, f"{opening}\n\n{close}\n\n": "", "": ""}
    ends |= {f"{opening}\n": block.end, f"{opening} Well, ": block.end}
    assert block.closing or block.end == f"\n{close}\n\n"
    for ending, closing in ends.items():

        def template(messages: Sequence[Message], end: str = ending) -> str:
            return _turns(messages) + end

        tokenizer = FakeTokenizer(template=template)
        rendered = render_chat(tokenizer, MESSAGES, PARTS)
        assert rendered.text == _turns(MESSAGES) + ending + closing
        assert rendered.closed_reasoning == closing


def test_a_printed_list_of_parts_is_refused() -> None:
    """A template that cuts strings shows a list of parts whole, as Python prints it."""

    def cut(messages: Sequence[Message]) -> str:
        return "".join(f"<{turn.role}>{turn.content[:3]}</>" for turn in messages)

    class Printing(FakeTokenizer):
        """A tokenizer whose template takes content for a string."""

        def render(
            self,
            messages: Sequence[Message],
            *,
            content_parts: bool = False,
            generation: bool = True,
        ) -> str:
            """Print the parts as Python does."""
            if not content_parts:
                return super().render(messages)
            parts = ([{"type": "text", "text": turn.content}] for turn in messages)
            turns = zip(messages, parts, strict=True)
            return "".join(f"<{turn.role}>{part}</>" for turn, part in turns)

    with pytest.raises(ChatTemplateError, match="leaves"):
        render_chat(Printing(template=cut), MESSAGES, PARTS)
