"""Conversations and preferences as tokens: which are targets, and why a record is not learnt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raylib.chat import Renderer, RenderOptions
from raylib.errors import TrainingError
from tests.chats import chat_table, preference_table
from tests.raylib.chat.jinja import CHATML, QWEN3, R1
from tests.raylib.chat.planted import ASKED, CALL, FOUND, RESULT, assistant, thought, tiny_tokenizer, user
from tests.training.setup import write
from training.data.chats import ChatRecords, pairs, sft_samples
from training.data.encoded import Encoded, TokenOptions
from training.data.rows import rows_of
from training.data.tokens import tokenize

QUESTION = user("几点开门？")


def paired(source: str, *rows: Any, limit: int = 0, **options: Any) -> tuple[Renderer, Encoded]:
    """Preferences under a template."""
    renderer = Renderer(tiny_tokenizer(source), RenderOptions(**options))
    table = preference_table(list(rows))
    made = pairs(ChatRecords.of(table, ["s"] * len(table)), renderer, TokenOptions(max_tokens=limit, max_prompt=8))
    return renderer, made


def sequences(renderer: Renderer, made: Encoded) -> list[tuple[str, str]]:
    """Text of each sequence, and text of its targets."""
    found = []
    begin = 0
    assert made.targets is not None
    for length in made.lengths:
        ids, learnt = made.ids[begin : begin + length].tolist(), made.targets[begin : begin + length].astype(bool)
        wanted = [i for i, t in zip(ids, learnt, strict=True) if t]
        found.append((renderer.tokenizer.decode(ids), renderer.tokenizer.decode(wanted)))
        begin += length
    return found


def reasons(made: Encoded) -> dict[str, str]:
    return {r.id: r.reason for r in made.refused}


def test_answers_of_several_messages_learn_the_assistant_and_never_the_tools() -> None:
    chosen = [assistant("", tool_calls=[CALL], reasoning_content="先查。"), RESULT, FOUND]
    renderer, made = paired(QWEN3, ([ASKED], chosen, [assistant("不知道。")]))
    prompt, (text, learnt), rejected = sequences(renderer, made)
    assert prompt == ("<|im_start|>user\n回老家几点有车？<|im_end|>\n<|im_start|>assistant\n", "")
    assert "<tool_response>\n八点零五分有一班\n</tool_response>" in text
    assert "tool_response" not in learnt
    assert learnt.count("<|im_end|>") == 2
    assert "早上八点零五分" in learnt
    assert '"find_trains"' in learnt
    assert rejected == ("<think>\n\n</think>\n\n不知道。<|im_end|>",) * 2


def test_an_answer_whose_own_beginning_is_rewritten_is_refused() -> None:
    chosen = [assistant("", tool_calls=[CALL]), RESULT, FOUND]
    _, made = paired(QWEN3, ([ASKED], chosen, [assistant("不知道。")]))
    assert reasons(made) == {"0": "template_rewrites"}, "an empty thought goes before the call, until a result follows"


def test_masked_reasoning_and_results_survive_to_the_rows(tmp_path: Path, rewriting: Path) -> None:
    row = {
        "id": "a",
        "prompt": [QUESTION],
        "chosen": [thought("九点。", "门上写着。")],
        "rejected": [thought("十点。", "记错了。")],
    }
    tokenize(
        [write(tmp_path / "in.jsonl", [row])],
        tmp_path / "out",
        str(rewriting),
        TokenOptions(render=RenderOptions(learn_reasoning=False)),
    )
    renderer = Renderer(tiny_tokenizer(QWEN3))
    (source,) = rows_of([str(tmp_path / "out")], 1000, packing=True)
    made = source.row(0)
    for ids, targets, said in zip(made.ids, made.targets, ("九点。", "十点。"), strict=True):
        wanted = [i for i, t in zip(ids.tolist(), targets.tolist(), strict=True) if t]
        assert renderer.tokenizer.decode(wanted) == f"{said}<|im_end|>"
        assert "<think>" in renderer.tokenizer.decode(ids.tolist())


def test_preferences_that_teach_nothing_are_refused() -> None:
    same, empty = [assistant("九点。")], [assistant("")]
    _, made = paired(
        CHATML,
        ([QUESTION], same, same),
        ([QUESTION], same, empty),
        ([QUESTION], empty, same),
        ([QUESTION], [user("九点。")], same),
        ([QUESTION], same, [assistant("十点。")]),
    )
    assert reasons(made) == {"0": "equal_answers", "1": "empty_answer", "2": "empty_answer", "3": "no_targets"}
    assert len(made.lengths) == 3


def test_preferences_that_cutting_makes_equal_are_refused() -> None:
    long = "很长的开头，" * 20
    _, made = paired(CHATML, ([QUESTION], [assistant(long + "甲")], [assistant(long + "乙")]), limit=60)
    assert reasons(made) == {"0": "answers_cut_equal"}
    _, made = paired(
        CHATML,
        ([QUESTION], [thought("甲", "甲" * 60)], [thought("乙", "乙" * 60)]),
        limit=60,
        reasoning="inline",
        learn_reasoning=False,
    )
    assert reasons(made) == {"0": "targets_cut"}


def test_a_prompt_that_needs_reasoning_refuses_a_preference_without() -> None:
    _, made = paired(R1, ([QUESTION], [assistant("九点。")], [assistant("十点。")]))
    assert reasons(made) == {"0": "needs_reasoning"}


def test_a_record_counts_once_however_many_samples_it_becomes() -> None:
    talk = [QUESTION, assistant("九点。"), user("几点关？"), assistant("六点。"), user("谢谢。")]
    table = chat_table([talk, [QUESTION, assistant("")], [QUESTION]])
    renderer = Renderer(tiny_tokenizer(QWEN3))
    made = sft_samples(ChatRecords.of(table, ["a", "b", "c"]), renderer, TokenOptions())
    assert [learnt for _, learnt in sequences(renderer, made)] == [
        f"<think>\n\n</think>\n\n{said}<|im_end|>" for said in ("九点。", "六点。")
    ]
    assert made.expanded == 1
    assert dict(made.records) == {"a": 2}
    assert dict(made.unlearnt) == {"after_last_answer": 1}
    assert reasons(made) == {"1": "empty_answer", "2": "no_targets"}


def test_cutting_a_long_thought_keeps_the_answer() -> None:
    renderer = Renderer(tiny_tokenizer(CHATML), RenderOptions(reasoning="inline", learn_reasoning=False))
    table = chat_table([[QUESTION, thought("九点。", "想" * 100)]])
    made = sft_samples(ChatRecords.of(table, [""]), renderer, TokenOptions(max_tokens=80))
    ((_, learnt),) = sequences(renderer, made)
    assert (learnt, made.cut, made.refused) == ("九点。<|im_end|>", 1, [])


def test_records_of_another_kind_say_what_they_lack() -> None:
    renderer = Renderer(tiny_tokenizer(CHATML))
    records = ChatRecords.of(chat_table([[QUESTION]]), [""])
    with pytest.raises(TrainingError, match="preference needs records with prompt"):
        pairs(records, renderer, TokenOptions())
