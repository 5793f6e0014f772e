"""The engine processes of one speed comparison."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmark.decoding.connection import ExternalSettings
from benchmark.decoding.external.installed import is_cpu_only
from benchmark.decoding.external.launch import ENVIRONMENT, launch_command
from benchmark.decoding.external.messages import (
    DecodeRequest,
    EngineSetup,
    LimitReply,
    LimitRequest,
    MarginReply,
    MarginRequest,
)
from benchmark.decoding.external.process import EngineProcess
from benchmark.decoding.external.vllm_engine import tensor_parallel, visible_gpus
from benchmark.errors import BenchmarkError, MissingLibraryError, RefusedModelError
from benchmark.records import TokenIds
from benchmark.speed.figures import Measurement
from benchmark.speed.rounds import select
from benchmark.speed.specs import CANDIDATES, EngineSpec


@dataclass(frozen=True, slots=True)
class SpeedInputs:
    """The model, the settings and the prompts that all engines share.

    Attributes:
        model: a folder, a file or an identifier.
        gguf: the model's GGUF file, if it is one.
        tokenizer: the folder of its tokenizer, if that is elsewhere.
        digest: identifies the model's files.
        device: the device of the benchmark's own engines.
        max_new_tokens: the longest answer.
        expression: what answers must match.
        grammar: the expression as a llama.cpp grammar.
        stops: the ids that end an answer.
        prompts: one per state.
        expected: the answers that engines may expect, one per state.
        external: where the engine ``server`` is.
    """

    model: str
    gguf: Path | None
    digest: str
    device: str
    max_new_tokens: int
    expression: str
    grammar: str
    stops: tuple[int, ...]
    prompts: Sequence[TokenIds]
    expected: Sequence[TokenIds]
    external: ExternalSettings = field(default_factory=ExternalSettings)
    tokenizer: Path | None = None

    def setup(self, spec: EngineSpec, model: str | None = None) -> EngineSetup:
        """Return the message that opens an engine."""
        setup: EngineSetup = {
            "engine": spec.name,
            "row": asdict(spec.engine),
            "model": model or self.model,
            "dtype": spec.dtype,
            "device": self.device,
            "max_new_tokens": self.max_new_tokens,
            "max_model_len": max(map(len, self.prompts)) + self.max_new_tokens,
            "expression": self.expression,
            "grammar": self.grammar,
            "stops": list(self.stops),
            "tuned": self._tuned(spec),
        }
        if self.tokenizer:
            setup["tokenizer"] = str(self.tokenizer)
        if spec.products:
            setup["products"] = spec.products
        if not spec.fused:
            setup["fused"] = False
        if "base_url" in spec.engine.options:
            setup["external"] = asdict(self.external)
        return setup

    def _tuned(self, spec: EngineSpec) -> dict[str, int | bool | str | dict[str, str]]:
        """Return further arguments: those for a CPU, or the number of GPUs."""
        if self.device == "cpu":
            return dict(spec.traits.tuned)
        if "tensor_parallel" not in spec.engine.options:
            return {}
        return {"tensor_parallel_size": tensor_parallel(self.model, self.device)}

    def request(self, spec: EngineSpec, states: Sequence[int]) -> DecodeRequest:
        """Return the request to decode the states with these indices."""
        return {
            "batch_size": spec.batch_size,
            "states": list(states),
            "prompts": [list(ids) for ids in select(self.prompts, states)],
            "expected": [list(ids) for ids in select(self.expected, states)],
        }


class EnginePool:
    """The engines that have been opened."""

    def __init__(self, inputs: SpeedInputs, folder: Path = ENVIRONMENT) -> None:
        """Open nothing yet; ``folder`` is the environment of the third-party engines."""
        self._inputs = inputs
        self._folder = folder
        self._processes: dict[str, EngineProcess] = {}

    def open(self, measured: Measurement) -> None:
        """Start an engine; if that fails, record the reason in the measurement.

        Raises:
            RefusedModelError: if the model is refused; no engine then measures it.
        """
        spec = measured.spec
        try:
            process = self._processes[spec.label] = self.process(spec)
            # The first answer takes longer: buffers are allocated and grammars compiled.
            process.measure(self._inputs.request(spec, measured.state_indices[:1]))
        except RefusedModelError:
            raise
        except BenchmarkError as error:
            measured.failure = str(error)

    def process(self, spec: EngineSpec) -> EngineProcess:
        """Return a new process with the engine open in it.

        Raises:
            BenchmarkError: if it is not installed, or does not take this model or device.
        """
        command, environment = launch_command(spec.label, spec.traits, self._folder)
        numbers = self._inputs.device.partition(":")[2]
        if numbers and spec.traits.environment != "own":  # our own engines take the numbers
            environment = {**environment, "CUDA_VISIBLE_DEVICES": visible_gpus(numbers)}
        setup = self._inputs.setup(spec, self._weights(spec))
        return EngineProcess(spec.label, command, environment, setup)

    def run_round(self, measured: Measurement) -> None:
        """Measure one round of an engine. A failure is recorded in the measurement.

        Anything that ends a round early, including Ctrl-C, ends the engine's process: its late
        reply would be taken for the reply to the next request.

        Raises:
            RefusedModelError: if logits of the model are not finite.
        """
        process = self._processes.get(measured.spec.label)
        if process is None:
            return
        request = self._inputs.request(measured.spec, measured.state_indices)
        try:
            measured.rounds.append(process.measure(request))
        except BaseException as error:
            self._processes.pop(measured.spec.label).kill()
            if not isinstance(error, BenchmarkError) or isinstance(error, RefusedModelError):
                raise
            measured.failure = str(error)

    def find_best(self, measured: Measurement) -> Iterator[str]:
        """Set an engine's fastest batch size, measuring each candidate once on its states.

        Yields:
            A line of text per candidate.
        """
        spec = measured.spec
        sizes = [size for size in CANDIDATES if size <= len(measured.state_indices)] or CANDIDATES[
            :1
        ]
        for size in sizes:
            trial = Measurement(spec.at(size), measured.state_indices)
            self.run_round(trial)
            if not trial.rounds:
                yield f"{spec.label}: batches of {size} failed: {trial.failure}"
                break  # larger ones would fail too
            seconds = measured.seconds_by_batch_size[size] = trial.seconds[0]
            yield f"{spec.label}: {seconds:.3f} seconds per state in batches of {size}"
        if not measured.seconds_by_batch_size:
            measured.failure = trial.failure
            return
        measured.spec = spec.at(
            min(measured.seconds_by_batch_size, key=measured.seconds_by_batch_size.__getitem__)
        )
        if trial.failure:
            self.open(measured)  # the failure ended its process

    def margins(self, dtype: str, request: MarginRequest) -> MarginReply:
        """Return the margins at positions where two engines chose differently, in this dtype.

        Raises:
            BenchmarkError: if they cannot be measured.
        """
        with self.process(EngineSpec.internal("margins", dtype)) as process:
            return process.margins(request)

    def close(self) -> None:
        """End all processes."""
        _close(self._processes)

    def _weights(self, spec: EngineSpec) -> str:
        """Return the model in the form that the engine takes."""
        on_cpu = self._inputs.device == "cpu"
        if not on_cpu and is_cpu_only(spec.label, spec.traits, self._folder):
            raise MissingLibraryError(f"{spec.label}: runs on the CPU only; use --device cpu")
        if spec.traits.weights == "gguf":
            if self._inputs.gguf is None:
                raise MissingLibraryError(f"{spec.label}: needs a GGUF file; give one with --model")
            return str(self._inputs.gguf)
        if spec.traits.weights == "folder" and self._inputs.gguf:
            return str(self._safetensors_copy())
        return self._inputs.model

    def _safetensors_copy(self) -> Path:
        """Return the model as safetensors, converted by the first engine that needs it."""
        folder = self._folder / "models" / self._inputs.digest.replace(":", "-")
        if not folder.exists():
            with self.process(EngineSpec.internal("copy", "float32")) as process:
                process.copy({"folder": str(folder)})
        return folder


class MatmulLimits:
    """The arithmetic limit by dtype, measured in rounds like engines."""

    def __init__(self, inputs: SpeedInputs) -> None:
        """Open nothing yet."""
        self.rounds: dict[str, list[LimitReply]] = {}
        self._pool = EnginePool(inputs)
        self._processes: dict[str, EngineProcess] = {}

    def open(self, dtype: str) -> None:
        """Load the model in a dtype unless it is loaded.

        Raises:
            BenchmarkError: if it cannot be loaded.
        """
        if dtype not in self._processes:
            self._processes[dtype] = self._pool.process(EngineSpec.internal("limit", dtype))
            self.rounds.setdefault(dtype, [])

    def measure(self, dtype: str, answers: Sequence[Sequence[int]] = ()) -> None:
        """Time the matrix products again, and count the choices in the answers.

        Anything that ends it early ends the process, as in :meth:`EnginePool.run_round`; the next
        measurement opens another.

        Raises:
            BenchmarkError: if the process fails.
        """
        self.open(dtype)
        request: LimitRequest = {"answers": [list(answer) for answer in answers]}
        try:
            self.rounds[dtype].append(self._processes[dtype].limit(request))
        except BaseException:
            self._processes.pop(dtype).kill()
            raise

    def close(self) -> None:
        """End all processes."""
        _close(self._processes)


def _close(processes: dict[str, EngineProcess]) -> None:
    """End all processes, even if ending one of them raises."""
    with ExitStack() as stack:
        for process in processes.values():
            stack.callback(process.close)
    processes.clear()
