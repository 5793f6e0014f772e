"""The table of stages, and the sizes that they work with."""

from pathlib import Path
from typing import Any, NamedTuple

from pydantic import PositiveFloat, PositiveInt

from benchmark.errors import SettingError
from benchmark.models.validation import Entry, validate
from benchmark.package_data import package_toml
from benchmark.planning.architectures import Architecture, architectures

_FILE = "gpu_proof/proof.toml"


class Stage(Entry):
    """A stage: what a success proves, the estimate in minutes, and the limit in seconds."""

    proves: str
    minutes: PositiveFloat
    limit: PositiveInt


class Sizes(Entry):
    """Numbers of states, and shapes: the name of an architecture and the fields that differ."""

    states: PositiveInt
    outlines_states: PositiveInt
    single_states: PositiveInt
    back_off_states: PositiveInt
    few_states: PositiveInt
    wide: dict[str, str | int]
    spread: dict[str, str | int]
    gemma: dict[str, str | int]
    eight_bit: dict[str, str | int]


class Context(NamedTuple):
    """What a stage works with: the folder of the proof, its sizes, and where it runs.

    ``control`` is the folder of the control whose answers are known, ``named`` the short name of
    the circumstances, whose measurements are their own.
    """

    folder: Path
    sizes: Sizes
    rehearsal: bool
    control: Path
    named: str = "here"

    @property
    def device(self) -> str:
        """The device of the models."""
        return "cpu" if self.rehearsal else "cuda:0"

    @property
    def models(self) -> Path:
        """The folder of the models that stages share; a rehearsal has small ones of its own."""
        return self.folder / ("rehearsed-models" if self.rehearsal else "models")

    @property
    def store(self) -> Path:
        """The model store of the stage ``controls``."""
        kind = "rehearsed-store" if self.rehearsal else "store"
        return self.folder / kind / self.named


def stages() -> dict[str, Stage]:
    """Return the stages by name, in order."""
    table: dict[str, Any] = package_toml(_FILE)["stages"]
    return {name: validate(Stage, row, f"{_FILE}: {name}") for name, row in table.items()}


def chosen(names: str | None) -> dict[str, Stage]:
    """Return the stages that a comma-separated list names, in its order; all without one.

    Raises:
        SettingError: for an unknown name.
    """
    every = stages()
    if names is None:
        return every
    wanted = [name.strip() for name in names.split(",")]
    for name in wanted:
        if name not in every:
            raise SettingError(f"--stages: no stage {name!r}; choose one of {', '.join(every)}")
    return {name: every[name] for name in wanted}


def sizes(*, rehearsal: bool) -> Sizes:
    """Return the sizes for a GPU, or for a rehearsal."""
    name = "rehearsal" if rehearsal else "gpu"
    return validate(Sizes, package_toml(_FILE)["sizes"][name], f"{_FILE}: sizes.{name}")


def architecture(fields: dict[str, str | int]) -> Architecture:
    """Return the shape of these fields."""
    changes = {name: value for name, value in fields.items() if name != "like"}
    return architectures().architectures[str(fields["like"])].model_copy(update=changes)
