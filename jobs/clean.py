"""Run a recipe as a cluster job, on the cluster that it is submitted to; takes the options of `raylib run`.

ray job submit --working-dir . -- python jobs/clean.py --recipe recipe.yaml
ray submit cluster.yaml jobs/clean.py -- --recipe recipe.yaml --set output.path=...
"""

from __future__ import annotations

import os
import sys

from raylib.cli import main
from raylib.paths import in_checkout


def arguments(given: list[str]) -> list[str]:
    """Turn `--recipe X ...` into the command line of `raylib run X ...`."""
    if "--recipe" not in given:
        raise SystemExit("usage: clean.py --recipe RECIPE.yaml [--set key=value] [--fresh] [--limit N]")
    at = given.index("--recipe")
    return ["run", in_checkout(given[at + 1]), *given[:at], *given[at + 2 :]]


if __name__ == "__main__":
    os.environ.setdefault("RAY_ADDRESS", "auto")
    sys.argv = ["raylib", *arguments([a for a in sys.argv[1:] if a != "--"])]
    main()
