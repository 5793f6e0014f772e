"""All controls, one after another, into one folder: what the verb runs.

A control is made in a hidden folder beside its own (``.track`` beside ``track``), which holds
the recipe, a lock and the checkpoint, and becomes visible when it is finished.
"""

import io
import json
import shutil
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, redirect_stderr
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from benchmark.controls.recipe import Recipe
from benchmark.errors import ResumeError, SettingError
from benchmark.models.location import locate
from benchmark.writing import write_text

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

    from benchmark.controls.loop import LogLine, Say
    from benchmark.models.tokenizer import TransformersTokenizer

_IDENTITY = "recipe.json"


def train_controls(recipe: Recipe, out: Path, seed: int, names: Iterable[str], say: "Say") -> None:
    """Train the named controls, all where none is named, into folders of ``out``.

    What is finished is kept, and what was begun goes on at its last checkpoint.

    Raises:
        SettingError: for a control that the recipe has not.
        ResumeError: when a folder holds what another recipe or seed made, or another process
            is at work on it.
    """
    wanted = list(names) or list(recipe.models)
    for name in wanted:
        if name not in recipe.models:
            known = ", ".join(recipe.models)
            raise SettingError(f"the recipe has no control {name!r}; choose one of {known}")
    making = ControlTraining(recipe, out, seed, say)
    for name in wanted:
        making.control(name)


class ControlTraining:
    """The controls of one recipe and one seed in one folder."""

    def __init__(self, recipe: Recipe, out: Path, seed: int, say: "Say") -> None:
        """Name what is made; nothing is touched yet."""
        self._recipe, self._out, self._seed, self._say = recipe, out, seed, say

    def control(self, name: str) -> Path:
        """The folder of a finished control, made now where it is not there."""
        folder, work = self._out / name, self._out / f".{name}"
        if folder.exists():
            self._check(folder, name)
            self._say(f"{folder}: finished")
        else:
            start = self._recipe.models[name].start
            begun = self.control(start) if start else None
            work.mkdir(parents=True, exist_ok=True)
            with self._locked(work):
                self._claim(work, name)
                self._train(name, begun, work).rename(folder)
        shutil.rmtree(work, ignore_errors=True)
        return folder

    def _locked(self, work: Path) -> AbstractContextManager[object]:
        try:
            return FileLock(work / "lock").acquire(timeout=0)
        except Timeout as error:
            raise ResumeError(f"{work}: another process is training here; wait for it") from error

    def _claim(self, work: Path, name: str) -> None:
        if (work / _IDENTITY).exists():
            self._check(work, name)
        else:
            write_text(work / _IDENTITY, [json.dumps(self._identity(name), indent=2), "\n"])

    def _check(self, folder: Path, name: str) -> None:
        path = folder / _IDENTITY
        try:
            there = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ResumeError(
                f"{path}: cannot be read, so it is not known what is in this folder; "
                "choose another --out or remove it"
            ) from error
        if there != self._identity(name):
            raise ResumeError(
                f"{folder}: made by another recipe or seed; choose another --out or remove it"
            )

    def _identity(self, name: str) -> dict[str, object]:
        """What the weights follow from: the control, those it starts from, and the rest."""
        recipe = self._recipe.model_dump(mode="json", exclude_defaults=True)
        lineage = self._lineage(name)
        stages = {stage for each in lineage for stage in self._recipe.models[each].stages}
        recipe["models"] = {each: recipe["models"][each] for each in lineage}
        recipe["stages"] = {each: recipe["stages"][each] for each in sorted(stages)}
        return {"control": name, "seed": self._seed, "recipe": recipe}

    def _lineage(self, name: str) -> list[str]:
        start = self._recipe.models[name].start
        return [*(self._lineage(start) if start else ()), name]

    def _train(self, name: str, begun: Path | None, work: Path) -> Path:
        """Train in the hidden folder; the folder in it that holds the finished control."""
        import torch

        from benchmark.controls.evaluate import dev_measure
        from benchmark.controls.loop import TrainingLoop

        torch.set_num_threads(1)  # sums are added up in another order with more
        tokenizer = self._tokenizer(name)
        model = self._model(name, begun, tokenizer)
        measure = dev_measure(self._recipe, tokenizer)
        training = TrainingLoop(self._recipe, name, self._seed, tokenizer, measure)
        self._say(f"training {name}")
        log = training.run(model, work / "checkpoint.pt", self._say)
        finished = work / "finished"
        shutil.rmtree(finished, ignore_errors=True)
        write_model(model, tokenizer, finished)
        write_log(log, finished / "training.csv")
        shutil.copyfile(work / _IDENTITY, finished / _IDENTITY)
        return finished

    def _tokenizer(self, name: str) -> "TransformersTokenizer":
        from benchmark.controls.data import TrainingTexts
        from benchmark.controls.vocabulary import train_tokenizer
        from benchmark.models.tokenizer import TransformersTokenizer

        texts = TrainingTexts(self._recipe).prompts((self._seed,), self._recipe.vocabulary_texts)
        return TransformersTokenizer(train_tokenizer(texts, self._recipe.vocabulary_size), name)

    def _model(
        self, name: str, begun: Path | None, tokenizer: "TransformersTokenizer"
    ) -> "LlamaForCausalLM":
        from benchmark.controls.network import fresh_model
        from benchmark.models.loading import LoadOptions, load_model

        if begun:
            return load_model(locate(str(begun)), LoadOptions("cpu", "float32"))
        return fresh_model(
            self._recipe.shape,
            len(tokenizer.raw),
            tokenizer.raw.bos_token_id,
            tokenizer.eos_id,
            self._recipe.models[name].seed + 1000 * self._seed,
        )


def write_model(
    model: "LlamaForCausalLM", tokenizer: "TransformersTokenizer", folder: Path
) -> None:
    """The model's and the tokenizer's files, as transformers reads them."""
    from transformers import GenerationConfig

    # Measuring has put the engine's own in its place.
    model.generation_config = GenerationConfig.from_model_config(model.config)
    with redirect_stderr(io.StringIO()):  # a bar of its own for 3 MB
        model.save_pretrained(folder)
    tokenizer.raw.save_pretrained(folder)


def write_log(log: "Sequence[LogLine]", path: Path) -> None:
    """The training log as CSV."""
    rows = [asdict(line) for line in log]
    text = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
    write_text(path, (f"{line}\n" for line in text))
