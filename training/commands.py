"""Commands about training: `raylib tokenize`, `train`, `evaluate`, `generate`, `export`, `count`, `doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from raylib.errors import RaylibError
from training.inference.prompts import answers_of, prompts_of

__all__ = ["register"]


evaluate_app = typer.Typer(help="Evaluate models: perplexity, win rate, safety.")
Sources = Annotated[list[str], typer.Argument(metavar="IN...", help="Files, folders of runs, globs or URIs.")]
Tokenizer = Annotated[str, typer.Option(help="Folder of a tokenizer or model.")]


def _overrides(items: list[str]) -> dict[str, Any]:
    from raylib.cli.settings import overrides

    return overrides(items)


def tokenize(
    source: Sources,
    out: Annotated[str, typer.Option("--out", "-o", help="Token folder.")],
    tokenizer: Tokenizer,
    kind: Annotated[str, typer.Option(help="auto, pretrain, sft or preference.")] = "auto",
    template: Annotated[
        str, typer.Option(help="auto (the tokenizer's), plain, chatml, qwen, llama2, llama3, mistral.")
    ] = "auto",
    max_tokens: Annotated[int, typer.Option(min=0, help="Longer samples are cut; 0: no limit.")] = 0,
    max_prompt: Annotated[int, typer.Option(min=1, help="Tokens that the prompt of a pair keeps.")] = 1024,
    seed: Annotated[int, typer.Option(help="Of the shuffle.")] = 0,
) -> None:
    """Turn records into token files that training reads; an interrupted one continues."""
    from training.data.encoding import TokenOptions
    from training.data.tokens import tokenize as make

    if kind not in ("auto", "pretrain", "sft", "preference"):
        raise RaylibError(f"--kind {kind!r}: auto, pretrain, sft or preference")
    info = make(source, out, tokenizer, TokenOptions(kind, template, max_tokens, max_prompt, seed))  # type: ignore[arg-type]
    for name, tokens in info["tokens_by_source"].items():
        typer.echo(f"{name}: {tokens:,} tokens, {info['samples_by_source'][name]:,} samples")
    lost = ", ".join(f"{n:,} {reason}" for reason, n in info["dropped"].items()) or "none"
    typer.echo(f"{info['tokens']:,} tokens in {info['samples']:,} samples ({info['kind']}), {info['cut']:,} cut, dropped: {lost}")  # fmt: skip
    typer.echo(f"{info['tokens_per_second']:,} tokens/s; {out}")


def count(source: Sources, tokenizer: Tokenizer) -> None:
    """Documents, characters and tokens of each source."""
    from training.data.counting import count_tokens

    found = count_tokens(source, tokenizer)
    for name, row in found.items():
        typer.echo(
            f"{name}: {row['documents']:,} documents, {row['characters']:,} characters, {row['tokens']:,} tokens"
        )
    total = {k: sum(r[k] for r in found.values()) for k in ("documents", "characters", "tokens")}
    typer.echo(f"all: {total['documents']:,} documents, {total['characters']:,} characters, {total['tokens']:,} tokens")


def train(
    config: Annotated[Path, typer.Argument(help="YAML configuration; docs/training.md has every field.")],
    set_: Annotated[list[str], typer.Option("--set", help="Override a field: --set optimizer.learning_rate=1e-5")] = [],  # noqa: B006
    mode: Annotated[str, typer.Option(help="auto, here, local (torch.distributed.run) or ray.")] = "auto",
    address: Annotated[str, typer.Option(help="Address of a running Ray cluster.")] = "",
) -> None:
    """Train: pretraining, fine-tuning, phases of difficulty, preferences. The same command continues a run by its name."""
    from training.config import TrainConfig
    from training.loop.launch import run

    if mode not in ("auto", "here", "local", "ray"):
        raise RaylibError(f"--mode {mode!r}: auto, here, local or ray")
    result = run(TrainConfig.from_file(config, _overrides(set_)), mode=mode, address=address)  # type: ignore[arg-type]
    typer.echo(f"{'finished' if result.finished else 'stopped'} at step {result.step}: {result.folder}")


def generate(
    model: Annotated[str, typer.Argument(help="Folder of a model.")],
    prompts: Annotated[str, typer.Argument(help="Records with prompts: conversations, preferences or safety records.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="JSON lines to write.")],
    max_new_tokens: Annotated[int, typer.Option(min=1)] = 512,
    temperature: Annotated[float, typer.Option(min=0, help="0: greedy.")] = 0.0,
    top_p: Annotated[float, typer.Option(min=0, max=1)] = 1.0,
    samples: Annotated[int, typer.Option(min=1, help="Answers a prompt.")] = 1,
    batch: Annotated[int, typer.Option(min=1)] = 16,
    limit: Annotated[int, typer.Option(min=0, help="Only the first N prompts; 0: all.")] = 0,
    seed: Annotated[int, typer.Option()] = 0,
    engine: Annotated[str, typer.Option(help="transformers, or vllm where it is installed.")] = "transformers",
    endpoint: Annotated[
        str, typer.Option(help="URL of an OpenAI-compatible server up to /v1; MODEL is its name there.")
    ] = "",
) -> None:
    """Let a model answer prompts. An interrupted run goes on: answers that OUT holds are not asked for again."""
    from training.inference.generate import EndpointGenerator, Generator, Sampling, VllmGenerator

    engines: dict[str, Any] = {"transformers": Generator, "vllm": VllmGenerator}
    if engine not in engines:
        raise RaylibError(f"--engine {engine!r}: transformers or vllm")
    asked = prompts_of(prompts, limit)
    held = {(r["id"], r["sample"]) for r in map(orjson.loads, out.read_bytes().splitlines()) if r["model"] == model} if out.is_file() else set()  # fmt: skip
    made: Any = None
    with out.open("ab") as stream:
        for number in range(samples):
            left = [a for a in asked if (a[0], number) not in held]
            sampling = Sampling(max_new_tokens, temperature, top_p, seed=seed + number)
            for begin in range(0, len(left), 32 * batch):  # what is written at once, and lost at most
                if made is None:
                    made = EndpointGenerator(model, endpoint) if endpoint else engines[engine](model)
                part = left[begin : begin + 32 * batch]
                answers = made.answer([messages for _, messages, _ in part], sampling, batch=batch)
                for (name, messages, category), answer in zip(part, answers, strict=True):
                    record = {"id": name, "prompt": messages, "response": answer, "model": model, "sample": number}
                    stream.write(orjson.dumps({**record, **({"category": category} if category else {})}) + b"\n")
                stream.flush()
    typer.echo(f"{len(asked) * samples:,} answers: {out}" + (f" ({len(held):,} were there)" if held else ""))


@evaluate_app.command("ppl")
def evaluate_ppl(
    model: Annotated[str, typer.Argument(help="Folder of a model.")],
    tokens: Annotated[list[str], typer.Argument(metavar="TOKENS...", help="Token folders.")],
    length: Annotated[int, typer.Option(min=8, help="Tokens of a row.")] = 2048,
) -> None:
    """Perplexity of a model on token folders, over all and by each."""
    from training.inference.evaluate import evaluate_model

    for name, value in evaluate_model(model, tokens, length=length).items():
        typer.echo(f"{name}: {value:.4f}")


@evaluate_app.command("safety")
def evaluate_safety(
    models: Annotated[list[str], typer.Argument(metavar="MODEL [MODEL]", help="Folders of one or two models.")],
    prompts: Annotated[str, typer.Option(help="File of harmful prompts.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="JSON report.")] = Path("safety.json"),
    judge: Annotated[
        str, typer.Option(help="Model of an OpenAI-compatible endpoint; empty: refusals and a lexicon.")
    ] = "",
    base_url: Annotated[str, typer.Option(help="The endpoint; empty: OPENAI_BASE_URL.")] = "",
    max_new_tokens: Annotated[int, typer.Option(min=1)] = 256,
    limit: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Harmless rate of a model's answers by category with Wilson intervals; two models are compared."""
    from quality.models.endpoint import Endpoint
    from quality.scores.answers import compare, evaluate_answers
    from training.inference.generate import Generator, Sampling

    if len(models) > 2:
        raise RaylibError(f"{len(models)} models: one, or two to compare")
    asked = prompts_of(prompts, limit)
    texts = [m[-1]["content"] for _, m, _ in asked]
    given = [c for _, _, c in asked]
    endpoint = Endpoint(judge, base_url, cache="~/.cache/raylib/judge.sqlite") if judge else None
    found = []
    for model in models:
        answers = Generator(model).answer([m for _, m, _ in asked], Sampling(max_new_tokens))
        found.append(evaluate_answers(texts, answers, given if any(given) else None, endpoint=endpoint))
        whole = found[-1]["overall"]
        typer.echo(f"{model}: {whole['rate']:.1%} harmless ({whole['low']:.1%} to {whole['high']:.1%}) of {whole['judged']:,}")  # fmt: skip
        for name, row in found[-1]["by_category"].items():
            typer.echo(f"  {name}: {row['rate']:.1%} ({row['low']:.1%} to {row['high']:.1%}) of {row['judged']:,}")
    report: dict[str, Any] = {"models": models, "evaluations": found}
    if len(found) == 2:
        report["comparison"] = compare(*found)
        apart = [r["category"] for r in report["comparison"] if r["apart"]]
        typer.echo(f"intervals apart: {', '.join(apart) or 'none'}")
    out.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2))
    typer.echo(f"report: {out}")


@evaluate_app.command("winrate")
def evaluate_winrate(
    first: Annotated[str, typer.Argument(help="Answers of the model in question: JSON lines of `raylib generate`.")],
    second: Annotated[str, typer.Argument(help="Answers of the one it is compared with, to the same prompts.")],
    judge: Annotated[str, typer.Option(help="Model of an OpenAI-compatible endpoint.")],
    base_url: Annotated[str, typer.Option(help="The endpoint; empty: OPENAI_BASE_URL.")] = "",
    out: Annotated[Path, typer.Option("--out", "-o", help="JSON lines of verdicts.")] = Path("winrate.jsonl"),
    cache: Annotated[str, typer.Option(help="Answers of the judge, for a rerun.")] = "~/.cache/raylib/judge.sqlite",
) -> None:
    """Win rate with the judge asked in both orders; contradictions are ties, skipped items told apart."""
    from quality.models.endpoint import Endpoint
    from training.inference.winrate import judge_pairs, win_rate

    ours, theirs = (answers_of(p) for p in (first, second))
    shared = [name for name in ours if name in theirs]
    if not shared:
        raise RaylibError(f"{first} and {second} have no id in common")
    columns = ([ours[n]["prompt"][-1]["content"] for n in shared], [ours[n]["response"] for n in shared], [theirs[n]["response"] for n in shared])  # fmt: skip
    judged = judge_pairs(Endpoint(judge, base_url, cache=cache), *columns)
    out.write_bytes(b"".join(orjson.dumps({"id": n, **r}) + b"\n" for n, r in zip(shared, judged, strict=True)))
    found = win_rate(judged)
    typer.echo(f"win {found['win']}, tie {found['tie']}, loss {found['loss']}, skipped {found['skipped']}")
    typer.echo(f"win rate {found['rate']:.1%} ({found['low']:.1%} to {found['high']:.1%}) of {found['judged']}; big changes: improved {found['improved']:.1%}, declined {found['declined']:.1%}")  # fmt: skip
    typer.echo(f"verdicts: {out}")


def pairs(
    answers: Annotated[
        list[str],
        typer.Argument(metavar="ANSWERS...", help="JSON lines of `raylib generate`, several samples a prompt."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Preferences to write, JSON lines.")],
    reward_model: Annotated[str, typer.Option(help="Folder of a reward model that scores the answers.")] = "",
    judge: Annotated[str, typer.Option(help="Or the model of an OpenAI-compatible endpoint.")] = "",
    base_url: Annotated[str, typer.Option(help="The endpoint; empty: OPENAI_BASE_URL.")] = "",
    margin: Annotated[float, typer.Option(help="Least difference of scores.")] = 0.5,
    max_length_ratio: Annotated[float, typer.Option(help="Longest to shortest answer of a pair; 0: no limit.")] = 3.0,
    per_prompt: Annotated[int, typer.Option(min=1, help="Pairs of a prompt.")] = 1,
) -> None:
    """Preferences from several answers a prompt: best against worst over a margin, with a report of length bias.

    Answers that have a `score` already need no scorer.
    """
    import pyarrow as pa

    from quality.scores.judge import Judge
    from quality.scores.reward import RewardModel
    from raylib.schema import SCHEMAS
    from training.inference.pairs import PairOptions, build_pairs

    rows = [orjson.loads(line) for path in answers for line in Path(path).read_bytes().splitlines() if line.strip()]
    if not rows:
        raise RaylibError(f"{', '.join(answers)}: no answers")
    scorer: Any = None
    if reward_model:
        scorer = RewardModel(reward_model, column="score")
    elif judge:
        scorer = Judge(judge, base_url=base_url, column="score")
    elif any("score" not in r for r in rows):
        raise RaylibError("answers without `score`: give --reward-model or --judge")
    if scorer is not None:
        scorer.check()
        talks = [{"id": str(r["id"]), "messages": [*r["prompt"], {"role": "assistant", "content": r["response"]}], "source": "", "meta": None} for r in rows]  # fmt: skip
        scores = scorer(pa.Table.from_pylist(talks, schema=SCHEMAS["conversation"])).kept["score"].to_pylist()
        rows = [{**r, "score": s} for r, s in zip(rows, scores, strict=True)]
    made, report = build_pairs(rows, PairOptions(margin, max_length_ratio, per_prompt))
    out.write_bytes(b"".join(orjson.dumps(p) + b"\n" for p in made))
    for name, value in report.items():
        typer.echo(f"{name.replace('_', ' ')}: {value}")
    typer.echo(f"preferences: {out}")


def export(
    run: Annotated[str, typer.Argument(help="Folder of a run.")],
    out: Annotated[str, typer.Option("--out", "-o", help="Folder of the model.")],
    which: Annotated[str, typer.Option(help="final, best, or final-PHASE.")] = "final",
    dtype: Annotated[str, typer.Option(help="bf16, fp16 or fp32.")] = "bf16",
) -> None:
    """Copy a run's model, with tokenizer and chat template, as a Hugging Face folder."""
    from training.model.export import export_model

    typer.echo(f"model: {export_model(run, out, which, dtype)}")


def doctor(output: Annotated[str, typer.Argument(help="Where runs will be written.")] = ".") -> None:
    """Look for what would stop a run on this machine."""
    from training.doctor import examine

    worst = "ok"
    for finding in examine(output):
        fix = f"\n      {finding.fix}" if finding.fix else ""
        typer.echo(f"{finding.level:<5} {finding.subject}: {finding.found}{fix}")
        worst = finding.level if finding.level == "fail" or worst == "ok" else worst
    if worst == "fail":
        raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    """Add these commands to the `raylib` application."""
    for command in (tokenize, count, train, generate, pairs, export, doctor):
        app.command()(command)
    app.add_typer(evaluate_app, name="evaluate")
