"""What is asked for with ``--engines``."""

import sys
from pathlib import Path

import pytest

from benchmark.errors import MissingLibraryError, SettingError
from benchmark.speed.launch import start
from benchmark.speed.specs import parse


def test_names_batches_and_dtypes() -> None:
    """Without a batch size outlines is the paper's method; others take the common one."""
    text = "speculative, outlines,outlines@16,outlines@best:bfloat16,unconstrained@4"
    specs = parse(text, "float32", 32)
    assert [(s.name, s.batch_size, s.dtype, s.best) for s in specs] == [
        ("speculative", 32, "float32", False),
        ("outlines", 1, "float32", False),
        ("outlines", 16, "float32", False),
        ("outlines", 1, "bfloat16", True),
        ("unconstrained", 4, "float32", False),
    ]
    assert [s.is_paper for s in specs] == [False, True, False, False, False]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fast", "no engine 'fast'"),
        ("limit", "no engine 'limit'"),
        ("", "no engine ''"),
        ("outlines@0", "at least 1"),
        ("vllm@8", "chooses its batches itself"),
        ("llama.cpp:bfloat16", "numbers of its file"),
        ("outlines:int8", "no dtype 'int8'"),
        ("vllm,vllm", "vllm is there twice"),
    ],
)
def test_what_cannot_be_asked_for(text: str, message: str) -> None:
    """Each misuse is told in a line."""
    with pytest.raises(SettingError, match=message):
        parse(text, "float32", 32)


def test_own_engines_run_in_this_python(tmp_path: Path) -> None:
    """The benchmark's own engines need no other environment."""
    command, environment = start(parse("speculative", "float32", 32)[0], tmp_path)
    assert command == (sys.executable, "-m", "benchmark.speed.own_worker")
    assert "LD_PRELOAD" not in environment


def test_other_engines_say_how_they_are_installed(tmp_path: Path) -> None:
    """Where their environment, or a library that is loaded first, is missing, so is the engine."""
    plain, tuned = parse("vllm,vllm-tuned", "float32", 32)
    with pytest.raises(MissingLibraryError, match="vllm: not installed; run: make speed-engines"):
        start(plain, tmp_path)
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.touch()
    assert start(plain, tmp_path).command[0] == str(python)
    with pytest.raises(MissingLibraryError, match=r"no libiomp5\.so"):
        start(tuned, tmp_path)
    for name in ("libiomp5.so", "libtcmalloc_minimal.so.4"):
        (tmp_path / name).touch()
    environment = start(tuned, tmp_path).environment
    assert environment["LD_PRELOAD"].endswith(f"libiomp5.so:{tmp_path}/libtcmalloc_minimal.so.4")
    assert environment["VLLM_CPU_OMP_THREADS_BIND"][0].isdigit()
