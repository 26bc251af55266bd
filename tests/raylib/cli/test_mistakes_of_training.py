"""What users get wrong about training: one line that names the field or the option, and never a traceback."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from raylib.errors import TrainingError
from tests.raylib.cli.conftest import TRAINING, Said
from training.config import TrainConfig
from training.loop.launch import run

GONE = r"is not a folder; a model of a hub is downloaded first: hf download a/b --local-dir models/b$"


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", r"sft\.yaml is empty: a training configuration is a mapping with objective, model, data and output$"),
        (b"- a\n", r"sft\.yaml holds something else: a training configuration is a mapping"),
        (b"input: {path: data}\n", r"sft\.yaml:1: unknown key input; this is a recipe: raylib run$"),
        (b"output: runs\n", r"sft\.yaml:1: objective: is missing$"),
        ("objective： sft\noutput: runs\n".encode(), r"sft\.yaml:2: not YAML: .*line 1: '：' is a full-width colon"),
        ("data: {train: []，packing: no}\n".encode(), r"line 1: '，' is a full-width comma; write ', '$"),
        (b"model:\n\tpath: model\n", r"sft\.yaml:2: not YAML: a tab; indent with spaces$"),
        (b"batch: 4\nbatch: 8\n", r"sft\.yaml:2: the key 'batch' stands twice, first in line 1; leave one of them$"),
        ("# 训练\nobjective: sft\n".encode("gb18030"), r"cannot read sft\.yaml: not UTF-8 at byte 4; .*iconv"),
        (
            b"objective: sft\noutput: runs\noptimizer:\n  learning_rat: 1\n",
            r"sft\.yaml:4: unknown key optimizer\.learni",
        ),
        (b"objective: sft\noutput: runs\noptimizer: 1\n", r"sft\.yaml:3: optimizer should be a mapping such as \{lear"),
        (b"objective: stf\noutput: runs\n", r"sft\.yaml:1: objective: .*'dpo'; did you mean 'sft'\? \(got 'stf'\)$"),
    ],
)
def test_the_text_of_a_configuration(project: Path, said: Said, data: bytes, error: str) -> None:
    (project / "sft.yaml").write_bytes(data)
    assert re.search(error, said("train", "sft.yaml"))


@pytest.mark.parametrize(
    ("item", "error"),
    [
        ("model.path=a/b", r"^error: model\.path: 'a/b' " + GONE),
        ("model.path=models/base", r"^error: model\.path: 'models/base' is not a folder \(looked in /.*\)$"),
        ("model.path=/no/base", r"^error: model\.path: '/no/base' is not a folder$"),
        ("model.path=file", r"^error: model\.path: 'file' is a file; name the folder of a model$"),
        (
            "model.path=nothing",
            r"^error: model\.path: the folder 'nothing' holds no config\.json; name the folder of a m",
        ),
        ("model.tokenizer=a/b", r"^error: model\.tokenizer: 'a/b' " + GONE),
        ("model.tokenizer=nothing", r"^error: model\.tokenizer: the folder 'nothing' holds no tokenizer\.json"),
        ("model.path=", r"^error: model: give `path`, the folder of a model, or `shape` for a new one$"),
        ("model.dtype=int8", r"^error: --set: model\.dtype: .*'bf16', 'fp16' or 'fp32' \(got 'int8'\)$"),
        (
            "data.train=tokens",
            r"^error: --set: data\.train should be a list such as \[\{path: \.\.\.\}\], is 'tokens'$",
        ),
        (
            "data.train=[tokens]",
            r"^error: --set: data\.train\[0\] should be a mapping such as \{path: \.\.\.\}, is 'tok",
        ),
        ("data.train=[{pat: tokens}]", r"^error: --set: unknown key data\.train\[0\]\.pat; did you mean 'path'\?$"),
        (
            "data.train=[]",
            r"^error: data\.train is empty: give \[\{path: FOLDER\}\], a folder that `raylib tokenize` wro",
        ),
        (
            "data.train=[{path: data}]",
            r"'data' is not a token folder \(no tokens\.json\); `raylib tokenize` makes one$",
        ),
        ("data.train=[{path: tokens/x}]", r"data\.train\.0\.path: 'tokens/x' does not exist \(looked in /.*\)$"),
        ("optimizer.learning_rate=small", r"^error: --set: optimizer\.learning_rate: .*number.* \(got 'small'\)$"),
        ("optimizer.learning_rate=-1", r"^error: --set: optimizer\.learning_rate: .*greater than 0 \(got -1\)$"),
        ("batch.size=3", r"^error: --set: batch: .*valid integer \(got \{'size': 3\}\)$"),
        ("output.path=runs", r"^error: --set output\.path: 'output' is not a section$"),
        ("parallel.workers=2", r"parallel\.backend: plain is one process; use deepspeed for several workers$"),
        ("parallel.gpus=maybe", r"^error: --set: parallel\.gpus: .*'auto', 'yes' or 'no' \(got 'maybe'\)$"),
        ("output=file", r"^error: output '/.*/file': cannot write to /.*/file: /.*/file is a file$"),
        ("output=/proc/x", r"^error: output '/proc/x': cannot write to /proc/x: No such file or directory$"),
    ],
)
def test_a_value_on_the_command_line(project: Path, said: Said, item: str, error: str) -> None:
    (project / "model" / "tokenizer.json").write_text("{}")
    assert re.search(error, said("train", "sft.yaml", "--set", item))


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("train sft.yaml --mode gpu", r"--mode 'gpu': auto, here, local or ray$"),
        ("train sft.yaml --mode ray --set model.path=a/b", r"^error: model\.path: 'a/b' " + GONE),
        ("tokenize chats.jsonl -o t --tokenizer a/b", r"^error: tokenizer: 'a/b' " + GONE),
        (
            "tokenize chats.jsonl -o t --tokenizer nothing",
            r"^error: tokenizer: the folder 'nothing' holds no tokenizer",
        ),
        ("tokenize chats.jsonl -o t --tokenizer model", r"^error: tokenizer: cannot load 'model': "),
        ("tokenize chats.jsonl -o t --tokenizer model/tokenizer.json", r"is a file; .*tokenizer, such as 'model'$"),
        ("tokenize chats.jsonl -o t --tokenizer model --kind dpo", r"--kind 'dpo': auto, pretrain, sft or preference$"),
        ("count data --tokenizer a/b", r"^error: tokenizer: 'a/b' " + GONE),
        (
            "count data --tokenizer nothing",
            r"tokenizer: the folder 'nothing' holds no tokenizer; give a tokenizer\.json",
        ),
        ("count data --tokenizer chats.jsonl", r"tokenizer: chats\.jsonl is not a tokenizer\.json: "),
        ("generate a/b chats.jsonl -o a.jsonl", r"^error: model: 'a/b' " + GONE),
        ("generate nothing chats.jsonl -o a.jsonl", r"model: the folder 'nothing' holds no config\.json; "),
        ("generate model nono.jsonl -o a.jsonl", r"no input file matches 'nono\.jsonl': "),
        ("generate model empty.jsonl -o a.jsonl", r"empty\.jsonl: no prompts$"),
        ("generate model chats.jsonl -o data", r"--out 'data' is a folder; name a file$"),
        (
            "generate model chats.jsonl -o chats.jsonl",
            r"chats\.jsonl:1 .*prompt is missing; not a record written by `raylib generate` ",
        ),
        ("generate model chats.jsonl -o a.jsonl --engine tgi", r"--engine 'tgi': transformers or vllm$"),
        ("generate m chats.jsonl -o a.jsonl --endpoint localhost", r"base_url must start with http:// or https://"),
        ("pairs nono.jsonl -o p.jsonl", r"cannot read answers nono\.jsonl: No such file or directory$"),
        ("pairs data -o p.jsonl", r"cannot read answers data: Is a directory$"),
        (
            "pairs chats.jsonl -o p.jsonl",
            r"chats\.jsonl:1 .*prompt is missing; not a record written by `raylib generate` \(id, prompt, resp",
        ),
        ("pairs empty.jsonl -o p.jsonl", r"empty\.jsonl: no answers$"),
        ("pairs answers.jsonl -o p.jsonl", r"answers without `score`: give --reward-model or --judge$"),
        ("pairs answers.jsonl -o data --judge gpt", r"--out 'data' is a folder; name a file$"),
        ("pairs answers.jsonl -o p.jsonl --reward-model a/b", r"reward_model: model: 'a/b' " + GONE),
        ("export nono -o m", r"'nono' is not the folder of a training run \(it has no checkpoints\)$"),
        ("export runs/r -o m", r"runs/r has no model 'final'; it has none$"),
        ("export runs/r -o file", r"--out 'file': cannot write to /.*/file: /.*/file is a file$"),
        ("export runs/r -o m --dtype int8", r"--dtype 'int8': valid are bf16, fp16 and fp32$"),
        ("evaluate ppl a/b tokens", r"^error: model: 'a/b' " + GONE),
        ("evaluate safety a/b --prompts chats.jsonl", r"^error: model: 'a/b' " + GONE),
        ("evaluate safety model --prompts nono.jsonl", r"no input file matches 'nono\.jsonl': "),
        ("evaluate safety model model model --prompts chats.jsonl", r"3 models: give one, or two to compare$"),
        ("evaluate safety model --prompts chats.jsonl -o data", r"--out 'data' is a folder; name a file$"),
        ("evaluate winrate answers.jsonl answers.jsonl --judge gpt", r"base_url: give the endpoint, such as http://lo"),
    ],
)
def test_a_command(project: Path, said: Said, monkeypatch: pytest.MonkeyPatch, command: str, error: str) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    (project / "model" / "tokenizer.json").write_text("{}")
    (project / "runs" / "r" / "checkpoints").mkdir(parents=True)
    assert re.search(error, said(*command.split()))


@pytest.mark.parametrize(("written", "meant"), [("yes", "yes"), ("no", "no"), ("on", "yes"), ("false", "no")])
def test_words_that_yaml_takes_for_booleans(tmp_path: Path, written: str, meant: str) -> None:
    (tmp_path / "a.yaml").write_text(TRAINING.replace("backend: plain", f"gpus: {written}"))
    assert TrainConfig.from_file(tmp_path / "a.yaml").parallel.gpus == meant
    given = yaml.safe_load(written)
    assert (
        TrainConfig.from_dict({"objective": "sft", "output": "o", "parallel": {"gpus": given}}).parallel.gpus == meant
    )


@pytest.mark.slow
@pytest.mark.cluster
def test_a_mistake_that_only_workers_can_see_is_not_tried_again(project: Path, tiny_model: Path) -> None:
    """An absolute path may exist on the workers alone, so it is not looked for before Ray starts."""
    import ray

    overrides = {"model.path": str(tiny_model), "data.train": [{"path": "/no/tokens"}], "parallel.max_failures": 3}
    config = TrainConfig.from_file("sft.yaml", overrides)
    ray.shutdown()
    try:
        with pytest.raises(TrainingError, match=r"^/no/tokens is not a token folder") as raised:
            run(config, mode="ray")
    finally:
        ray.shutdown()
    assert raised.value.__cause__ is None  # Ray saw no failure, so it restarted nothing


def test_numbers_and_names_are_what_users_mean(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        TRAINING + "name: 1.10\noptimizer: {learning_rate: 1e-5, betas: [0.9, 95e-2]}\nwandb: 2024-01-02\nepochs: 2\n"
        "phases:\n- {name: no, train: [{path: 007}], learning_rate: 2E-6}\n"
    )
    config = TrainConfig.from_file(tmp_path / "a.yaml")
    assert (config.name, config.wandb, config.epochs) == ("1.10", "2024-01-02", 2.0)
    assert (config.optimizer.learning_rate, config.optimizer.betas) == (1e-5, (0.9, 0.95))
    assert (config.phases[0].name, config.phases[0].train[0].path) == ("no", "007")
    assert config.phases[0].learning_rate == 2e-6
    shape = TRAINING.replace("path: model", "shape: {model_type: llama, rms_norm_eps: 1e-6, tie_word_embeddings: yes}")
    (tmp_path / "a.yaml").write_text(shape)
    shape_read = TrainConfig.from_file(tmp_path / "a.yaml").model.shape
    assert shape_read == {"model_type": "llama", "rms_norm_eps": 1e-6, "tie_word_embeddings": True}
