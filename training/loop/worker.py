"""One local worker, started by torch.distributed.run: `python -m training.loop.worker CONFIG.json FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

import orjson
import torch

from training.config import TrainConfig
from training.loop.loop import Loop


def main() -> None:
    config = TrainConfig.from_dict(orjson.loads(Path(sys.argv[1]).read_bytes()))
    folder = Path(sys.argv[2])
    torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    Loop(config, folder).run()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
