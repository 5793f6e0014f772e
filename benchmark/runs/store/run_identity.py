"""The identity of a run, and how two of them differ."""

import json
from collections.abc import Callable, Mapping

from benchmark.models.digests import is_local
from benchmark.models.gpus import PRODUCT_SETTINGS
from benchmark.tasks import DEFAULT

Identity = Mapping[str, object]
"""Everything that can change a score; JSON values by name."""

HasDigest = Callable[[str], bool]


def comparable(identity: Identity) -> dict[str, object]:
    """Return an identity without parts that change no score.

    They are the path of a local model, whose files the digest pins (two spellings of a path, or a
    folder that was moved, are the same model), and a count that versions up to 0.1 recorded with
    the prompts.
    """
    parts = dict(identity)
    match identity.get("prompts"):
        case {"read_otherwise": _, **prompts}:
            parts["prompts"] = prompts
    match identity.get("model"):
        case {"fingerprint": str(digest), **model} if is_local(digest):
            model.pop("name", None)
            parts["model"] = {**model, "fingerprint": digest}
    return parts


def as_recorded(identity: Identity, stored: Identity) -> dict[str, object]:
    """Return an identity without what a stored one of an older version did not record.

    These are the driver and the rounding of products on a GPU, none of which it has.
    """
    match stored.get("environment"), identity.get("environment"):
        case ({"hardware": {**old}}, {"hardware": {**new}, **rest}) if not old.keys() & set(
            PRODUCT_SETTINGS
        ):
            known = {name: new[name] for name in new if name not in PRODUCT_SETTINGS}
            return {**identity, "environment": {**rest, "hardware": known}}
    return dict(identity)


def is_same_run(stored: Identity, identity: Identity, has_digest: HasDigest) -> bool:
    """Return whether a stored identity is of the run with another one.

    ``has_digest`` says whether a digest, also one of an older version, is of the model's files.
    """
    identity = as_recorded(identity, stored)
    return comparable(_with_current_digest(stored, identity, has_digest)) == comparable(identity)


def _with_current_digest(
    stored: Identity, identity: Identity, has_digest: HasDigest
) -> dict[str, object]:
    """Return the stored identity with the model's current digest, if its own is of the model."""
    match stored.get("model"), identity.get("model"):
        case (
            {"fingerprint": str(old), **model},
            {"fingerprint": str(digest)},
        ) if old != digest and has_digest(old):
            return {**stored, "model": {**model, "fingerprint": digest}}
    return dict(stored)


def difference_from(stored: Identity, identity: Identity, has_digest: HasDigest) -> str:
    """Describe the first difference between two runs; empty if they are the same run.

    For the arguments see :func:`is_same_run`.
    """
    if not isinstance(_model_name(stored), str | None):
        return "its run.json has a model without a name"
    identity = as_recorded(identity, stored)
    current = _with_current_digest(stored, identity, has_digest)
    old, new = comparable(current), comparable(identity)
    if old.get("model") != new.get("model"):
        return first_difference(current, identity)  # the name says more than the digest
    return first_difference(old, new)


def _model_name(identity: Identity) -> object:
    model = identity.get("model")
    return model.get("name") if isinstance(model, dict) else None


def first_difference(
    old: object, new: object, name: str = "run", places: tuple[str, str] | None = None
) -> str:
    """Describe the first difference, down to the innermost name; empty if there is none.

    ``places`` say where the two are, such as ``("here", "there")``, if neither is the older one.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        parts = (
            first_difference(_value(old, key), _value(new, key), key, places)
            for key in [*new, *old]
        )
        return next(filter(None, parts), "")
    if old == new:
        return ""
    if places is None:
        return f"{name} was {_shown(old)}, now {_shown(new)}"
    return f"{name} is {_shown(old)} {places[0]} and {_shown(new)} {places[1]}"


def _value(document: Mapping[str, object], name: str) -> object:
    """Return a value of an identity, which leaves out the default task."""
    return document.get(name, DEFAULT if name == "task" else None)


def _shown(value: object) -> str:
    return "not set" if value is None else json.dumps(value)
