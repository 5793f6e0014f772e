"""The probes of ``fingerprint``: runs by any engine, vanilla use, tokenizers, grammar backends."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmark.errors import ModelError, SettingError
from benchmark.fingerprints.record import Fingerprint
from benchmark.runs.requests import DataRequest, RunRequest
from benchmark.runs.settings import SETTINGS, Settings

_VANILLA_STATES = 4
"""Vanilla use is slow: it decodes one prompt at a time with outlines."""


@dataclass(frozen=True, slots=True)
class OwnOptions:
    """The options that only the benchmark's own probe takes."""

    settings: Settings
    along: Path | None = None
    repeats: int = 0
    revision: str | None = None
    quiet: bool = False

    def check_unused(self, probe: str) -> None:
        """Check that all options have their defaults, for a probe that ignores them.

        Raises:
            SettingError: naming the first option that was given.
        """
        default = OwnOptions(Settings())
        values = {name: getattr(self.settings, name) for name in SETTINGS}
        values |= {name: getattr(self, name) for name in ("along", "repeats", "revision")}
        defaults = asdict(default.settings) | asdict(default)
        changed = (name for name, value in values.items() if value != defaults[name])
        _check_absent(probe, dict.fromkeys(changed, True), "own")


Probe = Callable[[str | None, DataRequest, OwnOptions], Fingerprint]


def _own(model: str | None, data: DataRequest, options: OwnOptions) -> Fingerprint:
    from benchmark.fingerprints.record_run import FingerprintRequest, fingerprint
    from benchmark.fingerprints.storage import read_fingerprint
    from benchmark.runs.progress import RunProgress
    from benchmark.terminal import console

    run = RunRequest.of(options.settings, _given(model, "own"), data, revision=options.revision)
    along = read_fingerprint(options.along) if options.along else None
    with RunProgress(console(stderr=True, quiet=options.quiet)) as progress:
        return fingerprint(FingerprintRequest(run, along, options.repeats), progress)


def _by_engine(engine: str) -> Probe:
    """Return the own probe with an engine that runs elsewhere."""

    def record(model: str | None, data: DataRequest, options: OwnOptions) -> Fingerprint:
        if options.settings.engine not in {None, engine}:
            raise SettingError(f"--probe {engine} is --engine {engine}; leave out --engine")
        settings = replace(options.settings, engine=engine)
        return _own(_given(model, engine), data, replace(options, settings=settings))

    return record


def _vanilla(model: str | None, data: DataRequest, options: OwnOptions) -> Fingerprint:
    from benchmark.fingerprints.vanilla import vanilla_fingerprint

    options.check_unused("vanilla")
    _check_absent("vanilla", {"task": data.task != DataRequest().task}, "own")
    states = data.states or _VANILLA_STATES
    return vanilla_fingerprint(Path(_given(model, "vanilla")), replace(data, states=states))


def _tokenizers(model: str | None, data: DataRequest, options: OwnOptions) -> Fingerprint:
    from benchmark.fingerprints.tokenizers import tokenizers_fingerprint

    return tokenizers_fingerprint(_families("tokenizers", model, data, options))


def _grammars(model: str | None, data: DataRequest, options: OwnOptions) -> Fingerprint:
    from benchmark.fingerprints.grammars import grammars_fingerprint

    return grammars_fingerprint(_families("grammars", model, data, options))


def _families(
    probe: str, model: str | None, data: DataRequest, options: OwnOptions
) -> tuple[str, ...]:
    """Return the fetched families, for a probe that takes nothing else."""
    from benchmark.fingerprints.tokenizers import fetched_families

    options.check_unused(probe)
    if model is not None:
        raise SettingError(f"--probe {probe} records every fetched tokenizer; leave out {model}")
    given = {name: value is not None for name, value in asdict(data).items()}
    given |= {
        name: getattr(data, name) != getattr(DataRequest(), name) for name in ("task", "split")
    }
    _check_absent(probe, given, "own and vanilla")
    families = fetched_families()
    if not families:
        raise ModelError("no tokenizer is fetched; run: python -m benchmark fetch --all")
    return families


RECORDERS: Mapping[str, Probe] = {
    "own": _own,
    "vanilla": _vanilla,
    "tokenizers": _tokenizers,
    "grammars": _grammars,
    **{engine: _by_engine(engine) for engine in ("server", "vllm", "llama.cpp")},
}
"""What makes the record of each probe, by the value of ``--probe``."""


def _given(model: str | None, probe: str) -> str:
    if model is None:
        raise SettingError(f"--probe {probe} needs a model: a folder, a GGUF file or an identifier")
    return model


def _check_absent(probe: str, given: Mapping[str, bool], others: str) -> None:
    """Check that no option is given which only other probes take."""
    if name := next((name for name, is_given in given.items() if is_given), None):
        option = "--data" if name == "path" else f"--{name.replace('_', '-')}"
        raise SettingError(f"{option} is for --probe {others}; leave it out with {probe}")
