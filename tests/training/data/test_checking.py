"""What is odd about answers: each thing is found, and nothing in answers that are fine."""

from __future__ import annotations

from typing import Any

import pytest

from raylib.chat import Renderer, RenderOptions
from raylib.errors import TrainingError
from tests.chats import chat_table, feedback_table, preference_table
from tests.raylib.chat.jinja import CHATML, QWEN3, R1
from tests.raylib.chat.planted import (
    ASKED,
    CALL,
    FOUND,
    PLANTED,
    RESULT,
    TRAINS,
    assistant,
    thought,
    tiny_tokenizer,
    user,
)
from training.data.checking import Check, Finding, check_table

QUESTION = user("几点开门？")


def checked(renderer: Renderer, table: Any) -> tuple[list[Finding], Check]:
    """Findings of a table."""
    check = Check(renderer)
    found = list(check_table(table, check))
    check.finish()
    return found, check


def odd(renderer: Renderer, *talks: Any) -> list[str]:
    """Short names of what is odd about conversations."""
    return list(checked(renderer, chat_table(list(talks)))[1].odd)


@pytest.mark.parametrize("source", [QWEN3, CHATML])
def test_nothing_is_odd_about_good_answers(source: str) -> None:
    talks = [PLANTED[n].messages for n in ("single", "multi", "system", "attack", "closing user")]
    found, check = checked(Renderer(tiny_tokenizer(source)), chat_table(talks))
    assert [f.odd for f in found] == [()] * 8
    assert (check.records, check.answers, check.wrong, check.refused) == (5, 8, False, [])
    assert all(f.stop == "<|im_end|>" for f in found)


def test_an_answer_that_never_stops_is_odd() -> None:
    renderer = Renderer(tiny_tokenizer(CHATML))
    renderer.ends = frozenset()
    assert odd(renderer, [QUESTION, assistant("九点。")]) == ["never stops"]


def test_an_answer_that_thinks_twice_is_odd() -> None:
    talk = [QUESTION, thought("九点。", "写着。")]
    assert odd(Renderer(tiny_tokenizer(R1)), talk) == []
    inline = Renderer(tiny_tokenizer(CHATML), RenderOptions(reasoning="inline"))
    assert odd(inline, talk) == []
    assert odd(inline, [QUESTION, thought("<think>\n写着。\n</think>\n\n九点。", "写着。")]) == ["thinks twice"]
    assert odd(Renderer(tiny_tokenizer(QWEN3)), [QUESTION, thought("九点。", "写着<think>。")]) == [], "text is text"


def test_a_call_as_text_is_odd() -> None:
    said = assistant('<tool_call>\n{"name": "find_trains", "arguments": {}}\n</tool_call>')
    renderer = Renderer(tiny_tokenizer(QWEN3))
    assert odd(renderer, [ASKED, said]) == ["tool call as text"]
    good = chat_table([[ASKED, assistant("", tool_calls=[CALL]), RESULT, FOUND]], [[TRAINS]])
    assert not checked(renderer, good)[1].odd


def test_tokens_that_inference_never_sees_are_odd(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = tiny_tokenizer(CHATML)
    whole = Renderer(tokenizer)
    talk = [QUESTION, assistant("九点。"), user("几点关？"), assistant("六点。")]
    assert odd(whole, talk) == []
    original = whole.encoded

    def merging(texts: list[str]) -> list[Any]:
        made = original(texts)
        for ids, text in zip(made, texts, strict=True):
            if "几点关" in text and "几点开" in text and isinstance(ids, list):
                ids.append(0)
        return made

    monkeypatch.setattr(whole, "encoded", merging)
    monkeypatch.setattr(whole, "_borders_hold", lambda texts: False)
    assert odd(whole, talk) == [], "such answers do not share a sample"
    assert len(whole.plan(talk).samples) == 2
    monkeypatch.setattr(whole, "_borders_hold", lambda texts: True)
    assert odd(whole, talk) == ["unseen tokens"]


def test_an_option_that_the_template_does_not_know_is_odd() -> None:
    renderer = Renderer(tiny_tokenizer(QWEN3), RenderOptions(template_options={"enable_thinking": True, "thinkng": 1}))
    found = odd(renderer, [QUESTION, assistant("九点。")])
    assert found == ["option thinkng changes nothing: the template does not know it"]


def test_dates_and_missing_tokens_are_noted_and_no_mistake() -> None:
    source = "{%- if strftime_now is defined -%}{%- endif -%}" + CHATML
    tokenizer = tiny_tokenizer("")
    tokenizer.chat_template = source
    _, check = checked(Renderer(tokenizer), chat_table([[QUESTION, assistant("九点。")]]))
    assert not check.wrong
    assert any("today's date" in note for note in check.notes)
    assert any("<|im_end|>, <|im_start|>" in note for note in check.notes)


def test_refused_records_are_named_and_nothing_learnt_is_wrong() -> None:
    renderer = Renderer(tiny_tokenizer(CHATML))
    _, check = checked(renderer, chat_table([[QUESTION], [QUESTION, assistant("")]]))
    assert [(r.id, r.reason) for r in check.refused] == [("0", "no_targets"), ("1", "empty_answer")]
    assert check.wrong
    _, check = checked(renderer, feedback_table([([QUESTION], [assistant("九点。")], False)]))
    assert [r.reason for r in check.refused] == ["feedback"]
    with pytest.raises(TrainingError, match="no conversations or preferences"):
        checked(renderer, chat_table([[QUESTION]]).select(["id", "source"]))


def test_both_answers_of_a_preference_are_looked_at() -> None:
    chosen = [assistant("", tool_calls=[CALL], reasoning_content="先查。"), RESULT, FOUND]
    found, check = checked(
        Renderer(tiny_tokenizer(QWEN3)), preference_table([([ASKED], chosen, [assistant("不知道。")])])
    )
    assert [(f.name, f.turn, f.odd) for f in found] == [("chosen", -1, ()), ("rejected", -1, ())]
    assert found[0].prompt == found[1].prompt == "<|im_start|>user\n回老家几点有车？<|im_end|>\n<|im_start|>assistant\n"
    assert found[0].answer.endswith("早上八点零五分有一班车。<|im_end|>")
    assert not check.wrong
