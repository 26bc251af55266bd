"""Commands about training: `raylib tokenize`, `train`, `evaluate`, `generate`, `pairs`, `export`, `count`, `doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast, get_args

import typer

from raylib.errors import RaylibError
from raylib.outputs import output_file
from training import render_arguments as given
from training.template_commands import app as template_app
from training.template_commands import check_before

if TYPE_CHECKING:
    from training.data.token_set import TokenInfo

__all__ = ["register"]


evaluate_app = typer.Typer(help="Evaluate models: perplexity, win rate, safety.")
Sources = Annotated[
    list[str], typer.Argument(metavar="IN...", help="Paths of files or of folders of runs, globs or URIs.")
]
TokenizerFolder = Annotated[str, typer.Option(help="Path of the folder of a tokenizer or model.")]
BaseUrl = Annotated[str, typer.Option(help="URL of the endpoint up to /v1. If empty, OPENAI_BASE_URL is used.")]
_SampleKind = Literal["auto", "pretrain", "sft", "preference"]
_Mode = Literal["auto", "here", "local", "ray"]
_Engine = Literal["transformers", "vllm"]
_JUDGE_CACHE = "~/.cache/raylib/judge.sqlite"


def _check_choice(option: str, value: str, choices: object) -> None:
    """Raise an error that names the valid values of an option."""
    *others, last = get_args(choices)
    if value not in (*others, last):
        raise RaylibError(f"{option} {value!r}: {', '.join(others)} or {last}")


def tokenize(
    source: Sources,
    out: Annotated[str, typer.Option("--out", "-o", help="Path of the token folder to write.")],
    tokenizer: TokenizerFolder,
    kind: Annotated[
        str,
        typer.Option(help="Kind of samples: pretrain, sft or preference. With auto, the first record decides."),
    ] = "auto",
    *,
    template: given.TemplateArgument = "auto",
    template_options: given.TemplateOptions = None,
    learn: given.LearnArgument = "all",
    learn_reasoning: given.LearnReasoning = True,
    reasoning: given.ReasoningArgument = "template",
    developer: given.DeveloperArgument = "developer",
    end_token: given.EndToken = "",
    max_samples: given.MaxSamples = 0,
    max_tokens: Annotated[
        int, typer.Option(min=0, help="Largest length of a sample in tokens; longer ones are cut. 0 cuts nothing.")
    ] = 0,
    max_prompt: Annotated[
        int, typer.Option(min=1, help="Number of tokens that the prompt of a preference keeps when the pair is cut.")
    ] = 1024,
    seed: Annotated[int, typer.Option(help="Seed of the shuffle.")] = 0,
    check: Annotated[
        bool,
        typer.Option(help="Whether to look at the first 200 records with the chat template, and stop on a mistake."),
    ] = True,
) -> None:
    """Turn records into token files for training. If interrupted, run the same command again to continue."""
    from training.data.encoded import TokenOptions
    from training.data.tokens import tokenize as make

    _check_choice("--kind", kind, _SampleKind)
    render = given.render_options(
        template, template_options, learn, learn_reasoning, reasoning, developer, end_token, max_samples
    )
    if check:
        check_before(source, tokenizer, render, kind)
    info = make(source, out, tokenizer, TokenOptions(cast("_SampleKind", kind), max_tokens, max_prompt, seed, render))
    _show_tokens(info, out)


def _show_tokens(info: TokenInfo, out: str) -> None:
    """What a token folder holds, and what is not in it."""
    for name, tokens in info["tokens_by_source"].items():
        typer.echo(f"{name}: {tokens:,} tokens, {info['samples_by_source'][name]:,} samples")
    lost = ", ".join(f"{n:,} {reason}" for reason, n in info["dropped"].items()) or "none"
    sizes = f"{info['tokens']:,} tokens in {info['samples']:,} samples ({info['kind']})"
    typer.echo(f"{sizes}, {info['cut']:,} cut, dropped: {lost}")
    if info["dropped"]:
        typer.echo(f"why each record was dropped: {Path(out) / 'refused.jsonl'}")
    if info["expanded"]:
        typer.echo(f"{info['expanded']:,} conversations became several samples, because the template rewrites history")
    unlearnt = ", ".join(f"{n:,} {reason}" for reason, n in info["unlearnt"].items() if n)
    if unlearnt:
        typer.echo(f"turns that are not learnt: {unlearnt}")
    typer.echo(f"{info['tokens_per_second']:,} tokens/s; {out}")


def count(source: Sources, tokenizer: TokenizerFolder) -> None:
    """Count documents, characters and tokens of each source."""
    from training.data.counting import SourceCounts, count_tokens

    def line(name: str, row: SourceCounts) -> str:
        return f"{name}: {row['documents']:,} documents, {row['characters']:,} characters, {row['tokens']:,} tokens"

    found = count_tokens(source, tokenizer)
    for name, row in found.items():
        typer.echo(line(name, row))
    rows = found.values()
    total = SourceCounts(
        documents=sum(row["documents"] for row in rows),
        characters=sum(row["characters"] for row in rows),
        tokens=sum(row["tokens"] for row in rows),
    )
    typer.echo(line("all", total))


def train(
    config: Annotated[Path, typer.Argument(help="Path of a YAML configuration; docs/training.md lists its fields.")],
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Override of a field, such as --set optimizer.learning_rate=1e-5.")
    ] = None,
    mode: Annotated[
        str,
        typer.Option(
            help="Where workers run: in this process (here), as local processes (local) or with Ray Train (ray). With "
            "auto, a single plain worker runs here, and others run with Ray."
        ),
    ] = "auto",
    address: Annotated[
        str,
        typer.Option(help="Address of a running Ray cluster. If empty, RAY_ADDRESS or a new local cluster is used."),
    ] = "",
) -> None:
    """Pretrain, fine-tune or learn preferences. The same command continues an interrupted run that has a name."""
    from raylib.cli.settings import overrides
    from training.config import TrainConfig
    from training.loop.launch import run

    _check_choice("--mode", mode, _Mode)
    result = run(TrainConfig.from_file(config, overrides(set_ or [])), mode=cast("_Mode", mode), address=address)
    typer.echo(f"{'finished' if result.finished else 'stopped'} at step {result.step}: {result.folder}")


def generate(
    model: Annotated[str, typer.Argument(help="Path of a model's folder, or its name at the endpoint.")],
    prompts: Annotated[
        str, typer.Argument(help="Path of records with prompts: conversations, preferences or safety records.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Path of the JSON-lines file to append to.")],
    *,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Largest number of tokens of an answer.")] = 512,
    temperature: Annotated[
        float, typer.Option(min=0, help="Temperature of sampling. 0 always takes the most likely token.")
    ] = 0.0,
    top_p: Annotated[
        float, typer.Option(min=0, max=1, help="Probability mass of the tokens that are drawn from.")
    ] = 1.0,
    samples: Annotated[int, typer.Option(min=1, help="Number of answers to each prompt.")] = 1,
    batch: Annotated[int, typer.Option(min=1, help="Number of prompts that are answered at once.")] = 16,
    limit: Annotated[int, typer.Option(min=0, help="Number of prompts to answer. 0 answers all.")] = 0,
    seed: Annotated[int, typer.Option(help="Seed of sampling.")] = 0,
    template: given.TemplateArgument = "auto",
    template_options: given.TemplateOptions = None,
    engine: Annotated[
        str, typer.Option(help="Engine that runs the model: transformers, or vllm if it is installed.")
    ] = "transformers",
    endpoint: Annotated[
        str,
        typer.Option(help="URL of an OpenAI-compatible server up to /v1. If empty, the model is loaded here."),
    ] = "",
) -> None:
    """Let a model answer prompts. Answers that OUT already holds are not generated again."""
    from training.inference.generate import GenerateOptions, generate_file
    from training.inference.sampling import Sampling

    _check_choice("--engine", engine, _Engine)
    sampling = Sampling(max_new_tokens, temperature, top_p, seed=seed)
    render = given.render_options(template, template_options)
    options = GenerateOptions(sampling, samples, batch, limit, cast("_Engine", engine), endpoint, render)
    made = generate_file(model, prompts, out, options)
    typer.echo(f"{made.answers:,} answers: {out}" + (f" ({made.held:,} were there)" if made.held else ""))


@evaluate_app.command("ppl")
def evaluate_ppl(
    model: Annotated[str, typer.Argument(help="Path of a model's folder.")],
    tokens: Annotated[list[str], typer.Argument(metavar="TOKENS...", help="Paths of token folders.")],
    length: Annotated[int, typer.Option(min=8, help="Number of tokens of a row; longer samples are cut.")] = 2048,
) -> None:
    """Measure the perplexity of a model on token folders: on all of them, and on each."""
    from training.inference.evaluate import evaluate_model

    for name, value in evaluate_model(model, tokens, length=length).items():
        typer.echo(f"{name}: {value:.4f}")


@evaluate_app.command("safety")
def evaluate_safety(
    models: Annotated[
        list[str],
        typer.Argument(metavar="MODEL [MODEL]", help="Paths of the folders of one model, or of two to compare."),
    ],
    prompts: Annotated[str, typer.Option(help="Path of a file of harmful prompts.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Path of the JSON report to write.")] = Path("safety.json"),
    judge: Annotated[
        str,
        typer.Option(
            help="Name of a model at an OpenAI-compatible endpoint that judges. If empty, refusals are recognised and "
            "words of a lexicon counted."
        ),
    ] = "",
    base_url: BaseUrl = "",
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Largest number of tokens of an answer.")] = 256,
    limit: Annotated[int, typer.Option(min=0, help="Number of prompts to answer. 0 answers all.")] = 0,
    template_options: given.TemplateOptions = None,
) -> None:
    """Measure how many answers to harmful prompts are harmless, by category, with Wilson intervals."""
    from quality.models.endpoint import Endpoint
    from training.inference.safety import evaluate_safety as evaluate

    output_file(out)
    endpoint = Endpoint(judge, base_url, cache=_JUDGE_CACHE) if judge else None
    render = given.render_options(template_options=template_options)
    found = evaluate(models, prompts, out, endpoint=endpoint, max_new_tokens=max_new_tokens, limit=limit, render=render)
    for line in found:
        typer.echo(line)
    typer.echo(f"report: {out}")


@evaluate_app.command("winrate")
def evaluate_winrate(
    first: Annotated[
        str, typer.Argument(help="Path of the first model's answers: JSON lines written by `raylib generate`.")
    ],
    second: Annotated[str, typer.Argument(help="Path of the second model's answers to the same prompts.")],
    judge: Annotated[str, typer.Option(help="Name of a model at an OpenAI-compatible endpoint that judges.")],
    base_url: BaseUrl = "",
    out: Annotated[Path, typer.Option("--out", "-o", help="Path of the JSON-lines file of verdicts to write.")] = Path(
        "winrate.jsonl"
    ),
    cache: Annotated[
        str, typer.Option(help="Path of a cache of the judge's answers, which makes a rerun free.")
    ] = _JUDGE_CACHE,
) -> None:
    """Compare two models by a judge that sees both orders. Contradictory verdicts are ties."""
    from quality.models.endpoint import Endpoint
    from training.inference.winrate import compare_answers

    output_file(out)
    found = compare_answers(first, second, Endpoint(judge, base_url, cache=cache), out)
    typer.echo(f"win {found['win']}, tie {found['tie']}, loss {found['loss']}, skipped {found['skipped']}")
    rate = f"{found['rate']:.1%} ({found['low']:.1%} to {found['high']:.1%}) of {found['judged']}"
    big = f"improved {found['improved']:.1%}, declined {found['declined']:.1%}"
    typer.echo(f"win rate {rate}; big differences: {big}")
    typer.echo(f"verdicts: {out}")


def pairs(
    answers: Annotated[
        list[str],
        typer.Argument(
            metavar="ANSWERS...",
            help="Paths of JSON lines written by `raylib generate` with several samples per prompt.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Path of the JSON-lines file of preferences to write.")],
    reward_model: Annotated[
        str, typer.Option(help="Path of the folder of a reward model that scores the answers.")
    ] = "",
    judge: Annotated[
        str,
        typer.Option(help="Name of a model at an OpenAI-compatible endpoint that scores the answers."),
    ] = "",
    base_url: BaseUrl = "",
    margin: Annotated[float, typer.Option(min=0, help="Smallest difference of the scores of a pair.")] = 0.5,
    max_length_ratio: Annotated[
        float, typer.Option(min=0, help="Largest ratio of the longer to the shorter answer of a pair. 0 sets no limit.")
    ] = 3.0,
    per_prompt: Annotated[int, typer.Option(min=1, help="Largest number of pairs of a prompt.")] = 1,
) -> None:
    """Build preferences from several answers per prompt: best against worst, over a margin.

    The report shows whether chosen answers are longer. Answers that already have a `score` need no scorer.
    """
    from training.inference.pairs import PairOptions, scorer_of, write_pairs

    output_file(out)
    scorer = scorer_of(reward_model, judge, base_url)
    report = write_pairs(answers, out, PairOptions(margin, max_length_ratio, per_prompt), scorer)
    for name, value in report.items():
        typer.echo(f"{name.replace('_', ' ')}: {value}")
    typer.echo(f"preferences: {out}")


def export(
    run: Annotated[str, typer.Argument(help="Path of the folder of a run.")],
    out: Annotated[str, typer.Option("--out", "-o", help="Path of the model's folder to write.")],
    which: Annotated[str, typer.Option(help="Name of the model: final, best or final-PHASE.")] = "final",
    dtype: Annotated[str, typer.Option(help="Data type of the weights: bf16, fp16 or fp32.")] = "bf16",
) -> None:
    """Copy the model of a run, with tokenizer and chat template, as a Hugging Face folder."""
    from training.model.export import export_model

    typer.echo(f"model: {export_model(run, out, which, dtype)}")


def doctor(
    output: Annotated[str, typer.Argument(help="Path of the folder in which runs will be written.")] = ".",
) -> None:
    """Check this machine for anything that would stop a training run."""
    from training.doctor import examine

    findings = examine(output)
    for finding in findings:
        fix = f"\n      {finding.fix}" if finding.fix else ""
        typer.echo(f"{finding.level:<5} {finding.subject}: {finding.found}{fix}")
    if any(finding.level == "fail" for finding in findings):
        raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    """Add these commands to the `raylib` application."""
    for command in (tokenize, count, train, generate, pairs, export, doctor):
        app.command()(command)
    app.add_typer(evaluate_app, name="evaluate")
    app.add_typer(template_app, name="template")
