"""Certify the answers of a finished or unfinished run against a reference model."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from benchmark.decoding.engines import ENGINES, check_prompts, compile_constraint
from benchmark.decoding.protocols import protocol
from benchmark.errors import BenchmarkError, DataError, SettingError
from benchmark.models.loading import LoadOptions, check_options, resolve_device
from benchmark.models.tokenizer import TransformersTokenizer, detokenize
from benchmark.planning.memory import DecodingBatch
from benchmark.prompts.settings import PromptSettings
from benchmark.reading.documents import read_json
from benchmark.records import TokenIds
from benchmark.runs.data import load_states
from benchmark.runs.gpu_fit import fetch_fitting_weights
from benchmark.runs.identity import data_digest, prompts_digest
from benchmark.runs.loading import Loaders
from benchmark.runs.requests import DataRequest, RunRequest, Speaker
from benchmark.runs.resolution import located, registered_bos
from benchmark.scoring.predictions import StoredAnswer, read_answers
from benchmark.tasks import Task, task_of
from benchmark.writing import is_present

if TYPE_CHECKING:
    from benchmark.decoding.certificate import AnswerRule, Certificate, EngineAnswer, Violation
    from benchmark.models.loading import LanguageModel

ExitStatus = Literal[0, 3, 4]


@dataclass(frozen=True, slots=True)
class CertificateRequest:
    """A run, and the model whose greedy choices its answers are compared with.

    Attributes:
        run: the folder of the run.
        reference: the model, as ``run --model`` takes it.
        revision: the revision of a model of the hub.
        dtype: that of the reference; None for the run's.
        device: where the reference runs.
        batch_size: how many answers go through it together; None for the protocol's number.
        reencode: whether answers without token ids are judged by the tokens that the tokenizer
            makes of their text, which may be others than the engine's.
    """

    run: Path
    reference: str
    revision: str | None = None
    dtype: str | None = None
    device: str = "auto"
    batch_size: int | None = None
    reencode: bool = False


@dataclass(frozen=True, slots=True)
class RunSettings:
    """The settings of a stored run that decide on its prompts and tokens."""

    task: Task
    engine: str
    prompt: PromptSettings
    max_new_tokens: int
    dtype: str
    quantization: str | None
    prompts_digest: str
    finished: bool
    data_digest: str = ""
    states: int | None = None


@dataclass(frozen=True, slots=True)
class RunCertificate:
    """The certificate of a run.

    ``reencoded`` has the indices of answers whose tokens were made from their text. ``states`` has
    the number of each answer's state in the data, None if the data is not known.
    """

    run: Path
    reference: str
    digest: str
    dtypes: tuple[str, str]
    certificate: "Certificate"
    reencoded: frozenset[int]
    tokenizer: TransformersTokenizer
    descriptions: Sequence[str] = field(repr=False)
    states: Sequence[int | None] = field(repr=False)

    @property
    def exit_status(self) -> ExitStatus:
        """0 if certified, 3 if only re-encoded answers break the rule, else 4."""
        broken = {violation.answer for violation in self.certificate.violations}
        if not broken:
            return 0
        return 3 if broken <= self.reencoded else 4

    def state_text(self, answer: int) -> str:
        """Return the number of an answer's state; its place in the file if that is not known."""
        state = self.states[answer]
        return f"answer {answer}" if state is None else str(state)

    def token_text(self, token: int | None) -> str:
        """Return a token's text in quotation marks; the end of the sequence has a name."""
        if token is None:
            return "cut off"
        if token == self.tokenizer.eos_id:
            return "end"
        text = detokenize(self.tokenizer.token_bytes, [token])
        return repr(text) if text else f"id {token}"

    def as_json(self) -> dict[str, object]:
        """Return the counts and every violation, with the texts of its tokens."""
        certificate = self.certificate
        counts = {
            name: value for name, value in asdict(certificate).items() if name != "violations"
        }
        return {
            "run": str(self.run),
            "reference": {"name": self.reference, "fingerprint": self.digest},
            "dtype": {"engine": self.dtypes[0], "reference": self.dtypes[1]},
            "certified": certificate.certified,
            **counts,
            "reencoded": len(self.reencoded),
            "violations": [self._violation(violation) for violation in certificate.violations],
        }

    def _violation(self, violation: "Violation") -> dict[str, object]:
        return {
            "state": self.states[violation.answer],
            "answer": violation.answer,
            **{name: value for name, value in asdict(violation).items() if name != "answer"},
            "chosen_text": self.token_text(violation.chosen),
            "best_text": self.token_text(violation.best),
            "reencoded": violation.answer in self.reencoded,
            "description": self.descriptions[violation.answer],
        }


def certify(request: CertificateRequest, progress: Speaker) -> RunCertificate:
    """Judge every answer in a run's folder in one teacher-forced pass of the reference.

    Raises:
        DataError: if the folder is not that of a run, or has no answers.
        SettingError: if answers have no token ids and are not to be re-encoded, or the reference
            makes other prompts than the run had.
        ModelError: if the reference cannot be loaded or does not take the prompts.
    """
    from benchmark.decoding.certificate import certify as judge
    from benchmark.decoding.finite_logits import naming_states

    settings, stored = run_settings(request.run), read_answers(_predictions(request.run))
    if not stored:
        raise DataError(f"{request.run}: no answers yet; run it first")
    as_run = RunRequest(request.reference, request.run, revision=request.revision)
    location = located(as_run)
    progress.say(f"loading the tokenizer of {location.name}")
    loaders = Loaders()
    tokenizer = loaders.tokenizer(location, registered_bos(as_run))
    answers, reencoded = _answers(request, settings, stored, tokenizer)
    options = _options(request, settings)
    limits = protocol("default").limits.changed(request.batch_size, settings.max_new_tokens)
    longest = max(len(answer.prompt) for answer in answers)
    batch = DecodingBatch(limits.batch_size, longest, limits.max_new_tokens)
    fetch_fitting_weights(location, options, batch, progress.say)
    progress.say(f"loading {location.name} in {options.dtype} on {options.device}")
    model = loaders.model(location, options)
    check_prompts(model, tokenizer, [answer.prompt for answer in answers], limits)
    rule = _rule(settings, tokenizer, model, options.dtype)
    states = _states(settings, stored)
    for line in _reservations(settings, options, known=None not in states):
        progress.say(line)
    progress.say(f"judging {len(answers)} answers in one pass")
    numbers = [index if state is None else state for index, state in enumerate(states)]
    with naming_states(numbers, location.name, model):
        certificate = judge(model, answers, rule, limits.batch_size)
    return RunCertificate(
        run=request.run,
        reference=location.name,
        digest=location.digest,
        dtypes=(settings.dtype, options.dtype),
        certificate=certificate,
        reencoded=reencoded,
        tokenizer=tokenizer,
        descriptions=[answer.description for answer in stored],
        states=states,
    )


def _states(settings: RunSettings, stored: Sequence[StoredAnswer]) -> list[int | None]:
    """Return the number of each answer's state in the data; None if the data is not known.

    A finished run has its lines in the order of the data. The lines of another are in the engine's
    order; its data is known if it is what ``run`` generates by default.
    """
    if settings.finished:
        return [*range(len(stored))]
    try:
        states = load_states(DataRequest(states=settings.states, task=settings.task.name))
    except BenchmarkError:  # the run had more states
        states = []
    known = data_digest(settings.task, states) == settings.data_digest
    numbers = {state.description: n for n, state in enumerate(states)} if known else {}
    return [numbers.get(answer.description) for answer in stored]


def _reservations(
    settings: RunSettings, options: LoadOptions, *, known: bool = True
) -> Iterator[str]:
    """Yield what limits a certificate of such a run by a reference with these options."""
    if not settings.finished:
        yield "the run is not finished: whether the reference makes its prompts is not checked"
    if not known:
        yield (
            "the run is not finished, and not on the default data: its answers are named by their "
            "place in the file, as the numbers of their states are not known"
        )
    if settings.quantization != options.quantization:
        yield (
            f"the run was quantized to {settings.quantization}, the reference is not: "
            "8-bit weights need a GPU"
        )


def _predictions(run: Path) -> Path:
    path = run / "predictions.jsonl"
    if not is_present(path):
        raise DataError(f"{run}: no predictions.jsonl; give the --out folder of a run")
    return path


def run_settings(run: Path) -> RunSettings:
    """Return the settings in a run's ``run.json``.

    Raises:
        DataError: if it is missing or lacks one of them.
    """
    path = run / "run.json"
    if not is_present(path):
        raise DataError(f"{run}: no run.json; give the --out folder of a run")
    document = read_json(path)
    settings, prompts = document.get("protocol"), document.get("prompts")
    data = document.get("data")
    if not isinstance(settings, dict) or not isinstance(prompts, dict):
        raise DataError(f"{path}: no settings of a run; run it again with this version")
    try:
        return RunSettings(
            task=task_of(document, str(path)),
            engine=str(settings["engine"]),
            prompt=_prompt_settings(settings),
            max_new_tokens=int(settings["max_new_tokens"]),
            dtype=str(settings["dtype"]),
            quantization=settings.get("quantization"),
            prompts_digest=str(prompts["sha256"]),
            finished=is_present(run / "result.json"),
            data_digest=str(data.get("sha256")) if isinstance(data, dict) else "",
            states=_count(data.get("states")) if isinstance(data, dict) else None,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: no valid setting {error}; run it again") from error


def _count(value: object) -> int | None:
    return value if type(value) is int and value > 0 else None


def _prompt_settings(settings: Mapping[str, object]) -> PromptSettings:
    """Return the prompt settings, of which a run stores None for one without effect."""
    default = PromptSettings()
    names = ("prompt_format", "prompt_variant", "instruction_role", "bos")
    values = (str(settings.get(name) or getattr(default, name)) for name in names)
    repeated = settings.get("repeated_bos") is True
    return replace(PromptSettings.checked(*values), repeated_bos=repeated)


def _options(request: CertificateRequest, settings: RunSettings) -> LoadOptions:
    """Return how the reference is loaded: as the run's weights were, where that is possible.

    Quantized weights need a GPU, and multiply in the run's own dtype.
    """
    device, dtype = resolve_device(request.device), request.dtype or settings.dtype
    same = device != "cpu" and dtype == settings.dtype
    return check_options(LoadOptions(device, dtype, settings.quantization if same else None))


def _answers(
    request: CertificateRequest,
    settings: RunSettings,
    stored: Sequence[StoredAnswer],
    tokenizer: TransformersTokenizer,
) -> "tuple[list[EngineAnswer], frozenset[int]]":
    """Return prompts and tokens of the answers, and the indices of those that were re-encoded."""
    from benchmark.decoding.certificate import EngineAnswer

    prompts = [
        settings.task.prompt(tokenizer, answer.description, settings.prompt).token_ids
        for answer in stored
    ]
    # Lines of an unfinished run are in the engine's order, which the digest is not of.
    if settings.finished and prompts_digest(prompts) != settings.prompts_digest:
        raise SettingError(
            f"--reference {request.reference}: makes other prompts than the run had; name a model "
            "with the run's tokenizer"
        )
    reencoded = frozenset(i for i, answer in enumerate(stored) if answer.token_ids is None)
    if reencoded and not request.reencode:
        raise SettingError(
            f"{request.run}: {len(reencoded)} of {len(stored)} answers have no token ids, as older "
            "versions did not keep them; run it again, or judge the tokens of the text with "
            "--reencode, which may be others than the engine's"
        )
    tokens = _tokens(stored, settings, tokenizer)
    return [
        EngineAnswer(prompt, ids, finished)
        for prompt, (ids, finished) in zip(prompts, tokens, strict=True)
    ], reencoded


def _tokens(
    stored: Sequence[StoredAnswer], settings: RunSettings, tokenizer: TransformersTokenizer
) -> Iterator[tuple[TokenIds, bool]]:
    for answer in stored:
        ids = answer.token_ids
        if ids is None:
            ids = tokenizer.encode(answer.text) if answer.text else ()
        finished = answer.finished
        if finished is None:
            finished = len(ids) < settings.max_new_tokens
        yield ids, finished


def _rule(
    settings: RunSettings,
    tokenizer: TransformersTokenizer,
    model: "LanguageModel",
    dtype: str,
) -> "AnswerRule":
    from benchmark.decoding.certificate import AnswerRule
    from benchmark.decoding.logit_tolerance import dtype_named
    from benchmark.decoding.stops import stop_ids

    row = ENGINES.get(settings.engine)
    constrained = row is None or row.constrained
    constraint = compile_constraint(settings.task.expression, tokenizer, model)
    end = tokenizer.eos_id
    others = sorted(stop_ids(model, end) - {end})
    return AnswerRule(
        constraint if constrained else None,
        (end,) if constrained else (end, *others),
        settings.max_new_tokens,
        (dtype_named(settings.dtype), dtype_named(dtype)),
    )
