"""One local worker, started by torch.distributed.run.

`python -m training.loop.worker CONFIG.json FOLDER FAILURES [OWNER]`; the worker ends with the process OWNER.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import orjson
import torch

from raylib.parents import end_with
from training.config import TrainConfig
from training.loop.failure import recorded
from training.loop.logs import log_to_console
from training.loop.loop import Loop

__all__ = ["main"]


def main() -> None:
    """Do this worker's part of the run; a failure is left in the folder FAILURES."""
    place, folder, failures = (Path(argument) for argument in sys.argv[1:4])
    if len(sys.argv) > 4:
        end_with(int(sys.argv[4]))
    rank, workers = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    log_to_console(rank, workers)
    with recorded(failures, rank):
        config = TrainConfig.from_dict(orjson.loads(place.read_bytes()))
        torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
        Loop(config, folder).run()
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
