"""Resolve a request into settings: defaults, protocol and registry."""

from collections.abc import Callable
from dataclasses import fields, replace

from benchmark.decoding.connection import ConnectInputs, ExternalSettings
from benchmark.decoding.engines import ENGINES, check_engine
from benchmark.decoding.protocols import protocol
from benchmark.errors import SettingError
from benchmark.models.bos import BosRule
from benchmark.models.loading import LoadOptions, check_options, resolve_device
from benchmark.models.location import Location, is_local, locate
from benchmark.models.registry import registry
from benchmark.models.registry_types import RegisteredModel
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.prompts.settings import PromptSettings, Role
from benchmark.runs.requests import RunRequest
from benchmark.runs.settings import ResolvedSettings


def resolve(request: RunRequest) -> ResolvedSettings:
    """Return the settings of the request's protocol with the request's changes, checked.

    Raises:
        SettingError: when a setting does not exist or does not suit the machine.
    """
    named = protocol(request.protocol)
    check_engine(request.engine or named.engine)
    prompt_ = replace(prompt_settings(request), repeated_bos=named.repeated_bos)
    named.limits.changed(request.batch_size, request.max_new_tokens)
    device = resolve_device(request.device)  # imports torch, so cheaper checks come first
    entry = registered_entry(request)
    # The paper ran its largest models in 8 bit (section 4 of the protocol).
    quantized = entry.quantization if entry and named.paper_quantization else None
    possible = quantized if device != "cpu" else None
    named = named.with_weights_in(possible)
    quantization = request.quantization or possible
    used = named.with_weights_in(quantization)
    engine = check_engine(request.engine or used.engine)
    limits = used.limits.changed(request.batch_size, request.max_new_tokens)
    own = LoadOptions(device, named.dtype(device), quantized)
    options = LoadOptions(device, request.dtype or used.dtype(device), quantization)
    if quantization and options.dtype != used.dtype(device):
        raise SettingError(
            f"--quantization {quantization} multiplies in {used.dtype(device)}; leave out --dtype "
            f"{options.dtype}"
        )
    pairs = {
        "engine": (engine, named.engine),
        "batch_size": (limits.batch_size, named.limits.batch_size),
        "max_new_tokens": (limits.max_new_tokens, named.limits.max_new_tokens),
        "dtype": (options.dtype, own.dtype),
        "quantization": (options.quantization, own.quantization),
        "prompt_variant": (prompt_.prompt_variant, PromptSettings().prompt_variant),
        "bos": (prompt_.bos, PromptSettings().bos),
    }
    if prompt_.prompt_format == "chat":
        pairs["instruction_role"] = (prompt_.instruction_role, _usual_role(request))
    return ResolvedSettings(
        name=request.protocol,
        changed=tuple(name for name, (value, default) in pairs.items() if value != default),
        engine=engine,
        prompt=prompt_,
        limits=limits,
        options=check_options(options),
        whole_answers=named.whole_answers,
        external=_external(request, engine),
    )


def connected(
    settings: ResolvedSettings,
    location: Location,
    tokenizer: TransformersTokenizer,
    expression: str,
    say: Callable[[str], None],
) -> ResolvedSettings:
    """Return the settings with the engine that runs elsewhere, if it does.

    Raises:
        BenchmarkError: if it is not found, or does not do what a run needs.
    """
    inputs = ConnectInputs(
        settings.external,
        location,
        tokenizer,
        expression,
        settings.limits,
        settings.options.dtype,
        settings.options.device,
        say,
    )
    return replace(settings, connection=settings.engine_row.connected(inputs))


def _external(request: RunRequest, engine: str) -> ExternalSettings:
    """Return where the engine runs.

    Raises:
        SettingError: if an option is given that this engine does not take.
    """
    names = [setting.name for setting in fields(ExternalSettings)]
    given = {name: getattr(request, name) for name in names if getattr(request, name) is not None}
    for name in given:
        if name not in ENGINES[engine].options:
            taking = ", ".join(row.name for row in ENGINES.values() if name in row.options)
            raise SettingError(
                f"--{name.replace('_', '-')} is for --engine {taking}; engine {engine} takes none"
            )
    return ExternalSettings(**given)


def located(request: RunRequest, *, weights: bool = False) -> Location:
    """Return the location of a request's model, with the tokenizer that its entry names.

    Raises:
        ModelError: see :func:`~benchmark.models.location.locate`.
    """
    entry = registered_entry(request)
    tokenizer = entry.tokenizer if entry else ""
    return locate(request.model, request.revision, weights=weights, tokenizer=tokenizer)


def registered_entry(request: RunRequest) -> RegisteredModel | None:
    """Return the registry's entry of a request's model, or None.

    The entry of the request takes precedence. A local folder without one is not registered, even if
    it has the name of a registered model.
    """
    if request.entry:
        return request.entry
    return None if is_local(request.model) else registry().by_huggingface_id(request.model)


def prompt_settings(request: RunRequest) -> PromptSettings:
    """Return the prompt settings of a request; the default role is the registry's.

    Raises:
        SettingError: when a setting does not exist.
    """
    role = request.instruction_role or _usual_role(request)
    return PromptSettings.checked(request.prompt_format, request.prompt_variant, role, request.bos)


def registered_bos(request: RunRequest) -> BosRule | None:
    """Return the registry's BOS rule for a request's model, or None."""
    entry = registered_entry(request)
    adds_bos = entry.adds_bos if entry else None
    return None if adds_bos is None else BosRule(adds_bos, "registry")


def _usual_role(request: RunRequest) -> Role:
    """Return the instruction's role in the authors' code, which depends on the hub identifier.

    Registered models have it in their entry. For a local folder it is a user turn.
    """
    if entry := registered_entry(request):
        return entry.instruction_role
    return "system" if "Llama" in request.model and not is_local(request.model) else "user"
