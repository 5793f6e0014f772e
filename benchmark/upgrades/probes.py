"""Commands that make a record in another environment, each in its own process."""

import hashlib
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.decoding.engines import ENGINES
from benchmark.decoding.external.installed import is_cpu_only
from benchmark.errors import SettingError
from benchmark.lifetime import run_tied
from benchmark.models.location import locate
from benchmark.upgrades.venv_overlays import python_path

PROBES = ("fingerprint", "vanilla", "tokenizers", "grammars")
WITHOUT_MODEL = ("tokenizers", "grammars")
"""The probes that record every fetched tokenizer."""
_SMALL = 64 * 2**20
_PATIENCE = 7200
"""The longest time that one record may take, in seconds."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Probe:
    """A command that writes a record, and its arguments.

    ``fingerprint`` records this project's use of the libraries, ``vanilla`` the use that their
    documentation describes, ``tokenizers`` every fetched tokenizer, ``grammars`` what grammar
    backends allow with them. ``identity`` is a digest of the model's files. A ``fingerprint`` may
    be made by an ``engine`` in its own environment.
    """

    kind: str
    arguments: tuple[str, ...]
    identity: str
    engine: str | None = None

    @property
    def unused(self) -> frozenset[str]:
        """The recorded libraries that the probe never imports, whose requirements do not matter.

        outlines pins outlines_core to one release, so that no other one could be measured.
        """
        return frozenset({"outlines"}) if self.kind in WITHOUT_MODEL else frozenset()

    @property
    def name(self) -> str:
        """The probe's kind or engine, and the name of its model."""
        models = (Path(model).name for model in self.arguments[:1])
        return " ".join((self.engine or self.kind, *models))

    def command(self, project: Path, out: Path, along: Path | None) -> list[str]:
        """Return the arguments to Python that run the probe with the code in a folder."""
        follow = ["--along", str(along)] if along and self.kind == "fingerprint" else []
        # -P: the working directory, often the project, must not come before PYTHONPATH.
        run = ["-P", "-m", "benchmark", *self._verb(project)]
        return [*run, *self.arguments, "--out", str(out), *follow]

    def _verb(self, project: Path) -> list[str]:
        """Return the words that run the probe with this code, which may be of an older version."""
        if self.kind == "fingerprint":  # in every version, and without --probe in older ones
            return [self.kind]
        for verb in _OLDER_VERBS.get(self.kind, ()):
            if (project / f"benchmark/cli/{verb}.py").is_file():
                return [verb]
        return ["fingerprint", "--probe", self.kind]


_OLDER_VERBS = {"vanilla": ("vanilla", "plain"), "tokenizers": ("tokenizers", "sentinel")}
"""The probes' own verbs, which older code has, each in a module of that name in its ``cli``."""


def probe(
    kind: str, model: str | None, states: int, repeats: int = 0, engine: str | None = None
) -> Probe:
    """Return a probe of that kind on a model.

    ``repeats`` is the number of repeats for a fingerprint's noise floor; other kinds have none.
    ``engine`` is what decodes a fingerprint, if it runs in an environment of its own.

    Raises:
        SettingError: for an unknown kind, or if the kind needs a model and none is given.
        ModelError: if there is no such model.
        MissingLibraryError: if the engine is not installed.
    """
    if kind not in PROBES:
        raise SettingError(f"unknown probe {kind!r}; choose one of {', '.join(PROBES)}")
    if kind in WITHOUT_MODEL:
        return Probe(kind, (), "")
    if model is None:
        name = engine or ("own" if kind == "fingerprint" else kind)
        raise SettingError(f"--probe {name} needs --model: a folder, a GGUF file or an identifier")
    if kind == "vanilla":
        return _probe(kind, Path(model), _files(Path(model)), states)
    location = locate(model)
    path = location.folder / location.gguf if location.gguf else location.folder
    measured = ("--repeats", str(repeats)) if repeats else ()
    decoded = ("--engine", engine) if engine else ()
    on_cpu = engine and is_cpu_only(engine, ENGINES[engine].speed)
    device = ("--device", "cpu") if on_cpu else ()  # else as `run` has it
    own = _probe(kind, path, location.digest, states, *measured, *decoded, *device)
    return replace(own, engine=engine)


def _probe(kind: str, path: Path, identity: str, states: int, *options: str) -> Probe:
    return Probe(kind, (str(path.resolve()), "--states", str(states), *options), identity)


def _files(model: Path) -> str:
    """Return a digest of the files' names and sizes, and of the contents of small files."""
    paths = sorted(p for p in model.glob("*") if p.is_file()) if model.is_dir() else [model]
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.name} {path.stat().st_size}".encode())
        if path.stat().st_size < _SMALL:
            digest.update(path.read_bytes())
    return digest.hexdigest()


def run_probe(
    python: Path,
    project: Path,
    probe: Probe,
    out: Path,
    along: Path | None,
    more: Mapping[str, str] | None = None,
) -> str | None:
    """Run a probe with the code of a folder; return None, or the last line of a failed one.

    ``more`` are further environment variables.

    Raises:
        SettingError: if the environment is removed meanwhile, which is no failure of the probe.
    """
    variables = {**os.environ, **fixed_variables(), **python_path(project), **(more or {})}
    # The interpreter of our own environment, and arguments of our own command line.
    command = [str(python), *probe.command(project, out, along)]
    try:
        done = run_tied(command, environment=variables, timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        return f"more than {_PATIENCE} s"
    if done.returncode == 0 and out.is_file():
        return None
    for place in (python, out.parent):
        if not place.exists():
            raise SettingError(f"{place}: removed while the probe ran; rerun to resume")
    if done.returncode < 0:  # usually by the kernel, when memory runs out
        return f"ended by signal {-done.returncode}"
    return (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1][:300]


def fixed_variables() -> Mapping[str, str]:
    """Return the variables that every started process gets, in every environment."""
    return {"TOKENIZERS_PARALLELISM": "false", "PYTHONDONTWRITEBYTECODE": ""}
