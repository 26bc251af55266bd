"""Real sets of chats, the real tokenizer with one of several templates, and how many records cannot be learnt."""

from __future__ import annotations

import importlib.util
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import pyarrow as pa
from transformers import AutoTokenizer

from raylib.chat import Renderer
from raylib.records import tables_of
from training.data.chats import ChatRecords, pairs, sft_samples
from training.data.encoded import TokenOptions

__all__ = ["CONVERSATIONS", "PREFERENCES", "TEMPLATES", "Measured", "chat_model", "measured", "template_file"]

CONVERSATIONS = (
    "sft_alpaca_zh",
    "sft_alpaca_zh_small",
    "sft_alpaca_en",
    "sft_exam_zh",
    "sft_medical_zh",
    "sft_scored_en",
    "sft_roleplay_zh",
    "safety_zh",
    "safety_prompts_zh",
    "eval_set_zh",
    "more/sft_alpaca_translated_zh",
    "more/sft_supplement_zh",
    "more/sft_alpaca_full_en",
    "more/sft_law_zh",
    "more/sft_counsel_multiturn_zh",
    "more/sft_medical_kg_zh",
    "more/safety_pairs_zh",
)
PREFERENCES = ("dpo_zh", "dpo_en", "more/dpo_pairs_zh", "more/dpo_pairs_en")
TEMPLATES = {
    "Qwen3": "Qwen-Qwen3-0.6B",
    "GLM-4.6": "GLM-4.6",
    "DeepSeek-V3.1": "deepseek-ai-DeepSeek-V3.1",
    "Llama-3.1": "trl/llama3_1",
}
"""File of each template: of the data folder, or of the package trl."""
_BORDERS = {
    "GLM-4.6": (None, "<|endoftext|>"),
    "DeepSeek-V3.1": ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"),
    "Llama-3.1": ("<|begin_of_text|>", "<|eot_id|>"),
}
"""Tokens that begin and end a text, for models whose tokenizer is another one."""
_MARKER = re.compile(r"<[|｜][^<>\s|｜]{1,60}[|｜]>|\[gMASK\]|<sop>")

# a record without an answer, or with one that is empty, cannot be learnt by any template
EMPTY = frozenset({"empty_answer", "empty_text", "missing_field", "prompt_alone"})
_PROMPT_ALONE = "no conversation in fields category, id, prompt;"  # questions of a test


@dataclass
class Measured:
    """What became of the records of a set.

    Attributes:
        records: Number of records, those that cannot be read included.
        samples: Number of samples, or of preferences.
        tokens: Number of tokens.
        expanded: Number of records that became several samples.
        refused: Number of records that cannot be read or learnt, by reason.
        details: The first record of each reason, in words.
    """

    records: int = 0
    samples: int = 0
    tokens: int = 0
    expanded: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    details: dict[str, str] = field(default_factory=dict)

    @property
    def empty(self) -> int:
        """Number of records that have no answer."""
        return sum(count for reason, count in self.refused.items() if reason in EMPTY)

    @property
    def lost(self) -> dict[str, int]:
        """Number of other records that are refused, by reason."""
        return {reason: count for reason, count in self.refused.items() if reason not in EMPTY}

    def refuse(self, name: str, reason: str, detail: str) -> None:
        """Count a record that is refused."""
        self.refused[reason] += 1
        self.details.setdefault(reason, f"{name}: {detail}")


def template_file(data: Path, name: str) -> Path:
    """File of a template."""
    if not TEMPLATES[name].startswith("trl/"):
        return data / "chat_templates" / f"{TEMPLATES[name]}.jinja"
    found = importlib.util.find_spec("trl")
    assert found is not None
    assert found.submodule_search_locations
    return (
        Path(found.submodule_search_locations[0]) / "chat_templates" / f"{TEMPLATES[name].removeprefix('trl/')}.jinja"
    )


def chat_model(data: Path, name: str, folder: Path) -> Path:
    """A folder with the real tokenizer and one of the templates, whose markers the tokenizer gets as special tokens."""
    source = template_file(data, name).read_text("utf-8")
    tokenizer = AutoTokenizer.from_pretrained(data / "tokenizers" / "qwen3")
    begin, end = _BORDERS.get(name, (None, None))
    if end is not None:
        marks = dict.fromkeys([*([] if begin is None else [begin]), end, *_MARKER.findall(source)])
        tokenizer.add_special_tokens({"additional_special_tokens": list(marks)})
        tokenizer.bos_token, tokenizer.eos_token = begin, end
    tokenizer.chat_template = source
    tokenizer.save_pretrained(folder)
    return folder


def measured(data: Path, name: str, renderer: Renderer, limit: int = 0) -> Measured:
    """What becomes of a set.

    Args:
        data: The folder of real data sets.
        name: The set.
        renderer: Writes the records.
        limit: Number of records; 0 takes all.
    """
    found = Measured()
    preference = name in PREFERENCES

    def unreadable(rejects: pa.Table) -> None:
        if limit and found.records >= limit:
            return
        for row in rejects.select(["id", "reason", "detail"]).to_pylist():
            found.records += 1
            reason = "prompt_alone" if _PROMPT_ALONE in row["detail"] else row["reason"]
            found.refuse(row["id"], reason, row["detail"])

    kind = "preference" if preference else "conversation"
    options = TokenOptions(render=renderer.options)
    for table in _first(tables_of(str(data / f"{name}.jsonl.gz"), kind, rejected=unreadable), limit):
        records = ChatRecords.of(table, [name] * len(table))
        encoded = (pairs if preference else sft_samples)(records, renderer, options)
        found.records += len(table)
        found.samples += encoded.records[name]
        found.tokens += len(encoded.ids)
        found.expanded += encoded.expanded
        for record in encoded.refused:
            found.refuse(*record)
    return found


def _first(tables: Iterator[pa.Table], limit: int) -> Iterator[pa.Table]:
    """The first records, in small tables."""
    parts = (table.slice(i, 1000) for table in tables for i in range(0, len(table), 1000))
    if not limit:
        yield from parts
        return
    yield from (table.slice(0, limit) for table in islice(parts, 1))
