"""What users get wrong with the other commands: one line that names it, and never a traceback."""

from __future__ import annotations

import re
import shutil
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from raylib.cli.app import app
from tests.raylib.cli.conftest import Said, write_lines
from tests.texts import ARTICLE


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("rnu it.yaml", r"No such command 'rnu'. Did you mean 'run'\?"),
        ("index biuld idx data", r"No such command 'biuld'. Did you mean 'build'\?"),
        ("run it.yaml --freshh", r"No such option: --freshh .*--fresh"),
        ("run", r"Missing argument 'recipe'"),
        ("run it.yaml --limit -5", r"Invalid value for '--limit': .*greater than or equal to 1"),
        ("inspect data -n -3", r"Invalid value for '--samples' / '-n'|'--samples'"),
        ("inspect data --limit -3", r"Invalid value for '--limit'"),
        ("diff out -n -1", r"Invalid value for '--samples'"),
        ("ui out --port 99999", r"Invalid value for '--port'"),
        ("index query idx text -k -1", r"Invalid value for '-k'"),
        ("index query idx text --min-similarity 3", r"Invalid value for '--min-similarity'"),
        ("index build idx data --threshold 7", r"Invalid value for '--threshold'"),
        ("classifier train data -o clf --test-share 2", r"Invalid value for '--test-share'"),
        ("perplexity train data -o m --max-entries -5", r"Invalid value for '--max-entries'"),
        ("report diversity data --points 3", r"Invalid value for '--points'"),
        ("tokenize data -o t --tokenizer model --max-tokens -1", r"Invalid value for '--max-tokens'"),
        ("generate model data -o a.jsonl --temperature -1", r"Invalid value for '--temperature'"),
        ("pairs answers.jsonl -o p.jsonl --margin -1", r"Invalid value for '--margin'"),
        ("stop job --wait -3", r"Invalid value for '--wait'"),
    ],
)
def test_the_command_line_itself(command: str, error: str) -> None:
    done = CliRunner().invoke(app, command.split(), env={"COLUMNS": "300", "TERMINAL_WIDTH": "300"})
    assert done.exit_code == 2
    assert re.search(error, " ".join(done.output.split())), done.output


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("run nono.yaml", r"cannot read nono\.yaml: No such file or directory$"),
        ("run data", r"cannot read data: Is a directory$"),
        ("rules lenth", r"unknown stage 'lenth'; did you mean 'length'\?$"),
        ("schema recipes", r"offers the schema 'recipes'; did you mean 'recipe'\?$"),
        ("inspect nono", r"no input file matches 'nono': there is no such file or folder"),
        ("inspect empty.jsonl", r"'empty\.jsonl' contains no records in 1 file$"),
        ("inspect odd/a.xlsx", r"odd/a\.xlsx: this format is not read; save the sheet as CSV"),
        ("inspect data --encoding gbk8", r"unknown encoding 'gbk8'; try utf-8, gb18030 or big5$"),
        ("diff data", r"'data' is not the folder of a finished run: it has no samples\.json$"),
        ("ui data", r"data holds no run of raylib \(neither manifest\.jsonl nor metrics\.jsonl of a training run\)$"),
        ("import nono.yaml", r"cannot read nono\.yaml: No such file or directory$"),
        ("import it.yaml", r"it\.yaml: not a configuration that can be converted\. Known: a data-juicer recipe"),
        ("import colon.yaml", r"colon\.yaml:2: not YAML: .*line 1: '：' is a full-width colon; write ': '$"),
        ("import tab.yaml", r"tab\.yaml:2: not YAML: a tab; indent with spaces$"),
        ("import gbk.yaml", r"cannot read gbk\.yaml: not UTF-8 at byte 2; .*iconv"),
        ("import rate.yaml", r"learning_rate: 'fast' is not a number$"),
        ("import juicer.yaml -o it.yaml", r"it\.yaml exists; choose another name$"),
        ("import juicer.yaml -o file/x.yaml", r"--out 'file/x\.yaml': cannot write to /.*/file: /.*/file is a file$"),
        ("dedup data -o out --method minhsh", r"--method 'minhsh': there is no such method; did you mean 'minhash'\?$"),
        ("dedup data -o out --threshold 70", r"threshold must lie in \(0, 1\], is 70\.0$"),
        ("dedup data -o out --method exact --threshold 0.7", r"--threshold: exact has no threshold; only minhash and"),
        (
            "dedup data -o out --set ngrams=3",
            r"stage 'minhash_dedup' has no parameter 'ngrams'; did you mean 'ngram'\?$",
        ),
        ("dedup data -o out --set engin.mode=inline", r"unknown key 'engin'; did you mean 'engine'\?$"),
        (
            "dedup data -o out --method semantic --embedding a/b",
            r"embed: model: 'a/b' is not a folder; .*hf download a/b",
        ),
        (
            "index update idx data",
            r"'idx' is not an index \(it has no index\.json\); make one with `raylib index build`$",
        ),
        ("index query idx text", r"'idx' is not an index \(it has no index\.json\); "),
        ("index build idx nono", r"no input file matches 'nono': "),
        ("index build idx empty.jsonl", r"empty\.jsonl: no records to add$"),
        ("index build idx data --unit char", r"--unit 'char': there is no such unit; did you mean 'character'\?$"),
        ("index build file data", r"INDEX 'file': cannot write to /.*/file: /.*/file is a file$"),
        ("classifier train nono.jsonl -o clf", r"no input file matches 'nono\.jsonl': "),
        ("classifier train same.jsonl -o clf", r"a classifier needs two labels or more; found \['same'\]$"),
        (
            "classifier train same.jsonl -o clf --label kind",
            r"no record of same\.jsonl has the fields 'text' and 'kind'$",
        ),
        ("classifier train same.jsonl -o file", r"--out 'file': cannot write to /.*/file: /.*/file is a file$"),
        ("classifier train same.jsonl -o clf --set epoch=3", r"no training option 'epoch'; did you mean 'epochs'\?$"),
        ("classifier train same.jsonl -o clf --set epochs=[", r"--set epochs=\[: not YAML: "),
        ("classifier train same.jsonl -o clf --set epochs=many", r"--set epochs: .*valid integer.* \(got 'many'\)$"),
        ("classifier evaluate clf same.jsonl", r"no fastText model at 'clf'; `raylib classifier train` makes one$"),
        ("classifier evaluate data/a.jsonl same.jsonl", r"data/a\.jsonl is not a fastText model: "),
        ("classifier apply clf data -o out", r"model: no file or folder 'clf'; `raylib classifier train` makes one$"),
        ("classifier mixture data --by labl", r"mixture: no column 'labl'; valid: id, meta, source, text$"),
        ("classifier mixture empty.jsonl", r"empty\.jsonl: no records to count$"),
        (
            "classifier mixture data --tokenizer a/b",
            r"--tokenizer: 'a/b' is not a folder; .*hf download a/b --local-dir",
        ),
        ("perplexity train empty.jsonl -o m", r"no text to train on: the sources hold no records$"),
        ("perplexity train data -o nothing", r"--out 'nothing' is a folder; name a file$"),
        ("report diversity empty.jsonl -o d", r"empty\.jsonl: no records to draw from$"),
        ("report diversity data -o file", r"--out 'file': cannot write to /.*/file: /.*/file is a file$"),
        ("report diversity data -o d --embedding a/b", r"embed: model: 'a/b' is not a folder; .*hf download a/b"),
        ("report diversity a b c d e", r"5 sets: a report shows up to four$"),
    ],
)
def test_a_command(project: Path, said: Said, command: str, error: str) -> None:
    (project / "colon.yaml").write_text("dataset_path： a\nprocess:\n- x:\n", "utf-8")
    (project / "tab.yaml").write_text("process:\n\t- a\n")
    (project / "gbk.yaml").write_bytes("# 清\nprocess: []\n".encode("gb18030"))
    (project / "rate.yaml").write_text("model_name_or_path: a/b\nstage: sft\noutput_dir: o\nlearning_rate: fast\n")
    juicer = "dataset_path: a\nexport_path: b\nprocess:\n- text_length_filter:\n    min_len: 3\n"
    (project / "juicer.yaml").write_text(juicer)
    write_lines(project / "same.jsonl", [{"id": str(i), "text": ARTICLE[i:], "label": "same"} for i in range(4)])
    assert re.search(error, said(*command.split()))


def test_an_index_that_failed_is_built_by_the_same_command(project: Path, said: Said) -> None:
    said("index", "build", "idx", "nono")
    said("index", "build", "idx", "empty.jsonl")
    assert CliRunner().invoke(app, ["index", "build", "idx", "data"]).exit_code == 0
    assert said("index", "build", "idx", "data").endswith(
        "'idx' holds an index already; `raylib index update` adds to it"
    )


def test_a_damaged_index(project: Path, said: Said) -> None:
    assert CliRunner().invoke(app, ["index", "build", "idx", "data"]).exit_code == 0
    shutil.rmtree(project / "idx" / "segment-000001")
    assert said("index", "query", "idx", ARTICLE).endswith("keys.arrow cannot be read; build it again")
    (project / "idx" / "index.json").write_text("{")
    assert said("index", "query", "idx", "text").endswith("is damaged: its index.json is not JSON; build it again")


def test_a_page_of_a_run(project: Path, said: Said) -> None:
    assert CliRunner().invoke(app, ["run", "it.yaml", "-q"]).exit_code == 0
    assert said("diff", "out", "--rule", "lenth").endswith("the run has no such stage; did you mean 'length'?")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert said("ui", "out", "--port", str(port)) == (
            f"error: port {port} of 127.0.0.1 is taken; choose another one, such as --port {port + 1}"
        )
    assert "cannot listen on no.such.host" in said("ui", "out", "--host", "no.such.host")
    error = said("ui", "out", "--host", "192.0.2.1")
    assert error == "error: cannot listen on 192.0.2.1, port 8700: Cannot assign requested address"


def test_a_lexicon_of_two_encodings_names_its_lines(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    (project / "words.txt").write_bytes("赌博=>gambling\n".encode() + "色情\n".encode("gb18030"))
    chosen = ["--set", "stages=[{lexicon: {lexicon: words.txt}}]"]
    assert CliRunner().invoke(app, ["run", "it.yaml", "-q", *chosen]).exit_code == 0
    assert "words.txt: lines were left out: words.txt:2: not UTF-8" in caplog.text
