"""Run a loaded model over all prompts: generate answers, or score given ones."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from benchmark.fingerprints.logits import Logits, concatenate_states
from benchmark.records import Completion, TokenIds
from benchmark.runs.evaluation import Batching, Decoder, Questions
from benchmark.runs.requests import Progress

TOP_LOGPROBS = 3
"""The number of likely tokens kept at each position, in addition to the recorded one."""


@dataclass
class LoadedModel:
    """A model and its questions, and the order in which prompts go through the model.

    The order decides which prompts share a batch; results are always in the order of the prompts.
    """

    decoder: Decoder
    questions: Questions
    order: Sequence[int]

    def varied(self, batch_size: int, order: Sequence[int]) -> "LoadedModel":
        """Return the same model with a different batch size and order."""
        settings = self.decoder.settings.in_batches_of(batch_size)
        decoder = replace(self.decoder, settings=settings, batching=Batching())
        return replace(self, decoder=decoder, order=order)


def decoded(loaded: LoadedModel, progress: Progress) -> list[Completion]:
    """Return the completion of each prompt, decoded as ``run`` does.

    Raises:
        SettingError: when the token limit would cut correct answers: an upgrade may make them
            longer than the limit that was enough before.
        ModelError: when weights, tokenizer and prompts do not fit together.
    """
    questions = loaded.questions
    questions.check_limit()
    return loaded.decoder.completions(
        questions.prompt_ids, questions.drafts, loaded.order, progress.advance
    )


def log_probabilities(loaded: LoadedModel, path: Sequence[TokenIds], progress: Progress) -> Logits:
    """Return the log-probabilities along the paths, one per prompt; a path may be empty.

    Progress is reported at every tenth.

    Raises:
        ValueError: if all paths are empty.
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
    scored, total = list[TokenLogProbs](), len(rows)
    pad_id = decoder.tokenizer.eos_id
    with naming_states(followed, decoder.tokenizer.name, decoder.model):
        for batch in teacher_forced_log_probs(decoder.model, rows, TOP_LOGPROBS, size, pad_id):
            tenths = 10 * len(scored) // total
            scored += batch
            if 10 * len(scored) // total > tenths and len(scored) < total:
                progress.say(f"log-probabilities of {len(scored)} of {total} states")
    by_state = [row for _, row in sorted(zip(followed, scored, strict=True), key=lambda p: p[0])]
    logits = concatenate_states([row.ids for row in by_state], [row.values for row in by_state])
    return replace(logits, lengths=tuple(map(len, path)))
