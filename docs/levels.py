"""Print the simulated levels and coverages of ``docs/statistics.md``.

    python docs/levels.py [--samples N] [--seed N]

The default of 2,000 samples per value takes about five minutes of one core. A value near 5 % or
95 % then has a Monte-Carlo standard error of 0.5 points.
"""

import argparse

from benchmark.stats.levels import CLUSTERS, rows, table


def main() -> None:
    """Print the table, line by line as it is computed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    for line in table(list(rows()), CLUSTERS, arguments.samples, arguments.seed):
        print(line, flush=True)


if __name__ == "__main__":
    main()
