"""Stages with other shapes of models: Gemma's, and 8 bit at the width of a 70B model."""

from importlib.util import find_spec

import torch
from transformers import AutoModelForCausalLM

from benchmark.controls.widen import widen
from benchmark.gpu_proof.decoding import LoadedModel, decode, load
from benchmark.gpu_proof.models import BATCH
from benchmark.gpu_proof.plan import Context, architecture
from benchmark.gpu_proof.report import NotHereError, StageReport
from benchmark.models.gpus import peak_gpu_memory, reset_peak_gpu_memory
from benchmark.models.loading import LoadOptions
from benchmark.models.location import locate
from benchmark.models.tokenizer_loading import load_tokenizer


def gemma(context: Context, report: StageReport) -> None:
    """Decode with a random model of Gemma's shape, and with the control's tokenizer."""
    tokenizer = load_tokenizer(locate(str(context.control)))
    config = architecture(context.sizes.gemma).configuration()
    config.bos_token_id, config.eos_token_id = tokenizer.raw.bos_token_id, tokenizer.eos_id
    config.pad_token_id = None
    dtype = torch.float32 if context.rehearsal else torch.bfloat16
    torch.manual_seed(0)  # of this process, which makes one model
    with torch.device(context.device):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype).eval()
    options = LoadOptions(context.device, str(dtype).removeprefix("torch."))
    loaded = LoadedModel(model, tokenizer, options, 0.0)
    states = context.sizes.few_states
    reset_peak_gpu_memory(context.device)
    first = decode(loaded, states, "speculative", BATCH)
    second = decode(loaded, states, "speculative", BATCH)
    report.figure(**second.figures(), peak_bytes=peak_gpu_memory(context.device))
    # A fallback to the paper's engine says why in its composition.
    report.check("the default engine takes the model", "engine" not in second.composition)
    report.check("two rounds have the same answers", not first.differing(second))


def eight_bit(context: Context, report: StageReport) -> None:
    """Load a widened control in 8 bit, and decode with the paper's engine, one at a time.

    Raises:
        NotHereError: without bitsandbytes, and in a rehearsal: 8 bit needs a GPU.
    """
    if context.rehearsal or not find_spec("bitsandbytes"):
        raise NotHereError("8 bit needs bitsandbytes and a GPU")
    folder = context.models / "eight-bit"
    if not (folder / "config.json").is_file():
        widen(context.control, architecture(context.sizes.eight_bit), folder, dtype="float16")
    reset_peak_gpu_memory(context.device)
    loaded = load(folder, context.device, "float16", "8bit")
    report.figure(load_seconds=loaded.seconds, peak_bytes=peak_gpu_memory(context.device))
    states = context.sizes.single_states
    known = decode(load(context.control, context.device, "float32"), states, "outlines", 1)
    first = decode(loaded, states, "outlines", 1)
    second = decode(loaded, states, "outlines", 1)
    report.figure(**second.figures(), differing=known.differing(second))
    report.check("two rounds of single prompts have the same answers", not first.differing(second))
    kinds = {type(module).__name__ for module in loaded.model.modules()}
    report.check("linear layers are in 8 bit", "Linear8bitLt" in kinds)
