"""The engine that is checked, and the prompts that it gets."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from benchmark.decoding.log_probs import ScoringEngine
from benchmark.errors import SettingError
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.records import TokenIds
from benchmark.runs.evaluation import Decoder
from benchmark.runs.gpu_fit import fetch_engine_weights
from benchmark.runs.loading import Loaders
from benchmark.runs.measure import prepare
from benchmark.runs.requests import RunRequest, Speaker

OTHERS = 3
"""The likely tokens at each place whose log-probabilities are compared, with the answer's own."""


@dataclass(frozen=True, slots=True)
class Subject:
    """An engine that is ready to decode and to score.

    Attributes:
        name: engine and model, for messages.
        engine: what is checked.
        prompts: token ids.
        tokenizer: the model's.
        dtype: what the engine computes in, or is said to.
        together: how many prompts it gets at a time.
    """

    name: str
    engine: ScoringEngine
    prompts: Sequence[TokenIds]
    tokenizer: TransformersTokenizer
    dtype: str
    together: int


@contextmanager
def opened(request: RunRequest, progress: Speaker) -> Iterator[Subject]:
    """Open the engine of a run on its prompts; nothing is written.

    Raises:
        BenchmarkError: as ``run``, and if the engine cannot be checked.
    """
    prepared, loaders = prepare(request, progress), Loaders()
    settings, location = prepared.settings, prepared.location
    with ExitStack() as stack:
        if settings.connection is not None:
            stack.enter_context(settings.connection.held())
        model = None
        fetch_engine_weights(settings, location, prepared.prompts, progress.say)
        if settings.engine_row.loads_weights:
            progress.say(f"loading {location.name} in {settings.options.dtype}")
            model = loaders.model(location, settings.options)
        expression = prepared.questions.task.expression
        decoder = Decoder(settings, expression, prepared.tokenizer, model, progress.say)
        decoder.check(prepared.prompts)
        engine = decoder.scoring(prepared.prompts)
        if engine is None:
            raise SettingError(f"engine {settings.engine} cannot be checked; choose another one")
        yield Subject(
            name=f"{settings.engine}, {location.name}",
            engine=engine,
            prompts=prepared.prompts,
            tokenizer=prepared.tokenizer,
            dtype=settings.options.dtype,
            together=min(settings.limits.batch_size, len(prepared.prompts)),
        )
