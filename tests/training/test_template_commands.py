"""`raylib template check`, and `raylib tokenize`, which looks before it works."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner, Result

from raylib.cli import app
from raylib.errors import TrainingError
from tests.raylib.chat.planted import ASKED, CALL, FOUND, PLANTED, assistant, user
from tests.training.setup import write

SINGLE = PLANTED["single"].messages
CALLED = assistant("<tool_call>\n{}\n</tool_call>")
GOOD = [{"id": f"g{i}", "messages": SINGLE} for i in range(3)]
ODD = {"id": "odd", "messages": [ASKED, CALLED]}


def check(*arguments: object, **options: Any) -> Result:
    return CliRunner().invoke(app, ["template", "check", *map(str, arguments)], **options)


def lines(path: Path) -> list[Any]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def test_good_records_exit_with_0_and_show_answers(tmp_path: Path, rewriting: Path) -> None:
    done = check(rewriting, write(tmp_path / "in.jsonl", GOOD))
    assert done.exit_code == 0, done.output
    assert "-- g0, answer of message 1; stops with '<|im_end|>'" in done.output
    assert "3 records, 3 answers to learn, 0 records refused" in done.output
    assert "WRONG" not in done.output


def test_a_mistake_exits_with_1_and_is_shown(tmp_path: Path, rewriting: Path) -> None:
    done = check(rewriting, write(tmp_path / "in.jsonl", [*GOOD, ODD]), "--show", "1")
    assert done.exit_code == 1
    assert "-- odd" in done.output
    assert "tool call as text: the answer spells a call" in done.output
    assert "WRONG, tool call as text: 1" in done.output
    assert "-- g1" not in done.output


def test_records_of_which_none_is_learnt_are_a_mistake(tmp_path: Path, rewriting: Path) -> None:
    done = check(rewriting, write(tmp_path / "in.jsonl", [{"id": "a", "messages": [user("在吗？")]}]))
    assert done.exit_code == 1
    assert "refused, no_targets: 1; a: the conversation has no answer to learn" in done.output
    assert "WRONG: nothing can be learnt" in done.output


def test_colours_are_for_terminals(tmp_path: Path, rewriting: Path) -> None:
    rows = [{"id": "a", "messages": [ASKED, {**FOUND, "reasoning_content": "查过了。"}]}]
    path = write(tmp_path / "in.jsonl", rows)
    assert "\x1b" not in check(rewriting, path).output
    shown = check(rewriting, path, "--no-learn-reasoning", color=True).output
    grey, green, yellow = "\x1b[90m", "\x1b[32m", "\x1b[33m"
    assert f"{grey}<|im_start|>user" in shown
    assert f"{yellow}<think>\n查过了。\n</think>\n\n" in shown
    assert f"{green}早上八点零五分有一班车。" in shown


def test_lines_of_answers_preferences_and_refused_records(tmp_path: Path, rewriting: Path) -> None:
    rows = [{"id": "m", "messages": PLANTED["multi"].messages[:4]}, {"id": "no", "messages": [user("在吗？")]}]
    out = tmp_path / "out.jsonl"
    assert check(rewriting, write(tmp_path / "in.jsonl", rows), "--json", out).exit_code == 0
    first, second, third = lines(out)
    assert first == {
        "id": "m",
        "turn": 1,
        "prompt": "<|im_start|>user\n豆腐怎么做？<|im_end|>\n<|im_start|>assistant\n",
        "answer": "<think>\n\n</think>\n\n先磨豆浆，再点卤。<|im_end|>",
    }
    assert (second["turn"], second["answer"]) == (3, "<think>\n\n</think>\n\n半天。<|im_end|>")
    assert {k: third[k] for k in ("id", "refused")} == {"id": "no", "refused": "no_targets"}
    pair = {"id": "p", "prompt": "几点开门？", "chosen": "九点。", "rejected": "十点。"}
    assert check(rewriting, write(tmp_path / "pairs.jsonl", [pair]), "--json", out).exit_code == 0
    assert lines(out) == [
        {
            "id": "p",
            "prompt": "<|im_start|>user\n几点开门？<|im_end|>\n<|im_start|>assistant\n",
            "chosen": "<think>\n\n</think>\n\n九点。<|im_end|>",
            "rejected": "<think>\n\n</think>\n\n十点。<|im_end|>",
        }
    ]


def test_unreadable_records_have_a_line_of_their_own(tmp_path: Path, rewriting: Path) -> None:
    out = tmp_path / "out.jsonl"
    path = write(tmp_path / "in.jsonl", [*GOOD, {"id": "strange", "messages": 7}])
    check(rewriting, path, "--json", out, "--kind", "conversation")
    assert [(r["id"], "refused" in r) for r in lines(out)] == [
        ("g0", False),
        ("g1", False),
        ("g2", False),
        ("strange", True),
    ]


def test_a_limit_and_a_kind_are_kept(tmp_path: Path, rewriting: Path) -> None:
    path = write(tmp_path / "in.jsonl", [*GOOD, ODD])
    done = check(rewriting, path, "--limit", "3")
    assert done.exit_code == 0
    assert "3 records, 3 answers" in done.output
    assert check(rewriting, path, "--limit", "0").exit_code == 1
    both = [{"id": "b", "prompt": "几点？", "chosen": "九点。", "rejected": "十点。", "messages": SINGLE}]
    made = check(
        rewriting, write(tmp_path / "both.jsonl", both), "--kind", "preference", "--json", tmp_path / "o.jsonl"
    )
    assert made.exit_code == 0, made.output
    assert "chosen" in lines(tmp_path / "o.jsonl")[0]


def test_options_of_the_template_are_yaml(tmp_path: Path, rewriting: Path) -> None:
    path = write(tmp_path / "in.jsonl", GOOD)
    out = tmp_path / "out.jsonl"
    options = ("--template-option", "enable_thinking=false", "--json", out)
    assert check(rewriting, path, *options).exit_code == 0
    assert lines(out)[0]["prompt"].endswith("<think>\n\n</think>\n\n"), "false, not the text false"
    unknown = check(rewriting, path, "--template-option", "enable_thinkng=false")
    assert unknown.exit_code == 1
    assert "option enable_thinkng changes nothing" in unknown.output


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--learn", "first"), "learn 'first': valid are all, last"),
        (("--template", "vicuna"), "template 'vicuna': valid are auto"),
        (("--template-option", "tools=[]"), "'tools' is not for users to set"),
        (("--end-token", "<nothing>"), "end_token '<nothing>'"),
    ],
)
def test_wrong_options_name_themselves(tmp_path: Path, rewriting: Path, option: tuple[str, str], message: str) -> None:
    done = check(rewriting, write(tmp_path / "in.jsonl", GOOD), *option)
    assert done.exit_code != 0
    assert message in str(done.exception)


def test_tokenising_stops_on_a_mistake_unless_it_is_told_not_to_look(tmp_path: Path, rewriting: Path) -> None:
    command = ["tokenize", write(tmp_path / "in.jsonl", [*GOOD, ODD]), "-o", str(tmp_path / "out")]
    command += ["--tokenizer", str(rewriting)]
    stopped = CliRunner().invoke(app, command)
    assert isinstance(stopped.exception, TrainingError)
    assert "WRONG, tool call as text: 1" in str(stopped.exception)
    assert "--no-check tokenises nevertheless" in str(stopped.exception)
    assert not (tmp_path / "out").exists()
    done = CliRunner().invoke(app, [*command, "--no-check"])
    assert done.exit_code == 0, done.output
    assert orjson.loads((tmp_path / "out" / "tokens.json").read_bytes())["samples"] == 4


def test_tokenising_says_what_it_has_left_out(tmp_path: Path, rewriting: Path) -> None:
    rows = [
        *GOOD,
        {"id": "no", "messages": [user("在吗？")]},
        {"id": "c", "messages": [ASKED, assistant("", tool_calls=[CALL])]},
    ]
    command = [
        "tokenize",
        write(tmp_path / "in.jsonl", rows),
        "-o",
        str(tmp_path / "out"),
        "--tokenizer",
        str(rewriting),
    ]
    done = CliRunner().invoke(app, [*command, "--template-option", "enable_thinking=true"])
    assert done.exit_code == 0, done.output
    assert "no_targets" in done.output
    info = orjson.loads((tmp_path / "out" / "tokens.json").read_bytes())
    assert info["chat"]["template_options"] == {"enable_thinking": True}
    assert info["samples"] == 4
