"""Compare the speed of engines on the same states: open them, measure in rounds, compare."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from benchmark.decoding.connection import ExternalSettings
from benchmark.decoding.external.messages import MarginRequest
from benchmark.errors import BenchmarkError, RefusedModelError, SettingError
from benchmark.models.hardware import describe
from benchmark.runs.environment import versions
from benchmark.runs.measure import prepare
from benchmark.runs.notices import warning_lines
from benchmark.runs.resolution import resolve
from benchmark.speed.comparison import SpeedComparison, SpeedProgress, SpeedRequest
from benchmark.speed.differences import first_differences, margin_positions
from benchmark.speed.engine_pool import EnginePool, MatmulLimits, SpeedInputs
from benchmark.speed.figures import Measurement, arithmetic_limit
from benchmark.speed.rounds import evenly_spaced, rotating_order
from benchmark.speed.specs import EngineSpec, parse

_MOST_REPEATS = 1000


def speed(request: SpeedRequest, progress: SpeedProgress) -> SpeedComparison:
    """Measure the engines in turn; on Ctrl-C, return the measurements so far.

    Raises:
        BenchmarkError: if the request cannot be met by any engine. The failure of a single
            engine is recorded in its measurement.
        RefusedModelError: if the model is refused or its logits are not finite.
    """
    comparison, inputs = _prepared(request, progress)
    pool = EnginePool(inputs)
    limits = MatmulLimits(inputs)
    try:
        with _until_stopped(comparison):
            _open(comparison, pool, limits, progress)
            _rounds(comparison, pool, limits, request.repeats, progress)
        _keep_warnings(comparison, progress)
        with _until_stopped(comparison):
            _finish(comparison, limits, progress)
        with _until_stopped(comparison):
            if request.verify:
                _verify(comparison, pool, inputs.stops[0], progress)
    finally:
        pool.close()
        limits.close()
    return comparison


@contextmanager
def _until_stopped(comparison: SpeedComparison) -> Iterator[None]:
    """End this part on Ctrl-C and keep the earlier measurements."""
    try:
        yield
    except KeyboardInterrupt:
        comparison.stopped = True


def _prepared(
    request: SpeedRequest, progress: SpeedProgress
) -> tuple[SpeedComparison, SpeedInputs]:
    settings = resolve(request.run)
    specs = parse(request.engines, settings.options.dtype, settings.limits.batch_size)
    for name, value in (("--repeats", request.repeats), ("--slow-states", request.slow_states)):
        if value is not None and value < 1:
            raise SettingError(f"{name} {value}: at least 1 is needed")
    if request.repeats > _MOST_REPEATS:
        raise SettingError(f"--repeats {request.repeats}: at most {_MOST_REPEATS} are timed")
    _check_address(request.external, specs)
    prepared = prepare(request.run, progress)
    questions, location, states = prepared.questions, prepared.location, prepared.states
    inputs = SpeedInputs(
        model=request.run.model,
        gguf=location.folder / location.gguf if location.gguf else None,
        digest=location.digest,
        device=settings.options.device,
        max_new_tokens=settings.limits.max_new_tokens,
        expression=questions.task.expression,
        grammar=questions.task.grammar,
        stops=(questions.tokenizer.eos_id,),
        prompts=questions.prompt_ids,
        expected=questions.correct,
        external=request.external,
        tokenizer=location.tokenizer,
    )
    if request.verify and not any(spec.is_paper for spec in specs):
        raise SettingError("--verify needs the engine outlines; add it to --engines")
    every, sample = range(len(states)), evenly_spaced(len(states), request.slow_states)
    measured = [Measurement(spec, sample if spec.traits.slow else every) for spec in specs]
    environment = {**describe(settings.options.device), **versions()}
    comparison = SpeedComparison(
        name=location.name,
        digest=location.digest,
        states=len(states),
        prompts=inputs.prompts,
        measured=measured,
        environment=environment,
        notices=prepared.notices,
    )
    return comparison, inputs


def _check_address(external: ExternalSettings, specs: Sequence[EngineSpec]) -> None:
    """Check that there is an address if an engine needs one, and only then.

    Raises:
        SettingError: otherwise.
    """
    asks = any("base_url" in spec.engine.options for spec in specs)
    if asks and external.base_url is None:
        raise SettingError("the engine server needs --base-url, such as http://127.0.0.1:8000")
    if not asks and external != ExternalSettings():
        raise SettingError(
            "--base-url, --kind and --concurrency are for the engine server; add it to --engines"
        )


def _open(
    comparison: SpeedComparison, pool: EnginePool, limits: MatmulLimits, progress: SpeedProgress
) -> None:
    """Load every engine, and find the best batch sizes, one engine at a time."""
    for measured in comparison.measured:
        progress.say(f"opening {measured.spec.label}")
        pool.open(measured)
        if measured.failure:
            progress.say(measured.failure)
        elif measured.spec.best:
            for line in pool.find_best(measured):
                progress.say(line)
    if all(one.failure for one in comparison.measured):
        failures = dict.fromkeys(str(one.failure) for one in comparison.measured)
        raise SettingError(f"no engine can be measured: {'; '.join(failures)}")
    for dtype in sorted({m.spec.dtype for m in comparison.measured if m.spec.traits.has_limit}):
        with _reporting(f"no arithmetic limit in {dtype}", progress):
            limits.open(dtype)


def _rounds(
    comparison: SpeedComparison,
    pool: EnginePool,
    limits: MatmulLimits,
    repeats: int,
    progress: SpeedProgress,
) -> None:
    engines = [one for one in comparison.measured if not one.failure]
    entries: list[Measurement | str] = [*engines, *limits.rounds]
    progress.start(repeats * len(entries))
    for number, entry in rotating_order(entries, repeats):
        if isinstance(entry, str):
            progress.begin(f"arithmetic limit in {entry}", number)
            with _reporting(f"no arithmetic limit in {entry}", progress):
                limits.measure(entry)
        else:
            progress.begin(entry.spec.label, number)
            pool.run_round(entry)
            if entry.failure:
                progress.say(entry.failure)
        progress.advance()


def _keep_warnings(comparison: SpeedComparison, progress: SpeedProgress) -> None:
    """Keep and print the warnings about the weights, each once for all engines."""
    warnings = (text for one in comparison.measured for text in one.library_warnings)
    comparison.notices.weights = list(dict.fromkeys(warnings))
    for line in warning_lines("weights", comparison.notices.weights):
        progress.say(line)


def _finish(comparison: SpeedComparison, limits: MatmulLimits, progress: SpeedProgress) -> None:
    """Compute the limits, whose number of choices follows from answers."""
    own = [
        m
        for m in comparison.measured
        if m.rounds and m.spec.traits.environment == "own" and m.spec.engine.constrained
    ]
    if not own:
        return
    answers = max(own, key=lambda one: len(one.state_indices)).answers
    for dtype, rounds in limits.rounds.items():
        if rounds:
            with _reporting(f"no arithmetic limit in {dtype}", progress):
                limits.measure(dtype, list(answers.values()))
                comparison.limits[dtype] = arithmetic_limit(rounds, comparison.prompts, answers)


def _verify(
    comparison: SpeedComparison, pool: EnginePool, end: int, progress: SpeedProgress
) -> None:
    """Find where answers differ from those of the paper's method, and by what margins."""
    paper = comparison.paper
    if paper is None or not paper.rounds:
        progress.say("nothing to verify: outlines was not measured")
        return
    theirs = paper.answers
    for measured in comparison.measured:
        if measured is paper or not measured.rounds or not measured.spec.engine.constrained:
            continue
        label = measured.spec.label
        differences = comparison.first_differences[label] = first_differences(
            measured.answers, theirs, end
        )
        if not differences:
            continue
        progress.say(f"margins of the {len(differences)} answers of {label} that differ")
        request: MarginRequest = {
            "differences": margin_positions(differences, comparison.prompts, theirs),
            "answers": [list(measured.answers[one.state]) for one in differences],
        }
        with _reporting(f"no margins of {label}", progress):
            own, exact = (
                pool.margins(dtype, request) for dtype in (measured.spec.dtype, "float32")
            )
            comparison.first_differences[label] = [
                replace(
                    one,
                    margin=own["margins"][i],
                    margin_float32=exact["margins"][i],
                    certified=own["certified"][i],
                )
                for i, one in enumerate(differences)
            ]


@contextmanager
def _reporting(consequence: str, progress: SpeedProgress) -> Iterator[None]:
    """Report a failure outside the engines and continue, so that no engine's rounds are lost."""
    try:
        yield
    except RefusedModelError:
        raise
    except BenchmarkError as error:
        progress.say(f"{consequence}: {error}")
