"""Train as a cluster job; takes what `raylib train` takes.

ray job submit --working-dir . -- python jobs/train.py CONFIG.yaml
ray submit cluster.yaml jobs/train.py CONFIG.yaml
"""

from __future__ import annotations

import os
import sys

from raylib.cli import main
from raylib.paths import in_checkout

if __name__ == "__main__":
    os.environ.setdefault("RAY_ADDRESS", "auto")
    given = [in_checkout(a) if a.endswith((".yaml", ".yml")) else a for a in sys.argv[1:] if a != "--"]
    sys.argv = ["raylib", "train", "--mode", "ray", *given]
    main()
