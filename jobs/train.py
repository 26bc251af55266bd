"""Trains on a cluster, from a configuration.

`ray job submit --working-dir . -- python jobs/train.py CONFIG.yaml`, or
`ray submit cluster.yaml jobs/train.py CONFIG.yaml`.

Takes what `raylib train` takes.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("RAY_ADDRESS", "auto")
    from raylib.cli import main

    sys.argv = ["raylib", "train", "--mode", "ray", *sys.argv[1:]]
    main()
