"""The settings of a run: as they are asked for, and as they are carried out.

One object goes from the command line, the pytest options and the harness adapters down to the
identity of a result: every setting is one field of :class:`Settings`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from benchmark.decoding.engine import DecodingLimits
from benchmark.decoding.engines import ENGINES, EngineRow
from benchmark.errors import SettingError
from benchmark.models.loading import LoadOptions
from benchmark.prompts.settings import PromptSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting that can change a score, as it is asked for.

    None takes the protocol's own setting; for ``instruction_role`` what the registry says.
    """

    engine: str | None = None
    protocol: str = "default"
    prompt_format: str = "completion"
    prompt_variant: str = "authors"
    instruction_role: str | None = None
    bos: str = "auto"
    device: str = "auto"
    dtype: str | None = None
    quantization: str | None = None
    batch_size: int | None = None
    max_new_tokens: int | None = None


SETTINGS = tuple(each.name for each in fields(Settings))
"""The names of all settings: options of the command line have them with dashes."""


def settings_of(values: Mapping[str, object]) -> Settings:
    """Return the settings that a harness or a file names; numbers may come as text.

    Raises:
        SettingError: for a name or a value that no setting has.
    """
    if unknown := [name for name in values if name not in SETTINGS]:
        raise SettingError(f"no setting {unknown[0]!r}; choose from {', '.join(SETTINGS)}")
    return checked(Settings, values)


T = TypeVar("T")


def checked(kind: type[T], values: Mapping[str, object]) -> T:
    """Return a dataclass of these values, each of the type that its field has.

    Raises:
        SettingError: for a value of another type.
    """
    for name, value in values.items():
        if isinstance(value, bool):  # which would be taken for 0 or 1
            raise SettingError(f"{_option(name)} {value}: a number is wanted, or text")
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        option = _option(str(first["loc"][0]))
        raise SettingError(f"{option} {first['input']!r}: {first['msg']}") from error


def _option(name: str) -> str:
    """Return the option of a field."""
    return "--data" if name == "path" else f"--{name.replace('_', '-')}"


@dataclass(frozen=True, slots=True)
class ResolvedSettings:
    """A protocol as it is carried out: its name, what was changed of it, and every value.

    With ``whole_answers`` a token limit that would cut a correct answer off is refused.
    """

    name: str
    changed: tuple[str, ...]
    engine: str
    prompt: PromptSettings
    limits: DecodingLimits
    options: LoadOptions
    whole_answers: bool

    @property
    def engine_row(self) -> EngineRow:
        """The engine's row in the table."""
        return ENGINES[self.engine]

    def in_batches_of(self, batch_size: int) -> "ResolvedSettings":
        """Return the same with that many prompts decoded together."""
        return replace(self, limits=replace(self.limits, batch_size=batch_size))

    def as_json(self) -> dict[str, object]:
        """Return the settings by name."""
        return {
            "name": self.name,
            "engine": self.engine,
            **self.prompt.as_json(),
            **asdict(self.limits),
            **asdict(self.options),
            # Which of several like GPUs it is changes nothing.
            "device": self.options.device.partition(":")[0],
            "changed": list(self.changed),
        }
