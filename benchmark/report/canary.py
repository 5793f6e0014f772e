"""A canary's finding, as text for a terminal and as Markdown for an issue."""

from collections.abc import Iterator, Mapping


def canary_lines(document: Mapping[str, object]) -> Iterator[str]:
    """A line a probe, with culprits and environments' differences under those that moved."""
    yield f"upgrades: {', '.join(map(str, _list(document['upgrades'])))}"
    for trial in _list(document["trials"]):
        yield f"{trial['probe']}: {trial['severity']}" + _how(trial)
        for culprits in _list(trial["culprits"]):
            yield f"  by {' with '.join(map(str, culprits))}"
        if trial["shift"]:
            differences = trial["environments"]
            yield from (f"  {name}: {old or '-'} -> {new or '-'}"
                        for name, (old, new) in list(differences.items())[:8])  # fmt: skip


def canary_markdown(document: Mapping[str, object]) -> str:
    """The body of an issue."""
    lines = "\n".join(canary_lines(document))
    return (
        "The nightly canary found that these upgrades move what is measured, "
        "or that something does not run with them.\n\n"
        f"```\n{lines}\n```\n\n"
        "`compare` and `bisect` (README, *Who did it?*) tell more. This issue is updated "
        "every night until nothing moves.\n"
    )


def _how(trial: Mapping[str, object]) -> str:
    what = trial["shift"] or trial["reason"]
    return f", {what}" if what else ""


def _list(value: object) -> list[Mapping[str, object]]:
    return value if isinstance(value, list) else []
