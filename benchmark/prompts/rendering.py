"""The prompt in its two formats: as text to complete, and as a chat.

The text ends with the query's full stop, as in the authors' code; Table 2 prints a line break more,
which is a variant. The chat follows Table 5. Whether its instruction is a system message depends in
the authors' code on the model's identifier, here on a setting.
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from benchmark.models.tokenizer import TemplateRefusalError, Tokenizer
from benchmark.prompts.settings import PromptSettings, Role, variants
from benchmark.records import Message, Prompt, TokenIds


@dataclass(frozen=True, slots=True)
class Demonstrations:
    """The instruction, its acknowledgement and the solved examples of the prompt."""

    instruction: str
    acknowledgement: str
    examples: tuple[tuple[str, str], ...]


@cache
def demonstrations(task: str | None = None) -> Demonstrations:
    """Return the demonstrations of a task; the first is the paper's, and the default.

    A task has the paper's instruction and examples as far as it has none of its own.
    """
    text = files("benchmark.prompts").joinpath("demonstrations.toml").read_text(encoding="utf-8")
    by_task = tomllib.loads(text)
    first = next(iter(by_task))
    data = by_task[first] | by_task.get(task or first, {})
    examples = ((part["description"], part["statement"]) for part in data["demonstration"])
    return Demonstrations(data["instruction"], data["acknowledgement"], tuple(examples))


def completion(
    description: str, variant: str = "authors", demonstrations: Demonstrations | None = None
) -> str:
    """Return the completion prompt in one of its variants (``variants.toml``)."""
    given, wording = demonstrations or _standard(), variants()[variant]
    examples = (
        wording.example.format(description=asked, statement=told) for asked, told in given.examples
    )
    query = wording.query.format(description=description)
    return "\n\n".join([given.instruction, *examples, query])


def chat(
    description: str, role: Role = "user", demonstrations: Demonstrations | None = None
) -> tuple[Message, ...]:
    """Return the chat prompt (Table 5), with the instruction in that role.

    As a user's, it is a turn of its own, which the assistant answers.
    """
    given = demonstrations or _standard()
    messages = [Message(role, given.instruction)]
    if role == "user":
        messages.append(Message("assistant", given.acknowledgement))
    for asked, told in given.examples:
        messages.append(Message("user", f"Description: {asked}"))
        messages.append(Message("assistant", f"Statement: {told}"))
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
        ModelError: for a chat prompt where the tokenizer has no usable chat template.
    """
    text = prompt_text(tokenizer, description, settings, demonstrations)
    return Prompt(text, prompt_ids(tokenizer, text, settings))


def prompt_text(
    tokenizer: Tokenizer,
    description: str,
    settings: PromptSettings,
    demonstrations: Demonstrations | None = None,
) -> str:
    """Return the text of a prompt; the tokenizer is asked for nothing but its chat template.

    Raises:
        ModelError: for a chat prompt where the tokenizer has no usable chat template.
    """
    given = demonstrations or _standard()
    if settings.prompt_format == "completion":
        return completion(description, settings.prompt_variant, given)
    return _rendered_chat(tokenizer, description, settings.instruction_role, given)


def prompt_ids(tokenizer: Tokenizer, text: str, settings: PromptSettings) -> TokenIds:
    """Return the token ids of a prompt's text, with a BOS before it as the settings have it.

    Where the tokenizer adds none, what a template writes stands: SmolLM2's begins every turn with
    the token that the tokenizer names as its BOS.
    """
    ids = tokenizer.encode(text)
    own = tokenizer.leading_bos
    if settings.bos == "never":
        return _without_bos(ids, own)
    if settings.bos == "auto" and own is not None and settings.repeated_bos:
        return (own, *ids)
    return with_one_bos(ids, own if settings.bos == "auto" else tokenizer.bos_id)


def with_one_bos(ids: TokenIds, bos_id: int | None) -> TokenIds:
    """Return the ids with exactly one BOS before them, whatever a template has put there already.

    Turns of a chat may begin with a BOS of their own (Table 5): only the leading ones count.
    """
    return ids if bos_id is None else (bos_id, *_without_bos(ids, bos_id))


def _without_bos(ids: TokenIds, bos_id: int | None) -> TokenIds:
    text_starts = next((place for place, i in enumerate(ids) if i != bos_id), len(ids))
    return ids[text_starts:]


def _standard() -> Demonstrations:
    return demonstrations()


def _rendered_chat(
    tokenizer: Tokenizer, description: str, role: Role, given: Demonstrations
) -> str:
    remedy = "; ask with --instruction-role user" if role == "system" else ""
    try:
        text = tokenizer.render(chat(description, role, given))
    except TemplateRefusalError as error:
        raise TemplateRefusalError(f"{error}{remedy}") from error
    if given.instruction not in text:
        # Some templates refuse a system message by dropping it without a word.
        raise TemplateRefusalError(
            f"the chat template leaves the instruction out of the prompt{remedy}"
        )
    return text
