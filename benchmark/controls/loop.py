"""Training one control model: steps, measurements, and going on from a checkpoint."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from pickle import UnpicklingError

import torch
from transformers import LlamaForCausalLM

from benchmark.controls.data import TrainingTexts, example, prefix_ids
from benchmark.controls.evaluate import Measure
from benchmark.controls.network import adamw, answer_loss, learning_rate
from benchmark.controls.recipe import Recipe, TrainingStage
from benchmark.errors import ResumeError
from benchmark.models.tokenizer import TransformersTokenizer

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the training log; accuracies in per cent, on the dev split."""

    step: int
    stage: str
    loss: float
    numops_0: float
    numops_1_up: float


@dataclass(slots=True)
class TrainingState:
    """How far a training is: what a checkpoint holds."""

    model: LlamaForCausalLM
    optimizer: torch.optim.Optimizer
    step: int = 0
    log: list[LogLine] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)


class TrainingLoop:
    """The steps of one control, numbered through all its stages.

    What a step does follows from the seed, the step's number and the weights alone, so that a
    training that was killed goes on as if it had not been.
    """

    def __init__(
        self,
        recipe: Recipe,
        name: str,
        seed: int,
        tokenizer: TransformersTokenizer,
        measure: Measure,
    ) -> None:
        """Take what a step needs; ``seed`` is the command line's."""
        self._recipe = recipe
        self._key = (seed, recipe.models[name].seed)
        self._tokenizer = tokenizer
        self._measure = measure
        self._texts = TrainingTexts(recipe)
        self._prefix = prefix_ids(tokenizer)
        self._plan = [
            (stage, step)
            for stage in recipe.models[name].stages
            for step in range(recipe.stages[stage].steps)
        ]

    def run(self, model: LlamaForCausalLM, checkpoint: Path, say: Say) -> list[LogLine]:
        """Train the model in place, from the checkpoint where there is one; the log."""
        progress = TrainingState(model, adamw(model, self._recipe.optimizer))
        if checkpoint.exists():
            load(progress, checkpoint)
            say(f"going on at step {progress.step} of {len(self._plan)}")
        clock = _Clock(progress.step, len(self._plan))
        while progress.step < len(self._plan):
            self._step(progress)
            if self._due(progress.step, self._recipe.measure_every):
                say(f"{self._measured(progress)}, {clock.left(progress.step)}")
            if self._due(progress.step, self._recipe.checkpoint_every):
                save(progress, checkpoint)
        return progress.log

    def _due(self, step: int, every: int) -> bool:
        return step % every == 0 or step == len(self._plan)

    def _step(self, progress: TrainingState) -> None:
        name, step = self._plan[progress.step]
        stage = self._recipe.stages[name]
        if step == 0:
            progress.optimizer = adamw(progress.model, self._recipe.optimizer)
        for group in progress.optimizer.param_groups:
            group["lr"] = learning_rate(stage, step)
        loss = self._loss(progress.model, stage, progress.step)
        torch.autograd.backward([loss])
        torch.nn.utils.clip_grad_norm_(progress.model.parameters(), self._recipe.optimizer.clip)
        progress.optimizer.step()
        progress.optimizer.zero_grad()
        progress.losses.append(loss.item())
        progress.step += 1

    def _loss(self, model: LlamaForCausalLM, stage: TrainingStage, step: int) -> torch.Tensor:
        examples = [
            example(self._tokenizer, description, answer, bare=not stage.prefix)
            for description, answer in self._texts.batch((*self._key, step), stage)
        ]
        return answer_loss(model, examples, self._prefix if stage.prefix else ())

    def _measured(self, progress: TrainingState) -> str:
        stage, _ = self._plan[progress.step - 1]
        loss = sum(progress.losses) / len(progress.losses)
        progress.losses.clear()
        untouched, touched = self._measure(progress.model)
        line = LogLine(progress.step, stage, round(loss, 4), round(untouched, 2), round(touched, 2))
        progress.log.append(line)
        return (
            f"step {line.step} of {len(self._plan)}, {stage}: loss {line.loss:.3f}, "
            f"dev accuracy {untouched:.1f} at numops 0, {touched:.1f} above"
        )


class _Clock:
    """How long the rest will take, by the steps since it was started."""

    def __init__(self, step: int, last: int) -> None:
        self._first, self._last, self._started = step, last, time.monotonic()

    def left(self, step: int) -> str:
        pace = (time.monotonic() - self._started) / (step - self._first)
        return f"about {math.ceil(pace * (self._last - step) / 60)} min left"


def save(progress: TrainingState, path: Path) -> None:
    """Write the checkpoint at once or not at all."""
    temporary = path.with_suffix(".part")
    torch.save(
        {
            "step": progress.step,
            "model": progress.model.state_dict(),
            "optimizer": progress.optimizer.state_dict(),
            "log": [asdict(line) for line in progress.log],
            "losses": progress.losses,
        },
        temporary,
    )
    temporary.replace(path)


def load(progress: TrainingState, path: Path) -> None:
    """Bring the progress to where the checkpoint was written.

    Raises:
        ResumeError: when the file is none of this training's checkpoints.
    """
    try:
        _load(progress, path)
    except (OSError, RuntimeError, ValueError, LookupError, TypeError, UnpicklingError) as error:
        raise ResumeError(
            f"{path}: cannot go on from this checkpoint; remove it to begin again"
        ) from error


def _load(progress: TrainingState, path: Path) -> None:
    there = torch.load(path, weights_only=True)
    progress.model.load_state_dict(there["model"])
    progress.optimizer.load_state_dict(there["optimizer"])
    progress.step = there["step"]
    progress.log = [LogLine(**line) for line in there["log"]]
    progress.losses = there["losses"]
