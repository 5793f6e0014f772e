"""The recipe of the control models: the frozen types of a TOML file."""

from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from benchmark.errors import SettingError
from benchmark.models.validation import Entry, Items
from benchmark.reading.documents import read_toml

_Count = Annotated[int, Field(ge=1)]
_NotNegative = Annotated[int, Field(ge=0)]


class ModelSize(Entry):
    """The size of the trained Llama."""

    hidden_size: _Count
    intermediate_size: _Count
    layers: _Count
    heads: _Count
    max_positions: _Count


class Optimizer(Entry):
    """The parameters of AdamW, and the norm at which gradients are clipped."""

    beta1: float
    beta2: float
    weight_decay: float
    clip: float


class TrainingStage(Entry):
    """A number of training steps on one kind of text.

    ``target`` is the answer to be learned: the initial or the final contents. ``prefix`` says
    whether the instruction and the demonstrations precede the description.
    """

    target: Literal["initial", "final"]
    prefix: bool
    operations: Items[_NotNegative]
    steps: _Count
    batch: _Count
    learning_rate: float
    final_learning_rate: float
    warmup: _NotNegative


class Control(Entry):
    """A control model: its seed, its stages in order, and the control that it starts from."""

    seed: _NotNegative
    stages: Items[str]
    start: str | None = None


class Recipe(Entry):
    """Everything that the weights depend on, except the command line's seed."""

    data_seed: _NotNegative
    vocabulary_size: _Count
    vocabulary_texts: _Count
    measure_every: _Count
    measure_states: _Count
    checkpoint_every: _Count
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
