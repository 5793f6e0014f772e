"""Training of all control models, one after another, into one folder.

A control is trained in a hidden folder next to its own (``.track`` next to ``track``) with the
recipe, a lock and the checkpoint. The finished control is moved to its own folder.
"""

import io
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.controls.recipe import Recipe
from benchmark.errors import DataError, ResumeError, SettingError
from benchmark.locking import LockHeldError, locked
from benchmark.models.location import locate
from benchmark.reading.documents import read_json
from benchmark.writing import ensure_folder, write_text

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

    from benchmark.controls.loop import LogLine, ShowLine
    from benchmark.models.tokenizer import TransformersTokenizer

_IDENTITY = "recipe.json"


def train_controls(
    recipe: Recipe, out: Path, seed: int, names: Iterable[str], progress: "ShowLine"
) -> None:
    """Train the named controls, or all if no name is given, into subfolders of ``out``.

    Finished controls are kept, and an unfinished one resumes from its last checkpoint.

    Raises:
        SettingError: for a control that is not in the recipe.
        ResumeError: if a folder belongs to another recipe or seed, or another process is training
            in it.
    """
    requested = list(names) or list(recipe.models)
    for name in requested:
        if name not in recipe.models:
            choices = ", ".join(recipe.models)
            raise SettingError(f"the recipe has no control {name!r}; choose one of {choices}")
    trainer = ControlTrainer(recipe, out, seed, progress)
    for name in requested:
        trainer.train(name)


class ControlTrainer:
    """Trains the controls of one recipe and one seed into one folder."""

    def __init__(self, recipe: Recipe, out: Path, seed: int, progress: "ShowLine") -> None:
        """Create the trainer; no file is written yet."""
        self._recipe, self._out, self._seed, self._progress = recipe, out, seed, progress

    def train(self, name: str) -> Path:
        """Train a control and the one it starts from, unless finished; return its folder."""
        folder, work = self._out / name, self._out / f".{name}"
        if folder.exists():
            self._check(folder, name)
            self._progress(f"{folder}: finished")
        else:
            start = self._recipe.models[name].start
            start_folder = self.train(start) if start else None
            ensure_folder(work)
            with self._locked(work):
                self._claim(work, name)
                self._train_in(work, name, start_folder).rename(folder)
        shutil.rmtree(work, ignore_errors=True)
        return folder

    @contextmanager
    def _locked(self, work: Path) -> Iterator[None]:
        lock = locked(work / "lock", "training here", "choose another --out", wait=False)
        with ExitStack() as stack:
            try:
                stack.enter_context(lock)
            except LockHeldError as error:
                raise ResumeError(
                    f"{work}: another process is training here; wait for it"
                ) from error
            yield

    def _claim(self, work: Path, name: str) -> None:
        if (work / _IDENTITY).exists():
            self._check(work, name)
        else:
            write_text(work / _IDENTITY, [json.dumps(self._identity(name), indent=2), "\n"])

    def _check(self, folder: Path, name: str) -> None:
        path = folder / _IDENTITY
        try:
            identity = read_json(path)
        except DataError as error:
            raise ResumeError(
                f"{path}: cannot be read, so the contents of this folder are unknown; "
                "choose another --out, or remove the folder"
            ) from error
        if identity != self._identity(name):
            raise ResumeError(
                f"{folder}: from another recipe or seed; choose another --out, or remove the folder"
            )

    def _identity(self, name: str) -> dict[str, object]:
        """Return everything that the weights depend on."""
        recipe = self._recipe.model_dump(mode="json", exclude_defaults=True)
        lineage = self._lineage(name)
        stages = {stage for control in lineage for stage in self._recipe.models[control].stages}
        recipe["models"] = {control: recipe["models"][control] for control in lineage}
        recipe["stages"] = {stage: recipe["stages"][stage] for stage in sorted(stages)}
        return {"control": name, "seed": self._seed, "recipe": recipe}

    def _lineage(self, name: str) -> list[str]:
        start = self._recipe.models[name].start
        return [*(self._lineage(start) if start else ()), name]

    def _train_in(self, work: Path, name: str, start: Path | None) -> Path:
        """Train in the hidden folder; return the folder in it with the finished control."""
        import torch

        from benchmark.controls.evaluate import dev_evaluation
        from benchmark.controls.loop import TrainingLoop

        torch.set_num_threads(1)  # more threads would change the order of summation
        tokenizer = self._tokenizer(name)
        model = self._model(name, start, tokenizer)
        evaluation = dev_evaluation(self._recipe, tokenizer)
        loop = TrainingLoop(self._recipe, name, self._seed, tokenizer, evaluation)
        self._progress(f"training {name}")
        log = loop.run(model, work / "checkpoint.pt", self._progress)
        finished = work / "finished"
        shutil.rmtree(finished, ignore_errors=True)
        finished.mkdir()  # fails if the folder was moved or removed while training
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
        self, name: str, start: Path | None, tokenizer: "TransformersTokenizer"
    ) -> "LlamaForCausalLM":
        from benchmark.controls.network import random_model
        from benchmark.models.loading import LoadOptions, load_model

        if start:
            return load_model(locate(str(start)), LoadOptions("cpu", "float32"))
        return random_model(
            self._recipe.shape,
            len(tokenizer.raw),
            tokenizer.raw.bos_token_id,
            tokenizer.eos_id,
            self._recipe.models[name].seed + 1000 * self._seed,
        )


def write_model(
    model: "LlamaForCausalLM", tokenizer: "TransformersTokenizer", folder: Path
) -> None:
    """Write the files of the model and the tokenizer in the format of transformers."""
    from transformers import GenerationConfig

    # The engine of the evaluations has replaced it.
    model.generation_config = GenerationConfig.from_model_config(model.config)
    with redirect_stderr(io.StringIO()):  # hides transformers' progress bar
        model.save_pretrained(folder)
    tokenizer.raw.save_pretrained(folder)


def write_log(log: "Sequence[LogLine]", path: Path) -> None:
    """Write the training log as CSV."""
    rows = [asdict(line) for line in log]
    text = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
    write_text(path, (f"{line}\n" for line in text))
