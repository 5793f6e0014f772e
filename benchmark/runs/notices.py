"""What a user should know about how a model was read, in the result but not in its identity.

The wording of libraries changes with their releases, so none of it identifies a run.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from benchmark.models.library_messages import messages_of
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
        tokenizer, task, settings = questions.tokenizer, questions.task, questions.settings.prompt
        chat = None
        if settings.prompt_format == "chat":
            description = questions.states[0].description
            chat = rendered_chat(
                tokenizer, description, settings.instruction_role, task.demonstrations
            )
        return cls(
            texts=len(questions.states),
            differing_prompts=tokenizer.count_differing([p.text for p in questions.prompts]),
            differing_answers=tokenizer.count_differing(
                [task.correct_text(state) for state in questions.states]
            ),
            chat=chat,
            tokenizer=messages_of(tokenizer),
        )

    def add_weights(self, model: "LanguageModel") -> list[str]:
        """Add the messages of loading the weights, and return the lines about them."""
        self.weights = list(messages_of(model))
        return [f"warning while loading the weights: {text:.{_SHOWN}}" for text in self.weights]

    def keep_weights(self, result: Mapping[str, object]) -> None:
        """Keep the messages about the weights in an earlier result of the same run."""
        match result.get("notices"):
            case {"weights": {"library_warnings": list(messages)}}:
                self.weights = [str(message) for message in messages]

    def lines(self) -> list[str]:
        """Return the lines about tokenizer and template."""
        lines = [
            f"warning while loading the tokenizer: {text:.{_SHOWN}}" for text in self.tokenizer
        ]
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
