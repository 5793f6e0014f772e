"""The ``--engines`` option."""

import sys
from pathlib import Path

import pytest

from benchmark.decoding.external import launch
from benchmark.errors import MissingLibraryError, SettingError
from benchmark.speed.engine_pool import SpeedInputs
from benchmark.speed.specs import EngineSpec, parse


def test_names_batches_and_dtypes() -> None:
    """Without a batch size outlines is the paper's method; others have the default."""
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


def test_products() -> None:
    """They follow the name, and are sent to the engine's process."""
    names = "speculative,speculative+mkl,speculative+onednn-widened@4:bfloat16"
    specs = parse(names, "float32", 32)
    assert [(s.name, s.products, s.batch_size, s.dtype) for s in specs] == [
        ("speculative", None, 32, "float32"),
        ("speculative", "mkl", 32, "float32"),
        ("speculative", "onednn-widened", 4, "bfloat16"),
    ]
    inputs = SpeedInputs("m", None, "d", "cpu", 1, "", "", (0,), [(1,)], [(1,)])
    assert [inputs.setup(spec).get("products") for spec in specs] == [
        None,
        "mkl",
        "onednn-widened",
    ]


def test_compiled_kernels_can_be_forbidden() -> None:
    """Before or after the products, and the engine's process is told; otherwise it is not."""
    names = (
        "speculative,speculative+unfused,speculative+mkl+unfused,speculative+unfused+mkl@4:bfloat16"
    )
    specs = parse(names, "float32", 32)
    assert [spec.label for spec in specs] == names.split(",")
    assert {spec.name for spec in specs} == {"speculative"}
    assert [(s.products, s.fused, s.batch_size, s.dtype) for s in specs] == [
        (None, True, 32, "float32"),
        (None, False, 32, "float32"),
        ("mkl", False, 32, "float32"),
        ("mkl", False, 4, "bfloat16"),
    ]
    inputs = SpeedInputs("m", None, "d", "cpu", 1, "", "", (0,), [(1,)], [(1,)])
    setups = [inputs.setup(spec) for spec in specs]
    assert [setup.get("fused") for setup in setups] == [None, False, False, False]
    assert [setup.get("products") for setup in setups] == [None, None, "mkl", "mkl"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fast", "no engine 'fast'"),
        ("limit", "no engine 'limit'"),
        ("", "no engine ''"),
        ("outlines@0", "at least 1"),
        ("vllm@8", "chooses its own batch size"),
        ("llama.cpp:bfloat16", "dtype is that of its file"),
        ("outlines:int8", "no dtype 'int8'"),
        ("vllm,vllm", "vllm is repeated"),
        ("vllm+mkl", "its matrix-product backend cannot be chosen"),
        (
            "speculative+blas",
            r"no matrix-product backend 'blas' in 'speculative\+blas'; choose one of mkl,",
        ),
        ("speculative+", r"no engine 'speculative\+'"),
        ("speculative+mkl+onednn", "name at most one matrix-product backend"),
        ("speculative+unfused+unfused", "name at most one matrix-product backend"),
        ("speculative+mkl+mkl", "name at most one matrix-product backend"),
        ("speculative+unfused+blas", "no matrix-product backend 'blas'.* or unfused for"),
        ("vllm+unfused", "its matrix-product backend cannot be chosen"),
    ],
)
def test_invalid_option(text: str, message: str) -> None:
    """Each misuse is an error with its reason."""
    with pytest.raises(SettingError, match=message):
        parse(text, "float32", 32)


def _command(spec: EngineSpec, folder: Path) -> launch.LaunchCommand:
    return launch.launch_command(spec.label, spec.traits, folder)


def test_own_engines_run_in_this_python(tmp_path: Path) -> None:
    """The benchmark's own engines run in this environment."""
    command, environment = _command(parse("speculative", "float32", 32)[0], tmp_path)
    assert command == (sys.executable, "-m", "benchmark.speed.own_worker")
    assert "LD_PRELOAD" not in environment


def test_missing_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing environment or preloaded library is an error that says how to install it."""
    monkeypatch.setattr(launch, "find_spec", lambda package: None)
    plain, tuned = parse("vllm,vllm-tuned", "float32", 32)
    with pytest.raises(MissingLibraryError, match="vllm: not installed; run: make speed-engines"):
        _command(plain, tmp_path)
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.touch()
    assert _command(plain, tmp_path).command[0] == str(python)
    with pytest.raises(MissingLibraryError, match=r"no libiomp5\.so"):
        _command(tuned, tmp_path)
    for name in ("libiomp5.so", "libtcmalloc_minimal.so.4"):
        (tmp_path / name).touch()
    environment = _command(tuned, tmp_path).environment
    assert environment["LD_PRELOAD"].endswith(f"libiomp5.so:{tmp_path}/libtcmalloc_minimal.so.4")
    assert environment["VLLM_CPU_OMP_THREADS_BIND"][0].isdigit()


def test_an_engine_that_is_installed_here_runs_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The extra ``[engines]`` needs no second environment; an installed benchmark says so."""
    (spec,) = parse("llama.cpp", "float32", 32)
    monkeypatch.setattr(launch, "is_installed", lambda: True)
    monkeypatch.setattr(launch, "find_spec", lambda package: None)
    with pytest.raises(MissingLibraryError, match="run: pip install xllamacpp"):
        _command(spec, tmp_path)
    monkeypatch.setattr(launch, "find_spec", lambda package: package == "xllamacpp")
    assert _command(spec, tmp_path).command[0] == sys.executable
    # The environment that was created for engines comes first.
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.touch()
    assert _command(spec, tmp_path).command[0] == str(python)
