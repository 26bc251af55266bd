"""Train a tokenizer and a tiny causal language model in minutes on a CPU, to try model-based scorers with.

    python examples/tiny_model.py data/*.jsonl.gz -o models/tiny --minutes 3

The result is a folder in Hugging Face format that every stage with a `model` loads by path. It is a toy: it knows
which characters follow which, not much more. Scores of a real model by path are what you want in earnest.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from raylib.records import Unread, tables_of
from raylib.schema import text_of

SPECIAL = ["<pad>", "<s>", "</s>"]
TEMPLATE = (
    "{% for m in messages %}{{ m['role'] + '\n' + m['content'] + '\n' }}"
    "{% if m['role'] == 'assistant' %}{{ '</s>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant\n' }}{% endif %}"
)


def texts_of(paths: list[str]) -> Iterator[str]:
    """Texts of documents, and conversations as the chat template writes them."""
    for path in paths:
        unread = Unread()
        for table in tables_of(path, rejected=unread):
            if "messages" in table.column_names:
                for turns in table["messages"].to_pylist():
                    yield "".join(
                        f"{m['role']}\n{m['content']}\n" + ("</s>" if m["role"] == "assistant" else "") for m in turns
                    )
            else:
                yield from (t for t in text_of(table).to_pylist() if t)
        if unread.reasons:
            print(f"warning: {path}: {unread}", file=sys.stderr)


def train_tokenizer(texts: list[str], vocabulary: int):  # type: ignore[no-untyped-def]
    """Byte-level BPE, so that no character is unknown."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>")
    wrapped.chat_template = TEMPLATE
    return wrapped


def train_model(  # type: ignore[no-untyped-def]
    tokenizer,
    texts: list[str],
    *,
    layers: int,
    width: int,
    length: int,
    batch: int,
    seconds: float,
    steps: int,
    seed: int,
):
    """A LLaMA of this size, trained on the texts until the time or the steps are over."""
    import numpy as np
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    ids: list[int] = []
    for encoded in tokenizer(texts, add_special_tokens=False)["input_ids"]:
        ids += [tokenizer.bos_token_id, *encoded]
    data = np.asarray(ids)
    heads = max(2, width // 64)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=width, intermediate_size=3 * width, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=max(1, heads // 2), max_position_embeddings=2048,
        bos_token_id=1, eos_token_id=2, pad_token_id=0, tie_word_embeddings=True,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1)
    rng = np.random.default_rng(seed)
    begun, step, last = time.perf_counter(), 0, float("nan")
    while step < steps and time.perf_counter() - begun < seconds:
        starts = rng.integers(0, max(1, len(data) - length - 1), size=batch)
        rows = torch.as_tensor(np.stack([data[s : s + length] for s in starts]))
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * min(1.0, (step + 1) / 50)
        loss = model(input_ids=rows, labels=rows).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step % 100 == 0:
            typer.echo(f"step {step}, loss {loss.item():.3f}, {time.perf_counter() - begun:.0f} s")
        step, last = step + 1, loss.item()
    size = sum(p.numel() for p in model.parameters()) / 1e6
    typer.echo(f"{step} steps, last loss {last:.3f}, {size:.1f} M parameters")
    return model.eval()


def build(
    texts: list[str],
    out: Path,
    *,
    vocabulary: int = 4000,
    layers: int = 3,
    width: int = 128,
    length: int = 128,
    batch: int = 16,
    seconds: float = 180.0,
    steps: int = 100_000,
    seed: int = 0,
) -> Path:
    """Train both on texts and save them in one folder."""
    tokenizer = train_tokenizer(texts, vocabulary)
    model = train_model(
        tokenizer,
        texts,
        layers=layers,
        width=width,
        length=length,
        batch=batch,
        seconds=seconds,
        steps=steps,
        seed=seed,
    )
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    return out


def main(
    source: Annotated[list[str], typer.Argument(metavar="IN...", help="Files of records of any readable kind.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the model.")],
    minutes: Annotated[float, typer.Option(help="Largest training time in minutes.")] = 3.0,
    vocabulary: Annotated[int, typer.Option(help="Number of tokens.")] = 4000,
    layers: int = 3,
    width: int = 128,
    most: Annotated[int, typer.Option(help="Largest number of texts to train on.")] = 30_000,
    seed: int = 0,
) -> None:
    """Train a tiny model on texts."""
    import random

    texts = list(texts_of(source))
    random.Random(seed).shuffle(texts)
    build(texts[:most], out, vocabulary=vocabulary, layers=layers, width=width, seconds=60 * minutes, seed=seed)


if __name__ == "__main__":
    typer.run(main)
