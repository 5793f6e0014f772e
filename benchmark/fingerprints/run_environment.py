"""Describe the environment of a fingerprint: libraries, hardware, settings, model and data."""

from collections.abc import Mapping
from dataclasses import asdict

from benchmark import __version__
from benchmark.decoding.connection import Connection
from benchmark.models.hardware import described_products
from benchmark.models.location import Location, file_digests
from benchmark.runs.environment import Environment, variables, versions
from benchmark.runs.evaluation import Decoder
from benchmark.runs.requests import DataRequest, RunRequest
from benchmark.runs.settings import ResolvedSettings
from benchmark.tasks import DEFAULT


def run_environment(
    request: RunRequest, settings: ResolvedSettings, location: Location, loaded: Decoder | None
) -> Environment:
    """Return what the record depends on; a model that is not loaded has fewer entries."""
    return Environment(
        versions={"benchmark": __version__, **versions()},
        hardware=described_products(settings.options.device),
        protocol=settings.as_json(),
        batches=loaded.batching.as_json() if loaded else {},
        model={
            "name": location.gguf or location.folder.resolve().name,
            "revision": request.revision,
            "fingerprint": location.digest,
            **file_digests(location),
            **(_as_loaded(loaded) if loaded else {}),
        },
        data=data_described(request.data),
        variables=variables(),
        engine=engine_described(loaded.settings.connection) if loaded else {},
    )


def engine_described(connection: Connection | None) -> dict[str, object]:
    """Return what an engine elsewhere tells of itself, flat; empty for one of this process.

    The versions of its libraries are ``versions.NAME``, so that its own is not repeated.
    """
    if connection is None:
        return {}
    facts = {n: v for n, v in connection.facts.items() if n not in {"version", "versions"}}
    return {**_flat(facts), **{f"versions.{n}": v for n, v in connection.libraries.items()}}


def _flat(facts: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Return nested groups with names such as ``flags.dtype``."""
    flat = dict[str, object]()
    for name, value in facts.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def data_described(data: DataRequest) -> dict[str, object]:
    """Return where states come from, sufficient to generate them again."""
    return {
        **({} if data.task == DEFAULT else {"task": data.task}),
        "source": data.path.name if data.path else "generated",
        "split": data.split,
        "seed": data.seed or 0,
        "states": data.states,
    }


def _as_loaded(loaded: Decoder) -> dict[str, object]:
    """Return what transformers chose for the model."""
    from benchmark.decoding.stops import stop_ids

    model = loaded.model
    if model is None:
        return {"tokenizer_bos": asdict(loaded.tokenizer.bos)}
    return {
        "class": type(model).__name__,
        "attention": getattr(model.config, "_attn_implementation", None),
        "stops": sorted(stop_ids(model, loaded.tokenizer.eos_id)),
        "tokenizer_bos": asdict(loaded.tokenizer.bos),
    }
