"""``certify``: judge a run's answers by a reference model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.bundles import output_options
from benchmark.cli.options import BatchSize, Device, Dtype, Revision, flag, option
from benchmark.cli.writing import Output

if TYPE_CHECKING:
    from benchmark.runs.certify import RunCertificate

_SHOWN = 20


@output_options()
def certify(
    folder: Annotated[Path, typer.Argument(help="The --out folder of a run.", metavar="RUN")],
    reference: Annotated[
        str, option("The model that the answers should be greedy choices of.", metavar="M")
    ],
    revision: Revision = None,
    dtype: Dtype = None,
    device: Device = "auto",
    batch_size: BatchSize = None,
    *,
    reencode: Annotated[
        bool, flag("--reencode", text="Judge answers without token ids by their text's tokens.")
    ] = False,
    output: Output,
) -> None:
    """Check that a run's answers are greedy choices of a model under the constraint.

    One pass of the model over prompts and answers: at each token the logit of the best allowed one
    may exceed the chosen one's by no more than rounding explains.

    Exit status: 0 certified, 3 only re-encoded answers break the rule, 4 answers break it,
    2 misuse.
    """
    from benchmark.runs.certify import CertificateRequest
    from benchmark.runs.certify import certify as judge
    from benchmark.runs.progress import RunProgress
    from benchmark.terminal import console

    request = CertificateRequest(
        folder, reference, revision, dtype, device, batch_size, reencode=reencode
    )
    with RunProgress(console(stderr=True, quiet=output.quiet)) as progress:
        judged = judge(request, progress)
    if not output.as_json:
        _show(judged)
    output.result(judged.as_json())
    raise typer.Exit(judged.exit_status)


def _show(judged: "RunCertificate") -> None:
    """Print the verdict, and the first violations as a table."""
    from benchmark.terminal import console, plain_table

    certificate = judged.certificate
    broken = len({violation.answer for violation in certificate.violations})
    verdict = "certified" if certificate.certified else "not certified"
    print(f"{verdict}: {certificate.answers - broken} of {certificate.answers} answers")
    print(
        f"{certificate.tokens} tokens, {certificate.choices} of them chosen among several; "
        f"{certificate.near_ties} near ties, the largest {100 * certificate.largest:.0f} % of the "
        f"noise floor ({judged.dtypes[0]}, reference in {judged.dtypes[1]})"
    )
    if judged.reencoded:
        print(
            f"{len(judged.reencoded)} answers have no token ids; their text was encoded again, "
            "which may give other tokens than the engine's"
        )
    if not certificate.violations:
        return
    table = plain_table("answers that break the rule")
    for name in ("state", "place", "rule", "margin", "floor", "chosen", "best"):
        table.add_column(name, justify="left" if name in {"rule", "chosen", "best"} else "right")
    for one in certificate.violations[:_SHOWN]:
        cells = (one.margin, one.floor)
        table.add_row(
            judged.state_text(one.answer),
            str(one.place),
            one.rule,
            *("-" if value is None else f"{value:.3g}" for value in cells),
            judged.token_text(one.chosen),
            judged.token_text(one.best),
        )
    console().print(table)
    if (rest := len(certificate.violations) - _SHOWN) > 0:
        print(f"and {rest} more; --json-file FILE has all")
