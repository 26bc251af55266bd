"""What a token folder says of itself, folders of earlier versions, and folders that do not go together."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from raylib.chat import RenderOptions
from raylib.errors import TrainingError
from tests.raylib.chat.jinja import CHATML
from tests.raylib.chat.planted import PLANTED, assistant, tiny_tokenizer, user
from tests.texts import ARTICLE
from tests.training.setup import write
from training.data.encoded import TokenOptions
from training.data.taught import taught_by
from training.data.token_set import TokenSet
from training.data.tokens import TokenInfo, tokenize

MULTI = PLANTED["multi"].messages
ROWS = [
    {"id": "multi", "source": "豆腐", "messages": [*MULTI, user("谢谢。")]},
    {"id": "single", "source": "豆腐", "messages": MULTI[:2]},
    {"id": "empty", "source": "豆腐", "messages": [MULTI[0], assistant("")]},
    {"id": "nobody", "source": "豆腐", "messages": [MULTI[0]]},
]


def made(folder: Path, tokenizer: Path, rows: list[Any] = ROWS, **render: Any) -> TokenInfo:
    """Tokenise rows into a folder."""
    path = write(folder.with_suffix(".jsonl"), rows)
    return tokenize([path], folder, str(tokenizer), TokenOptions(render=RenderOptions(**render)))


def change(folder: Path, **changes: Any) -> None:
    """Change `tokens.json`; None takes a field away."""
    path = folder / "tokens.json"
    info = {k: v for k, v in {**orjson.loads(path.read_bytes()), **changes}.items() if v is not None}
    path.write_bytes(orjson.dumps(info))


def refused(folder: Path) -> list[tuple[str, str]]:
    lines = (folder / "refused.jsonl").read_bytes().splitlines()
    return [(r["id"], r["reason"]) for r in map(orjson.loads, lines)]


def test_a_folder_says_what_is_in_it_and_what_is_not(tmp_path: Path, rewriting: Path) -> None:
    info = made(tmp_path / "out", rewriting, template_options={"enable_thinking": True})
    assert (info["format"], info["kind"], info["samples"], info["expanded"]) == (2, "sft", 4, 1)
    assert info["dropped"] == {"empty_answer": 1, "no_targets": 1}
    assert refused(tmp_path / "out") == [("empty", "empty_answer"), ("nobody", "no_targets")]
    assert info["unlearnt"] == {"after_last_answer": 1}
    assert info["samples_by_source"] == {"豆腐": 4}
    assert info["chat"]["template"] == "auto"
    assert info["chat"]["template_options"] == {"enable_thinking": True}
    names = [tiny_tokenizer(CHATML).decode([i]) for i in info["stops"]]
    assert sorted(names) == ["</s>", "<|im_end|>"]


def test_unreadable_records_are_counted_and_named(tmp_path: Path, rewriting: Path) -> None:
    path = tmp_path / "in.jsonl"
    write(path, [*ROWS, {"id": "odd", "text": 5}])
    path.write_bytes(path.read_bytes() + b'{"id": "cut", "mess')
    info = tokenize([str(path)], tmp_path / "out", str(rewriting), TokenOptions(kind="sft"))
    assert sum(info["dropped"].values()) == 4
    assert len(refused(tmp_path / "out")) == 4
    assert info["samples"] == 4


def test_feedback_is_not_learnt_as_if_all_of_it_were_good(tmp_path: Path, rewriting: Path) -> None:
    rows = [{"prompt": "几点开门？", "completion": "十点。", "label": label} for label in (False, True)]
    with pytest.raises(TrainingError, match=r"feedback .*bad answers as good ones") as caught:
        made(tmp_path / "out", rewriting, rows)
    assert "keep_where: label" in str(caught.value)


def test_a_folder_of_which_nothing_can_be_learnt_says_why(tmp_path: Path, rewriting: Path) -> None:
    with pytest.raises(TrainingError, match=r"no record can be learnt \(1 empty_answer, 1 no_targets\); empty: "):
        made(tmp_path / "out", rewriting, ROWS[2:])


def test_chat_data_of_an_earlier_version_is_refused_with_the_command(tmp_path: Path, rewriting: Path) -> None:
    made(tmp_path / "out", rewriting)
    change(tmp_path / "out", format=None, raylib=None)
    with pytest.raises(TrainingError, match=r"was made by raylib 0\.1") as caught:
        TokenSet(tmp_path / "out")
    command = f"raylib tokenize {tmp_path / 'out.jsonl'} -o {tmp_path / 'out'}-new --tokenizer {rewriting}"
    assert str(caught.value).endswith(command)


def test_documents_of_an_earlier_version_still_open(tmp_path: Path, rewriting: Path) -> None:
    info = made(tmp_path / "out", rewriting, [{"id": "a", "text": ARTICLE}])
    change(tmp_path / "out", format=None, raylib=None, chat=None, stops=None, unlearnt=None, expanded=None)
    assert TokenSet(tmp_path / "out").kind == info["kind"] == "pretrain"
    assert taught_by([str(tmp_path / "out")]) is None


def test_folders_of_one_rendering_are_taught_together(tmp_path: Path, rewriting: Path) -> None:
    for name in ("a", "b"):
        made(tmp_path / name, rewriting, template_options={"enable_thinking": False})
    made(tmp_path / "text", rewriting, [{"id": "a", "text": ARTICLE}])
    paths = [str(tmp_path / n) for n in ("text", "a", "b")]
    found = taught_by(paths, {"enable_thinking": False})
    assert found is not None
    assert found.template.startswith("{%- if enable_thinking is not defined -%}{%- set enable_thinking = false -%}")
    assert found.stops == tuple(TokenSet(paths[1]).info["stops"])
    with pytest.raises(TrainingError) as caught:
        taught_by(paths, {"enable_thinking": True})
    assert "{'enable_thinking': True}" in str(caught.value)
    assert "{'enable_thinking': False}" in str(caught.value)
    assert paths[1] in str(caught.value)


@pytest.mark.parametrize(
    ("render", "difference"),
    [
        ({"template": "chatml"}, "template 'chatml' and 'auto'"),
        ({"template_options": {"enable_thinking": False}}, "template_options"),
        ({"reasoning": "drop"}, "reasoning 'drop' and 'template'"),
        ({"developer": "system"}, "developer 'system' and 'developer'"),
        ({"end_token": "</s>"}, "end_token '</s>' and ''"),
    ],
)
def test_folders_of_different_rendering_do_not_go_together(
    tmp_path: Path, rewriting: Path, render: dict[str, Any], difference: str
) -> None:
    made(tmp_path / "a", rewriting)
    made(tmp_path / "b", rewriting, **render)
    with pytest.raises(TrainingError, match="render conversations otherwise") as caught:
        taught_by([str(tmp_path / "a"), str(tmp_path / "b")])
    assert difference in str(caught.value)


def test_what_is_learnt_may_differ_between_folders(tmp_path: Path, rewriting: Path) -> None:
    made(tmp_path / "a", rewriting)
    made(tmp_path / "b", rewriting, learn="last", learn_reasoning=False)
    assert taught_by([str(tmp_path / "a"), str(tmp_path / "b")]) is not None


def test_folders_of_two_templates_do_not_go_together(tmp_path: Path, rewriting: Path) -> None:
    tiny_tokenizer(CHATML).save_pretrained(tmp_path / "other")
    made(tmp_path / "a", rewriting)
    made(tmp_path / "b", tmp_path / "other")
    with pytest.raises(TrainingError, match="their chat templates differ"):
        taught_by([str(tmp_path / "a"), str(tmp_path / "b")])


@pytest.mark.parametrize("name", ["tokens.bin", "starts.npy"])
@pytest.mark.parametrize("damage", ["cut", "changed", "missing"])
def test_damaged_files_of_a_finished_folder_are_named_and_made_anew(
    name: str, damage: str, tmp_path: Path, rewriting: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, folder = write(tmp_path / "in.jsonl", ROWS), tmp_path / "tokens"
    first = tokenize([path], folder, str(rewriting), TokenOptions())
    file = folder / name
    whole = file.read_bytes()
    described = (folder / "tokens.json").stat().st_mtime_ns
    tokenize([path], folder, str(rewriting), TokenOptions())
    assert (folder / "tokens.json").stat().st_mtime_ns == described  # a whole folder is found as it is
    file.unlink()
    if damage != "missing":
        file.write_bytes(whole[:-1] if damage == "cut" else whole[:-1] + bytes([whole[-1] ^ 1]))
    again = tokenize([path], folder, str(rewriting), TokenOptions())
    assert file.read_bytes() == whole
    assert again["files"] == first["files"]
    assert re.search(rf"{re.escape(name)}.*; the folder is made anew", caplog.text)


def test_a_damaged_description_is_a_mistake_in_one_line(tmp_path: Path, rewriting: Path) -> None:
    made(tmp_path, rewriting)
    file = tmp_path / "tokens.json"
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(TrainingError, match=r"tokens\.json is damaged: .*; delete the folder"):
        made(tmp_path, rewriting)
