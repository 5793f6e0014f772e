"""Our engines behind the interface of a harness: prompts as text in, answers as text out."""

from collections.abc import Sequence
from pathlib import Path

from benchmark.boxes.answers import answer_expression
from benchmark.boxes.world import BOXES
from benchmark.decoding.engines import check_prompts, create_engine
from benchmark.models.loading import load_model, load_tokenizer
from benchmark.models.location import locate
from benchmark.pipeline.measure import registered_bos, resolve
from benchmark.pipeline.requests import RunRequest
from benchmark.prompts.rendering import prompt_ids


class Decoder:
    """A model loaded as ``run`` loads it, decoding as ``run`` decodes."""

    def __init__(
        self,
        model: str,
        engine: str | None = None,
        protocol: str = "default",
        device: str | None = None,
        dtype: str | None = None,
        batch_size: int | None = None,
        max_new_tokens: int | None = None,
    ) -> None:
        """Load it; the settings are those of ``run``, None for the protocol's own.

        Raises:
            BenchmarkError: as ``run`` does.
        """
        request = RunRequest(
            model,
            Path(),  # nothing is written
            engine=engine,
            protocol=protocol,
            device=device or "auto",
            dtype=dtype,
            batch_size=batch_size,
            max_new_tokens=max_new_tokens,
        )
        self.settings = resolve(request)
        location = locate(model)
        self._tokenizer = load_tokenizer(location, registered_bos(request))
        self._model = load_model(location, self.settings.options)
        self._engine = create_engine(
            self.settings.engine,
            self._model,
            self._tokenizer,
            self.settings.limits,
            answer_expression(BOXES),
        )

    def texts(self, prompts: Sequence[str]) -> list[str]:
        """The model's answers, in the order of the prompts.

        Raises:
            ModelError: when tokenizer and weights do not go together, or a prompt is too long.
        """
        tokenizer, limits = self._tokenizer, self.settings.limits
        ids = [prompt_ids(tokenizer, text, self.settings.prompt) for text in prompts]
        check_prompts(self._model, tokenizer, ids, limits)
        found = {i: done.text for batch in self._engine.generate(ids) for i, done in batch}
        return [found[index] for index in range(len(prompts))]
