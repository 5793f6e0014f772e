"""Correct answers as the tokens that a model would have to say."""

from collections.abc import Sequence

from benchmark.boxes.language import statement
from benchmark.decoding.engine import Limits
from benchmark.errors import SettingError
from benchmark.models.tokenizer import Tokenizer
from benchmark.records import State, TokenIds


def answer_text(state: State) -> str:
    """The correct answer to a state's prompt."""
    return f"Statement: {statement(tuple(query.gold for query in state.queries))}"


def correct_answer(tokenizer: Tokenizer, state: State) -> TokenIds:
    """The ids of the correct answer to a state's prompt, without the end of the sequence."""
    return tokenizer.encode(answer_text(state))


def check_limit(tokenizer: Tokenizer, states: Sequence[State], limits: Limits) -> None:
    """Refuse a token limit that would cut a correct answer off.

    Raises:
        SettingError: when the longest answer and its end do not fit.
    """
    longest = max(len(correct_answer(tokenizer, state)) for state in states)
    if longest >= limits.max_new_tokens:  # one more is needed for the end of the sequence
        raise SettingError(
            f"--max-new-tokens {limits.max_new_tokens} would cut correct answers, which take up to "
            f"{longest + 1} tokens; raise it, or take --protocol paper, which cuts"
        )
