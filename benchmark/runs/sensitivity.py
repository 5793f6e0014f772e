"""Measure how much the bytes of a prompt matter: every variant on the same states."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from benchmark.models.tokenizer import ChatTemplateError, TransformersTokenizer
from benchmark.prompts.settings import Bos, PromptSettings, variants
from benchmark.runs.measure import PreparedRun
from benchmark.runs.model_store import ModelStore
from benchmark.runs.paired_comparison import PairedComparison, compare
from benchmark.runs.requests import RunRequest
from benchmark.runs.run_result import RunResult
from benchmark.runs.sensitivity_table import PromptRow


@dataclass(frozen=True, slots=True)
class PromptMeasurement:
    """The measurement of one prompt variant, and its comparison with the default.

    ``default`` marks the prompt of ``run``, which the others are compared with.
    """

    settings: PromptSettings
    leading_bos: bool
    default: bool
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
        summaries = {score: scored.summary for score, scored in self.measured.scores.items()}
        tests = self.comparison.tests if self.comparison else None
        return PromptRow(self.name, self.leading_bos, summaries, tests)

    def as_json(self) -> dict[str, object]:
        """Return the settings, the counts by every score, and the difference from the default."""
        difference = self.comparison.as_json() if self.comparison else {}
        return {
            **self.settings.as_json(),
            "leading_bos": self.leading_bos,
            "usual": self.default,
            **{key: self.measured.document[key] for key in ("overall", "nontrivial", "by_numops")},
            "exact": _counts(self.measured.document["exact"]),
            "difference": difference.get("difference"),
        }


def sensitivity(request: RunRequest, store: ModelStore) -> list[PromptMeasurement]:
    """Measure every prompt variant of a model, with and without a leading BOS.

    The default comes first. A variant with the same token ids as an earlier one is left out.

    Raises:
        BenchmarkError: as :meth:`benchmark.runs.model_store.ModelStore.measure`.
    """
    seen, measurements = set[str](), list[PromptMeasurement]()
    for variant in _requests(request, store.prepare(request).tokenizer):
        try:
            prepared = store.prepare(variant)
        except ChatTemplateError as error:
            store.progress.say(f"chat skipped: {error}")
            continue
        prompts = str(prepared.identity["prompts"])
        if prompts in seen:
            continue
        seen.add(prompts)
        measured = store.measure_prepared(variant, prepared)
        default = not measurements
        measurements.append(
            PromptMeasurement(
                settings=prepared.settings.prompt,
                leading_bos=_has_leading_bos(prepared),
                default=default,
                measured=measured,
                comparison=None if default else compare(measurements[0].measured, measured),
            )
        )
    return measurements


def _requests(request: RunRequest, tokenizer: TransformersTokenizer) -> Iterator[RunRequest]:
    """Yield the request in every variant, each with the default BOS setting first."""
    default = PromptSettings().prompt_variant
    formats = [replace(request, prompt_format="completion", prompt_variant=v) for v in variants()]
    if tokenizer.raw.chat_template is not None:
        formats.append(replace(request, prompt_format="chat", prompt_variant=default))
    formats.sort(key=lambda variant: variant != request)  # stable: the request itself comes first
    other: Bos = "never" if tokenizer.bos.added else "always"
    choices: Sequence[Bos] = ("auto", other) if tokenizer.bos_id is not None else ("auto",)
    for variant in formats:
        for bos in choices:
            yield replace(variant, bos=bos)


def _has_leading_bos(prepared: PreparedRun) -> bool:
    bos = prepared.tokenizer.bos_id
    return bos is not None and prepared.prompts[0][:1] == (bos,)


def _counts(document: object) -> dict[str, object]:
    if not isinstance(document, dict):
        raise TypeError(f"not the counts of a score: {document!r:.40}")
    return {key: document[key] for key in ("overall", "nontrivial", "by_numops")}
