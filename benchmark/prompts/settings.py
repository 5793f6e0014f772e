"""How a description becomes a prompt: format, variant, the instruction's role, the BOS."""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, Self, TypeVar, get_args

from benchmark.errors import SettingError

Format = Literal["completion", "chat"]
Role = Literal["system", "user"]
Bos = Literal["auto", "always", "never"]

FORMATS: tuple[Format, ...] = get_args(Format)


@dataclass(frozen=True, slots=True)
class Variant:
    """One wording of the completion prompt; a row of ``variants.toml``."""

    what: str
    example: str
    query: str


@cache
def variants() -> Mapping[str, Variant]:
    """Return the prompt variants by name."""
    text = files("benchmark.prompts").joinpath("variants.toml").read_text(encoding="utf-8")
    return {name: Variant(**fields) for name, fields in tomllib.loads(text).items()}


@dataclass(frozen=True, slots=True)
class PromptSettings:
    """Everything about prompts that can change a score.

    ``prompt_variant`` is the wording of a completion. ``instruction_role`` says how a chat gives
    the instruction: as the system message, or as a user turn that the assistant answers with
    ``Okay.``. ``bos`` is ``auto`` for what the model's own tokenizer does; with ``repeated_bos``
    it puts one before a chat whose template has written one already, as the authors' code does.
    """

    prompt_format: Format = "completion"
    prompt_variant: str = "authors"
    instruction_role: Role = "user"
    bos: Bos = "auto"
    repeated_bos: bool = False

    @classmethod
    def checked(cls, prompt_format: str, prompt_variant: str, role: str, bos: str) -> Self:
        """Return the settings of these names.

        Raises:
            SettingError: for a name that does not exist, and a variant of a completion for a chat.
        """
        if prompt_format == "chat" and prompt_variant != cls().prompt_variant:
            raise SettingError(
                f"--prompt-variant {prompt_variant} is a wording of completions; leave it out, or "
                "take --prompt-format completion"
            )
        return cls(
            _known("prompt format", prompt_format, FORMATS),
            _known("prompt variant", prompt_variant, tuple(variants())),
            _known("instruction role", role, get_args(Role)),
            _known("bos", bos, get_args(Bos)),
        )

    def as_json(self) -> dict[str, object]:
        """Return the settings by name, None where one says nothing in the format."""
        unused = "prompt_variant" if self.prompt_format == "chat" else "instruction_role"
        return {**asdict(self), unused: None}


T = TypeVar("T", bound=str)


def _known(what: str, name: str, names: tuple[T, ...]) -> T:
    for each in names:
        if each == name:
            return each
    raise SettingError(f"no {what} {name!r}; choose one of {', '.join(names)}")
