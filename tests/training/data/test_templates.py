"""Templates: what is a target, and the same tokens at training and inference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from raylib.errors import RecordError
from tests.training.setup import CHAT
from training.data.templates import TEMPLATES, Renderer
from training.data.tokenizer import Tokenizer


@pytest.mark.parametrize("template", ["auto", *TEMPLATES])
def test_targets_are_answers_and_their_end_and_nothing_else(tokenizer: Tokenizer, template: str) -> None:
    made = Renderer(tokenizer, template).conversation(CHAT)
    groups: list[list[int]] = []
    for i, target in enumerate(made.targets):
        if target and (i == 0 or not made.targets[i - 1]):
            groups.append([])
        if target:
            groups[-1].append(made.ids[i])
    said = [tokenizer.decode(g) for g in groups]
    end = Renderer(tokenizer, template).end()
    assert [s.removesuffix(end).strip() for s in said] == ["水不宜太烫。", "怕苦。"]
    assert end
    assert all(s.endswith(end) for s in said), "the end of a turn is learnt, on the turn that it ends"
    rest = tokenizer.decode([i for i, t in zip(made.ids, made.targets, strict=True) if not t])
    assert "怕苦" not in rest
    assert "绿茶怎么泡" in rest


@pytest.mark.parametrize("template", ["auto", *TEMPLATES])
def test_prompts_are_the_same_tokens_at_training_and_inference(tokenizer: Tokenizer, template: str) -> None:
    renderer = Renderer(tokenizer, template)
    whole = renderer.conversation(CHAT)
    prompt = renderer.prompt(CHAT[:-1])
    assert whole.ids[: len(prompt)] == prompt
    assert whole.ids[len(prompt) :][: len(renderer.answer("怕苦。"))] == renderer.answer("怕苦。")
    bos = tokenizer.bos_token_id
    assert not any(a == b == bos for a, b in zip(whole.ids, whole.ids[1:], strict=False)), "no second beginning"
    if template == "auto":
        text = tokenizer.apply_chat_template([*CHAT[:-1]], tokenize=False, add_generation_prompt=True)
        assert tokenizer.decode(prompt) == text


def test_templates_that_rewrite_history_are_refused(tiny_model: Path) -> None:
    tokenizer: Any = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.chat_template = (
        "{% for m in messages %}{% if m.role == 'assistant' and not loop.last %}[hidden]"
        "{% else %}{{ m.role + ':' + m.content + '\\n' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}assistant:{% endif %}"
    )
    with pytest.raises(RecordError, match="rewrites"):
        Renderer(tokenizer).conversation(CHAT)
    assert Renderer(tokenizer).conversation(CHAT[:3]).ids, "one turn is fine"


def test_a_conversation_without_an_answer_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(RecordError, match="no answer"):
        Renderer(tokenizer).conversation(CHAT[:2])
