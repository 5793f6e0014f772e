"""The benchmark's engines for a harness: text prompts in, text answers out."""

import logging
from collections.abc import Sequence

from benchmark.errors import SettingError
from benchmark.models.library_messages import messages_of
from benchmark.models.loading import load_model
from benchmark.models.tokenizer_loading import load_tokenizer
from benchmark.prompts.rendering import prompt_ids
from benchmark.runs.evaluation import Decoder
from benchmark.runs.gpu_fit import fetch_engine_weights
from benchmark.runs.notices import warning_lines
from benchmark.runs.requests import RunRequest
from benchmark.runs.resolution import connected, located, registered_bos, resolve
from benchmark.runs.settings import Settings
from benchmark.tasks import DEFAULT, task_named

_LOG = logging.getLogger(__name__)

_PROMPT_SETTINGS = ("prompt_format", "prompt_variant", "instruction_role")
"""Settings that do not apply: the harness passes complete prompts."""


class HarnessModel:
    """A model that is loaded and decoded as in ``run``."""

    def __init__(self, model: str, requested: Settings, task: str = DEFAULT) -> None:
        """Load the model.

        Raises:
            BenchmarkError: as for ``run``.
        """
        for name in _PROMPT_SETTINGS:
            if getattr(requested, name) != getattr(Settings(), name):
                raise SettingError(
                    f"{name} has no effect in a harness, which passes the task's own prompts; "
                    "remove it, or measure with: python -m benchmark run"
                )
        request = RunRequest.of(requested, model)
        settings, location = resolve(request), located(request)
        tokenizer = load_tokenizer(location, registered_bos(request))
        expression = task_named(task).expression
        self.settings = connected(settings, location, tokenizer, expression, _LOG.warning)
        weights = None
        fetch_engine_weights(self.settings, location, (), _LOG.info)
        if self.settings.engine_row.loads_weights:
            weights = load_model(location, self.settings.options)
        self._decoder = Decoder(self.settings, expression, tokenizer, weights, _LOG.warning)
        # Harnesses show the log of warnings, and Inspect keeps it with the results.
        for subject, loaded in (("tokenizer", tokenizer), ("weights", weights)):
            for line in warning_lines(subject, messages_of(loaded) if loaded else ()):
                _LOG.warning(line)

    def generate(self, prompts: Sequence[str]) -> list[str]:
        """Return the model's answers, in the order of the prompts.

        Raises:
            ModelError: if tokenizer and weights do not match, or a prompt is too long.
        """
        tokenizer = self._decoder.tokenizer
        ids = [prompt_ids(tokenizer, text, self.settings.prompt) for text in prompts]
        return [completion.text for completion in self._decoder.completions(ids, {})]
