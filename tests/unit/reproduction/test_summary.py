"""The lines about the pairs of a reproduction."""

from benchmark.hypotheses.pair_verdict import PairVerdict
from benchmark.models.registry import registry
from benchmark.reproduction.summary import P_NOTE, summary_lines
from benchmark.reproduction.verdicts import PairReport, UnjudgedPair


def test_several_p_values_are_said_to_be_of_single_pairs() -> None:
    """A note follows the verdicts; a pair without a verdict has no p-value."""
    pairs = [*registry().pairs.values()][:2]
    reports = [PairReport(pair, PairVerdict("supported", "yes", "p = 0.01")) for pair in pairs]
    lines = [*summary_lines({}, reports)]
    assert len(lines) == 3
    assert lines[-1] == P_NOTE
    assert P_NOTE not in summary_lines({}, [reports[0], UnjudgedPair(pairs[1], "missing")])
