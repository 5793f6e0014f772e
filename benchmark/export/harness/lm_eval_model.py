"""``lm_eval`` with our engines as the model ``entity-tracking``.

``python -m benchmark.export.harness.lm_eval_model run ARGUMENTS`` is ``lm_eval run ARGUMENTS``
with that model and the task known.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.errors import SettingError

try:
    import lm_eval.models  # noqa: F401  # lm_eval names its own only where there are none yet
except ImportError as error:
    if __name__ != "__main__":
        raise
    print(  # noqa: T201
        f"error: {error}; lm_eval wants an environment of its own: docs/exports.md says how",
        file=sys.stderr,
    )
    sys.exit(2)
from lm_eval.api.model import LM
from lm_eval.api.registry import register_model

from benchmark.export.harness.model import HarnessModel
from benchmark.models.loading import resolve_device
from benchmark.runs.settings import settings_of

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance

TASKS = Path(__file__).parent
"""What ``--include_path`` has to name."""


@register_model("entity-tracking")
class LmEvalModel(LM):  # type: ignore[misc]  # lm_eval is untyped here
    """A model under our constraint, decoded by our engine; it generates and nothing else.

    The protocol says how many tokens an answer may have, not the task's ``max_gen_toks``.
    """

    def __init__(
        self,
        pretrained: str,
        device: str | None = None,
        batch_size: int | str | None = None,
        max_batch_size: int | None = None,
        **settings: object,
    ) -> None:
        """Take what ``--model_args`` has: the settings of ``run``, under their names."""
        super().__init__()
        if max_batch_size is not None:
            raise SettingError("max_batch_size: an engine has one batch size; give batch_size")
        # 1 is lm_eval's own default: whoever wants it takes the protocol ``paper``.
        size = int(batch_size or 1)
        own = {"device": _device(device), "batch_size": size if size > 1 else None}
        self._model = HarnessModel(pretrained, settings_of({**settings, **own}))

    def generate_until(
        self,
        requests: "list[Instance]",
        disable_tqdm: bool = False,  # noqa: FBT001, FBT002, ARG002
    ) -> list[str]:
        """The answers.

        Raises:
            SettingError: for a request that samples or stops at texts of its own.
        """
        for request in requests:
            _check(request.args[1])
        return self._model.texts([request.args[0] for request in requests])

    def loglikelihood(self, requests: "list[Instance]") -> list[tuple[float, bool]]:  # noqa: ARG002
        """Nothing that an engine does."""
        raise SettingError("the model entity-tracking generates only; take --model hf for this")

    def loglikelihood_rolling(self, requests: "list[Instance]") -> list[float]:  # noqa: ARG002
        """Nothing that an engine does."""
        raise SettingError("the model entity-tracking generates only; take --model hf for this")


def _device(asked: str | None) -> str:
    """lm_eval says cuda:0 where nobody said anything: no error without a GPU, as with its hf."""
    none_here = asked == "cuda:0" and resolve_device("auto") == "cpu"
    return "cpu" if none_here else asked or "auto"


def _check(asked: Mapping[str, object]) -> None:
    if asked.get("until") or asked.get("do_sample"):
        raise SettingError(
            "the model entity-tracking decodes greedily up to its own end; leave until and "
            "do_sample as the task has them, or take --model hf"
        )


def main() -> None:
    """Run lm_eval's command line."""
    from lm_eval.__main__ import cli_evaluate

    if "--include_path" not in sys.argv:
        sys.argv += ["--include_path", str(TASKS)]
    cli_evaluate()


if __name__ == "__main__":
    main()
