"""Render a chat, and check that the rendered prompt is complete.

A chat template is free to drop messages without an error: a template for content in parts that gets
strings, one that shows the last turn only, or one without a system role. A prompt must have the
instruction, the examples with their answers and the query, each exactly once and in this order.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from benchmark.models.tokenizer import ChatTemplateError, Tokenizer
from benchmark.prompts.generation_header import addition
from benchmark.records import Message

_PRINTED_PARTS = re.compile(r"""["']type["']\s*:\s*["']text["']""")


@dataclass(frozen=True, slots=True)
class PromptPart:
    """A text that a prompt must have exactly once, and its name for messages."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class RenderedChat:
    """A rendered chat, and how it differs from the plain use of its template.

    ``content_parts`` is True if the template needs the content of a message as a list of parts.
    ``closed_reasoning`` is the text that closes a block of reasoning that the template opens, and
    ``completed_header`` the rest of a header that it begins. ``omitted_header`` is a header that
    the template writes before other answers, and not before the one that is asked for.
    """

    text: str
    content_parts: bool = False
    closed_reasoning: str = ""
    completed_header: str = ""
    omitted_header: str = ""

    def as_json(self) -> dict[str, object]:
        """Return how the chat was rendered, without its text."""
        return {
            "content_parts": self.content_parts,
            "closed_reasoning": self.closed_reasoning or None,
            "completed_header": self.completed_header or None,
            "omitted_header": self.omitted_header or None,
        }


def render_chat(
    tokenizer: Tokenizer, messages: Sequence[Message], parts: Sequence[PromptPart]
) -> RenderedChat:
    """Render a chat so that all parts are in it, and it ends where an answer begins.

    Contents are strings. If a part is missing or the template raises, lists of parts are tried.

    Raises:
        ModelError: if the model has no template.
        ChatTemplateError: if the template rejects the messages, the prompt is incomplete, or it
            ends inside something else than an answer.
    """
    try:
        text, content_parts = _complete(tokenizer.render(messages), parts), False
    except ChatTemplateError as error:
        try:
            rendered = _without_repr(tokenizer.render(messages, content_parts=True))
            text, content_parts = _complete(rendered, parts), True
        except ChatTemplateError:
            raise error from None
    ending = _Ending(tokenizer, messages, content_parts)
    added = addition(ending.of(text), ending.before_answers(text), ending.without_generation)
    completed = text + added.closing + added.completion
    return RenderedChat(
        completed, content_parts, added.closing, added.completion, omitted_header=added.omitted
    )


@dataclass(frozen=True, slots=True)
class _Ending:
    """What a template writes after the query, in several renderings of the same chat."""

    tokenizer: Tokenizer
    messages: Sequence[Message]
    content_parts: bool

    def of(self, text: str) -> str:
        """Return the text after the query."""
        query = self.messages[-1].content
        return text[text.rindex(query) + len(query) :]

    def before_answers(self, text: str) -> Iterator[str]:
        """Yield the texts between a query and its answer: of the examples, then of this query."""
        for query, answer in pairwise(self.messages):
            if answer.role == "assistant":
                yield from _between(text, query.content, answer.content)
        answers = [turn.content for turn in self.messages if turn.role == "assistant"]
        if answers:
            answer = Message("assistant", answers[-1])
            yield from _between(
                self._rendered([*self.messages, answer]), self.messages[-1].content, answer.content
            )

    def without_generation(self) -> str | None:
        """Return the text after the query if no answer is asked for."""
        text = self._rendered(self.messages, generation=False)
        return self.of(text) if self.messages[-1].content in text else None

    def _rendered(self, messages: Sequence[Message], *, generation: bool = True) -> str:
        """Return the chat, empty if the template rejects it."""
        parts = self.content_parts
        try:
            return self.tokenizer.render(messages, content_parts=parts, generation=generation)
        except ChatTemplateError:
            return ""


def _between(text: str, query: str, answer: str) -> Iterator[str]:
    """Yield what is between the last occurrence of an answer and its query, if both are there."""
    end = text.rfind(answer)
    start = text.rfind(query, 0, end) if end >= 0 else -1
    if start >= 0:
        yield text[start + len(query) : end]


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
