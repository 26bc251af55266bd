"""Records and models that the tests of scores share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, LlamaConfig

from tests.quality.scores.server import KEY, Server
from tests.texts import ARTICLE, ENGLISH, conversations


@pytest.fixture(scope="module")
def records() -> list[dict[str, Any]]:
    rows = conversations(30)
    rows[3]["messages"][1]["content"] = ""
    rows[4]["messages"] = [{"role": "assistant", "content": "没有问题的回答。"}]
    rows[5]["messages"] = [
        {"role": "system", "content": "你是茶艺师。"},
        *rows[5]["messages"],
        {"role": "user", "content": "再说一句。"},
        {"role": "assistant", "content": "好。"},
    ]
    rows[6]["messages"][1]["content"] = ENGLISH * 2
    rows[7]["messages"][0]["content"] = ARTICLE * 3
    return rows


@pytest.fixture(scope="module")
def reward_path(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    config = LlamaConfig.from_pretrained(tiny_model, num_labels=1, pad_token_id=0)
    out = tmp_path_factory.mktemp("reward") / "model"
    AutoModelForSequenceClassification.from_config(config).save_pretrained(out)
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(out)
    return out


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    made = Server()
    yield made
    made.server.shutdown()
    made.server.server_close()
