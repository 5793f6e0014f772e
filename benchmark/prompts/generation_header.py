"""What stands between the query and the answer of a rendered chat, and what is added to it.

A chat template ends a prompt with a header such as ``<|assistant|>``. Some templates go on: they
open a block in which the model reasons, or write tags that only their own models know. Others stop
short: a model then writes the rest of the header itself, such as the channel of its answer. A
forced answer would be taken for reasoning, or for a part of the header. So the header is compared
with those that the same template writes before answers that are in the chat.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

from benchmark.models.tokenizer import ChatTemplateError
from benchmark.package_data import package_toml

_LONGEST_TAIL = 80
"""The characters of a header that a message shows."""


@dataclass(frozen=True, slots=True)
class ReasoningBlock:
    """The tags around a model's reasoning; a row of ``reasoning.toml``.

    ``closing`` is the text that ends an open block before an answer, by default the tag alone in
    its own paragraph.
    """

    open: str
    close: str
    closing: str = ""

    @property
    def end(self) -> str:
        """The text that ends an open block before an answer."""
        return self.closing or f"\n{self.close}\n\n"

    def start_of_open(self, text: str) -> int:
        """Return where the text opens this block without closing it; -1 if it does not."""
        start = text.rfind(self.open)
        return start if start > text.rfind(self.close) else -1

    def without_closed(self, text: str) -> str:
        """Return the text without its closed blocks."""
        while (start := text.find(self.open)) >= 0:
            end = text.find(self.close, start)
            if end < 0:
                break
            text = text[:start].rstrip() + text[end + len(self.close) :]
        return text


@dataclass(frozen=True, slots=True)
class Addition:
    """What is added to a rendered chat before the answer, and what is not.

    ``closing`` ends a block of reasoning that the template opens, ``completion`` is the rest of a
    header that the template begins. ``omitted`` is the header that the template writes before the
    answers in a chat, and leaves out before the answer that is asked for; it is not added.
    """

    closing: str = ""
    completion: str = ""
    omitted: str = ""


@cache
def reasoning_blocks() -> tuple[ReasoningBlock, ...]:
    """Return the known tags around a model's reasoning."""
    return tuple(
        ReasoningBlock(**fields) for fields in package_toml("prompts/reasoning.toml")["block"]
    )


def addition(
    header: str, headers_of_answers: Iterable[str], bare_header: Callable[[], str | None]
) -> Addition:
    """Return what to add to a prompt that ends with this header.

    Args:
        header: the text after the query.
        headers_of_answers: the texts between a query and an answer in the chat, by the template.
            They are taken one by one until one decides.
        bare_header: returns the text after the query if no answer is asked for; None if the
            template cannot be rendered in this way.

    Raises:
        ChatTemplateError: if the header is neither that of an answer nor an open block of
            reasoning with known tags.
    """
    block, start = _open_block(header)
    begun = _without_reasoning(header[:start] if block else header).rstrip()
    closing = block.end if block else ""
    longer = list[str]()
    for other in headers_of_answers:
        answer = _without_reasoning(other, block)
        if answer.rstrip() == begun:
            return Addition(closing)
        if answer.startswith(begun):
            longer.append(answer)
    # A template that ignores the request for an answer may leave out its header: the prompt stays
    # that of the template, and the user is told.
    if longer and bare_header() == header:
        return Addition(closing, omitted=longer[0][len(begun) :].strip())
    for answer in longer:
        rest = answer[len(begun) :]
        return Addition(closing, rest if header == begun else rest.lstrip())
    raise ChatTemplateError(
        f"the chat template ends with {_tail(header)!r}, which is neither the start of an answer "
        "nor a block of reasoning with known tags: the answer might be taken for reasoning"
    )


def _open_block(header: str) -> tuple[ReasoningBlock | None, int]:
    """Return the block that a header leaves open, and where it begins."""
    starts = [(block.start_of_open(header), block) for block in reasoning_blocks()]
    start, block = max(starts, key=lambda pair: pair[0])
    return (block, start) if start >= 0 else (None, -1)


def _without_reasoning(header: str, opened: ReasoningBlock | None = None) -> str:
    """Return a header without closed blocks of reasoning.

    If the prompt opens a block, a template may write only its close before an answer (DeepSeek
    V3.1), which is left out, too.
    """
    for block in reasoning_blocks():
        header = block.without_closed(header)
    return header.replace(opened.close, "") if opened else header


def _tail(header: str) -> str:
    return header if len(header) <= _LONGEST_TAIL else f"...{header[-_LONGEST_TAIL:]}"
