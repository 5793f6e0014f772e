"""``python -m benchmark VERB``."""

from benchmark.cli.app import main

if __name__ == "__main__":
    main()
