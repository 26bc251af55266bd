"""Whether workers take GPUs."""

from __future__ import annotations

from pathlib import Path

import pytest

from raylib.errors import TrainingError
from tests.training.setup import config
from training.loop.devices import takes_gpus


@pytest.mark.parametrize(
    ("parallel", "there", "joined", "takes"),
    [
        ({"gpus": "no"}, 8, True, False),
        ({"gpus": "auto"}, 0, True, False),
        ({"gpus": "auto"}, 0, False, False),
        ({"gpus": "auto"}, 8, True, True),
        ({"gpus": "auto", "workers": 4}, 1, True, True),
        ({"gpus": "yes"}, 0, True, True),
        ({"gpus": "yes"}, 1, False, True),
        ({"gpus": "yes", "workers": 4, "min_workers": 2}, 2, False, True),
    ],
)
def test_workers_take_gpus_of_the_cluster(
    parallel: dict[str, object],
    there: int,
    joined: bool,
    takes: bool,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    wanted = config({"sft": ""}, tmp_path, tmp_path, micro_batch=1, parallel={"backend": "deepspeed", **parallel})
    assert takes_gpus(wanted, there, joined=joined) is takes
    silent = parallel["gpus"] == "no" or not joined or there >= wanted.parallel.workers
    assert bool(caplog.messages) is not silent, caplog.messages


@pytest.mark.parametrize(
    ("there", "said"), [(0, "has 0; set parallel.gpus=no"), (1, "has 1; set parallel.workers=1, or parallel.gpus=no")]
)
def test_workers_that_would_wait_for_ever_are_an_error(there: int, said: str, tmp_path: Path) -> None:
    parallel = {"backend": "deepspeed", "workers": 2, "gpus": "yes"}
    with pytest.raises(TrainingError, match=f"^parallel.workers: 2 workers need a GPU each, but this machine {said}"):
        takes_gpus(config({"sft": ""}, tmp_path, tmp_path, parallel=parallel), there, joined=False)
