"""Options of rendering: each does what it says, and a wrong value names the option."""

from __future__ import annotations

from typing import Any

import pytest

from raylib.chat import Renderer, RenderOptions
from raylib.errors import ParameterError, RecordError
from tests.raylib.chat.jinja import CHATML, QWEN3
from tests.raylib.chat.planted import PLANTED, assistant, learnt_answers, thought, tiny_tokenizer, user

MULTI = PLANTED["multi"].messages
TALK = [user("几点开门？"), thought("九点。", "门上写着九点。")]


def rendered(source: str, messages: list[Any], **options: Any) -> list[tuple[str, str]]:
    """Prompt and answer of each learnt answer."""
    found = learnt_answers(Renderer(tiny_tokenizer(source), RenderOptions(**options)), messages)
    return [(a.prompt, a.answer) for a in found]


def test_options_of_the_template_reach_it_in_prompts_and_answers() -> None:
    talk = [user("几点开门？"), assistant("九点。")]
    ((_, written),) = rendered(QWEN3, talk)
    ((prompt, answer),) = rendered(QWEN3, talk, template_options={"enable_thinking": False})
    assert written == "<think>\n\n</think>\n\n九点。<|im_end|>"
    assert prompt.endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")
    assert answer == "九点。<|im_end|>"
    renderer = Renderer(tiny_tokenizer(QWEN3), RenderOptions(template_options={"enable_thinking": False}))
    assert renderer.prompt_text(talk[:1]) == prompt


def test_the_last_answer_alone_can_be_learnt() -> None:
    renderer = Renderer(tiny_tokenizer(CHATML), RenderOptions(learn="last"))
    (found,) = learnt_answers(renderer, MULTI)
    assert (found.turn, found.answer) == (5, "不难。<|im_end|>")
    assert renderer.plan(MULTI).unlearnt["earlier_answer"] == 2


def test_reasoning_that_is_not_learnt_is_still_read() -> None:
    ((prompt, answer),) = rendered(QWEN3, TALK, learn_reasoning=False)
    assert answer == "九点。<|im_end|>"
    assert prompt.endswith("<think>\n门上写着九点。\n</think>\n\n")
    ((prompt, answer),) = rendered(QWEN3, [TALK[0], assistant("九点。")], learn_reasoning=False)
    assert (prompt[-12:], answer) == ("\n</think>\n\n"[-12:].rjust(12, "\n"), "九点。<|im_end|>")


def test_reasoning_in_the_content_is_masked_too() -> None:
    talk = [TALK[0], thought("九点。", "九点。")]
    ((_, answer),) = rendered(CHATML, talk, reasoning="inline", learn_reasoning=False)
    assert answer == "九点。<|im_end|>"


def test_reasoning_can_stand_in_the_answer_or_nowhere() -> None:
    with pytest.raises(RecordError, match="inline"):
        rendered(CHATML, TALK)
    ((_, inline),) = rendered(CHATML, TALK, reasoning="inline")
    assert inline == "<think>\n门上写着九点。\n</think>\n\n九点。<|im_end|>"
    ((_, dropped),) = rendered(CHATML, TALK, reasoning="drop")
    assert dropped == "九点。<|im_end|>"


def test_developers_can_speak_as_the_system() -> None:
    talk = [{"role": "developer", "content": "要短。"}, user("几点开门？"), assistant("九点。")]
    ((prompt, _),) = rendered(QWEN3, talk, developer="system")
    assert prompt.startswith("<|im_start|>system\n要短。<|im_end|>")


def test_the_last_samples_of_a_rewritten_conversation_are_kept() -> None:
    renderer = Renderer(tiny_tokenizer(QWEN3), RenderOptions(max_samples_a_record=2))
    plan = renderer.plan(MULTI)
    assert [s.turns for s in plan.samples] == [[3], [5]]
    assert plan.unlearnt["samples_limit"] == 1
    whole = Renderer(tiny_tokenizer(CHATML), RenderOptions(max_samples_a_record=1)).plan(MULTI)
    assert [s.turns for s in whole.samples] == [[1, 3, 5]], "a shared sample is one"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"template": "chatlm"}, "template 'chatlm': valid are auto, plain, chatml"),
        ({"learn": "first"}, "learn 'first': valid are all, last"),
        ({"reasoning": "hide"}, "reasoning 'hide': valid are template, inline, drop"),
        ({"developer": "user"}, "developer 'user': valid are developer, system"),
        ({"max_samples_a_record": -1}, "max_samples_a_record must be 0 or more, is -1"),
        ({"template_options": {"messages": []}}, "template_options: 'messages' is not for users to set"),
        ({"template_options": {"tools": []}}, "template_options: 'tools' is not for users to set"),
        ({"template_options": {"add_generation_prompt": True}}, "template_options: 'add_generation_prompt'"),
    ],
)
def test_wrong_values_name_the_option(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        RenderOptions(**options)
    assert message in str(caught.value)


def test_an_end_token_has_to_be_one_token() -> None:
    with pytest.raises(ParameterError, match="end_token '<nowhere>': the tokenizer has no such token"):
        Renderer(tiny_tokenizer(CHATML), RenderOptions(end_token="<nowhere>"))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"enable_thinking": False},
        {"enable_thinking": True},
        {"name": '“引号”"\\ \n{{ x }}', "n": None, "l": [1, "a"]},
    ],
)
def test_a_served_template_writes_the_same_without_the_options(options: dict[str, Any]) -> None:
    source = QWEN3 + "{{- name if name is defined else '' -}}{{- l if l is defined else '' -}}"
    renderer = Renderer(tiny_tokenizer(source), RenderOptions(template_options=options))
    served = tiny_tokenizer(renderer.served)
    for planted in (MULTI, TALK):
        for turn in range(1, len(planted), 2):
            expected = renderer.prompt_text(planted[:turn])
            assert served.apply_chat_template(planted[:turn], tokenize=False, add_generation_prompt=True) == expected
    if not options:
        assert renderer.served == source


def test_a_served_template_can_still_be_given_other_values() -> None:
    renderer = Renderer(tiny_tokenizer(QWEN3), RenderOptions(template_options={"enable_thinking": False}))
    served = tiny_tokenizer(renderer.served)
    asked = served.apply_chat_template(TALK[:1], tokenize=False, add_generation_prompt=True, enable_thinking=True)
    assert asked == Renderer(tiny_tokenizer(QWEN3)).prompt_text(TALK[:1])


def test_a_tokenizer_without_a_first_token_can_use_templates_that_write_one() -> None:
    source = "{{- bos_token + '' -}}" + CHATML
    renderer = Renderer(tiny_tokenizer(source, bos=None))
    assert renderer.prompt_text(TALK[:1]) == "<|im_start|>user\n几点开门？<|im_end|>\n<|im_start|>assistant\n"
    served = tiny_tokenizer(renderer.served, bos=None)
    assert served.apply_chat_template(TALK[:1], tokenize=False, add_generation_prompt=True) == renderer.prompt_text(
        TALK[:1]
    )


def test_of_several_templates_the_default_is_taken() -> None:
    tokenizer = tiny_tokenizer(CHATML)
    tokenizer.chat_template = {"default": CHATML, "tool_use": QWEN3}
    assert Renderer(tokenizer).template.source == CHATML
    tokenizer.chat_template = {"tool_use": QWEN3}
    with pytest.raises(ParameterError, match="none is called default"):
        Renderer(tokenizer)
    assert Renderer(tokenizer, RenderOptions(template="chatml")).template.name == "chatml"


def test_a_template_that_raises_refuses_the_record_and_no_more() -> None:
    source = "{%- if messages[0].role == 'system' -%}{{- raise_exception('no system') -}}{%- endif -%}" + CHATML
    renderer = Renderer(tiny_tokenizer(source))
    with pytest.raises(RecordError, match="no system") as caught:
        renderer.conversation([{"role": "system", "content": "要短。"}, *TALK])
    assert caught.value.reason == "template"
    assert renderer.conversation([user("几点？"), assistant("九点。")])
