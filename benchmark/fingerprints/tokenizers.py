"""The tokenizer sentinel: ids and allowed tokens of every family that is here, without weights."""

import tomllib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from benchmark.decoding.constraint import Constraint
from benchmark.fingerprints.digests import StageRecord, digest
from benchmark.fingerprints.record import Allowed, AllowedSet, Fingerprint, Sample
from benchmark.fingerprints.stage_recorder import line
from benchmark.fingerprints.stages import CONSTRAINT, DATASET, PROMPT_IDS
from benchmark.fingerprints.tokenizer_family import Family, Values
from benchmark.models.downloads import load_source_tokenizer, source, sources
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.prompts.settings import PromptSettings
from benchmark.records import State, TokenIds
from benchmark.runs.data import load_states
from benchmark.runs.environment import Environment, code_digests, versions
from benchmark.runs.requests import DataRequest
from benchmark.tasks import DEFAULT, task_named

LIBRARIES = ("transformers", "tokenizers", "outlines_core", "sentencepiece", "gguf", "jinja2")
"""Those that reach token ids and constraint; no other version stands in a snapshot."""

_TASK = task_named(DEFAULT)

_NOT_REACHED = "not reached"
_FAILED = "failed: "
"""Where one text alone raises."""


@cache
def _state() -> State:
    """The third state of the evaluated set of seed 0: five operations, a box emptied."""
    return load_states(DataRequest(seed=0, states=3))[-1]


@cache
def _texts() -> dict[str, str]:
    path = files("benchmark.fingerprints").joinpath("tokenizer_texts.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))


def fetched_families() -> tuple[str, ...]:
    """The names of the families whose vocabularies are here."""
    return tuple(name for name, each in sources().items() if each.present)


def watch(name: str, tokenizer: TransformersTokenizer | None = None) -> Family:
    """What the family's tokenizer gives; what raises is recorded as that."""
    known = {name: v for name, v in versions().items() if name in LIBRARIES}
    try:
        loaded = tokenizer or load_source_tokenizer(source(name))
        tokens = _tokenizer(loaded)
    except Exception as error:  # noqa: BLE001  # whatever a library raises is the finding
        return Family(name, known, {"failed": line(error)}, {"failed": _NOT_REACHED})
    try:
        allowed = _constraint(loaded)
    except Exception as error:  # noqa: BLE001
        allowed = {"failed": line(error)}
    return Family(name, known, tokens, allowed)


def tokenizers_fingerprint(names: Sequence[str]) -> Fingerprint:
    """A record with one state a family, for ``compare`` and ``bisect``."""
    families = [watch(name) for name in names]
    stages = {
        DATASET.name: StageRecord(tuple(digest([name]) for name in names)),
        PROMPT_IDS.name: _stage(families, "tokenizer"),
        CONSTRAINT.name: _stage(families, "constraint"),
    }
    known = dict[AllowedSet, int]()
    along = tuple(_along(family, known) for family in families)
    return Fingerprint(
        environment=Environment(versions=versions(), data={"families": " ".join(names)}),
        stages=stages,
        path=tuple(map(_path, families)),
        lengths=tuple(len(_ids(f, "prompt")) for f in families),
        allowed=Allowed(tuple(known), along),
        samples=tuple(Sample(f.name, _ids(f, "prompt")) for f in families),
        code=code_digests(),
    )


def _stage(families: Sequence[Family], name: str) -> StageRecord:
    """One fingerprint a family; beside them the errors, where a library raised one in any."""
    values = [(family.name, getattr(family, name)) for family in families]
    errors = [
        f"{family}: {what}"
        for family, each in values
        for key, value in each.items()
        if (what := _error(key, value)) is not None
    ]
    digests = tuple(digest(sorted(each.items())) for _, each in values)
    return StageRecord(digests, "; ".join(errors) or None)


def _error(key: str, value: str) -> str | None:
    if key == "failed":
        return None if value == _NOT_REACHED else value
    return value.removeprefix(_FAILED) if value.startswith(_FAILED) else None


def _ids(family: Family, name: str) -> TokenIds:
    return tuple(map(int, family.tokenizer.get(name, "").split()))


def _path(family: Family) -> TokenIds:
    """The answer that the sets were met along; nothing where the family got no constraint."""
    if "failed" in family.constraint:
        return ()
    return (*_ids(family, "answer"), int(family.tokenizer["eos"]))


def _along(family: Family, known: dict[AllowedSet, int]) -> tuple[int, ...]:
    """The numbers of the family's sets among those of all families."""
    numbers = list[int]()
    for number in map(int, family.constraint.get("along the answer", "").split()):
        if number < 0:
            numbers.append(number)
            continue
        size, total, name = family.constraint[f"set {number}"].split()
        numbers.append(known.setdefault(AllowedSet(name, int(size), int(total)), len(known)))
    return tuple(numbers)


def _answer(tokenizer: TransformersTokenizer) -> TokenIds:
    """The correct answer in the tokens that it has after its prompt."""
    asked = _TASK.completion(_state().description)
    return tokenizer.encode(asked + _TASK.correct_text(_state()))[len(tokenizer.encode(asked)) :]


def _tokenizer(tokenizer: TransformersTokenizer) -> Values:
    token_bytes = tokenizer.token_bytes
    prompt_ids = _TASK.prompt(tokenizer, _state().description, PromptSettings()).token_ids
    ids = {
        "prompt": prompt_ids,
        "answer": _answer(tokenizer),
        **{name: tokenizer.encode(text) for name, text in _texts().items()},
    }
    values = {name: " ".join(map(str, each)) for name, each in ids.items()}
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
    """The ids of a prompt in the chat format; an error there says nothing of other texts."""
    try:
        asked = PromptSettings(prompt_format="chat")
        ids = _TASK.prompt(tokenizer, _state().description, asked).token_ids
    except Exception as error:  # noqa: BLE001
        return f"{_FAILED}{line(error)}"
    return " ".join(map(str, ids))


def _constraint(tokenizer: TransformersTokenizer) -> Values:
    from benchmark.decoding.constraint_trace import ConstraintTrace

    walker = ConstraintTrace(Constraint(_TASK.expression, tokenizer.token_bytes, tokenizer.eos_id))
    along = walker.set_numbers((*_answer(tokenizer), tokenizer.eos_id))
    sets = (f"{len(each)} {sum(each)} {digest(each)}" for each in walker.sets)
    return {
        **{f"set {number}": each for number, each in enumerate(sets)},
        "along the answer": " ".join(map(str, along)),
    }
