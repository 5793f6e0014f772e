"""From what a request asks for to what is carried out."""

from dataclasses import replace

from benchmark.decoding.engines import check_engine
from benchmark.decoding.protocols import protocol
from benchmark.models.bos import BosRule
from benchmark.models.loading import LoadOptions, check_options, resolve_device
from benchmark.models.location import is_local
from benchmark.models.registry import registry
from benchmark.models.registry_types import RegisteredModel
from benchmark.prompts.settings import PromptSettings, Role
from benchmark.runs.requests import RunRequest
from benchmark.runs.settings import ResolvedSettings


def resolve(request: RunRequest) -> ResolvedSettings:
    """Return the protocol asked for with all that the request changes of it, checked.

    Raises:
        SettingError: when one of the settings does not exist or does not fit the machine.
    """
    named = protocol(request.protocol)
    engine = check_engine(request.engine or named.engine)
    prompt_ = replace(prompt_settings(request), repeated_bos=named.repeated_bos)
    limits = named.limits.changed(request.batch_size, request.max_new_tokens)
    device = resolve_device(request.device)  # imports torch: what needs it not comes before
    entry = registered_entry(request)
    # The paper ran its largest models in 8 bit (section 4 of the protocol).
    quantized = entry.quantization if entry and named.paper_quantization else None
    own = LoadOptions(device, named.dtype(device), quantized)
    possible = quantized if device != "cpu" else None
    options = LoadOptions(device, request.dtype or own.dtype, request.quantization or possible)
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
        changed=tuple(name for name, (asked, named_value) in pairs.items() if asked != named_value),
        engine=engine,
        prompt=prompt_,
        limits=limits,
        options=check_options(options),
        whole_answers=named.whole_answers,
    )


def registered_entry(request: RunRequest) -> RegisteredModel | None:
    """Return what the registry says of a request's model.

    The request's own entry comes first. A folder without one is not registered, whatever its name.
    """
    if request.entry:
        return request.entry
    return None if is_local(request.model) else registry().by_huggingface_id(request.model)


def prompt_settings(request: RunRequest) -> PromptSettings:
    """Return the prompt settings of a request, with the instruction's role as registered.

    Raises:
        SettingError: when one of them does not exist.
    """
    role = request.instruction_role or _usual_role(request)
    return PromptSettings.checked(request.prompt_format, request.prompt_variant, role, request.bos)


def registered_bos(request: RunRequest) -> BosRule | None:
    """Return what the registry says of the BOS of a request's model; None if it says nothing."""
    entry = registered_entry(request)
    known = entry.adds_bos if entry else None
    return None if known is None else BosRule(known, "registry")


def _usual_role(request: RunRequest) -> Role:
    """Return the role that the authors' code gives the instruction: by the identifier on the hub.

    The registry has it for its models. A local folder is asked in a user turn, whatever its name.
    """
    if entry := registered_entry(request):
        return entry.instruction_role
    return "system" if "Llama" in request.model and not is_local(request.model) else "user"
