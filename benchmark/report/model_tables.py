"""Tables 1 and 4: the compared models, their training and their identifiers."""

from collections.abc import Iterator, Sequence
from itertools import product

from benchmark.models.published import published
from benchmark.models.registry import registry
from benchmark.models.registry_types import Pair, RegisteredModel, Training
from benchmark.report.captions import captions
from benchmark.report.table_model import TableCell, TableModel, TableRow, heading_row

_YES, _NO, _NONE = "\N{CHECK MARK}", "\N{BALLOT X}", "\N{EN DASH}"

_MOST_LISTED = 2
"""Up to this number of sizes are listed; of more, only the first and the last."""

_TRAININGS: tuple[Training, ...] = ("code", "math", "alignment")


def table_1() -> TableModel:
    """Return Table 1: the model families of each experiment, with their sizes and training."""
    texts = captions()
    rows: list[TableRow] = []
    for experiment in _TRAININGS:
        rows.append(heading_row(texts.experiments[experiment]))
        pairs = [p for p in registry().pairs.values() if p.paper and p.experiment == experiment]
        for family, models in _families(pairs):
            marks = (_training_mark(models[0], training) for training in _TRAININGS)
            cells = (family, _size_range(models), *marks, _base_family(models))
            rows.append(TableRow(tuple(map(TableCell, cells))))
    return TableModel(
        "table-1",
        texts.tables["table-1"].title,
        texts.tables["table-1"].caption,
        ("Model", "Size", "+ code", "+ math", "+ instruct/chat", "Base model"),
        tuple(rows),
        text_columns=6,
    )


def table_4() -> TableModel:
    """Return Table 4: the paper's models with their identifiers and prompt formats."""
    texts = captions()
    rows = [
        TableRow(tuple(map(TableCell, (family_of(m), m.size, row.huggingface_id, _chat_mark(m)))))
        for row in published().values()
        for m in [registry().model(row.key)]
    ]
    return TableModel(
        "table-4",
        texts.tables["table-4"].title,
        texts.tables["table-4"].caption,
        ("Model", "Size", "Hugging Face identifier", "Chat format"),
        tuple(rows),
        text_columns=4,
    )


def family_of(model: RegisteredModel) -> str:
    """Return the model's name without its size, as in ``Llama 2 Chat``."""
    return " ".join(model.name.replace(model.size, "").split())


def _families(pairs: Sequence[Pair]) -> Iterator[tuple[str, list[RegisteredModel]]]:
    """Yield the models of the pairs by family, a base family before those trained from it."""
    models = registry().models
    keys = list(dict.fromkeys(key for pair in pairs for key in (pair.base, pair.variant)))
    families: dict[str, list[RegisteredModel]] = {}
    for model in (models[key] for key in keys):
        families.setdefault(family_of(model), []).append(model)
    yield from families.items()


def _size_range(models: Sequence[RegisteredModel]) -> str:
    sizes = list(dict.fromkeys(model.size for model in models))
    return ", ".join(sizes) if len(sizes) <= _MOST_LISTED else f"{sizes[0]}{_NONE}{sizes[-1]}"


def _training_mark(model: RegisteredModel, training: Training) -> str:
    if training not in model.added:
        return ""
    instructions = training == "math" and model.key in captions().math_as_instructions
    return f"{_YES} (instruct)" if instructions else _YES


def _base_family(models: Sequence[RegisteredModel]) -> str:
    """Return the family that these models were trained from; a dash for a base family."""
    for model, pair in product(models, registry().pairs.values()):
        if pair.variant == model.key and pair.experiment == model.added[-1]:
            return family_of(registry().models[pair.base])
    return _NONE


def _chat_mark(model: RegisteredModel) -> str:
    if model.format == "chat":
        return _YES
    return _NO if "alignment" in model.added else _NONE
