"""The state in a checkpoint."""

from __future__ import annotations

import math

import orjson

from training.loop.state import TrainState


def test_a_checkpoint_holds_the_state_under_the_same_keys_as_ever() -> None:
    state = TrainState(phase=1, step=2, total=12, best=1.5, tokens=345, updates=11)
    held = orjson.loads(orjson.dumps(state.to_json()))
    assert held == {"phase": 1, "step": 2, "total": 12, "best": 1.5, "tokens": 345, "updates": 11}
    assert TrainState.from_json({**held, "workers": 2}) == state


def test_a_run_without_an_evaluation_yet_still_has_no_best_loss_after_a_resume() -> None:
    held = orjson.loads(orjson.dumps(TrainState(step=2).to_json()))
    assert held["best"] is None
    assert TrainState.from_json(held).best == math.inf
