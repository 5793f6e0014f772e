"""Decide from the logs of two evaluations, of any harness, whether the second is worse.

One module per kind of log turns it into the samples of :mod:`benchmark.gate.samples`;
:mod:`benchmark.gate.pairing` pairs those of two logs, and :mod:`benchmark.stats.gate` decides.
"""
