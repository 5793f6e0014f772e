"""Record token ids and allowed tokens of every fetched tokenizer, without weights."""

from collections.abc import Callable, Sequence
from functools import cache

from benchmark.decoding.constraint import Constraint
from benchmark.fingerprints.digests import StageRecord, digest, failure_digest
from benchmark.fingerprints.record import Allowed, AllowedSet, Fingerprint, Sample
from benchmark.fingerprints.stage_recorder import line
from benchmark.fingerprints.stages import CONSTRAINT, DATASET, PROMPT_IDS
from benchmark.fingerprints.tokenizer_family import TokenizerRecord, Values
from benchmark.models.downloads import load_source_tokenizer, source, sources
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.package_data import package_toml
from benchmark.prompts.settings import PromptSettings
from benchmark.records import State, TokenIds
from benchmark.runs.data import load_states
from benchmark.runs.environment import Environment, code_digests, versions
from benchmark.runs.requests import DataRequest
from benchmark.tasks import DEFAULT, task_named

LIBRARIES = ("transformers", "tokenizers", "outlines_core", "sentencepiece", "gguf", "jinja2")
"""The libraries that affect token ids and constraint; snapshots have no other versions."""

_TASK = task_named(DEFAULT)

_NOT_REACHED = f"not reached: {PROMPT_IDS.name} failed"
_FAILED = "failed: "
"""The prefix of an entry's value if only that text raises."""


@cache
def _state() -> State:
    """Return the third state of the evaluated set of seed 0: five operations, an emptied box."""
    return load_states(DataRequest(seed=0, states=3))[-1]


@cache
def _texts() -> dict[str, str]:
    return package_toml("fingerprints/tokenizer_texts.toml")


def fetched_families() -> tuple[str, ...]:
    """Return the names of the families whose tokenizers are fetched."""
    return tuple(name for name, source in sources().items() if source.present)


def tokenizer_record(name: str, tokenizer: TransformersTokenizer | None = None) -> TokenizerRecord:
    """Record a family's tokenizer, by default the fetched one; errors are recorded too."""
    recorded = {name: v for name, v in versions().items() if name in LIBRARIES}
    try:
        loaded = tokenizer or load_source_tokenizer(source(name))
        tokens = _tokenizer(loaded)
    except Exception as error:  # noqa: BLE001  # any error of a library is recorded
        return TokenizerRecord(name, recorded, {"failed": line(error)}, {"failed": _NOT_REACHED})
    try:
        allowed = _constraint(loaded)
    except Exception as error:  # noqa: BLE001
        allowed = {"failed": line(error)}
    return TokenizerRecord(name, recorded, tokens, allowed)


def tokenizers_fingerprint(names: Sequence[str]) -> Fingerprint:
    """Return a fingerprint with one state per family, for ``compare`` and ``bisect``."""
    families = [tokenizer_record(name) for name in names]
    stages = {
        DATASET.name: StageRecord(tuple(digest([name]) for name in names)),
        PROMPT_IDS.name: _stage(families, "tokenizer"),
        CONSTRAINT.name: _stage(families, "constraint"),
    }
    sets = dict[AllowedSet, int]()
    along = tuple(_along(family, sets) for family in families)
    return Fingerprint(
        environment=Environment(versions=versions(), data={"families": " ".join(names)}),
        stages=stages,
        path=tuple(map(_path, families)),
        lengths=tuple(len(_ids(f, "prompt")) for f in families),
        allowed=Allowed(tuple(sets), along),
        samples=tuple(Sample(f.family, _ids(f, "prompt")) for f in families),
        code=code_digests(),
    )


def _stage(families: Sequence[TokenizerRecord], name: str) -> StageRecord:
    """Return a stage with one digest per family, and the errors of families that failed."""
    entries = [(family.family, getattr(family, name)) for family in families]
    errors = [
        f"{family}: {error}"
        for family, values in entries
        for key, value in values.items()
        if (error := _error(key, value)) is not None
    ]
    failed_for_all = all("failed" in values for _, values in entries)
    digests = () if failed_for_all else tuple(_digest(values) for _, values in entries)
    return StageRecord(digests, "; ".join(errors) or None)


def _digest(values: Values) -> str:
    """Return the digest of a family's values, without the texts of errors."""
    if "failed" in values:
        return failure_digest()
    texts = {name: "failed" if _error(name, value) else value for name, value in values.items()}
    return digest(sorted(texts.items()))


def _error(name: str, value: str) -> str | None:
    """Return the error in an entry of a family's values; None if there is none."""
    if name == "failed":
        return value
    return value.removeprefix(_FAILED) if value.startswith(_FAILED) else None


def _ids(family: TokenizerRecord, name: str) -> TokenIds:
    return tuple(map(int, family.tokenizer.get(name, "").split()))


def _path(family: TokenizerRecord) -> TokenIds:
    """Return the answer along which sets were recorded; empty if the constraint failed."""
    if "failed" in family.constraint:
        return ()
    return (*_ids(family, "answer"), int(family.tokenizer["eos"]))


def _along(family: TokenizerRecord, sets: dict[AllowedSet, int]) -> tuple[int, ...]:
    """Return the indexes of the family's sets among those of all families."""
    numbers = list[int]()
    for number in map(int, family.constraint.get("along the answer", "").split()):
        if number < 0:
            numbers.append(number)
            continue
        size, total, name = family.constraint[f"set {number}"].split()
        numbers.append(sets.setdefault(AllowedSet(name, int(size), int(total)), len(sets)))
    return tuple(numbers)


def correct_answer(tokenizer: TransformersTokenizer) -> TokenIds:
    """Return the token ids of the correct answer to one state, after its prompt, without EOS."""
    prompt = _TASK.completion(_state().description)
    return continuation(tokenizer.encode, prompt, _TASK.correct_text(_state()))


def continuation(encode: Callable[[str], Sequence[int]], prompt: str, answer: str) -> TokenIds:
    """Return the token ids of an answer after the ids of its prompt.

    In some vocabularies (cl100k, Llama 3, Qwen) ``.Statement`` is a token, so that the ids of both
    together do not begin with those of the prompt. A model continues the prompt's ids.
    """
    before, together = tuple(encode(prompt)), tuple(encode(prompt + answer))
    if together[: len(before)] == before:
        return together[len(before) :]
    return tuple(encode(answer))


def _tokenizer(tokenizer: TransformersTokenizer) -> Values:
    token_bytes = tokenizer.token_bytes
    prompt_ids = _TASK.prompt(tokenizer, _state().description, PromptSettings()).token_ids
    ids = {
        "prompt": prompt_ids,
        "answer": correct_answer(tokenizer),
        **{name: tokenizer.encode(text) for name, text in _texts().items()},
    }
    values = {name: " ".join(map(str, token_ids)) for name, token_ids in ids.items()}
    if tokenizer.raw.chat_template is not None:
        values["chat"] = _chat(tokenizer)
    return {
        "vocabulary": f"{len(token_bytes)} {digest(sorted(token_bytes.items()))}",
        "bos": str(tokenizer.bos_id),
        "leading bos": str(tokenizer.leading_bos),
        "eos": str(tokenizer.eos_id),
        **values,
    }


def _chat(tokenizer: TransformersTokenizer) -> str:
    """Return the ids of a prompt in the chat format, or its error."""
    try:
        settings = PromptSettings(prompt_format="chat")
        ids = _TASK.prompt(tokenizer, _state().description, settings).token_ids
    except Exception as error:  # noqa: BLE001
        return f"{_FAILED}{line(error)}"
    return " ".join(map(str, ids))


def _constraint(tokenizer: TransformersTokenizer) -> Values:
    from benchmark.decoding.constraint_trace import ConstraintTrace

    trace = ConstraintTrace(Constraint(_TASK.expression, tokenizer.token_bytes, tokenizer.eos_id))
    along = trace.set_numbers((*correct_answer(tokenizer), tokenizer.eos_id))
    sets = (f"{len(ids)} {sum(ids)} {digest(ids)}" for ids in trace.sets)
    return {
        **{f"set {number}": described for number, described in enumerate(sets)},
        "along the answer": " ".join(map(str, along)),
    }
