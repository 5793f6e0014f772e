"""Render the prompt in its two formats, as text to complete and as a chat.

The completion ends with the full stop of the query, as in the authors' code. Table 2 prints an
additional line break, which is a variant. The chat follows Table 5. In the authors' code the
model's identifier decides whether the instruction is a system message; here it is a setting.
"""

from dataclasses import dataclass
from functools import cache

from benchmark.models.tokenizer import ChatTemplateError, Tokenizer
from benchmark.package_data import package_toml
from benchmark.prompts.chat_rendering import PromptPart, RenderedChat, render_chat
from benchmark.prompts.settings import PromptSettings, Role, variants
from benchmark.records import Message, Prompt, TokenIds


@dataclass(frozen=True, slots=True)
class Demonstrations:
    """The instruction, the reply to it, and the solved examples of the prompt.

    An example is a pair of a description and its statement.
    """

    instruction: str
    acknowledgement: str
    examples: tuple[tuple[str, str], ...]


@cache
def demonstrations(task: str | None = None) -> Demonstrations:
    """Return the demonstrations of a task, by default of the first, which is the paper's.

    An instruction or examples that a task does not define are those of the first task.
    """
    by_task = package_toml("prompts/demonstrations.toml")
    first = next(iter(by_task))
    data = by_task[first] | by_task.get(task or first, {})
    examples = ((part["description"], part["statement"]) for part in data["demonstration"])
    return Demonstrations(data["instruction"], data["acknowledgement"], tuple(examples))


def completion(
    description: str, variant: str = "authors", demonstrations: Demonstrations | None = None
) -> str:
    """Return the completion prompt in one of its variants (``variants.toml``)."""
    shots, wording = demonstrations or _standard(), variants()[variant]
    examples = (
        wording.example.format(description=example, statement=statement)
        for example, statement in shots.examples
    )
    query = wording.query.format(description=description)
    return "\n\n".join([shots.instruction, *examples, query])


def chat(
    description: str, role: Role = "user", demonstrations: Demonstrations | None = None
) -> tuple[Message, ...]:
    """Return the chat prompt (Table 5), with the instruction in the role ``role``.

    A user's instruction is a turn of its own, which the assistant acknowledges.
    """
    shots = demonstrations or _standard()
    messages = [Message(role, shots.instruction)]
    if role == "user":
        messages.append(Message("assistant", shots.acknowledgement))
    for example, statement in shots.examples:
        messages.append(Message("user", f"Description: {example}"))
        messages.append(Message("assistant", f"Statement: {statement}"))
    messages.append(Message("user", f"Description: {description}"))
    return tuple(messages)


def prompt(
    tokenizer: Tokenizer,
    description: str,
    settings: PromptSettings,
    demonstrations: Demonstrations | None = None,
) -> Prompt:
    """Return the prompt for a description, as text and as token ids.

    Raises:
        ModelError: for a chat prompt if the tokenizer has no usable chat template.
    """
    text = prompt_text(tokenizer, description, settings, demonstrations)
    return Prompt(text, prompt_ids(tokenizer, text, settings))


def prompt_text(
    tokenizer: Tokenizer,
    description: str,
    settings: PromptSettings,
    demonstrations: Demonstrations | None = None,
) -> str:
    """Return the text of a prompt; the tokenizer is used only for its chat template.

    Raises:
        ModelError: for a chat prompt if the tokenizer has no usable chat template.
    """
    shots = demonstrations or _standard()
    if settings.prompt_format == "completion":
        return completion(description, settings.prompt_variant, shots)
    return rendered_chat(tokenizer, description, settings.instruction_role, shots).text


def prompt_ids(tokenizer: Tokenizer, text: str, settings: PromptSettings) -> TokenIds:
    """Return the token ids of a prompt's text, with a leading BOS as the settings say.

    If the tokenizer adds none, a BOS written by a chat template is kept: the template of SmolLM2
    begins every turn with the token that the tokenizer names as its BOS.
    """
    ids = tokenizer.encode(text)
    leading_bos = tokenizer.leading_bos
    if settings.bos == "never":
        return _without_bos(ids, leading_bos)
    if settings.bos == "auto" and leading_bos is not None and settings.repeated_bos:
        return (leading_bos, *ids)
    return with_one_bos(ids, leading_bos if settings.bos == "auto" else tokenizer.bos_id)


def with_one_bos(ids: TokenIds, bos_id: int | None) -> TokenIds:
    """Return the ids with exactly one leading BOS; ids without a BOS token are unchanged.

    Only the leading BOS tokens are replaced: turns of a chat may begin with their own (Table 5).
    """
    return ids if bos_id is None else (bos_id, *_without_bos(ids, bos_id))


def _without_bos(ids: TokenIds, bos_id: int | None) -> TokenIds:
    start = next((index for index, i in enumerate(ids) if i != bos_id), len(ids))
    return ids[start:]


def _standard() -> Demonstrations:
    return demonstrations()


def rendered_chat(
    tokenizer: Tokenizer, description: str, role: Role, shots: Demonstrations
) -> RenderedChat:
    """Return the chat prompt for a description in the model's template.

    Raises:
        ModelError: if the model has no template.
        ChatTemplateError: naming model and remedy, if the template rejects the messages, leaves
            out a part of the prompt, or does not end where an answer begins.
    """
    other = "--prompt-format completion"
    remedy = f"use --instruction-role user, or {other}" if role == "system" else f"use {other}"
    try:
        return render_chat(tokenizer, chat(description, role, shots), _parts(description, shots))
    except ChatTemplateError as error:
        raise ChatTemplateError(f"{tokenizer.name}: {error}; {remedy}") from error


def _parts(description: str, shots: Demonstrations) -> list[PromptPart]:
    """Return what a chat prompt must have, in order."""
    parts = [PromptPart("the instruction", shots.instruction)]
    for number, (example, statement) in enumerate(shots.examples, start=1):
        parts.append(PromptPart(f"example {number}", f"Description: {example}"))
        parts.append(PromptPart(f"the answer of example {number}", f"Statement: {statement}"))
    return [*parts, PromptPart("the query", f"Description: {description}")]
