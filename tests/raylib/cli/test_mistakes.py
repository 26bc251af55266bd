"""What users get wrong in a recipe: one line that names the place and what would be right, and never a traceback."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from raylib.cli.app import main
from raylib.recipe import Recipe
from tests.raylib.cli.conftest import RECIPE, Said


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", r"^error: it\.yaml is empty: a recipe is a mapping with input, output and stages$"),
        (b"- a\n", r"it\.yaml holds something else: a recipe is a mapping"),
        (b"input: [\n", r"it\.yaml:2: not YAML: "),
        ("input： {path: data}\n".encode(), r"line 1: '：' is a full-width colon; write ': '$"),
        ("input: {path: data，kind: auto}\n".encode(), r"line 1: '，' is a full-width comma; write ', '$"),
        (b"input:\n\tpath: data\n", r"it\.yaml:2: not YAML: a tab; indent with spaces$"),
        (b"name: a: b\n", r"it\.yaml:1: not YAML: a second ': ' in one value; put a text that holds ': ' in quotes"),
        (b"input: {path: data}\n---\na: 1\n", r"it\.yaml:2: not YAML: a second document after '---'"),
        (b"input: {path: *data}\n", r"it\.yaml:1: not YAML: found undefined alias 'data'$"),
        (b"input: &a\n  path: *a\n", r"it\.yaml:1: not YAML: an anchor that holds itself$"),
        (
            b"input: {path: data}\noutput: {path: a}\noutput: {path: b}\n",
            r"it\.yaml:3: the key 'output' stands twice, fi",
        ),
        (b"input: {path: data, path: b}\n", r"it\.yaml:1: the key 'path' stands twice; leave one of them$"),
        (bytes(range(256)), r"^error: cannot read it\.yaml: not a text in UTF-8 \(byte 128\)$"),
        (b"input: \0\n", r"it\.yaml:1: not YAML: the character U\+0000; is this a text\?$"),
        (
            "# 清洗\ninput: {path: data}\n".encode("gb18030"),
            r"not UTF-8 at byte 2; .*iconv -f gb18030 -t utf-8 it\.yaml$",
        ),
        (
            b"objective: sft\noutput: runs\n",
            r"unknown key 'objective'.*; this is a training configuration: raylib train$",
        ),
        (b"dataset_path: a\nprocess: []\n", r"; this is a recipe of another program: raylib import$"),
    ],
)
def test_the_text_of_a_recipe(project: Path, said: Said, data: bytes, error: str) -> None:
    (project / "it.yaml").write_bytes(data)
    assert re.search(error, said("run", "it.yaml"))


@pytest.mark.parametrize(
    ("stages", "error"),
    [
        ("[{chinese_ratio: {min: 30}}]", r"it\.yaml:4: .*'chinese_ratio': min: .*less than or equal to 1"),
        ("[{length: {min: 30, max: 3}}]", r"it\.yaml:4: stage 'length': min = 30 is greater than max = 3$"),
        ("[{length: {min: many}}]", r"it\.yaml:4: stage 'length': min: .*valid integer.*\(got 'many'\)$"),
        ("[{length: {min: }}]", r"it\.yaml:4: stage 'length': min: .*valid integer \(got None\)$"),
        ("[{lenth: {min: 3}}]", r"it\.yaml:4: unknown stage 'lenth'; did you mean 'length'\?$"),
        ("[{length: {mn: 3}}]", r"it\.yaml:4: stage 'length' has no parameter 'mn'; did you mean 'min'\?$"),
        ("{length: {min: 3}}", r"it\.yaml:4: 'stages' should be a list, is dict$"),
        ("[3]", r"it\.yaml:4: a stage is `- name` or `- name: \{parameter: value\}`, got 3$"),
        ("\n- length:\n  min: 3", r"it\.yaml:5: a stage is .*, got \{'length': None, 'min': 3\}$"),
        ("[length， exact_dedup]", r"line 4: '，' is a full-width comma; write ', '$"),
        ("[{clean: wecat}]", r"it\.yaml:4: unknown source 'wecat'; did you mean 'wechat'\?$"),
        ("[clean]", r"it\.yaml:4: write `- clean: wechat` with one of books, "),
        ("[{clean: file}]", r"it\.yaml:4: file: a chain is a mapping with a list: \{stages: \[\.\.\.\]\}$"),
        ("[{clean: gbk.yaml}]", r"it\.yaml:4: cannot read gbk\.yaml: not UTF-8 at byte 2; .*iconv"),
        ("[{keep_where: 'a > 1 && b < 2'}]", r"it\.yaml:4: .* cannot read .*: write and in place of &&$"),
        ("[{keep_where: 'source == “a”'}]", r"it\.yaml:4: .* cannot read .*: write \" in place of “$"),
        ("[{keep_where: 'source = 3'}]", r"it\.yaml:4: .* cannot read 'source = 3': write == in place of =$"),
        ("[{keep_where: 'len(text) > 3'}]", r"it\.yaml:4: .*function 'len'; did you mean 'length'\?$"),
        ("[{keep_where: 'quality >= 4'}]", r"^error: keep_where: no column 'quality'; valid: id, meta, source, text$"),
        (
            "[{select: {k: 3, by: quality, method: top}}]",
            r"select: by: 'quality': no column 'quality'; valid: id, meta",
        ),
        (
            "[{lexicon: {lexicon: words.txt}}]",
            r"lexicon 'words\.txt' is neither a file nor one of the built-in lexicons",
        ),
        (
            "[{lexicon: {lexicon: gbk.yaml}}]",
            r"holds no usable word: gbk\.yaml:1: not UTF-8; .*iconv -f gb18030 -t utf-8",
        ),
        (
            "[{against_index: {index: idx}}]",
            r"stage 'against_index': 'idx' is not an index .*; make one with `raylib in",
        ),
        (
            "[{decontaminate: {benchmarks: [b.jsonl]}}]",
            r"no input file matches 'b\.jsonl': there is no such file or fol",
        ),
        (
            "[{classify: {model: clf}}]",
            r"stage 'classify': model: no file or folder 'clf'; `raylib classifier train` makes",
        ),
        (
            "[{judge: {model: gpt, base_url: 'localhost:80'}}]",
            r"stage 'judge': base_url must start with http:// or https",
        ),
        (
            "[{ifd: {model: a/b}}]",
            r"'ifd': ifd: model: 'a/b' is not a folder; .*: hf download a/b --local-dir models/b$",
        ),
        (
            "[{perplexity: {model: a/b}}]",
            r"perplexity: model: 'a/b' is not a folder; .*hf download a/b --local-dir mod",
        ),
        (
            "[{embed: {model: a/b}}]",
            r"stage 'embed': embed: model: 'a/b' is not a folder; .*hf download a/b --local-dir m",
        ),
        ("[{reward_model: {model: model/config.json}}]", r"'model/config\.json' is a file; .* such as 'model'$"),
    ],
)
def test_a_stage(project: Path, said: Said, stages: str, error: str) -> None:
    (project / "gbk.yaml").write_bytes("# 清洗\n".encode("gb18030"))
    (project / "it.yaml").write_text(RECIPE + f"stages: {stages}\n", "utf-8")
    assert re.search(error, said("run", "it.yaml", "-q"))


@pytest.mark.parametrize(
    ("item", "error"),
    [
        ("engine.actors", r"--set 'engine\.actors': write --set key=value, for example --set engine\.actors=4$"),
        ("engine.actors＝4", r"; '＝' is a full-width sign$"),
        ("engine.actor=3", r"^error: --set: unknown key engine\.actor; did you mean 'actors'\?$"),
        ("engin.actors=3", r"^error: --set: unknown key 'engin'; did you mean 'engine'\?$"),
        ("engine.actors=-1", r"^error: --set: engine\.actors: .*greater than or equal to 1 \(got -1\)$"),
        ("engine.batch_mb=big", r"^error: --set: engine\.batch_mb: .*valid number.* \(got 'big'\)$"),
        ("engine.dashboard=maybe", r"^error: --set: engine\.dashboard: .*valid boolean.* \(got 'maybe'\)$"),
        ("input.kind=conversations", r"'safety'; did you mean 'conversation'\? \(got 'conversations'\)$"),
        ("input.path=[a", r"^error: --set input\.path=\[a: not YAML: expected ',' or '\]', but got '<stream end>'$"),
        ("input.path.x=1", r"--set input\.path\.x: 'input' is not a section of the recipe$"),
        ("input=data", r"'input' should be a mapping such as \{path: \.\.\.\}, is 'data'$"),
        ("input.text={a: 1}", r"^error: --set: input\.text: should be a text; put it in quotes \(got \{'a': 1\}\)$"),
        ("stages.lenth.min=3", r"no stage 'lenth'; did you mean 'length'\?; write stages\.NAME\.PARAMETER=VALUE$"),
        ("stages.length.mn=3", r"^error: --set: stage 'length' has no parameter 'mn'; did you mean 'min'\?$"),
        ("output.format=csv", r"^error: --set: output\.format: .*'parquet', 'jsonl' or 'arrow' \(got 'csv'\)$"),
        ("input.encoding=gbk8", r"^error: input\.encoding: unknown encoding 'gbk8'; try utf-8, gb18030 or big5$"),
        (
            "output.tokenizer=a/b",
            r"^error: output\.tokenizer: 'a/b' is not a folder; .*hf download a/b --local-dir mod",
        ),
        ("output.split_by=stage", r"^error: output\.split_by: no column 'stage'; valid: id, meta, source, text$"),
    ],
)
def test_a_value_on_the_command_line(project: Path, said: Said, item: str, error: str) -> None:
    assert re.search(error, said("run", "it.yaml", "-q", "--set", item))


def test_words_and_numbers_are_what_users_mean() -> None:
    recipe = Recipe.from_text(
        "name: 1.10\ninput: {path: [2024-01-02, 007], text: [on, y], source: no}\n"
        "output: {path: 12:30, split_by: yes}\n"
        "engine: {batch_mb: 1e-1}\nstages: [{remove_phrases: {phrases: [no, 1.50, ~tilde]}}, {keep_where: 'true'}]\n"
    )
    assert recipe.name == "1.10"
    assert recipe.input.path == ["2024-01-02", "007"]
    assert (recipe.input.text, recipe.input.source) == (["on", "y"], "no")
    assert (recipe.output.path, recipe.output.split_by) == ("12:30", "yes")
    assert recipe.engine.batch_mb == 0.1
    assert recipe.stages[0].parameters["phrases"] == ["no", "1.50", "~tilde"]


def test_words_on_the_command_line_are_what_users_mean(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["input.source=no", "output.path=2024-01-02", "name=1.10", "stages.length.min=1e1", "engine.batch_mb=1e-1"]
    options = [word for item in given for word in ("--set", item)]
    monkeypatch.setattr("sys.argv", ["raylib", "run", "it.yaml", "-q", *options])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    written = Recipe.from_file(project / "2024-01-02" / "recipe.yaml")
    assert (written.name, written.input.source) == ("1.10", "no")


def test_a_full_width_sign_inside_a_text_is_no_mistake() -> None:
    text = RECIPE + "stages: [{remove_phrases: {phrases: ['版权，所有：']}}]"
    assert Recipe.from_text(text).stages[0].parameters["phrases"] == ["版权，所有："]


def test_recipes_that_windows_writes_are_read(tmp_path: Path) -> None:
    for encoding in ("utf-8-sig", "utf-16"):
        (tmp_path / "it.yaml").write_bytes(RECIPE.replace("\n", "\r\n").encode(encoding))
        assert Recipe.from_file(tmp_path / "it.yaml").input.path == "data"
