"""The fakes as fixtures: ``tests`` is no package, so tests cannot import them."""

import importlib.util
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from subprocess import CompletedProcess
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from benchmark.decoding.speculative.batch import Runner
from benchmark.models.registry_types import Registry
from benchmark.models.tokenizer import Tokenizer, TransformersTokenizer
from benchmark.runs.requests import RunRequest

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@pytest.fixture(scope="session")
def tiny_model() -> Callable[..., "PreTrainedModel"]:
    """``tiny_model(architecture, vocabulary_size, eos_id, seed=0)``: a small random model."""
    create: Callable[..., PreTrainedModel] = _fake("tiny_models").tiny_model
    return create


@pytest.fixture(scope="session")
def tiny_tokenizer() -> Callable[..., TransformersTokenizer]:
    """``tiny_tokenizer(chat_template=...)``: a real BPE tokenizer of 348 tokens."""
    create: Callable[..., TransformersTokenizer] = _fake("tiny_tokenizer").tiny_tokenizer
    return create


@pytest.fixture(scope="session")
def terse_folder(
    tiny_model: Callable[..., "PreTrainedModel"],
    tiny_tokenizer: Callable[..., TransformersTokenizer],
) -> Callable[..., Path]:
    """``terse_folder(path, seed=0)``: a tiny Llama whose answers end soon, saved as any model."""
    tokenizer = tiny_tokenizer()

    def save(path: Path, seed: int = 0) -> Path:
        model = tiny_model("llama", len(tokenizer.raw), tokenizer.eos_id, seed)
        _fake("terse").terse(model, tokenizer).save_pretrained(path)
        tokenizer.raw.save_pretrained(path)
        return path

    return save


@pytest.fixture
def fake_tokenizer() -> Callable[..., Tokenizer]:
    """``fake_tokenizer(bos_id=..., template=...)``: a tokenizer of bytes, without libraries."""
    create: Callable[..., Tokenizer] = _fake("fake_tokenizer").FakeTokenizer
    return create


@pytest.fixture(scope="session")
def stand_ins(
    tmp_path_factory: pytest.TempPathFactory,
    real_tokenizer: Callable[[str], TransformersTokenizer],
) -> Callable[[Registry], Path]:
    """``stand_ins(registry)``: tiny random models for all of it; the registry that names them."""
    write: Callable[..., Path] = _fake("stand_ins").write_stand_ins
    create = _fake("stand_in_models").stand_in_model
    shorten = _fake("short_vocabularies").shorten
    hurry = _fake("terse").terse
    return lambda known: write(
        known, tmp_path_factory.mktemp("models"), real_tokenizer, create, shorten, hurry
    )


@pytest.fixture
def stand_in_model() -> Callable[..., "PreTrainedModel"]:
    """``stand_in_model(architecture, vocabulary_size, eos_id, seed=0)``: one in its proportions."""
    create: Callable[..., PreTrainedModel] = _fake("stand_in_models").stand_in_model
    return create


@pytest.fixture(scope="session")
def tiny_recipe() -> Path:
    """A recipe of control models, ``copy`` and ``track``, that trains in seconds."""
    return Path(__file__).parent / "fakes" / "tiny_recipe.toml"


@pytest.fixture(scope="session")
def fake_runner() -> Callable[..., Runner]:
    """``fake_runner(steps, scores)``: a model that keeps tokens where a real one keeps keys."""
    create: Callable[..., Runner] = _fake("fake_runner").FakeRunner
    return create


@pytest.fixture
def fake_bench() -> Callable[..., object]:
    """``fake_bench(root, stages, refused)``: a workbench without environments, and what it says."""
    create: Callable[..., object] = _fake("fake_bench").fake_bench
    return create


@pytest.fixture(scope="session")
def command_line() -> Callable[..., CompletedProcess[str]]:
    """``command_line("run", ...)``: what the command prints and its exit code, in this process.

    It is the same ``main()``; a process of its own would spend seconds on importing torch.
    """
    run: Callable[..., CompletedProcess[str]] = _fake("command_line").command_line
    return run


@pytest.fixture
def fault() -> Callable[[str], Callable[..., RunRequest]]:
    """``fault(name)``: the function that puts a seeded fault into the pipeline."""
    return lambda name: getattr(_fake("faults"), name)


@pytest.fixture(scope="session")
def fakes() -> Callable[[str], ModuleType]:
    """``fakes(name)``: a module of ``tests/fakes``."""
    return _fake


@pytest.fixture(scope="session")
def finished_runs() -> ModuleType:
    """Folders of finished runs without a model: ``write_run``, ``some_states`` and answers."""
    return _fake("finished_runs")


@cache
def _fake(name: str) -> ModuleType:
    path = Path(__file__).parent / "fakes" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"fakes_{name}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path}: cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their annotations up there
    spec.loader.exec_module(module)
    return module
