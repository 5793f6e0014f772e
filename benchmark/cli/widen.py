"""``widen``: embed a control in a Llama of any size that computes the same function."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from benchmark.cli.bundles import output_options
from benchmark.cli.choices import completed, one_of
from benchmark.cli.options import DtypeName, option, out
from benchmark.cli.writing import Output

_MOST = 10**6
"""The largest number of each dimension; no model comes near it."""


def _shapes() -> list[str]:
    from benchmark.planning.architectures import llama_shapes

    return list(llama_shapes())


@output_options("quiet")
def widen(
    control: Annotated[
        Path,
        typer.Argument(help="Folder of a Llama, such as fixtures/models/track.", metavar="CONTROL"),
    ],
    folder: Annotated[Path, out("Folder for the model.", "DIR")],
    like: Annotated[
        str | None,
        option(
            "Shape of a published Llama, such as llama2-7b; default: the control's own.",
            metavar="NAME",
            check=one_of(_shapes),
            completion=completed(_shapes),
        ),
    ] = None,
    layers: Annotated[int | None, option("Layers.", least=1, most=_MOST, metavar="N")] = None,
    hidden_size: Annotated[int | None, option("Width.", least=1, most=_MOST, metavar="N")] = None,
    intermediate_size: Annotated[
        int | None, option("Width of the MLP.", least=1, most=_MOST, metavar="N")
    ] = None,
    heads: Annotated[int | None, option("Query heads.", least=1, most=_MOST, metavar="N")] = None,
    key_heads: Annotated[int | None, option("Key heads.", least=1, most=_MOST, metavar="N")] = None,
    head_size: Annotated[
        int | None, option("Size of a head.", least=1, most=_MOST, metavar="N")
    ] = None,
    vocabulary: Annotated[
        int | None, option("Rows of the embeddings.", least=1, most=_MOST, metavar="N")
    ] = None,
    head: Annotated[
        Literal["tied", "untied"] | None,
        typer.Option(help="Whether the embeddings are the head too."),
    ] = None,
    dtype: Annotated[DtypeName, typer.Option(help="Number format of the weights.")] = "float32",
    seed: Annotated[int, typer.Option(help="Seed of the random weights.", min=0, metavar="N")] = 0,
    *,
    output: Output,
) -> None:
    """Embed a control model in a larger one that computes the same function."""
    from benchmark.controls.widen import shape_of
    from benchmark.controls.widen import widen as write_wide
    from benchmark.planning.architectures import llama_shapes

    changes = {
        "num_hidden_layers": layers,
        "hidden_size": hidden_size,
        "intermediate_size": intermediate_size,
        "num_attention_heads": heads,
        "num_key_value_heads": key_heads,
        "head_dim": head_size,
        "vocab_size": vocabulary,
        "tie_word_embeddings": None if head is None else head == "tied",
    }
    shape = llama_shapes()[like] if like else shape_of(control)
    shape = shape.model_copy(update={k: v for k, v in changes.items() if v is not None})
    write_wide(control, shape, folder, dtype=dtype, seed=seed)
    output.say(f"written: {folder}")
