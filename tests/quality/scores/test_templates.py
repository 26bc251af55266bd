"""Models are asked as they were taught: templates with options and tools, and records that a template refuses."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from quality.models.rendering import Chats
from quality.scores.ifd import Ifd
from quality.scores.reward import RewardModel
from quality.text.turns import exchanges
from raylib.engine import run
from raylib.errors import ParameterError
from raylib.messages import Message
from raylib.recipe import Recipe
from tests.chats import WEATHER, agent, chat_table

Write = Callable[..., Path]

ALTERNATING = (
    "{%- for m in messages -%}"
    "{%- if (m['role'] == 'user') != (loop.index0 % 2 == 0) -%}"
    "{{- raise_exception('roles must alternate') -}}{%- endif -%}"
    "{{- m['role'] + ': ' + m['content'] + '</s>' -}}"
    "{%- endfor -%}{%- if add_generation_prompt -%}{{- 'assistant: ' -}}{%- endif -%}"
)
REASONING = (
    "{%- if tools -%}{{- 'tools: ' + (tools | tojson) + '\n' -}}{%- endif -%}"
    "{%- for m in messages -%}{{- m['role'] + ': ' -}}"
    "{%- if m['role'] == 'assistant' and m.reasoning_content and not quiet -%}{{- '(' + m.reasoning_content + ') ' -}}"
    "{%- endif -%}{{- m['content'] or '' -}}"
    "{%- for c in m.tool_calls or [] -%}{{- c.function.name + (c.function.arguments | tojson) -}}{%- endfor -%}"
    "{{- '</s>' -}}{%- endfor -%}{%- if add_generation_prompt -%}{{- 'assistant: ' -}}{%- endif -%}"
)

GOOD: list[Message] = [
    {"role": "user", "content": "请介绍西湖"},
    {"role": "assistant", "content": "西湖在杭州，是风景区。"},
]
TWICE: list[Message] = [
    {"role": "user", "content": "一"},
    {"role": "user", "content": "二"},
    {"role": "assistant", "content": "答"},
]


def with_template(model: Path, template: str, out: Path) -> Path:
    """The same model with another template."""
    shutil.copytree(model, out)
    tokenizer = AutoTokenizer.from_pretrained(out)
    tokenizer.chat_template = template
    tokenizer.save_pretrained(out)
    return out


@pytest.mark.parametrize("of", [Ifd, RewardModel])
def test_a_record_that_the_template_refuses_has_no_score(
    of: Callable[[str], Any], tiny_model: Path, reward_path: Path, tmp_path: Path
) -> None:
    model = with_template(tiny_model if of is Ifd else reward_path, ALTERNATING, tmp_path / "model")
    stage, column = of(str(model)), "ifd" if of is Ifd else "reward"
    assert stage.notes() == {}
    out = stage(chat_table([GOOD, TWICE, GOOD])).kept
    first, refused, last = out[column].to_pylist()
    assert first == last is not None
    assert refused is None
    assert stage.notes()["refused_template"] == 1
    assert "refused_template" not in stage.notes(), "they are counted once"


def test_a_run_goes_on_behind_such_a_record(tiny_model: Path, tmp_path: Path, write_jsonl: Write) -> None:
    model = with_template(tiny_model, ALTERNATING, tmp_path / "model")
    rows = [{"id": "g", "messages": GOOD}, {"id": "two", "messages": TWICE}]
    recipe = {
        "input": {"path": str(write_jsonl(rows)), "kind": "conversation"},
        "output": {"path": str(tmp_path / "out"), "format": "jsonl"},
        "engine": {"mode": "inline"},
        "stages": [{"ifd": {"model": str(model)}}],
    }
    summary = run(Recipe.from_dict(recipe)).summary
    assert summary["records_kept"] == 2
    assert summary["notes"]["ifd"]["refused_template"] == 1


def decoded(chats: Chats, table: Any) -> list[tuple[str, str] | None]:
    """Prompts and responses as text."""
    texts = chats.tokenizer.decode
    return [None if p is None else (texts(p.prompt), texts(p.response)) for p in chats.prompted(exchanges(table))]


def chats_of(model: Path, template: str, **options: Any) -> Chats:
    tokenizer: Any = AutoTokenizer.from_pretrained(model)
    tokenizer.chat_template = template
    return Chats.of(tokenizer, "auto", options)


def test_reasoning_and_tools_reach_the_template(tiny_model: Path) -> None:
    table = chat_table([agent(), agent()[:4]], [[WEATHER], [WEATHER]])
    answered, called = decoded(chats_of(tiny_model, REASONING), table)
    assert answered is not None
    prompt, response = answered
    assert prompt.startswith("tools: [")
    assert "查询一个城市的天气" in prompt
    assert "tool: {" in prompt
    assert prompt.endswith("assistant: ")
    assert response == "(查询结果是小雨，所以应该提醒用户带好雨伞。) 杭州明天有小雨，气温最高二十一度，出门请带好雨伞。"
    assert called is not None
    assert called[1].endswith('weather{"city": "杭州", "day": "明天"}')


def test_reasoning_that_the_template_leaves_out_is_no_part_of_the_response(tiny_model: Path) -> None:
    chats = chats_of(tiny_model, REASONING, quiet=True)
    (found,) = decoded(chats, chat_table([agent()]))
    assert found is not None
    assert found[1] == "杭州明天有小雨，气温最高二十一度，出门请带好雨伞。"
    assert not chats.take_refused()
    alone: list[Message] = [GOOD[0], {"role": "assistant", "content": "", "reasoning_content": "只想了想"}]
    assert decoded(chats, chat_table([alone])) == [None]
    assert sum(chats.take_refused().values()) == 1


def test_reasoning_is_left_out_where_the_generation_prompt_has_closed_it(tiny_model: Path) -> None:
    closing = REASONING.replace("{{- 'assistant: ' -}}", "{{- 'assistant: <think></think>' -}}").replace(
        "{{- '(' + m.reasoning_content + ') ' -}}", "{{- '<think>' + m.reasoning_content + '</think>' -}}"
    )
    chats = chats_of(tiny_model, closing)
    (found,) = decoded(chats, chat_table([agent()]))
    assert found is not None
    assert found[0].endswith("<think></think>")
    assert found[1] == "杭州明天有小雨，气温最高二十一度，出门请带好雨伞。"
    assert not chats.take_refused()


def test_a_template_without_tools_refuses_records_that_need_them(tiny_model: Path) -> None:
    plain = "{%- for m in messages -%}{{- m['role'] + ': ' + (m['content'] or '') + '</s>' -}}{%- endfor -%}"
    chats = chats_of(tiny_model, plain + "{%- if add_generation_prompt -%}{{- 'assistant: ' -}}{%- endif -%}")
    pairs = list(exchanges(chat_table([agent(), GOOD], [[WEATHER], None])))
    first, second = chats.prompted(pairs)
    assert first is None
    assert second is not None
    assert chats.whole(pairs)[0] is None
    assert chats.take_refused() == {"refused_tools_not_rendered": 2}


def test_a_control_token_that_a_user_types_stays_text(tiny_model: Path) -> None:
    chats = chats_of(tiny_model, ALTERNATING)
    typed: list[Message] = [{"role": "user", "content": "什么是</s>？"}, GOOD[1]]
    (found,) = chats.prompted(exchanges(chat_table([typed])))
    (whole,) = chats.whole(list(exchanges(chat_table([typed]))))
    assert found is not None
    assert whole is not None
    end = chats.tokenizer.encode("</s>", add_special_tokens=False)[0]
    assert found.prompt.count(end) == 1, "the one that the template writes"
    assert whole.count(end) == 2


def test_without_a_template_every_message_stands_before_a_newline(tiny_model: Path) -> None:
    tokenizer: Any = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.chat_template = None
    for template in ("auto", "plain"):
        (found,) = decoded(Chats.of(tokenizer, template), chat_table([agent()]))
        assert found is not None
        assert '[tool call] weather({"city": "杭州", "day": "明天"})\n{"weather"' in found[0]
        assert "None" not in found[0]
    with pytest.raises(ParameterError, match="no chat template"):
        Chats.of(tokenizer, "chat")
    with pytest.raises(ParameterError, match="no chat template that could take them"):
        Chats.of(tokenizer, "auto", {"enable_thinking": False})
    (found,) = decoded(Chats.of(tokenizer, "llama2"), chat_table([GOOD]))
    assert found is not None
    assert "[INST] 请介绍西湖 [/INST]" in found[0]


def test_template_options_that_nobody_may_set_are_named() -> None:
    with pytest.raises(ParameterError, match="template_options: 'tools' is not for users"):
        Ifd("m", template_options={"tools": []})
    with pytest.raises(ParameterError, match="plain is no template"):
        RewardModel("m", template="plain", template_options={"enable_thinking": False})
