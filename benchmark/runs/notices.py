"""What a user should know about how a model was read, in the result but not in its identity.

The wording of libraries changes with their releases, so none of it identifies a run.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from benchmark.models.library_messages import collected_messages, messages_of
from benchmark.prompts.rendering import rendered_chat
from benchmark.runs.evaluation import Questions

if TYPE_CHECKING:
    from benchmark.models.loading import LanguageModel
    from benchmark.prompts.chat_rendering import RenderedChat

_SHOWN = 200
"""The most characters of a library's message in the terminal; the result has all of it."""


@dataclass
class Notices:
    """Notices about the tokenizer, the chat template and the weights of one run.

    ``differing_prompts`` and ``differing_answers`` count texts that transformers encodes
    differently from ``tokenizer.json``, which decides.
    """

    texts: int
    differing_prompts: int
    differing_answers: int
    chat: "RenderedChat | None"
    tokenizer: tuple[str, ...]
    weights: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, questions: Questions) -> Self:
        """Return the notices about the prompts and correct answers of all states."""
        tokenizer, task = questions.tokenizer, questions.task
        # Templates are rendered, and texts encoded, by code of transformers that may warn.
        with collected_messages() as messages:
            prompts = [prompt.text for prompt in questions.prompts]
            answers = [task.correct_text(state) for state in questions.states]
            in_prompts, in_answers = map(tokenizer.count_differing, (prompts, answers))
            chat = _rendering(questions)
        return cls(
            len(questions.states),
            in_prompts,
            in_answers,
            chat=chat,
            tokenizer=tuple(dict.fromkeys((*messages_of(tokenizer), *messages))),
        )

    def add_weights(self, model: "LanguageModel") -> list[str]:
        """Add the messages of loading the weights, and return the lines about them."""
        self.weights = list(messages_of(model))
        return warning_lines("weights", self.weights)

    def keep_weights(self, result: Mapping[str, object]) -> None:
        """Keep the messages about the weights in an earlier result of the same run."""
        match result.get("notices"):
            case {"weights": {"library_warnings": list(messages)}}:
                self.weights = [str(message) for message in messages]

    def lines(self) -> list[str]:
        """Return the lines about tokenizer and template."""
        lines = warning_lines("tokenizer", self.tokenizer)
        if self.differing_prompts or self.differing_answers:
            lines.append(
                f"transformers encodes {self.differing_prompts} of {self.texts} prompts and "
                f"{self.differing_answers} of {self.texts} correct answers differently from "
                "tokenizer.json; using tokenizer.json"
            )
        if self.chat and self.chat.content_parts:
            lines.append("the chat template needs content as a list of parts; using parts")
        if self.chat and self.chat.closed_reasoning:
            lines.append(
                "the chat template opens a block of reasoning; it is closed before the answer with "
                f"{self.chat.closed_reasoning.strip()}"
            )
        if self.chat and self.chat.completed_header:
            lines.append(
                "the chat template stops inside the header of the answer; it is completed with "
                f"{self.chat.completed_header.strip()}"
            )
        if self.chat and self.chat.omitted_header:
            lines.append(
                f"the chat template writes {self.chat.omitted_header} before the answers of the "
                "examples but not before the answer asked for: it may be taken for the user's text"
            )
        return lines

    def as_json(self) -> dict[str, object]:
        """Return the notices by subject."""
        return {
            "tokenizer": {
                "differing_prompts": self.differing_prompts,
                "differing_answers": self.differing_answers,
                "library_warnings": list(self.tokenizer),
            },
            "chat_template": self.chat.as_json() if self.chat else None,
            "weights": {"library_warnings": self.weights},
        }


def warning_lines(subject: str, messages: Iterable[str]) -> list[str]:
    """Return the lines about messages of libraries, shortened for a terminal."""
    return [f"warning while loading the {subject}: {text:.{_SHOWN}}" for text in messages]


def _rendering(questions: Questions) -> "RenderedChat | None":
    """Return how the first state's prompt is rendered, None for a completion."""
    settings = questions.settings.prompt
    if settings.prompt_format != "chat":
        return None
    description, shots = questions.states[0].description, questions.task.demonstrations
    return rendered_chat(questions.tokenizer, description, settings.instruction_role, shots)
