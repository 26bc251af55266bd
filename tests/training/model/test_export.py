"""Exported models: loadable, served, merged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from typer.testing import CliRunner

from raylib.chat import RenderOptions
from raylib.cli import app
from raylib.errors import TrainingError
from tests.training.setup import SHAPES, config, losses, quiet, write
from training.data.encoded import TokenOptions
from training.data.token_set import TokenSet
from training.data.tokens import tokenize
from training.inference.generate import Generator
from training.inference.sampling import Sampling
from training.loop import Loop
from training.loop.launch import run
from training.model.export import export_model


def test_export_and_generate(tokens: dict[str, str], tiny_model: Path, tmp_path: Path) -> None:
    run(config(tokens, tiny_model, tmp_path, steps=2), say=quiet)
    out = export_model(tmp_path / "run", tmp_path / "served", dtype="bf16")
    model = AutoModelForCausalLM.from_pretrained(out)
    assert next(model.parameters()).dtype == torch.bfloat16
    assert AutoTokenizer.from_pretrained(out).chat_template
    with pytest.raises(TrainingError, match="it has final"):
        export_model(tmp_path / "run", tmp_path / "x", "best")
    made = Generator(str(tmp_path / "run" / "checkpoints" / "final"))
    asked = [[{"role": "user", "content": q}] for q in ("茶", "介绍一下老火车站的历史。", "花")]
    together = made.answer(asked, Sampling(max_new_tokens=8), batch=3)
    assert together == [made.answer([a], Sampling(max_new_tokens=8))[0] for a in asked], "batches change nothing"


@pytest.mark.slow
def test_lora_trains_little_and_is_merged(tokens: dict[str, str], tiny_model: Path, tmp_path: Path) -> None:
    run(config(tokens, tiny_model, tmp_path / "base", steps=3), say=quiet)
    base = tmp_path / "base" / "run" / "checkpoints" / "final"
    made = config(
        tokens,
        tiny_model,
        tmp_path / "lora",
        steps=6,
        **{"model.path": str(base), "model.shape": {}, "model.lora_rank": 4, "optimizer.learning_rate": 1e-2},
    )
    loop = Loop(made, tmp_path / "lora" / "run", say=quiet)
    loop.run()
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "lora" / "run" / "checkpoints" / "final")
    ids = torch.arange(5, 25)[None]
    with torch.no_grad():
        adapted = loop.module.model.eval()(input_ids=ids).logits
        assert torch.allclose(merged(input_ids=ids).logits, adapted, atol=1e-4)
        assert not torch.allclose(AutoModelForCausalLM.from_pretrained(base)(input_ids=ids).logits, adapted, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["qwen2", "mistral"])
def test_other_models_learn_and_are_exported(
    kind: str, tokens: dict[str, str], tiny_model: Path, tmp_path: Path
) -> None:
    made = config(
        tokens, tiny_model, tmp_path, steps=12, **{"model.shape": SHAPES[kind], "optimizer.learning_rate": 5e-3}
    )
    loop = Loop(made, tmp_path / "run", say=quiet)
    loop.run()
    found = losses(tmp_path / "run")
    assert found[-1] < found[0] - 0.3
    exported, ids = (
        AutoModelForCausalLM.from_pretrained(tmp_path / "run" / "checkpoints" / "final").eval(),
        torch.arange(5, 25)[None],
    )
    assert exported.config.model_type == kind
    with torch.no_grad():
        assert torch.allclose(exported(input_ids=ids).logits, loop.module.model.eval()(input_ids=ids).logits, atol=1e-5)


def base_of(folder: Path, tokenizer: Path) -> Path:
    """A model that knows one end alone, as many bases do, whose turns end with another token."""
    made = AutoTokenizer.from_pretrained(tokenizer)
    shape = dict(SHAPES["qwen3"])
    model = AutoModelForCausalLM.from_config(
        AutoConfig.for_model(shape.pop("model_type"), vocab_size=len(made), **shape)
    )
    model.generation_config.eos_token_id = made.convert_tokens_to_ids("</s>")
    model.save_pretrained(folder)
    made.save_pretrained(folder)
    return folder


def test_an_exported_model_talks_and_stops_as_it_was_taught(
    tokens: dict[str, str], rewriting: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = base_of(tmp_path / "base", rewriting)
    talk = [{"role": "user", "content": "几点开门？"}, {"role": "assistant", "content": "九点。"}]
    records = write(tmp_path / "in.jsonl", [{"id": str(i), "messages": talk} for i in range(4)])
    render = RenderOptions(template_options={"enable_thinking": False})
    tokenize([records], tmp_path / "taught", str(base), TokenOptions(render=render))
    made = config(
        tokens,
        rewriting,
        tmp_path,
        steps=1,
        **{"model.path": str(base), "model.shape": {}, "data.train": [{"path": str(tmp_path / "taught")}]},
    )
    run(made, say=quiet)
    out = export_model(tmp_path / "run", tmp_path / "served", dtype="fp32")
    tokenizer: Any = AutoTokenizer.from_pretrained(out)
    ends = {tokenizer.convert_tokens_to_ids(t) for t in ("</s>", "<|im_end|>")}
    for folder in (tmp_path / "run" / "checkpoints" / "final", out):
        generation = json.loads((folder / "generation_config.json").read_text())
        assert generation["use_cache"] is True
        assert set(generation["eos_token_id"]) == ends
    asked = tokenizer.apply_chat_template(talk[:1], tokenize=False, add_generation_prompt=True)
    assert asked.endswith("<think>\n\n</think>\n\n"), "the options of the data are defaults of the template"
    model = AutoModelForCausalLM.from_pretrained(out)
    assert model.generate(torch.tensor([[5, 6]]), max_new_tokens=2, return_dict_in_generate=True).past_key_values

    seen: list[list[int]] = []
    original = Generator._generate

    def watched(self: Generator, prompts: list[list[int]], sampling: Sampling) -> list[str]:
        seen.extend(prompts)
        return original(self, prompts, sampling)

    monkeypatch.setattr(Generator, "_generate", watched)
    command = ["generate", str(out), records, "-o", str(tmp_path / "answers.jsonl"), "--max-new-tokens", "2"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    ids, targets = TokenSet(tmp_path / "taught").sequence(0)
    assert targets is not None
    assert seen == [ids[: int(targets.argmax())].tolist()] * 4, "asked with the very tokens of the data"
