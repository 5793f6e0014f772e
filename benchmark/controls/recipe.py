"""The recipe of the control models: a TOML file as frozen types."""

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from benchmark.errors import SettingError, reason


class _RecipeModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelSize(_RecipeModel):
    """The size of the Llama that is trained."""

    hidden_size: int
    intermediate_size: int
    layers: int
    heads: int
    max_positions: int


class Optimizer(_RecipeModel):
    """AdamW, and the norm at which gradients are clipped."""

    beta1: float
    beta2: float
    weight_decay: float
    clip: float


class TrainingStage(_RecipeModel):
    """Some steps of training on one kind of text.

    ``target`` is what the answer states, the initial or the final contents; ``prefix`` whether
    instruction and demonstrations stand before the description.
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
    """One control model: its seed, its stages in order and the control whose weights it takes."""

    seed: int
    stages: tuple[str, ...]
    start: str | None = None


class Recipe(_RecipeModel):
    """All that the weights follow from, but the command line's seed."""

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
    def _whole(self) -> Self:
        """Stages are there, and a control starts from one that stands before it."""
        before: set[str] = set()
        for name, control in self.models.items():
            if unknown := [stage for stage in control.stages if stage not in self.stages]:
                raise ValueError(f"{name}: there is no stage {unknown[0]!r}")
            if control.start is not None and control.start not in before:
                raise ValueError(f"{name}: no control {control.start!r} stands before it")
            before.add(name)
        return self


def read_recipe(path: Path | None = None) -> Recipe:
    """The recipe of a file, or the project's own.

    Raises:
        SettingError: naming the field that is missing, unknown or of the wrong kind.
    """
    source = path or files("benchmark.controls").joinpath("recipe.toml")
    try:
        return Recipe.model_validate(tomllib.loads(source.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingError(f"{source}: cannot read the recipe: {reason(error)}") from error
    except ValidationError as error:
        first = error.errors()[0]
        parts = (str(source), ".".join(map(str, first["loc"])), first["msg"])
        raise SettingError(": ".join(filter(None, parts))) from error
