"""A loaded model's passes over all prompts: generating answers, and following given ones."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from benchmark.fingerprints.logits import Logits, joined
from benchmark.records import Completion, TokenIds
from benchmark.runs.evaluation import Batching, Decoder, Questions
from benchmark.runs.requests import Progress

OTHERS = 3
"""How many likely tokens are kept at each position, besides the recorded one."""


@dataclass
class Loaded:
    """A model and its questions, and the order in which prompts go through the model.

    The order decides who shares a batch; what comes out is always in the order of the prompts.
    """

    decoder: Decoder
    questions: Questions
    order: Sequence[int]

    def varied(self, batch_size: int, order: Sequence[int]) -> "Loaded":
        """Return the same in other batches and in another order."""
        settings = self.decoder.settings.in_batches_of(batch_size)
        decoder = replace(self.decoder, settings=settings, batching=Batching())
        return replace(self, decoder=decoder, order=order)


def decoded(loaded: Loaded, progress: Progress) -> list[Completion]:
    """Return the completion of each prompt, decoded as ``run`` does.

    Raises:
        SettingError: when the token limit would cut correct answers: an upgrade may make them
            longer than the limit that was enough before.
        ModelError: when weights, tokenizer and prompts do not go together.
    """
    asked = loaded.questions
    asked.check_limit()
    return loaded.decoder.completions(
        asked.prompt_ids, asked.drafts, loaded.order, progress.advance
    )


def log_probabilities(loaded: Loaded, path: Sequence[TokenIds], progress: Progress) -> Logits:
    """Return what the model says along the paths, one per prompt; an empty path has no positions.

    A line is said at every tenth of the way.

    Raises:
        ValueError: when there is no path at all.
        TypeError: for an engine that loads no weights.
    """
    from benchmark.decoding.finite_logits import naming_states
    from benchmark.decoding.teacher_forcing import (
        ForcedSequence,
        TokenLogProbs,
        teacher_forced_log_probs,
    )

    followed = [i for i in loaded.order if path[i]]
    if not followed:
        raise ValueError("no answers to follow")
    decoder, prompts = loaded.decoder, loaded.questions.prompt_ids
    if decoder.model is None:
        raise TypeError(f"engine {decoder.settings.engine} loads no weights")
    rows = [ForcedSequence(prompts[i], path[i]) for i in followed]
    size = decoder.settings.limits.batch_size
    found, total = list[TokenLogProbs](), len(rows)
    pad_id = decoder.tokenizer.eos_id
    with naming_states(followed, decoder.tokenizer.name, decoder.model):
        for batch in teacher_forced_log_probs(decoder.model, rows, OTHERS, size, pad_id):
            before = 10 * len(found) // total
            found += batch
            if 10 * len(found) // total > before and len(found) < total:
                progress.say(f"log-probabilities of {len(found)} of {total} states")
    by_state = [each for _, each in sorted(zip(followed, found, strict=True), key=lambda p: p[0])]
    logits = joined([each.ids for each in by_state], [each.values for each in by_state])
    return replace(logits, lengths=tuple(map(len, path)))
