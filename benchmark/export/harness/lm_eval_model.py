"""``lm_eval`` with this benchmark's engines as the model ``entity-tracking``.

``python -m benchmark.export.harness.lm_eval_model run ARGUMENTS`` is ``lm_eval run ARGUMENTS``
with that model and the task registered.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.errors import SettingError

try:
    import lm_eval.models  # noqa: F401  # lm_eval registers its own models only before any other
except ImportError as error:
    if __name__ != "__main__":
        raise
    print(  # noqa: T201
        f"error: {error}; lm_eval needs an environment of its own, see docs/exports.md",
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
"""The folder for ``--include_path``."""


@register_model("entity-tracking")
class LmEvalModel(LM):  # type: ignore[misc]  # lm_eval is untyped here
    """A model with constrained decoding by this benchmark's engines; it only generates.

    The maximum number of tokens is the protocol's, not the task's ``max_gen_toks``.
    """

    def __init__(
        self,
        pretrained: str,
        device: str | None = None,
        batch_size: int | str | None = None,
        max_batch_size: int | None = None,
        **settings: object,
    ) -> None:
        """Load the model; ``settings`` from ``--model_args`` are named as those of ``run``."""
        super().__init__()
        if max_batch_size is not None:
            raise SettingError(
                "max_batch_size is not supported: an engine has one batch size; use batch_size"
            )
        # 1 is lm_eval's default and taken as unset; the protocol ``paper`` has batches of 1.
        size = int(batch_size or 1)
        overrides = {"device": _device(device), "batch_size": size if size > 1 else None}
        self._model = HarnessModel(pretrained, settings_of({**settings, **overrides}))

    def generate_until(
        self,
        requests: "list[Instance]",
        disable_tqdm: bool = False,  # noqa: FBT001, FBT002, ARG002
    ) -> list[str]:
        """Return the answers.

        Raises:
            SettingError: for a request with sampling or stop sequences.
        """
        for request in requests:
            _check(request.args[1])
        return self._model.generate([request.args[0] for request in requests])

    def loglikelihood(self, requests: "list[Instance]") -> list[tuple[float, bool]]:  # noqa: ARG002
        """Refuse: an engine only generates."""
        raise SettingError("the model entity-tracking only generates; use --model hf instead")

    def loglikelihood_rolling(self, requests: "list[Instance]") -> list[float]:  # noqa: ARG002
        """Refuse: an engine only generates."""
        raise SettingError("the model entity-tracking only generates; use --model hf instead")


def _device(name: str | None) -> str:
    """Return the device; lm_eval's default cuda:0 means the CPU without a GPU, as for its hf."""
    no_gpu = name == "cuda:0" and resolve_device("auto") == "cpu"
    return "cpu" if no_gpu else name or "auto"


def _check(options: Mapping[str, object]) -> None:
    if options.get("until") or options.get("do_sample"):
        raise SettingError(
            "the model entity-tracking decodes greedily up to its end of sequence; keep the "
            "task's until and do_sample, or use --model hf"
        )


def main() -> None:
    """Run lm_eval's command line."""
    from lm_eval.__main__ import cli_evaluate

    if "--include_path" not in sys.argv:
        sys.argv += ["--include_path", str(TASKS)]
    cli_evaluate()


if __name__ == "__main__":
    main()
