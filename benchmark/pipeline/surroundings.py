"""The environment of a fingerprint: libraries, hardware, protocol, model and data."""

from benchmark import __version__
from benchmark.models.hardware import describe
from benchmark.models.location import Location, parts
from benchmark.pipeline.identity import Settings
from benchmark.pipeline.passes import Loaded
from benchmark.pipeline.requests import DataRequest, RunRequest
from benchmark.regression.environment import Environment, variables, versions


def surroundings(
    request: RunRequest, settings: Settings, location: Location, loaded: Loaded | None
) -> Environment:
    """Everything that the record depends on; without a loaded model less is known of it."""
    return Environment(
        versions={"benchmark": __version__, **versions()},
        hardware={**describe(settings.options.device)},
        protocol=settings.as_json(),
        batches=loaded.batches if loaded else {},
        model={
            "name": location.folder.name if not location.gguf else location.gguf,
            "revision": request.revision,
            "fingerprint": location.fingerprint,
            **parts(location),
            **(_as_loaded(loaded) if loaded else {}),
        },
        data=data_described(request.data),
        variables=variables(),
    )


def data_described(data: DataRequest) -> dict[str, object]:
    """Where states come from: enough to make generated ones again."""
    return {
        "source": data.path.name if data.path else "generated",
        "split": data.split,
        "seed": data.seed or 0,
        "states": data.states,
    }


def _as_loaded(loaded: Loaded) -> dict[str, object]:
    """What transformers chose for itself."""
    from benchmark.decoding.stops import stop_ids

    model = loaded.model
    return {
        "class": type(model).__name__,
        "attention": getattr(model.config, "_attn_implementation", None),
        "stops": sorted(stop_ids(model, loaded.tokenizer.eos_id)),
        "tokenizer_bos": loaded.tokenizer.bos.as_json(),
    }
