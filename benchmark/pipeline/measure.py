"""A run: from a request to predictions and a result on disk."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.boxes.answers import answer_expression
from benchmark.boxes.baseline import Percentages, baselines, baselines_as_json
from benchmark.boxes.world import BOXES
from benchmark.decoding.engines import check_engine, check_prompts, create_engine
from benchmark.decoding.protocols import protocol
from benchmark.models.bos import BosRule
from benchmark.models.hardware import gpu_memory
from benchmark.models.loading import LoadOptions, check_options, resolve_device
from benchmark.models.location import Location, is_local, locate
from benchmark.models.registry import RegisteredModel, registry
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.pipeline.answers import check_limit, correct_answer
from benchmark.pipeline.data import check_number, evaluate, load_states
from benchmark.pipeline.history import History
from benchmark.pipeline.identity import Settings, identity
from benchmark.pipeline.loading import Loaders
from benchmark.pipeline.requests import Progress, RunRequest
from benchmark.prompts.rendering import prompt
from benchmark.prompts.settings import PromptSettings, Role
from benchmark.records import Outcome, State, Tally, TokenIds
from benchmark.stats.summary import Scored, Summary, scores_as_json
from benchmark.store.run_folder import RunFolder

_ANEW = Loaders()


@dataclass(frozen=True, slots=True)
class Measured:
    """The result of a run: the document about it, and the identity of what it depends on.

    ``texts`` are the answers, one per state; ``scores`` what is right in them by every score, and
    ``baselines`` what random answers would score, by every reading.
    """

    texts: tuple[str, ...]
    scores: Mapping[str, Scored]
    baselines: Mapping[str, Percentages]
    document: dict[str, object]
    identity: dict[str, object]

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """The outcomes by the main score, ``set``."""
        return self.scores["set"].outcomes

    @property
    def summary(self) -> Summary:
        """The summary by the main score, ``set``."""
        return self.scores["set"].summary

    @property
    def baseline(self) -> Percentages:
        """The random baseline of the main score, ``set``."""
        return self.baselines["set"]

    def document_of_record(self) -> dict[str, object]:
        """Result and identity as a snapshot keeps them, without the model's path on one machine."""
        model = self.identity.get("model")
        fingerprint = model.get("fingerprint") if isinstance(model, dict) else None
        return {**self.document, **self.identity, "model": {"fingerprint": fingerprint}}


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run with all but its weights at hand.

    ``identity`` is everything that the score depends on; two runs with the same one give the
    same result.
    """

    settings: Settings
    location: Location
    tokenizer: TransformersTokenizer
    states: Sequence[State]
    prompts: Sequence[TokenIds]
    identity: dict[str, object]


def run(request: RunRequest, progress: Progress) -> Measured:
    """Measure a model, going on where an earlier run into the same folder stopped.

    Raises:
        BenchmarkError: for whatever of the request cannot be had; see the message.
    """
    prepared = prepare(request, progress)
    return execute(prepared, request.out, progress, set_aside=request.set_aside)


def prepare(request: RunRequest, progress: Progress, loaders: Loaders = _ANEW) -> Prepared:
    """Read data and tokenizer, and check the request; no weights are loaded.

    Raises:
        BenchmarkError: for whatever of the request cannot be had; see the message.
    """
    # What costs nothing is checked before anything is read or fetched.
    check_number(request.data)
    settings = resolve(request)
    states = load_states(request.data)
    location = locate(request.model, request.revision)
    progress.say(f"loading the tokenizer of {location.name}, for {len(states)} prompts")
    tokenizer = loaders.tokenizer(location, registered_bos(request))
    asked = [prompt(tokenizer, s.description, settings.prompt) for s in states]
    prompts = [each.token_ids for each in asked]
    others = tokenizer.read_otherwise([each.text for each in asked])
    if others:
        progress.say(
            f"transformers reads {others} of {len(asked)} prompts otherwise than tokenizer.json; "
            "they are asked as tokenizer.json has them"
        )
    if protocol(settings.name).whole_answers:
        check_limit(tokenizer, states, settings.limits)
    expression = None if settings.engine == "unconstrained" else answer_expression(BOXES)
    tokenizing = {"tokenizer_bos": tokenizer.bos.as_json(), "read_otherwise": others}
    known = identity(settings, location, states, prompts, expression, tokenizing)
    return Prepared(settings, location, tokenizer, states, prompts, known)


def finished(work: Prepared, out: Path) -> Measured | None:
    """What the run came to, if the folder holds all of it; no weights are needed for that.

    Raises:
        ResumeError: when the folder holds another run or another process holds it.
    """
    if not out.exists():
        return None
    with RunFolder(out, work.identity) as folder:
        texts = folder.finished()
        if not folder.result() or not all(state.description in texts for state in work.states):
            return None
    return _measured(work, texts)


def execute(
    work: Prepared,
    out: Path,
    progress: Progress,
    *,
    device: str | None = None,
    set_aside: bool = False,
    loaders: Loaders = _ANEW,
) -> Measured:
    """Decode what is missing in the folder, and write the result there.

    Args:
        work: the run.
        out: its folder.
        progress: shows how far it is.
        device: which one of the request's kind, where that is settled only now.
        set_aside: move another run that is in the folder out of the way.
        loaders: what loads the weights.

    Raises:
        ResumeError: when the folder holds another run or another process holds it.
        ModelError: when the weights cannot be loaded or do not fit.
    """
    options = replace(work.settings.options, device=device or work.settings.options.device)
    with RunFolder(out, work.identity, set_aside=set_aside) as folder:
        how = _decode(work, options, folder, progress, loaders)
        texts = folder.finished()
        measured = _measured(work, texts)
        result = {**measured.document, **how, **work.identity}
        folder.finish(result, [state.description for state in work.states])
    return measured


def resolve(request: RunRequest) -> Settings:
    """The protocol asked for with all that the request changes of it, checked.

    Raises:
        SettingError: when one of the settings does not exist or does not fit the machine.
    """
    named = protocol(request.protocol)
    engine = check_engine(request.engine or named.engine)
    prompt_ = replace(prompt_settings(request), repeated_bos=named.repeated_bos)
    limits = named.limits.changed(request.batch_size, request.max_new_tokens)
    device = resolve_device(request.device)  # imports torch: what needs it not comes before
    entry = registered_entry(request)
    # The paper ran its largest models in 8 bit (section 4 of the protocol).
    quantized = entry.quantization if entry and named.paper_quantization else None
    own = LoadOptions(device, named.dtype(device), quantized)
    possible = quantized if device != "cpu" else None
    options = LoadOptions(device, request.dtype or own.dtype, request.quantization or possible)
    pairs = {
        "engine": (engine, named.engine),
        "batch_size": (limits.batch_size, named.limits.batch_size),
        "max_new_tokens": (limits.max_new_tokens, named.limits.max_new_tokens),
        "dtype": (options.dtype, own.dtype),
        "quantization": (options.quantization, own.quantization),
        "prompt_variant": (prompt_.prompt_variant, PromptSettings().prompt_variant),
        "bos": (prompt_.bos, PromptSettings().bos),
    }
    if prompt_.prompt_format == "chat":
        pairs["instruction_role"] = (prompt_.instruction_role, _usual_role(request))
    return Settings(
        name=request.protocol,
        changed=tuple(name for name, (asked, named_value) in pairs.items() if asked != named_value),
        engine=engine,
        prompt=prompt_,
        limits=limits,
        options=check_options(options),
    )


def registered_entry(request: RunRequest) -> RegisteredModel | None:
    """Return what the registry says of a request's model.

    The request's own entry comes first. A folder without one is not registered, whatever its name.
    """
    if request.entry:
        return request.entry
    return None if is_local(request.model) else registry().by_huggingface_id(request.model)


def prompt_settings(request: RunRequest) -> PromptSettings:
    """Return the prompt settings of a request, with the instruction's role as registered.

    Raises:
        SettingError: when one of them does not exist.
    """
    role = request.instruction_role or _usual_role(request)
    return PromptSettings.checked(request.prompt_format, request.prompt_variant, role, request.bos)


def _usual_role(request: RunRequest) -> Role:
    """The role that the authors' code gives the instruction: by the identifier on the hub.

    The registry has it for its models. A local folder is asked in a user turn, whatever its name.
    """
    if entry := registered_entry(request):
        return entry.instruction_role
    return "system" if "Llama" in request.model and not is_local(request.model) else "user"


def registered_bos(request: RunRequest) -> BosRule | None:
    """Return what the registry says of the BOS of a request's model; None if it says nothing."""
    entry = registered_entry(request)
    known = entry.adds_bos if entry else None
    return None if known is None else BosRule(known, "registry")


def _decode(
    work: Prepared, options: LoadOptions, folder: RunFolder, progress: Progress, loaders: Loaders
) -> dict[str, object]:
    """Decode what is missing in the folder; how it went, for the result."""
    there = folder.finished()
    done = {index for index, state in enumerate(work.states) if state.description in there}
    before = History.of(folder.notes())
    if len(done) == len(work.states) and folder.result():
        return before.as_json()
    from benchmark.decoding.backing_off import BackingOff  # imports torch

    name, limits = work.location.name, work.settings.limits
    progress.say(f"loading {name} in {options.dtype} on {options.device}")
    model = loaders.model(work.location, options)
    check_prompts(model, work.tokenizer, work.prompts, work.settings.limits)
    # Drafts cannot change the outcome: a model that is right needs fewer passes.
    pairs = zip(work.prompts, work.states, strict=True)
    expected = {ids: correct_answer(work.tokenizer, state) for ids, state in pairs}
    engine = BackingOff(
        lambda fitting: create_engine(
            work.settings.engine,
            model,
            work.tokenizer,
            fitting,
            answer_expression(BOXES),
            expected,
            progress.say,
        ),
        # What did not fit before the run was stopped is not tried again.
        replace(limits, batch_size=before.batch_size or limits.batch_size),
    )
    before = before.again()
    started, decoded, now = time.perf_counter(), 0, before
    progress.start(len(work.states), len(done), Path(name).name)
    right = _right(work, {index: there[work.states[index].description] for index in done})
    for batch in engine.generate(work.prompts, done):
        folder.append((work.states[i].description, completion.text) for i, completion in batch)
        decoded += len(batch)
        seconds = time.perf_counter() - started
        now = before.plus(engine.batch_sizes[-1], engine.composition, decoded, seconds)
        folder.note(now.as_json())
        texts = {index: completion.text for index, completion in batch}
        new = _right(work, texts)
        right = Tally(right.correct + new.correct, right.total + new.total)
        progress.advance(len(batch), right, gpu_memory(options.device))
    return now.as_json()


def _right(work: Prepared, texts: Mapping[int, str]) -> Tally:
    """The queries that are right of states by their numbers, and all of them."""
    scored = evaluate([work.states[index] for index in texts], list(texts.values()))
    correct = [right for outcome in scored["set"] for right in outcome.correct]
    return Tally(sum(correct), len(correct))


def _measured(work: Prepared, predictions: Mapping[str, str]) -> Measured:
    texts = tuple(predictions[state.description] for state in work.states)
    scores = {by: Scored.of(some) for by, some in evaluate(work.states, texts).items()}
    chance = baselines(work.states)
    document = {
        **scores_as_json(scores),
        "baseline": baselines_as_json(chance),
        "answers_without_full_stop": sum("." not in text for text in texts),
    }
    return Measured(texts, scores, chance, document, work.identity)
