"""The engines of one comparison, each in its process, and what they were asked."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import BenchmarkError, MissingLibraryError
from benchmark.records import TokenIds
from benchmark.speed.figures import Measurement
from benchmark.speed.launch import ENVIRONMENT, start
from benchmark.speed.messages import LimitTaken, LimitWork, MarginWork, Setup, Work
from benchmark.speed.process import EngineProcess
from benchmark.speed.rounds import picked
from benchmark.speed.specs import CANDIDATES, Spec


@dataclass(frozen=True, slots=True)
class SpeedInputs:
    """What all engines work on.

    Attributes:
        model: a folder, a file or an identifier.
        gguf: the model's GGUF file, where it is one.
        fingerprint: what pins the model.
        device: of the benchmark's own engines.
        max_new_tokens: the longest answer.
        expression: what answers must match.
        grammar: the same for llama.cpp.
        stops: the ids that end an answer.
        prompts: one a state.
        expected: the answers that engines may expect, one a state.
    """

    model: str
    gguf: Path | None
    fingerprint: str
    device: str
    max_new_tokens: int
    expression: str
    grammar: str
    stops: tuple[int, ...]
    prompts: Sequence[TokenIds]
    expected: Sequence[TokenIds]

    def setup(self, spec: Spec, model: str | None = None) -> Setup:
        """What the engine is opened with."""
        return {
            "engine": spec.name,
            "row": spec.engine.as_json(),
            "model": model or self.model,
            "dtype": spec.dtype,
            "device": self.device,
            "max_new_tokens": self.max_new_tokens,
            "max_model_len": max(map(len, self.prompts)) + self.max_new_tokens,
            "expression": self.expression,
            "grammar": self.grammar,
            "stops": list(self.stops),
            "tuned": dict(spec.traits.tuned),
        }

    def work(self, spec: Spec, places: Sequence[int]) -> Work:
        """The states at these places."""
        return {
            "batch_size": spec.batch_size,
            "prompts": [list(ids) for ids in picked(self.prompts, places)],
            "expected": [list(ids) for ids in picked(self.expected, places)],
        }


class EnginePool:
    """Engines that have been opened, and how to ask one."""

    def __init__(self, material: SpeedInputs, folder: Path = ENVIRONMENT) -> None:
        """Open nothing yet; ``folder`` is the environment of the engines that are not ours."""
        self._material = material
        self._folder = folder
        self._processes: dict[str, EngineProcess] = {}

    def open(self, measured: Measurement) -> None:
        """Start an engine; where that fails, the measurement says why."""
        spec = measured.spec
        try:
            process = self._processes[spec.label] = self.process(spec)
            # The first answer takes longer: buffers are made, and grammars are compiled.
            process.measure(self._material.work(spec, measured.places[:1]))
        except BenchmarkError as error:
            measured.failure = str(error)

    def process(self, spec: Spec) -> EngineProcess:
        """A new process with the engine open in it.

        Raises:
            BenchmarkError: when it is not installed, or does not take this model or device.
        """
        command, environment = start(spec, self._folder)
        setup = self._material.setup(spec, self._weights(spec))
        return EngineProcess(spec.label, command, environment, setup)

    def ask(self, measured: Measurement) -> None:
        """One round of an engine; where it fails, the measurement says why.

        What ends a round, Ctrl-C too, ends the engine's process, whose reply would be taken for
        that to the next request.
        """
        process = self._processes.get(measured.spec.label)
        if process is None:
            return
        work = self._material.work(measured.spec, measured.places)
        try:
            measured.rounds.append(process.measure(work))
        except BaseException as error:
            self._processes.pop(measured.spec.label).kill()
            if not isinstance(error, BenchmarkError):
                raise
            measured.failure = str(error)

    def find_best(self, measured: Measurement) -> Iterator[str]:
        """Give an engine its quickest batch size, measuring each candidate once on its states.

        Yields:
            what each candidate took, in words.
        """
        spec = measured.spec
        fitting = [size for size in CANDIDATES if size <= len(measured.places)] or CANDIDATES[:1]
        for size in fitting:
            trial = Measurement(spec.at(size), measured.places)
            self.ask(trial)
            if not trial.rounds:
                yield f"{spec.label}: not in batches of {size}: {trial.failure}"
                break  # nor in larger ones
            seconds = measured.tried[size] = trial.seconds[0]
            yield f"{spec.label}: {seconds:.3f} seconds a state in batches of {size}"
        if not measured.tried:
            measured.failure = trial.failure
            return
        measured.spec = spec.at(min(measured.tried, key=measured.tried.__getitem__))
        if trial.failure:
            self.open(measured)  # the failure ended its process

    def margins(self, dtype: str, work: MarginWork) -> list[float]:
        """The margins at places where two engines chose differently, in this dtype.

        Raises:
            BenchmarkError: when they cannot be measured.
        """
        with self.process(Spec.hidden("margins", dtype)) as process:
            return process.margins(work)["margins"]

    def close(self) -> None:
        """End all processes."""
        with ExitStack() as stack:
            for process in self._processes.values():
                stack.callback(process.close)
        self._processes.clear()

    def _weights(self, spec: Spec) -> str:
        """The model in the form that the engine takes."""
        if spec.traits.cpu_only and self._material.device != "cpu":
            raise MissingLibraryError(f"{spec.label}: runs on the CPU here; use --device cpu")
        if spec.traits.weights == "gguf":
            if self._material.gguf is None:
                raise MissingLibraryError(f"{spec.label}: takes GGUF files; give one with --model")
            return str(self._material.gguf)
        if spec.traits.weights == "folder" and self._material.gguf:
            return str(self._copied())
        return self._material.model

    def _copied(self) -> Path:
        """The model as safetensors, made by the first engine that wants them."""
        folder = self._folder / "models" / self._material.fingerprint.replace(":", "-")
        if not folder.exists():
            with self.process(Spec.hidden("copy", "float32")) as process:
                process.copy({"folder": str(folder)})
        return folder


class MatmulLimits:
    """The arithmetic limit by dtype, measured in rounds as engines are."""

    def __init__(self, material: SpeedInputs) -> None:
        """Open nothing yet."""
        self.rounds: dict[str, list[LimitTaken]] = {}
        self._field = EnginePool(material)
        self._processes: dict[str, EngineProcess] = {}

    def open(self, dtype: str) -> None:
        """Load the model in a dtype, where it is not loaded.

        Raises:
            BenchmarkError: when it cannot be loaded.
        """
        if dtype not in self._processes:
            self._processes[dtype] = self._field.process(Spec.hidden("limit", dtype))
            self.rounds.setdefault(dtype, [])

    def measure(self, dtype: str, answers: Sequence[Sequence[int]] = ()) -> None:
        """Time the products once more, and count the open choices of the answers.

        What ends it ends the process, as in :meth:`EnginePool.ask`; the next measurement opens
        another.

        Raises:
            BenchmarkError: when the process fails.
        """
        self.open(dtype)
        work: LimitWork = {"answers": [list(answer) for answer in answers]}
        try:
            self.rounds[dtype].append(self._processes[dtype].limit(work))
        except BaseException:
            self._processes.pop(dtype).kill()
            raise

    def close(self) -> None:
        """End all processes."""
        with ExitStack() as stack:
            for process in self._processes.values():
                stack.callback(process.close)
        self._processes.clear()
