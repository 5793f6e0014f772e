"""Engines against each other on the same states: opened, asked in rounds, compared."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Protocol

from benchmark.errors import BenchmarkError, SettingError
from benchmark.models.hardware import describe
from benchmark.models.loading import load_tokenizer
from benchmark.models.location import locate
from benchmark.records import TokenIds
from benchmark.runs.data import load_states
from benchmark.runs.environment import versions
from benchmark.runs.evaluation import Questions
from benchmark.runs.requests import RunRequest
from benchmark.runs.resolution import registered_bos, resolve
from benchmark.speed.differences import Parting, as_work, partings
from benchmark.speed.engine_pool import EnginePool, MatmulLimits, SpeedInputs
from benchmark.speed.figures import (
    Figures,
    Limit,
    Measurement,
    arithmetic_limit,
    baseline,
    figures,
)
from benchmark.speed.messages import MarginWork
from benchmark.speed.rounds import order, spread
from benchmark.speed.specs import parse
from benchmark.tasks import task_named


@dataclass(frozen=True, slots=True)
class SpeedRequest:
    """Which engines on which states of a model.

    Attributes:
        run: the model, the states, and the settings of engines that name none of their own.
        engines: as :func:`benchmark.speed.specs.parse` takes them.
        slow_states: on how many of them slow engines are measured; None for all.
        repeats: how many rounds.
        verify: whether to measure the margins where answers differ from the paper's method.
    """

    run: RunRequest
    engines: str
    slow_states: int | None = None
    repeats: int = 3
    verify: bool = False


class SpeedProgress(Protocol):
    """Shows which engine is at work."""

    def say(self, text: str) -> None:
        """What is being done now, where it is not measuring."""

    def start(self, total: int) -> None:
        """So many measurements begin."""

    def begin(self, label: str, round_number: int) -> None:
        """An engine begins a round, counted from 0."""

    def advance(self) -> None:
        """It has ended it."""


@dataclass
class Race:
    """What was measured; all that there is when it was stopped, too.

    ``partings`` are by engine: the first differing token of each state's answer, where asked for.
    """

    name: str
    fingerprint: str
    states: int
    prompts: Sequence[TokenIds]
    measured: list[Measurement]
    environment: dict[str, object]
    limits: dict[str, Limit] = field(default_factory=dict)
    partings: dict[str, list[Parting]] = field(default_factory=dict)
    stopped: bool = False

    @property
    def paper(self) -> Measurement | None:
        """The paper's method, that others are compared with."""
        return baseline(self.measured)

    def figures(self) -> list[Figures]:
        """A row an engine, in the order asked for."""
        return [figures(one, self.paper, self.limits.get(one.spec.dtype)) for one in self.measured]

    def as_json(self) -> dict[str, object]:
        """All of it: rows, every round, answers and margins."""
        return {
            "model": {"name": self.name, "fingerprint": self.fingerprint},
            "states": self.states,
            "environment": self.environment,
            "stopped": self.stopped,
            "paper": self.paper.spec.label if self.paper else None,
            "limits": {
                dtype: {"seconds": limit.seconds, **asdict(limit)}
                for dtype, limit in self.limits.items()
            },
            "engines": [
                {
                    **row.as_json(),
                    "rounds": one.rounds,
                    "places": list(one.places),
                    "seconds_by_batch_size": one.tried,
                    "partings": [asdict(each) for each in self.partings.get(one.spec.label, ())],
                }
                for row, one in zip(self.figures(), self.measured, strict=True)
            ],
        }


def speed(request: SpeedRequest, progress: SpeedProgress) -> Race:
    """Measure the engines in turn; Ctrl-C ends it with what is measured by then.

    Raises:
        BenchmarkError: for whatever of the request cannot be had; what only some engines lack
            stands in their measurements.
    """
    race, material = _prepared(request, progress)
    field = EnginePool(material)
    limits = MatmulLimits(material)
    try:
        with _until_stopped(race):
            _open(race, field, limits, progress)
            _rounds(race, field, limits, request.repeats, progress)
        with _until_stopped(race):
            _finish(race, limits, progress)
        with _until_stopped(race):
            if request.verify:
                _verify(race, field, material.stops[0], progress)
    finally:
        field.close()
        limits.close()
    return race


@contextmanager
def _until_stopped(race: Race) -> Iterator[None]:
    """Ctrl-C ends this part: what was measured before stays."""
    try:
        yield
    except KeyboardInterrupt:
        race.stopped = True


def _prepared(request: SpeedRequest, progress: SpeedProgress) -> tuple[Race, SpeedInputs]:
    task, settings = task_named(request.run.data.task), resolve(request.run)
    specs = parse(request.engines, settings.options.dtype, settings.limits.batch_size)
    for name, value in (("--repeats", request.repeats), ("--slow-states", request.slow_states)):
        if value is not None and value < 1:
            raise SettingError(f"{name} {value}: at least 1 is needed")
    states = load_states(request.run.data)
    location = locate(request.run.model, request.run.revision)
    progress.say(f"loading the tokenizer of {location.name}, for {len(states)} prompts")
    tokenizer = load_tokenizer(location, registered_bos(request.run))
    questions = Questions(task, settings, tokenizer, states)
    questions.check_limit()
    material = SpeedInputs(
        model=request.run.model,
        gguf=location.folder / location.gguf if location.gguf else None,
        fingerprint=location.digest,
        device=settings.options.device,
        max_new_tokens=settings.limits.max_new_tokens,
        expression=task.expression,
        grammar=task.grammar,
        stops=(tokenizer.eos_id,),
        prompts=questions.prompt_ids,
        expected=questions.correct,
    )
    if request.verify and not any(spec.is_paper for spec in specs):
        raise SettingError("--verify needs the engine outlines; add it to --engines")
    everything, few = range(len(states)), spread(len(states), request.slow_states)
    measured = [Measurement(spec, few if spec.traits.slow else everything) for spec in specs]
    environment = {**describe(settings.options.device), **versions()}
    race = Race(
        location.name, location.digest, len(states), material.prompts, measured, environment
    )
    return race, material


def _open(race: Race, field: EnginePool, limits: MatmulLimits, progress: SpeedProgress) -> None:
    """Load every engine, and find the best batch sizes, one engine at a time."""
    for measured in race.measured:
        progress.say(f"opening {measured.spec.label}")
        field.open(measured)
        if measured.failure:
            progress.say(measured.failure)
        elif measured.spec.best:
            for found in field.find_best(measured):
                progress.say(found)
    for dtype in sorted({m.spec.dtype for m in race.measured if not m.spec.traits.own_numbers}):
        with _told(f"no arithmetic limit in {dtype}", progress):
            limits.open(dtype)


def _rounds(
    race: Race, field: EnginePool, limits: MatmulLimits, repeats: int, progress: SpeedProgress
) -> None:
    entrants = [one for one in race.measured if not one.failure]
    everyone: list[Measurement | str] = [*entrants, *limits.rounds]
    progress.start(repeats * len(everyone))
    for number, entrant in order(everyone, repeats):
        if isinstance(entrant, str):
            progress.begin(f"arithmetic limit in {entrant}", number)
            with _told(f"no arithmetic limit in {entrant}", progress):
                limits.measure(entrant)
        else:
            progress.begin(entrant.spec.label, number)
            field.ask(entrant)
            if entrant.failure:
                progress.say(entrant.failure)
        progress.advance()


def _finish(race: Race, limits: MatmulLimits, progress: SpeedProgress) -> None:
    """The limits, whose number of choices is known from answers."""
    own = [
        m for m in race.measured if m.rounds and m.spec.engine.factory and m.spec.engine.constrained
    ]
    if not own:
        return
    answers = list(max(own, key=lambda one: len(one.places)).answers.values())
    for dtype, rounds in limits.rounds.items():
        if rounds:
            with _told(f"no arithmetic limit in {dtype}", progress):
                limits.measure(dtype, answers)
                race.limits[dtype] = arithmetic_limit(rounds, race.prompts, answers)


def _verify(race: Race, field: EnginePool, end: int, progress: SpeedProgress) -> None:
    """Where answers differ from those of the paper's method, and by what margins."""
    paper = race.paper
    if paper is None or not paper.rounds:
        progress.say("nothing to verify: outlines was not measured")
        return
    theirs = paper.answers
    for measured in race.measured:
        if measured is paper or not measured.rounds or not measured.spec.engine.constrained:
            continue
        label = measured.spec.label
        found = race.partings[label] = partings(measured.answers, theirs, end)
        if not found:
            continue
        progress.say(f"margins of the {len(found)} answers of {label} that differ")
        work: MarginWork = {"differences": as_work(found, race.prompts, theirs)}
        with _told(f"no margins of {label}", progress):
            own, exact = (field.margins(dtype, work) for dtype in (measured.spec.dtype, "float32"))
            race.partings[label] = [
                replace(one, margin=own[i], margin_float32=exact[i]) for i, one in enumerate(found)
            ]


@contextmanager
def _told(what: str, progress: SpeedProgress) -> Iterator[None]:
    """A failure beside the engines is said, and costs no engine's rounds."""
    try:
        yield
    except BenchmarkError as error:
        progress.say(f"{what}: {error}")
