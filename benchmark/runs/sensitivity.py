"""How much a prompt's bytes matter: a model asked in every variant, about the same states."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from benchmark.models.tokenizer import ChatTemplateError, TransformersTokenizer
from benchmark.prompts.settings import Bos, PromptSettings, variants
from benchmark.runs.measure import Prepared, RunResult, prepare
from benchmark.runs.model_store import ModelStore
from benchmark.runs.paired_comparison import PairedComparison, compare
from benchmark.runs.requests import RunRequest
from benchmark.runs.sensitivity_table import PromptRow


@dataclass(frozen=True, slots=True)
class Asked:
    """A model asked in one way: the prompt's settings, whether a BOS leads, what came out.

    ``usual`` marks the way that ``run`` asks in, with which the others are compared.
    """

    settings: PromptSettings
    leading_bos: bool
    usual: bool
    measured: RunResult
    comparison: PairedComparison | None

    @property
    def name(self) -> str:
        """The variant of a completion, or ``chat``."""
        chat = self.settings.prompt_format == "chat"
        return "chat" if chat else self.settings.prompt_variant

    @property
    def row(self) -> PromptRow:
        """The row of the table."""
        summaries = {by: scored.summary for by, scored in self.measured.scores.items()}
        tests = self.comparison.tests if self.comparison else None
        return PromptRow(self.name, self.leading_bos, summaries, tests)

    def as_json(self) -> dict[str, object]:
        """Return the settings, the counts by every score, and the difference from the usual."""
        difference = self.comparison.as_json() if self.comparison else {}
        return {
            **self.settings.as_json(),
            "leading_bos": self.leading_bos,
            "usual": self.usual,
            **{key: self.measured.document[key] for key in ("overall", "nontrivial", "by_numops")},
            "exact": _counts(self.measured.document["exact"]),
            "difference": difference.get("difference"),
        }


def sensitivity(request: RunRequest, store: ModelStore) -> list[Asked]:
    """Measure the model in every variant, with a BOS before the prompt and without.

    The usual way comes first. A variant whose token ids are those of one before it is left out:
    without a BOS in the vocabulary there is one row, and a template may write its own.

    Raises:
        BenchmarkError: as :meth:`benchmark.runs.model_store.ModelStore.measure`.
    """
    seen, asked = set[str](), list[Asked]()
    for varied in _requests(request, prepare(request, store.progress, store.loaders).tokenizer):
        try:
            prepared = prepare(varied, store.progress, store.loaders)
        except ChatTemplateError as error:
            store.progress.say(f"not asked as a chat: {error}")
            continue
        prompts = str(prepared.identity["prompts"])
        if prompts in seen:
            continue
        seen.add(prompts)
        measured = store.measure_prepared(varied, prepared)
        comparison = compare(asked[0].measured, measured) if asked else None
        leads = _leads(prepared)
        asked.append(Asked(prepared.settings.prompt, leads, not asked, measured, comparison))
    return asked


def _requests(request: RunRequest, tokenizer: TransformersTokenizer) -> Iterator[RunRequest]:
    """The request in every variant: first as it is, then with the BOS the other way."""
    usual = PromptSettings().prompt_variant
    formats = [replace(request, prompt_format="completion", prompt_variant=v) for v in variants()]
    if tokenizer.raw.chat_template is not None:
        formats.append(replace(request, prompt_format="chat", prompt_variant=usual))
    formats.sort(key=lambda each: each != request)  # the usual way first, the rest in their order
    other: Bos = "never" if tokenizer.bos.added else "always"
    ways: Sequence[Bos] = ("auto", other) if tokenizer.bos_id is not None else ("auto",)
    for asked in formats:
        for bos in ways:
            yield replace(asked, bos=bos)


def _leads(prepared: Prepared) -> bool:
    bos = prepared.tokenizer.bos_id
    return bos is not None and prepared.prompts[0][:1] == (bos,)


def _counts(document: object) -> dict[str, object]:
    if not isinstance(document, dict):
        raise TypeError(f"not the counts of a score: {document!r:.40}")
    return {key: document[key] for key in ("overall", "nontrivial", "by_numops")}
