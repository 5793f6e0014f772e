"""The settings of a run, as requested and as resolved.

Every setting is one field of :class:`Settings`, which the command line, the pytest options and the
harness adapters all build.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from benchmark.decoding.connection import Connection, ExternalSettings
from benchmark.decoding.engine import DecodingLimits
from benchmark.decoding.engines import ENGINES, EngineRow
from benchmark.errors import SettingError
from benchmark.models.loading import LoadOptions
from benchmark.prompts.settings import PromptSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting that can change a score, as requested.

    None means the protocol's setting, and for ``instruction_role`` the registry's.
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
    base_url: str | None = None
    kind: str | None = None
    concurrency: int | None = None
    tensor_parallel: int | None = None
    pipeline_parallel: int | None = None


SETTINGS = tuple(setting.name for setting in fields(Settings))
"""The names of all settings; the options of the command line have dashes for underscores."""


def settings_of(values: Mapping[str, object]) -> Settings:
    """Return the settings with these values; numbers may be given as text.

    Raises:
        SettingError: for an unknown name, and for a value of another type.
    """
    if unknown := [name for name in values if name not in SETTINGS]:
        raise SettingError(f"unknown setting {unknown[0]!r}; choose one of {', '.join(SETTINGS)}")
    return validated(Settings, values)


T = TypeVar("T")


def validated(kind: type[T], values: Mapping[str, object]) -> T:
    """Return a dataclass with these values, converted to the types of its fields.

    Raises:
        SettingError: for a value of another type.
    """
    for name, value in values.items():
        if isinstance(value, bool):  # which would be taken for 0 or 1
            raise SettingError(f"{_option(name)} {value}: must be a number or text")
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        option = _option(str(first["loc"][0]))
        raise SettingError(f"{option} {first['input']!r}: {first['msg']}") from error


def _option(name: str) -> str:
    """Return the command-line option of a field."""
    return "--data" if name == "path" else f"--{name.replace('_', '-')}"


@dataclass(frozen=True, slots=True)
class ResolvedSettings:
    """The settings of a protocol after the request's changes.

    ``name`` is the protocol's and ``changed`` lists the settings that differ from it. With
    ``whole_answers`` a token limit that would cut a correct answer is refused. ``connection`` is
    the engine that was found by ``external``, if it runs elsewhere.
    """

    name: str
    changed: tuple[str, ...]
    engine: str
    prompt: PromptSettings
    limits: DecodingLimits
    options: LoadOptions
    whole_answers: bool
    external: ExternalSettings = field(default_factory=ExternalSettings)
    connection: Connection | None = None

    @property
    def engine_row(self) -> EngineRow:
        """The engine's row in the table."""
        return ENGINES[self.engine]

    def in_batches_of(self, batch_size: int) -> "ResolvedSettings":
        """Return the settings with another batch size."""
        return replace(self, limits=replace(self.limits, batch_size=batch_size))

    def as_json(self) -> dict[str, object]:
        """Return the settings by name."""
        return {
            "name": self.name,
            "engine": self.engine,
            **self.prompt.as_json(),
            **asdict(self.limits),
            **asdict(self.options),
            # The number of the GPU changes no result.
            "device": self.options.device.partition(":")[0],
            "changed": list(self.changed),
        }
