"""Run a command as if the processor had fewer instructions (Linux, x86-64).

    python docs/hide_instructions.py avx2 entity-tracking speed --model M

torch, oneDNN, MKL, Numba, vLLM and the benchmark then use what a processor of that kind has, and
results have "as if" in the processor's name. Clock, caches and memory remain those of this one:
ratios of one run say something about the kind, seconds do not.
"""

import argparse
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
    """Return the variables by which libraries take fewer instructions."""
    _, one_dnn, llvm, others = KINDS[kind]
    return {"ONEDNN_MAX_CPU_ISA": one_dnn, "NUMBA_CPU_NAME": llvm, **others}


def hide(kind: str) -> None:
    """Hide instructions in this process: from Numba, /proc/cpuinfo's readers and ``torch.cpu``."""
    hidden = re.compile(KINDS[kind][0])
    own = Path.read_text

    def read_text(path: Path, encoding: str | None = None, errors: str | None = None) -> str:
        text = own(path, encoding, errors)
        if path != Path("/proc/cpuinfo"):
            return text
        text = re.sub(r"(?<=\s)\w+", lambda flag: "" if hidden.match(flag[0]) else flag[0], text)
        return re.sub(r"(?m)^(model name\s*:.*)$", rf"\1 as if {kind}", text)

    Path.read_text = read_text  # type: ignore[method-assign, assignment]
    sys.meta_path.insert(0, _Finder(hidden))


class _Finder(importlib.abc.MetaPathFinder):
    """Tells Numba what is hidden before it starts, and lets ``torch.cpu`` deny it afterwards."""

    def __init__(self, hidden: re.Pattern[str]) -> None:
        self._hidden = hidden
        self._searching = False

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        if name == "numba":
            # Only now: vLLM does not start in a process that has imported llvmlite before it.
            from llvmlite.binding import get_host_cpu_features

            features = get_host_cpu_features().flatten().split(",")
            kept = ["-" + one[1:] if self._hidden.match(one[1:]) else one for one in features]
            os.environ["NUMBA_CPU_FEATURES"] = ",".join(kept)
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


def main(kind: str, command: list[str]) -> int:
    """Run a command, and return its exit status as a shell does."""
    with TemporaryDirectory() as folder:
        here = str(Path(__file__).resolve())
        start = f"import runpy\nrunpy.run_path({here!r})['hide']({kind!r})\n"
        (Path(folder) / "sitecustomize.py").write_text(start, encoding="utf-8")
        path = os.pathsep.join([folder, *filter(None, [os.environ.get("PYTHONPATH")])])
        variables = {**os.environ, **environment(kind), "PYTHONPATH": path}
        try:
            process = subprocess.Popen(command, env=variables)  # noqa: S603
        except OSError as error:
            print(f"{command[0]}: {error.strerror}; is its environment active?", file=sys.stderr)
            return 2
        while True:
            try:
                status = process.wait()
            except KeyboardInterrupt:  # the command got it too, and ends as it does without this
                continue
            return status if status >= 0 else 128 - status


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=KINDS, help="avx512-bf16 is all but AMX")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="the command, and its options")
    arguments = parser.parse_args()
    if not arguments.command:
        parser.error("the command is missing, such as: entity-tracking speed --model M")
    sys.exit(main(arguments.kind, arguments.command))
