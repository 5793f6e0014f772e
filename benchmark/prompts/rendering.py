"""The prompt in its two formats: as text to complete, and as a chat.

The chat follows Table 5 of the paper; where a template has no system role, the instruction is
a user turn of its own, as in the authors' code.
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from benchmark.errors import SettingError
from benchmark.models.tokenizer import TemplateRefusalError, Tokenizer
from benchmark.records import Message, Prompt, TokenIds

FORMATS = ("completion", "chat")


@dataclass(frozen=True, slots=True)
class Demonstrations:
    """The instruction, its acknowledgement and the solved examples of the prompt."""

    instruction: str
    acknowledgement: str
    examples: tuple[tuple[str, str], ...]


@cache
def demonstrations() -> Demonstrations:
    """The paper's demonstrations."""
    text = files("benchmark.prompts").joinpath("demonstrations.toml").read_text(encoding="utf-8")
    data = tomllib.loads(text)
    examples = ((part["description"], part["statement"]) for part in data["demonstration"])
    return Demonstrations(data["instruction"], data["acknowledgement"], tuple(examples))


def completion(description: str) -> str:
    """Return the completion prompt, which ends with the description's full stop."""
    given = demonstrations()
    parts = [given.instruction]
    parts += [f"Description: {asked}\nStatement: {told}" for asked, told in given.examples]
    return "\n\n".join([*parts, f"Description: {description}"])


def chat(description: str, *, system: bool = True) -> tuple[Message, ...]:
    """The chat prompt (Table 5), with the instruction as system message or as first user turn."""
    given = demonstrations()
    messages = [Message("system" if system else "user", given.instruction)]
    if not system:
        messages.append(Message("assistant", given.acknowledgement))
    for asked, told in given.examples:
        messages.append(Message("user", f"Description: {asked}"))
        messages.append(Message("assistant", f"Statement: {told}"))
    messages.append(Message("user", f"Description: {description}"))
    return tuple(messages)


def check_format(name: str) -> str:
    """The name itself.

    Raises:
        SettingError: when there is no such prompt format.
    """
    if name not in FORMATS:
        raise SettingError(f"no prompt format {name!r}; choose one of {', '.join(FORMATS)}")
    return name


def prompt(tokenizer: Tokenizer, description: str, prompt_format: str) -> Prompt:
    """The prompt for a description, in text and in token ids with exactly one leading BOS.

    Raises:
        SettingError: for a format that does not exist.
        ModelError: for a chat prompt where the tokenizer has no usable chat template.
    """
    text = prompt_text(tokenizer, description, prompt_format)
    return Prompt(text, with_one_bos(tokenizer.encode(text), tokenizer.bos_id))


def prompt_text(tokenizer: Tokenizer, description: str, prompt_format: str) -> str:
    """The text of a prompt; the tokenizer is asked for nothing but its chat template.

    Raises:
        SettingError: for a format that does not exist.
        ModelError: for a chat prompt where the tokenizer has no usable chat template.
    """
    if check_format(prompt_format) == "completion":
        return completion(description)
    return _rendered_chat(tokenizer, description)


def with_one_bos(ids: TokenIds, bos_id: int | None) -> TokenIds:
    """The ids with exactly one BOS before them, whatever a template has put there already.

    Turns of a chat may begin with a BOS of their own (Table 5): only the leading ones count.
    """
    if bos_id is None:
        return ids
    text_starts = next((place for place, i in enumerate(ids) if i != bos_id), len(ids))
    return (bos_id, *ids[text_starts:])


def _rendered_chat(tokenizer: Tokenizer, description: str) -> str:
    try:
        text = tokenizer.render(chat(description))
    except TemplateRefusalError:
        return tokenizer.render(chat(description, system=False))
    # Some templates refuse a system message by dropping it without a word.
    if demonstrations().instruction not in text:
        return tokenizer.render(chat(description, system=False))
    return text
