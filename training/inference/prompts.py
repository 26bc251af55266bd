"""Prompts to answer, and answers read back."""

from __future__ import annotations

from typing import Any

import orjson

from raylib.errors import RaylibError

__all__ = ["answers_of", "prompts_of"]


def prompts_of(path: str, limit: int = 0) -> list[tuple[str, list[dict[str, str]], str | None]]:
    """(id, messages up to the last question, category) of every record."""
    from raylib.records import tables_of

    out: list[tuple[str, list[dict[str, str]], str | None]] = []
    for kind in ("auto", "safety"):  # records with nothing but a prompt are of no other kind
        for table in tables_of(path, kind):
            for row in table.to_pylist():
                messages = row.get("prompt") or row.get("messages")
                if messages is None:
                    messages = [{"role": "user", "content": row["text"]}]
                while messages and messages[-1]["role"] == "assistant":
                    messages = messages[:-1]
                if messages:
                    out.append((row["id"], messages, row.get("category")))
                if limit and len(out) >= limit:
                    return out
        if out:
            return out
    raise RaylibError(f"{path}: no prompts")


def answers_of(path: str) -> dict[str, dict[str, Any]]:
    """Records of `raylib generate` by id; of several samples the first. Raises RaylibError for other files."""
    found: dict[str, dict[str, Any]] = {}
    with open(path, "rb") as stream:
        for number, line in enumerate(stream, 1):
            try:
                row = orjson.loads(line)
                row["response"], row["prompt"][-1]["content"]
            except (orjson.JSONDecodeError, KeyError, IndexError, TypeError):
                raise RaylibError(f"{path}:{number}: no record of `raylib generate` (id, prompt, response)") from None
            found.setdefault(str(row["id"]), row)
    return found
