"""Faults of chat data that passed in silence: what is learnt is what is generated, or there is a reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raylib.chat import Renderer, RenderOptions
from raylib.errors import RecordError
from tests.raylib.chat.jinja import CHATML, GLM, GLM_MARKS, QWEN3, R1
from tests.raylib.chat.planted import (
    ASKED,
    CALL,
    FOUND,
    MARKER,
    PLANTED,
    RESULT,
    TRAINS,
    assistant,
    learnt_answers,
    thought,
    tiny_tokenizer,
    user,
)

MULTI = PLANTED["multi"].messages
QUESTION = user("几点开门？")


def answers(source: str, messages: list[Any], **options: Any) -> list[str]:
    """Learnt answers under a template."""
    return [a.answer for a in learnt_answers(Renderer(tiny_tokenizer(source), RenderOptions(**options)), messages)]


def reply_text(renderer: Renderer, messages: list[Any], reply: list[Any]) -> str:
    (made,) = renderer.samples([renderer.reply(messages, reply)])
    assert not isinstance(made, RecordError)
    return renderer.tokenizer.decode([i for i, t in zip(made.ids, made.targets, strict=True) if t])


# --- 1: the end of an answer was found with a probe letter ---


def test_answers_of_preferences_hold_their_own_text_and_nothing_of_a_probe() -> None:
    renderer = Renderer(tiny_tokenizer(QWEN3))
    assert reply_text(renderer, [QUESTION], [assistant("九点。")]) == "<think>\n\n</think>\n\n九点。<|im_end|>"
    glm = Renderer(tiny_tokenizer(GLM, marks=GLM_MARKS))
    assert reply_text(glm, [QUESTION], [assistant("九点。")]) == "\n<think></think>\n九点。</s>"


# --- 2: conversations of several turns, and those whose prompt opens a thought, were dropped ---


def test_every_answer_is_learnt_where_the_template_rewrites_earlier_ones() -> None:
    renderer = Renderer(tiny_tokenizer(QWEN3))
    found = learnt_answers(renderer, MULTI)
    assert [a.turn for a in found] == [1, 3, 5]
    assert len(renderer.conversation(MULTI)) == 3
    assert found[2].answer == "<think>\n\n</think>\n\n不难。<|im_end|>"
    assert found[2].prompt.count("<think>") == 0, "earlier answers stand there as inference shows them"


def test_answers_share_a_sample_where_the_template_leaves_earlier_ones_alone() -> None:
    renderer = Renderer(tiny_tokenizer(CHATML))
    (sample,) = renderer.conversation(MULTI)
    assert [a.answer for a in learnt_answers(renderer, MULTI)] == [
        "先磨豆浆，再点卤。<|im_end|>",
        "半天。<|im_end|>",
        "不难。<|im_end|>",
    ]
    whole = tiny_tokenizer(CHATML).apply_chat_template(MULTI, tokenize=False)
    assert renderer.tokenizer.decode(sample.ids) == whole.removesuffix("\n"), "what follows the last end is not learnt"


def test_an_agent_that_thinks_between_calls_shares_a_sample() -> None:
    steps = [
        ASKED,
        assistant("", tool_calls=[CALL], reasoning_content="先查。"),
        RESULT,
        thought(FOUND["content"], "有了。"),
    ]
    renderer = Renderer(tiny_tokenizer(QWEN3))
    assert len(renderer.conversation(steps, [TRAINS])) == 1, "nothing is rewritten before the next question"
    longer = [*steps, user("再晚呢？"), thought("没有了。", "只有一班。")]
    assert len(renderer.conversation(longer, [TRAINS])) == 2


def test_a_prompt_that_opens_the_thought_is_continued() -> None:
    assert answers(R1, [QUESTION, thought("九点。", "门上写着九点。")]) == [
        "门上写着九点。\n</think>\n\n九点。<｜end▁of▁sentence｜>"
    ]
    talk = [QUESTION, thought("九点。", "写着九点。"), user("几点关？"), thought("六点。", "写着六点。")]
    found = learnt_answers(Renderer(tiny_tokenizer(R1)), talk)
    assert (
        found[1].prompt
        == "<s><｜User｜>几点开门？<｜Assistant｜>九点。<｜end▁of▁sentence｜><｜User｜>几点关？<｜Assistant｜><think>\n"
    )
    assert found[1].answer == "写着六点。\n</think>\n\n六点。<｜end▁of▁sentence｜>"


def test_a_prompt_that_opens_the_thought_needs_one() -> None:
    with pytest.raises(RecordError, match="enable_thinking") as caught:
        answers(R1, [QUESTION, assistant("九点。")])
    assert caught.value.reason == "needs_reasoning"


# --- 3: answers learnt no token that stops ---


def test_an_answer_that_the_template_does_not_end_learns_the_stop_of_the_model() -> None:
    tokenizer = tiny_tokenizer(GLM, marks=GLM_MARKS)
    talk = [QUESTION, thought("九点。", "写着。"), user("谢谢。"), assistant("不客气。")]
    stops = [tokenizer.convert_tokens_to_ids(t) for t in ("<|endoftext|>", "<|user|>")]
    for renderer, end in (
        (Renderer(tokenizer), "</s>"),
        (Renderer(tokenizer, stops=stops), "<|endoftext|>"),
        (Renderer(tokenizer, RenderOptions(end_token="<|user|>"), stops=stops), "<|user|>"),
    ):
        found = [a.answer for a in learnt_answers(renderer, talk)]
        assert found == [f"\n<think>写着。</think>\n九点。{end}", f"\n<think></think>\n不客气。{end}"]
        assert set(stops if renderer.options.end_token else []) <= set(renderer.stops())


def test_an_answer_without_any_end_is_refused() -> None:
    tokenizer = tiny_tokenizer(GLM, marks=GLM_MARKS)
    tokenizer.eos_token = None
    with pytest.raises(RecordError, match="name an end token") as caught:
        Renderer(tokenizer).conversation([QUESTION, assistant("九点。")])
    assert caught.value.reason == "no_stop_token"


# --- 4: calls of tools, tools, reasoning and roles vanished ---


@pytest.mark.parametrize("content", ["", None, "我查查。"])
def test_calls_of_tools_are_learnt_and_their_results_are_not(content: str | None) -> None:
    talk = [ASKED, assistant(content, tool_calls=[CALL]), RESULT, FOUND]
    found = learnt_answers(Renderer(tiny_tokenizer(QWEN3)), talk, [TRAINS])
    assert '"name": "find_trains", "arguments": {"start": "苏州"}' in found[0].answer
    assert (content or "") in found[0].answer
    assert '"description": "查询两地之间的列车"' in found[0].prompt, "the model sees its tools"
    assert "一班" in found[1].prompt
    assert not any("八点零五分有一班<" in a.answer for a in found)


def test_arguments_as_text_are_given_as_objects() -> None:
    written = {**CALL, "function": {**CALL["function"], "arguments": '{"start": "苏州"}'}}
    made = [
        learnt_answers(Renderer(tiny_tokenizer(QWEN3)), [ASKED, assistant("", tool_calls=[c])]) for c in (CALL, written)
    ]
    assert made[0] == made[1]


def test_what_a_template_leaves_out_is_refused_with_its_reason() -> None:
    talk = [ASKED, assistant("", tool_calls=[CALL]), RESULT, FOUND]
    for messages, tools, reason in (
        (talk, None, "tools_not_rendered"),
        ([ASKED, FOUND], [TRAINS], "tools_not_rendered"),
        ([QUESTION, thought("九点。", "写着。")], None, "reasoning_not_rendered"),
    ):
        with pytest.raises(RecordError) as caught:
            Renderer(tiny_tokenizer(CHATML)).conversation(messages, tools)
        assert caught.value.reason == reason
    with pytest.raises(RecordError, match="developer: system") as caught:
        answers(QWEN3, [{"role": "developer", "content": "要短。"}, QUESTION, assistant("九点。")])
    assert caught.value.reason == "not_rendered"


# --- roles: each a decision that is counted ---


def test_turns_that_are_not_learnt_are_counted() -> None:
    talk = [assistant("欢迎。"), QUESTION, assistant(""), user("几点？"), assistant("九点。", loss=False), user("啊？")]
    plan = Renderer(tiny_tokenizer(CHATML)).plan([*talk, assistant("九点。"), user("好的。")])
    assert dict(plan.unlearnt) == {"opening": 1, "empty_answer": 1, "loss_flag": 1, "after_last_answer": 1}
    assert [s.turns for s in plan.samples] == [[6]]


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([], "no_targets"),
        ([QUESTION], "no_targets"),
        ([assistant("欢迎。")], "no_targets"),
        ([QUESTION, assistant("九点。", loss=False)], "no_targets"),
        ([QUESTION, assistant(" \n")], "empty_answer"),
        ([QUESTION, assistant(None)], "empty_answer"),
    ],
)
def test_a_record_without_an_answer_says_so(messages: list[Any], reason: str) -> None:
    with pytest.raises(RecordError) as caught:
        Renderer(tiny_tokenizer(CHATML)).plan(messages)
    assert caught.value.reason == reason


# --- the same with the files of the models ---


@pytest.mark.data
def test_the_faults_with_the_real_files(real_data: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(real_data / "tokenizers" / "qwen3")
    places = real_data / "chat_templates"
    tokenizer.chat_template = (places / "Qwen-Qwen3-0.6B.jinja").read_text("utf-8")
    own = Renderer(tokenizer)
    assert reply_text(own, [QUESTION], [assistant("九点。")]) == "<think>\n\n</think>\n\n九点。<|im_end|>"
    assert [a.turn for a in learnt_answers(own, MULTI)] == [1, 3, 5]
    for steps in (PLANTED["tools"], PLANTED["content is None"]):
        assert "find_trains" in learnt_answers(own, steps.messages, steps.tools)[0].answer
    glm = (places / "GLM-4.6.jinja").read_text("utf-8")
    distilled = (places / "Qwen3.5-4B.jinja").read_text("utf-8")
    tokenizer.add_special_tokens({"extra_special_tokens": sorted({*MARKER.findall(glm), "<|observation|>"})})
    tokenizer.chat_template = glm
    renderer = Renderer(tokenizer, RenderOptions(end_token="<|observation|>"))
    assert reply_text(renderer, [QUESTION], [assistant("九点。")]) == "\n<think></think>\n九点。<|observation|>"
    tokenizer.chat_template = distilled
    with pytest.raises(RecordError) as caught:
        Renderer(tokenizer).conversation([QUESTION, assistant("九点。")])
    assert caught.value.reason == "needs_reasoning"
    (one,) = learnt_answers(Renderer(tokenizer), [QUESTION, thought("九点。", "写着。")])
    assert one.prompt.endswith("<think>\n")
    assert one.answer == "写着。\n</think>\n\n九点。<|im_end|>"
    (off,) = learnt_answers(
        Renderer(tokenizer, RenderOptions(template_options={"enable_thinking": False})), [QUESTION, assistant("九点。")]
    )
    assert off.prompt.endswith("<think>\n\n</think>\n\n")
    assert off.answer == "九点。<|im_end|>"
