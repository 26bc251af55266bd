"""Configurations of other programs, converted: what is carried over runs, what is not is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from raylib.cli import app
from raylib.cli.importing import convert, convert_file
from raylib.engine import run
from raylib.recipe import Recipe
from raylib.recipe.data_juicer import operators
from tests.texts import ARTICLE
from training.config import TrainConfig

JUICER = """
project_name: 清洗
dataset_path: IN
export_path: OUT/cleaned.jsonl
np: 2
text_keys: content
open_tracer: true
custom_thing: 1
process:
  - chinese_convert_mapper: {mode: t2s}
  - fix_unicode_mapper:
  - whitespace_normalization_mapper:
  - clean_email_mapper:
  - alphanumeric_filter: {tokenization: false, min_ratio: 0.25}
  - character_repetition_filter: {rep_len: 10, max_ratio: 0.5}
  - text_length_filter: {min_len: 20, max_len: 100000}
  - image_blur_mapper: {p: 0.2}
  - document_minhash_deduplicator:
      {tokenization: character, window_size: 5, jaccard_threshold: 0.8, num_permutations: 128}
"""
FACTORY = {
    "model_name_or_path": "models/base",
    "stage": "sft",
    "do_train": True,
    "finetuning_type": "lora",
    "lora_rank": 16,
    "lora_target": "all",
    "dataset": "identity,alpaca_zh",
    "template": "qwen",
    "cutoff_len": 1024,
    "output_dir": "saves/x",
    "per_device_train_batch_size": 2,
    "gradient_accumulation_steps": 8,
    "learning_rate": 1.0e-4,
    "num_train_epochs": 3.0,
    "lr_scheduler_type": "cosine",
    "warmup_ratio": 0.1,
    "bf16": True,
    "deepspeed": "examples/deepspeed/ds_z3_config.json",
    "save_steps": 500,
    "val_size": 0.1,
    "neftune_noise_alpha": 5,
}


def test_a_recipe_of_data_juicer_runs(tmp_path: Path, write_jsonl: Callable[..., Path]) -> None:
    source = write_jsonl([{"id": str(i), "content": f"{ARTICLE}第{i}篇" if i % 3 else "太短"} for i in range(30)])
    file = tmp_path / "juicer.yaml"
    file.write_text(JUICER.replace("IN", str(source)).replace("OUT", str(tmp_path)), "utf-8")
    done = CliRunner().invoke(app, ["import", str(file), "-o", str(tmp_path / "ours.yaml")])
    assert done.exit_code == 0, done.output
    assert "image_blur_mapper: no counterpart" in done.output
    assert "not carried over: custom_thing" in done.output
    recipe = Recipe.from_file(tmp_path / "ours.yaml", {"engine.mode": "inline"})
    summary = run(recipe).summary
    assert summary["records_in"] == 30
    assert summary["by_stage"]["length"]["rejected"] == 10
    assert list(summary["by_stage"]) == [
        "to_simplified",
        "fix_encoding",
        "normalise_whitespace",
        "remove_personal_data",
        "alphanumeric_ratio",
        "character_repetition",
        "length",
        "minhash_dedup",
    ]
    again = CliRunner().invoke(app, ["import", str(file), "-o", str(tmp_path / "ours.yaml")])
    assert "exists" in str(again.exception)


@pytest.mark.parametrize("operator", sorted(operators()))
def test_every_operator_gives_valid_stages(operator: str) -> None:
    made = convert({"process": [operator], "dataset_path": "x.jsonl"})
    assert made.data["stages"] or any(operator in n for n in made.notes)


def test_limits_and_conditions_are_carried_over() -> None:
    made = convert(
        {
            "dataset_path": "x.jsonl",
            "process": [
                {"average_line_length_filter": {"max_len": 697}},
                {"text_length_filter": {"min_len": 5, "max_len": 9223372036854775807}},
                {"special_characters_filter": None},
                {
                    "specified_numeric_field_filter": {
                        "field_key": "__dj__stats__.score",
                        "min_value": 4,
                        "max_value": 9223372036854775807,
                    }
                },
                {"specified_field_filter": {"field_key": "meta.source", "target_value": ["wiki", '引"号']}},
                {"character_repetition_filter": {"rep_len": 5, "min_ratio": 0.1, "max_ratio": 0.4, "batch_size": 7}},
                {"clean_links_mapper": {"pattern": "ftp.*", "repl": "<link>"}},
            ],
        }
    )
    assert made.data["stages"] == [
        {"line_length": {"min_mean": 10, "max_mean": 697}},
        {"length": {"min": 5}},
        {"symbol_ratio": {"max": 0.25}},
        {"keep_where": "meta.score >= 4"},
        {"keep_where": 'source in ("wiki", "引\\"号",)'},
        {"character_repetition": {"n": 5, "max": 0.4}},
        {"remove_urls": {"placeholder": "<link>"}},
    ]
    notes = "\n".join(made.notes)
    assert "character_repetition_filter: not carried over: min_ratio\n" in notes
    assert "clean_links_mapper: not carried over: pattern" in notes
    assert "batch_size" not in notes
    Recipe.from_dict(made.data)


def test_conditions_hold_for_records(tmp_path: Path, write_jsonl: Callable[..., Path]) -> None:
    source = write_jsonl(
        [
            {"id": str(i), "text": ARTICLE + str(i), "source": s, "score": i, "meta": {"a b": {"n": i}}}
            for i, s in enumerate(["wiki", "forum", '引"号', "wiki"])
        ]
    )
    made = convert(
        {
            "dataset_path": str(source),
            "export_path": str(tmp_path / "out"),
            "process": [
                {"specified_field_filter": {"field_key": "meta.source", "target_value": ["wiki", '引"号']}},
                {"specified_numeric_field_filter": {"field_key": "score", "min_value": 1}},
                {"specified_numeric_field_filter": {"field_key": "meta.a b.n", "max_value": 2}},
            ],
        }
    )
    assert run(Recipe.from_dict(made.data | {"engine": {"mode": "inline"}})).summary["records_kept"] == 1


def test_fields_that_the_documentation_promises_are_carried_over() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "migration.md").read_text("utf-8")
    rows = page.split("| LLaMA-Factory | raylib |")[1].split("\n\n")[0].splitlines()[2:]
    fields = [f.strip() for row in rows for f in row.split("|")[1].split(":")[0].split(",")]
    assert len(fields) > 40
    assert {"cutoff_len", "deepspeed", "pref_ftx"} <= set(fields)
    values = {
        "model_name_or_path": "m",
        "stage": "dpo",
        "finetuning_type": "lora",
        "lora_target": "all",
        "flash_attn": "fa2",
        "dataset": "a,b",
        "eval_dataset": "c",
        "template": "qwen",
        "interleave_probs": "0.5,0.5",
        "lr_scheduler_type": "cosine",
        "deepspeed": "ds_z3_offload_config.json",
        "pref_loss": "ipo",
        "output_dir": "o",
        "cutoff_len": 64,
        "run_name": "r",
        "report_to": "wandb",
        "fp16": False,
        "warmup_ratio": 0.1,
        "lora_dropout": 0.05,
        "dpo_label_smoothing": 0.1,
    }
    notes = convert({f: values.get(f, 1) for f in fields}).notes
    assert not [n for n in notes if "not carried over" in n or "not there" in n or "not supported" in n], notes


def test_a_configuration_of_llama_factory_is_valid() -> None:
    made = convert(FACTORY)
    config = TrainConfig.from_dict(yaml.safe_load(made.to_yaml()))
    assert (config.objective, config.model.lora_rank, config.model.lora_alpha, config.parallel.zero_stage) == (
        "sft",
        16,
        32,
        3,
    )
    assert (config.batch, config.micro_batch, config.optimizer.learning_rate, config.optimizer.warmup) == (
        16,
        2,
        1e-4,
        0.1,
    )
    assert [s.path for s in config.data.train] == ["tokens/identity", "tokens/alpaca_zh"]
    text = made.to_yaml()
    assert (
        "raylib tokenize FILES_OF_alpaca_zh -o tokens/alpaca_zh --tokenizer models/base --template qwen "
        "--max-tokens 1024" in text
    )
    assert "val_size: hold records out" in text
    assert "not carried over: neftune_noise_alpha" in text


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"stage": "dpo", "pref_beta": 0.2, "pref_loss": "orpo"}, "pref_loss orpo"),
        ({"stage": "pt", "finetuning_type": "full", "max_steps": 7}, ""),
        ({"trust_remote_code": True, "lr_scheduler_type": "polynomial"}, "trust_remote_code: never"),
    ],
)
def test_variants(changes: dict[str, Any], expected: str) -> None:
    made = convert({**FACTORY, **changes})
    assert expected in made.to_yaml()
    if changes.get("stage") == "pt":
        assert made.data["steps"] == 7
        assert yaml.safe_load(made.to_yaml())["data"]["packing"]
    if changes.get("stage") == "dpo":
        assert yaml.safe_load(made.to_yaml())["dpo"]["beta"] == 0.2


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("a: 1")
    with pytest.raises(Exception, match=r"data-juicer recipe.*LLaMA-Factory"):
        convert_file(tmp_path / "x.yaml")
    with pytest.raises(Exception, match="'rm': pt, sft and dpo"):
        convert({**FACTORY, "stage": "rm"})
