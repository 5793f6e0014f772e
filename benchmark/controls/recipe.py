"""The recipe of the control models: the frozen types of a TOML file."""

from importlib.resources import as_file, files
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from benchmark.errors import SettingError
from benchmark.reading.documents import read_toml


class _RecipeModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelSize(_RecipeModel):
    """The size of the trained Llama."""

    hidden_size: int
    intermediate_size: int
    layers: int
    heads: int
    max_positions: int


class Optimizer(_RecipeModel):
    """The parameters of AdamW, and the norm at which gradients are clipped."""

    beta1: float
    beta2: float
    weight_decay: float
    clip: float


class TrainingStage(_RecipeModel):
    """A number of training steps on one kind of text.

    ``target`` is the answer to be learned: the initial or the final contents. ``prefix`` says
    whether the instruction and the demonstrations precede the description.
    """

    target: Literal["initial", "final"]
    prefix: bool
    operations: tuple[int, ...]
    steps: int
    batch: int
    learning_rate: float
    final_learning_rate: float
    warmup: int


class Control(_RecipeModel):
    """A control model: its seed, its stages in order, and the control that it starts from."""

    seed: int
    stages: tuple[str, ...]
    start: str | None = None


class Recipe(_RecipeModel):
    """Everything that the weights depend on, except the command line's seed."""

    data_seed: int
    vocabulary_size: int
    vocabulary_texts: int
    measure_every: int
    measure_states: int
    checkpoint_every: int
    shape: ModelSize
    optimizer: Optimizer
    stages: dict[str, TrainingStage]
    models: dict[str, Control]

    @model_validator(mode="after")
    def _check_references(self) -> Self:
        """Check that stages exist, and that a control starts from one defined before it."""
        defined: set[str] = set()
        for name, control in self.models.items():
            if unknown := [stage for stage in control.stages if stage not in self.stages]:
                raise ValueError(f"{name}: unknown stage {unknown[0]!r}")
            if control.start is not None and control.start not in defined:
                raise ValueError(f"{name}: no control {control.start!r} is defined before it")
            defined.add(name)
        return self


def read_recipe(path: Path | None = None) -> Recipe:
    """Return the recipe in a file, by default the package's own.

    Raises:
        DataError: if the file cannot be read.
        SettingError: naming the field that is missing, unknown or of the wrong type.
    """
    with as_file(files("benchmark.controls").joinpath("recipe.toml")) as own:
        source = path or own
        data = read_toml(source)
    try:
        return Recipe.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        parts = (str(source), ".".join(map(str, first["loc"])), first["msg"])
        raise SettingError(": ".join(filter(None, parts))) from error
