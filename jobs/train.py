"""Train as a cluster job; takes what `raylib train` takes.

ray job submit --working-dir . -- python jobs/train.py CONFIG.yaml
ray submit cluster.yaml jobs/train.py CONFIG.yaml
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import raylib
from raylib.cli import main


def in_checkout(path: str) -> str:
    """The path, or that of the checkout's file of this name: `ray submit` starts scripts in the home, not there."""
    other = Path(raylib.__file__).parents[1] / path
    return str(other) if not os.path.exists(path) and other.is_file() else path


if __name__ == "__main__":
    os.environ.setdefault("RAY_ADDRESS", "auto")
    given = [in_checkout(a) if a.endswith((".yaml", ".yml")) else a for a in sys.argv[1:] if a != "--"]
    sys.argv = ["raylib", "train", "--mode", "ray", *given]
    main()
