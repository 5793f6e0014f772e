"""Training of one control model: steps, evaluations and checkpoints."""

import io
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Annotated

import torch
from pydantic import BaseModel, Field, TypeAdapter
from transformers import LlamaForCausalLM

from benchmark.controls.data import TrainingTexts, shared_prefix, training_example
from benchmark.controls.evaluate import DevEvaluation
from benchmark.controls.network import adamw, answer_loss, learning_rate
from benchmark.controls.recipe import Recipe, TrainingStage
from benchmark.errors import ResumeError
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.writing import write_bytes

ShowLine = Callable[[str], None]
"""A function that shows a line of progress."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of the training log; accuracies are in per cent, on the dev split."""

    step: int
    stage: str
    loss: float
    numops_0: float
    numops_1_up: float


class _Counts(BaseModel, strict=True):
    """The step of a checkpoint, and the losses since the last evaluation."""

    step: Annotated[int, Field(ge=0)]
    losses: list[float]


@dataclass(slots=True)
class TrainingState:
    """The state of a training, as stored in a checkpoint."""

    model: LlamaForCausalLM
    optimizer: torch.optim.Optimizer
    step: int = 0
    log: list[LogLine] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)


class TrainingLoop:
    """The training steps of one control, numbered across its stages.

    A step depends only on the seed, the step number and the weights, so that a training that was
    killed and resumed has the same result as one that was not.
    """

    def __init__(
        self,
        recipe: Recipe,
        name: str,
        seed: int,
        tokenizer: TransformersTokenizer,
        evaluation: DevEvaluation,
    ) -> None:
        """Create the loop; ``seed`` is the command line's."""
        self._recipe = recipe
        self._key = (seed, recipe.models[name].seed)
        self._tokenizer = tokenizer
        self._evaluation = evaluation
        self._texts = TrainingTexts(recipe)
        self._prefix = shared_prefix(tokenizer)
        self._plan = [
            (stage, step)
            for stage in recipe.models[name].stages
            for step in range(recipe.stages[stage].steps)
        ]

    def run(self, model: LlamaForCausalLM, checkpoint: Path, progress: ShowLine) -> list[LogLine]:
        """Train the model in place, resuming from the checkpoint if it exists; return the log."""
        state = TrainingState(model, adamw(model, self._recipe.optimizer))
        if checkpoint.exists():
            load(state, checkpoint, len(self._plan))
            progress(f"resuming at step {state.step} of {len(self._plan)}")
        remaining = _RemainingTime(state.step, len(self._plan))
        while state.step < len(self._plan):
            self._step(state)
            if self._due(state.step, self._recipe.measure_every):
                progress(f"{self._evaluate(state)}, {remaining.estimate(state.step)}")
            if self._due(state.step, self._recipe.checkpoint_every):
                save(state, checkpoint)
        return state.log

    def _due(self, step: int, every: int) -> bool:
        return step % every == 0 or step == len(self._plan)

    def _step(self, state: TrainingState) -> None:
        name, step = self._plan[state.step]
        stage = self._recipe.stages[name]
        if step == 0:
            state.optimizer = adamw(state.model, self._recipe.optimizer)
        for group in state.optimizer.param_groups:
            group["lr"] = learning_rate(stage, step)
        loss = self._loss(state.model, stage, state.step)
        torch.autograd.backward([loss])
        torch.nn.utils.clip_grad_norm_(state.model.parameters(), self._recipe.optimizer.clip)
        state.optimizer.step()
        state.optimizer.zero_grad()
        state.losses.append(loss.item())
        state.step += 1

    def _loss(self, model: LlamaForCausalLM, stage: TrainingStage, step: int) -> torch.Tensor:
        examples = [
            training_example(self._tokenizer, description, answer, bare=not stage.prefix)
            for description, answer in self._texts.batch((*self._key, step), stage)
        ]
        return answer_loss(model, examples, self._prefix if stage.prefix else ())

    def _evaluate(self, state: TrainingState) -> str:
        stage, _ = self._plan[state.step - 1]
        loss = sum(state.losses) / len(state.losses)
        state.losses.clear()
        trivial, nontrivial = self._evaluation(state.model)
        line = LogLine(state.step, stage, round(loss, 4), round(trivial, 2), round(nontrivial, 2))
        state.log.append(line)
        return (
            f"step {line.step} of {len(self._plan)}, {stage}: loss {line.loss:.3f}, "
            f"dev accuracy {trivial:.1f} % at numops 0, {nontrivial:.1f} % at numops >= 1"
        )


class _RemainingTime:
    """An estimate of the remaining time from the steps since its creation."""

    def __init__(self, step: int, last: int) -> None:
        self._first, self._last, self._started = step, last, time.monotonic()

    def estimate(self, step: int) -> str:
        pace = (time.monotonic() - self._started) / (step - self._first)
        return f"about {math.ceil(pace * (self._last - step) / 60)} min left"


def save(state: TrainingState, path: Path) -> None:
    """Write the checkpoint atomically, into the folder that the training began in.

    Raises:
        OSError: naming the file, if it cannot be written, or its folder was moved or removed.
    """
    content = io.BytesIO()
    torch.save(
        {
            "step": state.step,
            "model": state.model.state_dict(),
            "optimizer": state.optimizer.state_dict(),
            "log": [asdict(line) for line in state.log],
            "losses": state.losses,
        },
        content,
    )
    write_bytes(path, content.getvalue(), make_folder=False)


def load(state: TrainingState, path: Path, steps: int) -> None:
    """Restore the state of a training of ``steps`` steps from a checkpoint.

    Raises:
        ResumeError: if the file is not a checkpoint of this training.
    """
    try:
        _load(state, path, steps)
    except (OSError, RuntimeError, ValueError, LookupError, TypeError, UnpicklingError) as error:
        raise ResumeError(
            f"{path}: cannot resume from this checkpoint; remove it to start over"
        ) from error


def _load(state: TrainingState, path: Path, steps: int) -> None:
    checkpoint = torch.load(path, weights_only=True)
    state.model.load_state_dict(checkpoint["model"])
    state.optimizer.load_state_dict(checkpoint["optimizer"])
    counts = _Counts.model_validate({name: checkpoint[name] for name in ("step", "losses")})
    if counts.step > steps:
        raise ValueError(f"step {counts.step} of {steps}")
    state.step, state.losses = counts.step, counts.losses
    state.log = TypeAdapter(list[LogLine]).validate_python(checkpoint["log"])
