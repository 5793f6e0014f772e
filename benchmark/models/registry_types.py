"""The types of the registry: models, pairs, and both together."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, Field

from benchmark.errors import SettingError
from benchmark.models.validation import Entry, Items
from benchmark.output import is_formula

Training = Literal["code", "math", "alignment", "control"]
"""The additional training of a variant, which is also the name of its pair's experiment.

``control`` is for models that validate the benchmark itself; the paper has none.
"""


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*$")]
"""A key or identifier that is safe in names of files and test cases."""


def _plain(text: str) -> str:
    """Return a text that does nothing in a terminal or a spreadsheet.

    Raises:
        ValueError: if it is blank, holds a control character, or begins like a formula.
    """
    if not text.isprintable():
        raise ValueError(f"{text!r} holds a character that is not printable")
    if not (shown := text.strip()):
        raise ValueError(f"{text!r} is blank")
    if is_formula(text) or is_formula(shown.lstrip("'")):  # spreadsheets drop a first apostrophe
        raise ValueError(f"{text!r} begins with {shown[0]}, as a formula of a spreadsheet does")
    return text


Text = Annotated[str, Field(min_length=1), AfterValidator(_plain)]
"""A text in one line that is shown in terminals, tables, pages and spreadsheets."""

Commit = Annotated[str, Field(pattern=r"^([0-9a-f]{40})?$")]
"""A commit of a repository of the hub, to which the model is pinned; empty if it is not pinned."""

Hypothesis = Literal["gain", "no gain", "as published"]
"""The expected result of a pair for queries with numops >= 1.

``gain``: the variant is better, by more than chance. ``no gain``: it is not. ``as published``: the
paper claims no direction, and the difference is the published one within error.
"""


class Repository(Entry):
    """Where a model is loaded from.

    ``revision`` is the commit that it is pinned to. ``tokenizer`` is the repository with its
    tokenizer, which is loaded if its own has none; empty if there is no other.
    """

    huggingface_id: Text
    revision: Commit = ""
    tokenizer: Text | Literal[""] = ""


_SOURCE = set(Repository.model_fields)


class Alternative(Repository):
    """Another repository of a registered model, which is loaded only by its own identifier.

    ``row`` is the key of the published row to compare its results with, or None. ``note`` says
    which source names the repository, and what is known about it.
    """

    row: Name | None = None
    note: Text


class RegisteredModel(Repository):
    """A model: its repository, its properties, and how the paper prompted it.

    ``added`` is the training in addition to that of the base, ``size`` the authors' name for the
    number of parameters, ``architecture`` the ``model_type`` of its configuration.
    ``instruction_role`` is the role of the instruction in a chat: the system's, or a user's that
    the assistant answers with ``Okay.``. ``adds_bos`` says whether the model's own tokenizer puts
    a BOS before a text; None leaves that to its files.
    """

    key: Name
    name: Text
    alternatives: Items[Alternative] = ()
    architecture: Name
    size: Text
    added: Items[Training]
    format: Literal["completion", "chat"]
    instruction_role: Literal["system", "user"] = "user"
    adds_bos: bool | None = None
    paper: bool
    quantization: Literal["8bit"] | None = None
    gated: bool = False

    def loaded_from(self, huggingface_id: str) -> "RegisteredModel | None":
        """Return the model as loaded from one of its repositories, None for another repository.

        For an alternative this is the same model with the alternative's identifier and revision,
        so its default repository cannot be loaded by mistake.
        """
        if huggingface_id == self.huggingface_id:
            return self
        for alternative in self.alternatives:
            if alternative.huggingface_id == huggingface_id:
                return self.model_copy(update=alternative.model_dump(include=_SOURCE))
        return None

    @property
    def alternative(self) -> Alternative | None:
        """The alternative that this model is loaded from, None for its default repository."""
        matches = (a for a in self.alternatives if a.huggingface_id == self.huggingface_id)
        return next(matches, None)

    @property
    def row(self) -> str | None:
        """The key of the published row that its results belong to, if any.

        It is the model's own key, or the row that its alternative names.
        """
        return self.alternative.row if self.alternative else self.key

    @property
    def is_local(self) -> bool:
        """Whether it is a local folder or file, see :func:`locate`; it then has no revision."""
        return Path(self.huggingface_id).expanduser().exists()

    @property
    def billions(self) -> float:
        """The number of parameters by its size, such as 70B, in 10^9; 0 for another form."""
        match = re.fullmatch(r"(\d+(?:\.\d+)?)([BM])", self.size)
        return float(match[1]) / (1 if match[2] == "B" else 1000) if match else 0.0

    @property
    def page(self) -> str:
        """The page with its licence, which must be accepted there if the model is gated."""
        return f"https://huggingface.co/{self.huggingface_id}"


class Pair(Entry):
    """A base model, a variant with additional training, and their experiment.

    ``source`` is where the authors document the pair, for a pair that is not the paper's.
    """

    id: Name
    experiment: Training
    base: str
    variant: str
    hypothesis: Hypothesis
    paper: bool = False
    source: str | None = None


class Registry(Entry):
    """Models by key and pairs by identifier."""

    models: dict[str, RegisteredModel]
    pairs: dict[str, Pair]

    def model(self, key: str) -> RegisteredModel:
        """Return the model of that key.

        Raises:
            SettingError: for an unknown key.
        """
        return _entry("model", self.models, key)

    def by_huggingface_id(self, huggingface_id: str) -> RegisteredModel | None:
        """Return the registered model as loaded from that repository, or None.

        A model's default repository takes precedence over an alternative of another model.
        """
        candidates = (model.loaded_from(huggingface_id) for model in self.models.values())
        matches = [model for model in candidates if model is not None]
        return min(matches, key=lambda model: model.alternative is not None, default=None)

    def find(self, name: str) -> RegisteredModel | None:
        """Return the model of that key, or as loaded from the repository of that name, or None."""
        return self.models.get(name) or self.by_huggingface_id(name)

    @property
    def unpaired(self) -> tuple[str, ...]:
        """The keys of the models that are in no pair."""
        paired = {key for pair in self.pairs.values() for key in (pair.base, pair.variant)}
        return tuple(key for key in self.models if key not in paired)

    def pair(self, pair_id: str) -> Pair:
        """Return the pair of that identifier.

        Raises:
            SettingError: for an unknown identifier.
        """
        return _entry("pair", self.pairs, pair_id)

    def find_pair(self, base: str, variant: str) -> Pair | None:
        """Return the registered pair of two models, named by key or identifier, or None.

        An alternative counts as its model if it has the model's own published row.
        """

        def is_named(key: str, name: str) -> bool:
            model = self.models[key].loaded_from(name)
            return name == key or (model is not None and model.row == key)

        for pair in self.pairs.values():
            if is_named(pair.base, base) and is_named(pair.variant, variant):
                return pair
        return None


T = TypeVar("T")


def _entry(kind: str, entries: Mapping[str, T], name: str) -> T:
    if name not in entries:
        raise SettingError(
            f"no {kind} {name!r} in the registry; choose one of {sorted_names(entries)}"
        )
    return entries[name]


def sorted_names(names: Iterable[str]) -> str:
    """Return the names in alphabetical order, separated by commas."""
    return ", ".join(sorted(names))
