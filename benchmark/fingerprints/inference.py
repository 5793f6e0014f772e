"""Run a loaded model over all prompts: generate answers, or score given ones."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from benchmark.decoding.log_probs import (
    Arrangement,
    DecodedAnswer,
    ForcedSequence,
    OtherIdsError,
    ScoringEngine,
    TokenLogProbs,
)
from benchmark.fingerprints.logits import Logits, concatenate_states
from benchmark.models.tokenizer import TransformersTokenizer, detokenize
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
    scoring: ScoringEngine | None = None
    """An engine elsewhere that decodes and scores in any arrangement."""
    is_varied: bool = False
    """Whether batch size and order are not those of a run, which such an engine chooses itself."""

    def varied(self, batch_size: int, order: Sequence[int]) -> "LoadedModel":
        """Return the same model with a different batch size and order."""
        settings = self.decoder.settings.in_batches_of(batch_size)
        decoder = replace(self.decoder, settings=settings, batching=Batching())
        return replace(self, decoder=decoder, order=order, is_varied=True)

    def arrangement(self, order: Sequence[int]) -> Arrangement:
        """Return the present batch size with an order of prompts."""
        return Arrangement("", tuple(order), self.decoder.settings.limits.batch_size)


def decoded(loaded: LoadedModel, progress: Progress) -> list[Completion]:
    """Return the completion of each prompt, decoded as ``run`` does.

    Raises:
        SettingError: when the token limit would cut correct answers: an upgrade may make them
            longer than the limit that was enough before.
        ModelError: when weights, tokenizer and prompts do not fit together.
    """
    questions = loaded.questions
    questions.check_limit()
    if loaded.scoring is not None and loaded.is_varied:
        arrangement = loaded.arrangement(loaded.order)
        answers = loaded.scoring.decoded(questions.prompt_ids, arrangement)
        return [_completion(answer, loaded.decoder.tokenizer) for answer in answers]
    return loaded.decoder.completions(
        questions.prompt_ids, questions.drafts, loaded.order, progress.advance
    )


def log_probabilities(loaded: LoadedModel, path: Sequence[TokenIds], progress: Progress) -> Logits:
    """Return the log-probabilities along the paths, one per prompt; a path may be empty.

    Progress is reported at every tenth.

    Raises:
        ValueError: if all paths are empty.
        TypeError: for an engine that loads no weights and tells no log-probabilities.
        OtherIdsError: if an engine elsewhere scored other ids.
    """
    from benchmark.decoding.finite_logits import naming_states
    from benchmark.decoding.teacher_forcing import teacher_forced_log_probs

    followed = [i for i in loaded.order if path[i]]
    if not followed:
        raise ValueError("no answers to follow")
    decoder, prompts = loaded.decoder, loaded.questions.prompt_ids
    rows = [ForcedSequence(prompts[i], path[i]) for i in followed]
    if loaded.scoring is not None:
        return _of_states(followed, _told(loaded, rows), path)
    if decoder.model is None:
        raise TypeError(f"engine {decoder.settings.engine} tells no log-probabilities")
    size = decoder.settings.limits.batch_size
    scored, total = list[TokenLogProbs](), len(rows)
    pad_id = decoder.tokenizer.eos_id
    with naming_states(followed, decoder.tokenizer.name, decoder.model):
        for batch in teacher_forced_log_probs(decoder.model, rows, TOP_LOGPROBS, size, pad_id):
            tenths = 10 * len(scored) // total
            scored += batch
            if 10 * len(scored) // total > tenths and len(scored) < total:
                progress.say(f"log-probabilities of {len(scored)} of {total} states")
    return _of_states(followed, scored, path)


def _told(loaded: LoadedModel, rows: Sequence[ForcedSequence]) -> list[TokenLogProbs]:
    """Return the log-probabilities that an engine elsewhere tells along the rows."""
    if loaded.scoring is None:
        raise TypeError("no engine that tells log-probabilities")
    told = []
    arrangement = loaded.arrangement(range(len(rows)))
    for scored in loaded.scoring.scored(rows, arrangement, TOP_LOGPROBS):
        if isinstance(scored, OtherIdsError):
            raise scored
        told.append(scored)
    return told


def _completion(answer: DecodedAnswer, tokenizer: TransformersTokenizer) -> Completion:
    ids = answer.token_ids[:-1] if answer.finished else answer.token_ids
    return Completion(ids, detokenize(tokenizer.token_bytes, ids), answer.finished)


def _of_states(
    states: Sequence[int], scored: Sequence[TokenLogProbs], path: Sequence[TokenIds]
) -> Logits:
    """Return the log-probabilities in the order of the states."""
    by_state = [row for _, row in sorted(zip(states, scored, strict=True), key=lambda p: p[0])]
    logits = concatenate_states([row.ids for row in by_state], [row.values for row in by_state])
    return replace(logits, lengths=tuple(map(len, path)))
