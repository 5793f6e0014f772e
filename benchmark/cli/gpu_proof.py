"""``gpu-proof``: prove on a GPU what only a GPU can show, in stages."""

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.bundles import output_options
from benchmark.cli.options import flag, option, out
from benchmark.cli.writing import Output

_FAILED = 1


@output_options()
def gpu_proof(
    folder: Annotated[Path, out("Folder of reports and models.", "DIR")] = Path("runs/gpu-proof"),
    names: Annotated[
        str | None,
        option("Comma-separated stages, in order; default: all.", "--stages", metavar="NAMES"),
    ] = None,
    wheelhouse: Annotated[
        Path | None,
        option("Only gather the wheels that a GPU machine lacks (docs/gpu.md).", metavar="DIR"),
    ] = None,
    *,
    rehearse: Annotated[bool, flag("--rehearse", text="Small models on a CPU.")] = False,
    output: Output,
) -> None:
    """Prove that the benchmark works on a GPU; rerun the same command to resume."""
    from benchmark.gpu_proof.plan import chosen
    from benchmark.gpu_proof.run import prove
    from benchmark.gpu_proof.summary import is_proved, reports_as_json, summary_lines, write_summary
    from benchmark.gpu_proof.wheelhouse import gather

    if wheelhouse:
        gather(wheelhouse, output.say)
        return
    wanted = chosen(names)
    prove(wanted, folder, rehearsal=rehearse, say=output.say)
    write_summary(folder, rehearsal=rehearse)
    if not output.as_json:
        print("\n".join(summary_lines(folder, rehearsal=rehearse)))
    output.result(reports_as_json(folder, rehearsal=rehearse))
    if not is_proved(list(wanted), folder):
        raise typer.Exit(_FAILED)
