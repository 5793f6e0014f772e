"""Refusal of logits that are not finite, such as those of an overflow in float16.

Greedy decoding of NaN logits still yields tokens, and so a score. The check is on what the model
returned; the minus infinity with which a constraint masks tokens comes later and is correct.
"""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from benchmark.errors import RefusedModelError
from benchmark.models.short_name import short_name

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class NonFiniteLogitsError(RefusedModelError):
    """A model returned logits that are NaN or infinite.

    Attributes:
        prompt: the number of the prompt, counted from 0.
        token: the number of the token of its answer, counted from 0.
    """

    def __init__(self, prompt: int, token: int, message: str | None = None) -> None:
        """Take the numbers of the prompt and of the token, and a message if it says more."""
        self.prompt, self.token = prompt, token
        place = f"for token {token} of the answer to prompt {prompt}"
        super().__init__(message or f"the logits {place} are not finite (both counted from 0)")


@contextmanager
def naming_states(
    states: Sequence[int], name: str, model: "PreTrainedModel | None"
) -> Iterator[None]:
    """Name model and state in errors about logits.

    Args:
        states: the number of the state of each prompt.
        name: the model's name or path; the message has its last part.
        model: the model; its dtype decides what to do next.

    Raises:
        NonFiniteLogitsError: if the code inside raises it; its prompt is then the state's number.
    """
    try:
        yield
    except NonFiniteLogitsError as error:
        state = states[error.prompt]
        hint = _hint(model.dtype) if model is not None else "use another engine"
        message = (
            f"{short_name(name)}: the logits for token {error.token} of the answer to state "
            f"{state} are not finite (both counted from 0); {hint}"
        )
        raise NonFiniteLogitsError(state, error.token, message) from error


def _hint(dtype: torch.dtype) -> str:
    name = str(dtype).removeprefix("torch.")
    if dtype == torch.float16:
        return f"the model may overflow in {name}; use --dtype bfloat16 or float32"
    if dtype == torch.bfloat16:
        return f"its weights may be damaged, or it overflows in {name}; try --dtype float32"
    return "its weights or numbers in config.json are damaged; fetch its files again"


def finite_rows(logits: torch.Tensor) -> torch.Tensor:
    """Return whether all logits of each row are finite, shape (...), of (..., vocabulary).

    A sum is finite only if all its terms are, and is several times faster to compute than a test of
    each. If a sum is not finite, its terms are tested, because finite terms may overflow in a sum.
    On a GPU each is tested: to look at the sums, the host would have to wait for the device.
    """
    if logits.device.type != "cpu":
        return logits.isfinite().all(-1)
    finite = logits.sum(-1, dtype=torch.float32).isfinite()
    return finite if finite.all() else logits.isfinite().all(-1)


class FiniteLogitsCheck:
    """Checks each forward pass of a model while it generates.

    A row is checked until it has ended. It ends with a stop id, after which ``generate`` feeds it
    padding, which is a stop id too.
    """

    def __init__(self, model: "PreTrainedModel", stop_ids: AbstractSet[int]) -> None:
        """Take the model, and the ids that end a row, padding included."""
        self._model = model
        self._stop_ids = torch.tensor(sorted(stop_ids), dtype=torch.long)

    @contextmanager
    def generating(self, first_prompt: int) -> Iterator[None]:
        """Check one call of ``generate``; its first row has the prompt of this number.

        Raises:
            NonFiniteLogitsError: from within a pass whose last logits are not finite.
        """
        passes = 0

        def check(
            _: torch.nn.Module, __: object, named: dict[str, torch.Tensor], output: object
        ) -> None:
            nonlocal passes
            logits: torch.Tensor = output.logits[:, -1]  # type: ignore[attr-defined]
            finite = finite_rows(logits)
            # One test for all rows, as nearly always all are finite.
            if not finite.all():
                bad = ~finite
                if passes:  # the prompts themselves may end with a stop id
                    last = named["input_ids"][:, -1]
                    bad &= ~torch.isin(last, self._stop_ids.to(last.device))
                if bad.any():
                    row = int(bad.nonzero()[0])
                    raise NonFiniteLogitsError(first_prompt + row, passes)
            passes += 1

        hook = self._model.register_forward_hook(check, with_kwargs=True)
        try:
            yield
        finally:
            hook.remove()
