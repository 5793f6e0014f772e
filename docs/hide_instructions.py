"""Run a command as if the processor had fewer instructions (Linux, x86-64).

    python docs/hide_instructions.py avx2 entity-tracking speed --model M

The kinds are avx512-bf16 (without AMX), avx512 and avx2. torch, oneDNN, MKL, Numba, vLLM and the
benchmark then use what such a processor has. Clock, caches and memory remain those of this one:
ratios of one run say something about the kind, seconds do not.
"""

import importlib.abc
import importlib.util
import os
import re
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

KINDS = {
    "avx512-bf16": ("amx|avx512.?fp16|avx10", "AVX512_CORE_BF16", "cooperlake", {}),
    "avx512": ("amx|avx512.?(fp16|bf16)|avx10", "AVX512_CORE_VNNI", "cascadelake", {}),
    "avx2": (
        "amx|avx512|avx10|avx.?vnni|vnni",
        "AVX2",
        "haswell",
        {"MKL_ENABLE_INSTRUCTIONS": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"},
    ),
}
"""Flags that are hidden, oneDNN's and LLVM's names of the kind, and other variables."""


def environment(kind: str) -> dict[str, str]:
    """Return the variables by which the libraries take fewer instructions."""
    hidden, one_dnn, llvm, others = KINDS[kind]
    variables = {"ONEDNN_MAX_CPU_ISA": one_dnn, "NUMBA_CPU_NAME": llvm, **others}
    try:
        from llvmlite.binding import get_host_cpu_features
    except ImportError:  # without the extra `fast` there is nothing to compile
        return variables
    features = get_host_cpu_features().flatten().split(",")
    kept = ["-" + one[1:] if re.search(hidden, one) else one for one in features]
    return {**variables, "NUMBA_CPU_FEATURES": ",".join(kept)}


def hide(kind: str) -> None:
    """Hide the flags in this process: from readers of /proc/cpuinfo, and in ``torch.cpu``."""
    hidden = re.compile(KINDS[kind][0])
    own = Path.read_text

    def read_text(path: Path, encoding: str | None = None, errors: str | None = None) -> str:
        text = own(path, encoding, errors)
        if path != Path("/proc/cpuinfo"):
            return text
        return re.sub(r"(?<=\s)\w+", lambda flag: "" if hidden.match(flag[0]) else flag[0], text)

    Path.read_text = read_text  # type: ignore[method-assign, assignment]
    sys.meta_path.insert(0, _Finder(hidden))


class _Finder(importlib.abc.MetaPathFinder):
    """Lets ``torch.cpu`` deny what is hidden, once it is imported."""

    def __init__(self, hidden: re.Pattern[str]) -> None:
        self._hidden = hidden
        self._searching = False

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        if name != "torch.cpu" or self._searching:
            return None
        self._searching = True
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_and_deny(module: ModuleType) -> None:
            execute(module)
            for question in dir(module):
                flag = question.removeprefix("_is_").removesuffix("_supported")
                if question.endswith("_supported") and self._hidden.match(flag):
                    setattr(module, question, lambda: False)

        spec.loader.exec_module = execute_and_deny  # type: ignore[method-assign]
        return spec


def main(kind: str, *command: str) -> int:
    """Run a command, and return its exit status."""
    with TemporaryDirectory() as folder:
        here = str(Path(__file__).resolve())
        start = f"import runpy\nrunpy.run_path({here!r})['hide']({kind!r})\n"
        (Path(folder) / "sitecustomize.py").write_text(start, encoding="utf-8")
        path = os.pathsep.join([folder, *filter(None, [os.environ.get("PYTHONPATH")])])
        variables = {**os.environ, **environment(kind), "PYTHONPATH": path}
        return subprocess.run(command, env=variables, check=False).returncode  # noqa: S603


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in KINDS:  # noqa: PLR2004
        sys.exit(f"usage: python docs/hide_instructions.py {'|'.join(KINDS)} COMMAND ...")
    sys.exit(main(*sys.argv[1:]))
