"""Tables 1 and 4: which models were compared, and where they are."""

from collections.abc import Iterator, Sequence
from itertools import product

from benchmark.models.published import published
from benchmark.models.registry import registry
from benchmark.models.registry_types import Pair, RegisteredModel, Training
from benchmark.report.captions import captions
from benchmark.report.table_model import TableCell, TableModel, TableRow, heading

_YES, _NO, _NONE = "\N{CHECK MARK}", "\N{BALLOT X}", "\N{EN DASH}"

_MANY = 3

_TRAININGS: tuple[Training, ...] = ("code", "math", "alignment")


def table_1() -> TableModel:
    """The models of each experiment with what they were trained on, families of a size range."""
    words = captions()
    rows: list[TableRow] = []
    for experiment in _TRAININGS:
        rows.append(heading(words.experiments[experiment]))
        pairs = [p for p in registry().pairs.values() if p.paper and p.experiment == experiment]
        for family, models in _families(pairs):
            marks = (_mark(models[0], training) for training in _TRAININGS)
            cells = (family, _span(models), *marks, _base(models))
            rows.append(TableRow(tuple(map(TableCell, cells))))
    return TableModel(
        "table-1",
        words.tables["table-1"].title,
        words.tables["table-1"].caption,
        ("Model", "Size", "+ code", "+ math", "+ instruct/chat", "Base model"),
        tuple(rows),
        words=6,
    )


def table_4() -> TableModel:
    """Every model of the paper with the identifier it names and the format it was prompted in."""
    words = captions()
    rows = [
        TableRow(tuple(map(TableCell, (family_of(m), m.size, row.huggingface_id, _format(m)))))
        for row in published().values()
        for m in [registry().model(row.key)]
    ]
    return TableModel(
        "table-4",
        words.tables["table-4"].title,
        words.tables["table-4"].caption,
        ("Model", "Size", "Hugging Face identifier", "Chat format"),
        tuple(rows),
        words=4,
    )


def family_of(model: RegisteredModel) -> str:
    """The model's name without its size: ``Llama 2 Chat``."""
    return " ".join(model.name.replace(model.size, "").split())


def _families(pairs: Sequence[Pair]) -> Iterator[tuple[str, list[RegisteredModel]]]:
    """The models of the pairs by family, each base family before what was made of it."""
    models = registry().models
    keys = list(dict.fromkeys(key for pair in pairs for key in (pair.base, pair.variant)))
    found: dict[str, list[RegisteredModel]] = {}
    for model in (models[key] for key in keys):
        found.setdefault(family_of(model), []).append(model)
    yield from found.items()


def _span(models: Sequence[RegisteredModel]) -> str:
    """Two sizes are listed; of more the first and the last are named."""
    sizes = list(dict.fromkeys(model.size for model in models))
    return ", ".join(sizes) if len(sizes) < _MANY else f"{sizes[0]}{_NONE}{sizes[-1]}"


def _mark(model: RegisteredModel, training: Training) -> str:
    if training not in model.added:
        return ""
    instructions = training == "math" and model.key in captions().math_as_instructions
    return f"{_YES} (instruct)" if instructions else _YES


def _base(models: Sequence[RegisteredModel]) -> str:
    """The family they were trained further from, by what was added last; a dash for a base."""
    known = registry()
    for model, pair in product(models, known.pairs.values()):
        if pair.variant == model.key and pair.experiment == model.added[-1]:
            return family_of(known.models[pair.base])
    return _NONE


def _format(model: RegisteredModel) -> str:
    if model.format == "chat":
        return _YES
    return _NO if "alignment" in model.added else _NONE
