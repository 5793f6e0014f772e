"""A loaded model's passes over all prompts: generating answers, and following given ones."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from benchmark.boxes.world import BOXES
from benchmark.decoding.engine import Limits
from benchmark.decoding.engines import create_engine
from benchmark.decoding.expression import answer_expression
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
    """A model with its tokenizer, settings and prompts, and how it decoded them."""

    model: "LanguageModel"
    tokenizer: TransformersTokenizer
    settings: Settings
    prompts: Sequence[TokenIds]
    batches: dict[str, object] = field(default_factory=dict)

    def varied(self, batch_size: int, order: Sequence[int]) -> "Loaded":
        """The same in other batches, with the prompts in that order."""
        limits = Limits(batch_size, self.settings.limits.max_new_tokens)
        prompts = [self.prompts[i] for i in order]
        return Loaded(self.model, self.tokenizer, replace(self.settings, limits=limits), prompts)


def decoded(loaded: Loaded, progress: Progress) -> list[Completion]:
    """The completion of each prompt, in their order."""
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
    for batch in engine.generate(loaded.prompts):
        found.update(batch)
        progress.advance(len(batch))
    loaded.batches = {"sizes": engine.batch_sizes, "composition": engine.composition}
    return [found[i] for i in range(len(loaded.prompts))]


def log_probabilities(loaded: Loaded, path: Sequence[TokenIds]) -> Logits:
    """What the model says along the paths, one a prompt; an empty path has no positions.

    Raises:
        ValueError: when there is no path at all.
    """
    from benchmark.decoding.forcing import Row, forced

    pairs = zip(loaded.prompts, path, strict=True)
    rows = [Row(prompt, answer) for prompt, answer in pairs if answer]
    size = loaded.settings.limits.batch_size
    found = iter(forced(loaded.model, rows, OTHERS, size, loaded.tokenizer.eos_id))
    followed = [next(found) if answer else None for answer in path]
    some = [each for each in followed if each]
    if not some:
        raise ValueError("no answers to follow")
    lengths = tuple(len(each.ids) if each else 0 for each in followed)
    return replace(joined([f.ids for f in some], [f.values for f in some]), lengths=lengths)
