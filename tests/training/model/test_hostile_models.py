"""Training, generation and evaluation run nothing of a model folder, and unpickle nothing of a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from raylib.errors import RaylibError
from tests.quality.models.hostile import KINDS, Sign, hostile_folder
from tests.training.setup import token_sets
from training.config import ModelConfig
from training.data.token_set import TokenSet
from training.data.tokenizer import saved_tokenizer
from training.inference.evaluate import evaluate_model
from training.inference.generate import Generator
from training.loop.checkpoints import Checkpoints
from training.model.build import build_model, load_tokenizer
from training.model.plain import PlainBackend
from training.model.world import World

LOADERS: dict[str, Callable[[Path], object]] = {
    "training": lambda path: build_model(
        ModelConfig(path=str(path)), load_tokenizer(ModelConfig(path=str(path))), seed=0
    ),
    "generation": lambda path: Generator(str(path)),
    "evaluation": lambda path: evaluate_model(str(path), []),
}


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_a_hostile_folder_runs(tiny_model: Path, tmp_path: Path, loader: str, kind: str) -> None:
    folder, sign = hostile_folder(tiny_model, kind, tmp_path)
    with pytest.raises(RaylibError) as caught:
        LOADERS[loader](folder)
    assert not sign.exists()
    assert str(folder) in str(caught.value)


def test_a_tokenizer_with_code_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    folder, sign = hostile_folder(tiny_model, "tokenizer", tmp_path)
    with pytest.raises(RaylibError) as caught:
        saved_tokenizer(folder)
    assert not sign.exists()
    assert str(folder) in str(caught.value)


def test_checkpoints_are_not_unpickled(tmp_path: Path) -> None:
    sign = tmp_path / "code-ran"
    checkpoints = Checkpoints(tmp_path, World(), keep=1)
    for name in ("random-0.pt", "state.pt"):
        torch.save({"module": Sign(sign)}, tmp_path / name)
    backend = PlainBackend.__new__(PlainBackend)  # reads the file before anything else
    backend.world = World()
    for load in (checkpoints.load_random_state, backend.load):
        with pytest.raises(RaylibError, match=r"\.pt': a file of weights is a pickle with more than weights"):
            load(tmp_path)
    assert not sign.exists()


def test_arrays_of_a_token_set_are_not_unpickled(tiny_model: Path, tmp_path: Path) -> None:
    sign = tmp_path / "code-ran"
    folder = Path(token_sets(tmp_path, tiny_model)["pretrain"])
    np.save(folder / "starts.npy", np.array([Sign(sign)], object), allow_pickle=True)
    with pytest.raises(RaylibError, match="token folder: cannot load"):
        TokenSet(folder)
    assert not sign.exists()
