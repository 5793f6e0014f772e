"""Render a chat, and check that the rendered prompt is complete.

A chat template is free to drop messages without an error: a template for content in parts that gets
strings, one that shows the last turn only, or one without a system role. A prompt must have the
instruction, the examples with their answers and the query, each exactly once and in this order.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from benchmark.models.tokenizer import ChatTemplateError, Tokenizer
from benchmark.package_data import package_toml
from benchmark.records import Message

_PRINTED_PARTS = re.compile(r"""["']type["']\s*:\s*["']text["']""")

_UNKNOWN_BLOCK = re.compile(
    r"[<\[][\w:|-]*(?:think|thought|reason)[\w:|-]*[>\]]\s*$", re.IGNORECASE
)
"""The start of a block of reasoning at the end of a prompt."""


@dataclass(frozen=True, slots=True)
class PromptPart:
    """A text that a prompt must have exactly once, and its name for messages."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class ReasoningBlock:
    """The tags around a model's reasoning; a row of ``reasoning.toml``."""

    open: str
    close: str


@dataclass(frozen=True, slots=True)
class RenderedChat:
    """A rendered chat, and how it differs from the plain use of its template.

    ``content_parts`` is True if the template needs the content of a message as a list of parts.
    ``closed_reasoning`` is the text that closes a block of reasoning that the template opens.
    """

    text: str
    content_parts: bool = False
    closed_reasoning: str = ""

    def as_json(self) -> dict[str, object]:
        """Return how the chat was rendered, without its text."""
        return {
            "content_parts": self.content_parts,
            "closed_reasoning": self.closed_reasoning or None,
        }


@cache
def reasoning_blocks() -> tuple[ReasoningBlock, ...]:
    """Return the known tags around a model's reasoning."""
    return tuple(
        ReasoningBlock(**fields) for fields in package_toml("prompts/reasoning.toml")["block"]
    )


def render_chat(
    tokenizer: Tokenizer, messages: Sequence[Message], parts: Sequence[PromptPart]
) -> RenderedChat:
    """Render a chat so that all parts are in it, and a block of reasoning is closed.

    Contents are strings. If a part is missing or the template raises, lists of parts are tried.

    Raises:
        ModelError: if the model has no template.
        ChatTemplateError: if the template rejects the messages, or the prompt is incomplete.
    """
    try:
        text, content_parts = _complete(tokenizer.render(messages), parts), False
    except ChatTemplateError as error:
        try:
            rendered = _without_repr(tokenizer.render(messages, content_parts=True))
            text, content_parts = _complete(rendered, parts), True
        except ChatTemplateError:
            raise error from None
    closing = _closing(text[text.rindex(parts[-1].text) + len(parts[-1].text) :])
    return RenderedChat(text + closing, content_parts, closing)


def _without_repr(text: str) -> str:
    """Return the text if no list of parts is printed in it as Python or JSON has it.

    Raises:
        ChatTemplateError: if the template prints a list that it takes for a string.
    """
    if _PRINTED_PARTS.search(text):
        raise ChatTemplateError("the chat template prints the parts of a message as a list")
    return text


def _complete(text: str, parts: Sequence[PromptPart]) -> str:
    """Return the text if it has all parts exactly once, in order.

    Raises:
        ChatTemplateError: naming the first part that is missing, misplaced or repeated.
    """
    end, between = 0, []
    for part in parts:
        start = text.find(part.text, end)
        if start < 0:
            fault = f"puts {part.name} out of order" if part.text in text else None
            raise ChatTemplateError(
                f"the chat template {fault or f'leaves {part.name} out of the prompt'}"
            )
        between.append(text[end:start])
        end = start + len(part.text)
    between.append(text[end:])
    for part in parts:
        if any(part.text in markup for markup in between):
            raise ChatTemplateError(f"the chat template repeats {part.name}")
    return text


def _closing(ending: str) -> str:
    """Return the text that closes a block of reasoning in the ending, empty if none is open.

    Raises:
        ChatTemplateError: for an open block with unknown tags.
    """
    for block in reasoning_blocks():
        if ending.rfind(block.open) > ending.rfind(block.close):
            return f"\n{block.close}\n\n"
    match = _UNKNOWN_BLOCK.search(ending)
    if match and not any(match[0].strip() == block.close for block in reasoning_blocks()):
        raise ChatTemplateError(
            f"the chat template ends inside an open {match[0].strip()}, in which the answer would "
            "be taken for reasoning; use --prompt-format completion"
        )
    return ""
