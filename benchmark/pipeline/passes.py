"""A loaded model's passes over all prompts: generating answers, and following given ones."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from benchmark.boxes.answers import answer_expression
from benchmark.boxes.world import BOXES
from benchmark.decoding.engine import Limits
from benchmark.decoding.engines import create_engine
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.pipeline.identity import Settings
from benchmark.pipeline.requests import Progress
from benchmark.records import Completion, TokenIds
from benchmark.regression.logits import Logits, joined

if TYPE_CHECKING:
    from benchmark.models.loading import LanguageModel

OTHERS = 3
"""So many likely tokens are kept at each place beside the recorded one."""


@dataclass
class Loaded:
    """A model with its tokenizer, settings and prompts, and how it decoded them.

    ``order`` is the order in which prompts go through the model, which decides who shares a
    batch; what comes out is in the order of the prompts whatever it is.
    """

    model: "LanguageModel"
    tokenizer: TransformersTokenizer
    settings: Settings
    prompts: Sequence[TokenIds]
    order: Sequence[int]
    batches: dict[str, object] = field(default_factory=dict)

    def varied(self, batch_size: int, order: Sequence[int]) -> "Loaded":
        """The same in other batches and in another order."""
        limits = Limits(batch_size, self.settings.limits.max_new_tokens)
        settings = replace(self.settings, limits=limits)
        return replace(self, settings=settings, order=order, batches={})


def decoded(loaded: Loaded, progress: Progress) -> list[Completion]:
    """The completion of each prompt."""
    from benchmark.decoding.backing_off import BackingOff

    engine = BackingOff(
        lambda limits: create_engine(
            loaded.settings.engine,
            loaded.model,
            loaded.tokenizer,
            limits,
            answer_expression(BOXES),
            say=progress.say,
        ),
        loaded.settings.limits,
    )
    found: dict[int, Completion] = {}
    for batch in engine.generate([loaded.prompts[i] for i in loaded.order]):
        found.update((loaded.order[place], completion) for place, completion in batch)
        progress.advance(len(batch))
    loaded.batches = {"sizes": engine.batch_sizes, "composition": engine.composition}
    return [found[i] for i in range(len(loaded.prompts))]


def log_probabilities(loaded: Loaded, path: Sequence[TokenIds], progress: Progress) -> Logits:
    """What the model says along the paths, one a prompt; an empty path has no positions.

    A line is said at every tenth of the way.

    Raises:
        ValueError: when there is no path at all.
    """
    from benchmark.decoding.forcing import Forced, Row, forced

    followed = [i for i in loaded.order if path[i]]
    if not followed:
        raise ValueError("no answers to follow")
    rows = [Row(loaded.prompts[i], path[i]) for i in followed]
    size = loaded.settings.limits.batch_size
    found, total = list[Forced](), len(rows)
    for batch in forced(loaded.model, rows, OTHERS, size, loaded.tokenizer.eos_id):
        before = 10 * len(found) // total
        found += batch
        if 10 * len(found) // total > before and len(found) < total:
            progress.say(f"log-probabilities of {len(found)} of {total} states")
    by_state = [each for _, each in sorted(zip(followed, found, strict=True), key=lambda p: p[0])]
    logits = joined([each.ids for each in by_state], [each.values for each in by_state])
    return replace(logits, lengths=tuple(map(len, path)))
