"""The settings of a prompt: format, variant, role of the instruction, BOS."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Literal, Self, TypeVar, get_args

from benchmark.errors import SettingError
from benchmark.package_data import package_toml

Format = Literal["completion", "chat"]
Role = Literal["system", "user"]
Bos = Literal["auto", "always", "never"]

FORMATS: tuple[Format, ...] = get_args(Format)


@dataclass(frozen=True, slots=True)
class Variant:
    """One wording of the completion prompt, a row of ``variants.toml``."""

    what: str
    example: str
    query: str


@cache
def variants() -> Mapping[str, Variant]:
    """Return the prompt variants by name."""
    return {
        name: Variant(**fields) for name, fields in package_toml("prompts/variants.toml").items()
    }


@dataclass(frozen=True, slots=True)
class PromptSettings:
    """All settings of prompts that can change a score.

    ``prompt_variant`` is the wording of a completion. ``instruction_role`` is the role of a chat's
    instruction: a system message, or a user turn that the assistant answers with ``Okay.``.
    ``bos`` is ``auto`` for what the model's own tokenizer does. With ``repeated_bos`` the BOS is
    added even if the chat template has already written one, as the authors' code does.
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
            SettingError: for an unknown name, or a completion variant for a chat.
        """
        if prompt_format == "chat" and prompt_variant != cls().prompt_variant:
            raise SettingError(
                f"--prompt-variant {prompt_variant} is a wording of completions; leave it out, or "
                "use --prompt-format completion"
            )
        return cls(
            _choice("prompt format", prompt_format, FORMATS),
            _choice("prompt variant", prompt_variant, tuple(variants())),
            _choice("instruction role", role, get_args(Role)),
            _choice("bos", bos, get_args(Bos)),
        )

    def as_json(self) -> dict[str, object]:
        """Return the settings by name, None for one that has no effect in the prompt format."""
        unused = "prompt_variant" if self.prompt_format == "chat" else "instruction_role"
        return {**asdict(self), unused: None}


T = TypeVar("T", bound=str)


def _choice(setting: str, name: str, choices: tuple[T, ...]) -> T:
    for choice in choices:
        if choice == name:
            return choice
    raise SettingError(f"unknown {setting} {name!r}; choose one of {', '.join(choices)}")
