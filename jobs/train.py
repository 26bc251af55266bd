"""Train as a cluster job; takes what `raylib train` takes.

ray job submit --working-dir . -- python jobs/train.py CONFIG.yaml
ray submit cluster.yaml jobs/train.py CONFIG.yaml
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("RAY_ADDRESS", "auto")
    from raylib.cli import main

    sys.argv = ["raylib", "train", "--mode", "ray", *sys.argv[1:]]
    main()
