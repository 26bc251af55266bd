"""What a dataset shows of records with messages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import raylib
from raylib.dataset.display import text_of_row

ASKED = {"role": "user", "content": "风多大？"}
CALLED = {
    "role": "assistant",
    "content": None,
    "reasoning_content": "要查",
    "tool_calls": [{"type": "function", "function": {"name": "wind", "arguments": {"at": "港口"}}}],
}


def test_messages_are_readable() -> None:
    assert text_of_row({"messages": [ASKED, CALLED]}) == (
        '[user] 风多大？\n[assistant] <think>要查</think>\nwind({"at":"港口"})'
    )
    pair = {"prompt": [ASKED], "chosen": [{"role": "assistant", "content": "三级"}], "rejected": []}
    assert text_of_row(pair) == "[user] 风多大？\n--- chosen\n[assistant] 三级"
    assert "--- answer, label false" in text_of_row({"prompt": [ASKED], "answer": pair["chosen"], "label": False})


def test_rows_have_the_keys_that_messages_have(write_jsonl: Callable[..., Path]) -> None:
    bad = {"messages": [ASKED, CALLED], "label": False}
    ds = raylib.read(
        write_jsonl([{"messages": [ASKED, CALLED], "tools": [{"name": "wind"}]}, bad]), kind="conversation"
    )
    assert [row["messages"] for row in ds] == [[ASKED, CALLED]]
    assert ds.take(1)[0]["tools"] == [{"type": "function", "function": {"name": "wind"}}]
    assert [row["reason"] for row in ds.rejected] == ["feedback"]
