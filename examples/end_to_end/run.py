"""From raw text to an aligned tiny model, on a CPU, in minutes.

    python examples/end_to_end/run.py                                   # the bundled sample
    python examples/end_to_end/run.py --documents 'data/*.jsonl.gz' --instructions sft.jsonl.gz

clean and deduplicate -> train a tokenizer -> tokenise -> pretrain a LLaMA -> fine-tune in three phases of rising
difficulty, beside the same with random phases -> sample answers, build preferences -> DPO -> one report. Everything is
what `raylib run`, `raylib tokenize` and `raylib train` do; only the sizes are toys. Sampled answers are scored by
their overlap with the reference answer, which stands in for a judge.
"""

from __future__ import annotations

import html
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a file, from any folder

import raylib
import training
from examples.tiny_model import texts_of, train_tokenizer
from quality.scores.intervals import wilson
from raylib.engine import run
from raylib.recipe import Recipe
from training.config import TrainConfig
from training.inference.evaluate import evaluate_model
from training.inference.generate import Generator
from training.inference.pairs import PairOptions, build_pairs
from training.inference.sampling import Sampling
from training.inference.winrate import WinRate, win_rate

HERE = Path(__file__).resolve().parent.parent
STAGES = 3


@dataclass
class Journey:
    """The folder of everything, and what is told at the end."""

    out: Path
    scale: float
    width: int
    facts: dict[str, Any]
    seconds: dict[str, float]

    def timed(self, name: str, do: Callable[[], Any]) -> Any:
        typer.echo(f"== {name}")
        begun = time.perf_counter()
        made = do()
        self.seconds[name] = round(time.perf_counter() - begun, 1)
        return made

    def steps(self, count: int) -> int:
        return max(4, round(count * self.scale))

    def train(self, name: str, objective: str, steps: int, rate: float, **sections: Any) -> dict[str, Any]:
        """Train in this process; returns metrics by step and evaluations."""
        data = {
            "objective": objective,
            "output": str(self.out / "runs"),
            "name": name,
            "batch": 16,
            "micro_batch": 16,
            "steps": self.steps(steps),
            "evaluate_every": max(4, self.steps(steps) // 4),
            "save_every": 10_000,
            "log_every": 20,
            "optimizer": {"learning_rate": rate, "warmup": 0.1},
            "parallel": {"backend": "plain"},
            **sections,
        }
        training.run(TrainConfig.from_dict(data))
        lines = [json.loads(x) for x in (self.out / "runs" / name / "metrics.jsonl").read_text().splitlines()]
        return {"steps": [x for x in lines if "loss" in x], "evaluations": [x for x in lines if "eval/loss" in x]}

    def model(self, name: str, which: str = "final") -> str:
        return str(self.out / "runs" / name / "checkpoints" / which)


def clean(journey: Journey, documents: list[str], instructions: list[str]) -> None:
    """Documents and instructions, cleaned; a tenth of the instructions is held out by a hash of the id."""
    recipe = {
        "input": {"path": documents, "kind": "document"},
        "output": {"path": str(journey.out / "documents"), "format": "jsonl"},
        "engine": {"mode": "inline"},
        "stages": [
            "to_simplified",
            {"clean": {"source": "web", "length": {"min": 100}}},
            "exact_dedup",
            "minhash_dedup",
        ],
    }
    journey.facts["documents"] = run(Recipe.from_dict(recipe), fresh=True).summary
    ds = raylib.read(instructions, kind="conversation").instruction_features().keep_where('flags == ""')
    ds = ds.exact_dedup().minhash_dedup().difficulty_features()
    rows = list(ds)
    held = {r["id"] for r in sorted(rows, key=lambda r: hash_of(r["id"]))[: min(400, max(8, len(rows) // 10))]}
    for name, part in (
        ("train", [r for r in rows if r["id"] not in held]),
        ("held", [r for r in rows if r["id"] in held]),
    ):
        write(journey.out / f"{name}.jsonl", [{k: r[k] for k in ("id", "source", "messages")} for r in part])
    journey.facts["instructions"] = {"kept": len(rows), "held_out": len(held), "rejected": ds.rejected.count()}
    for name, shuffle in (("phases", False), ("control", True)):
        recipe = {
            "input": {"path": str(journey.out / "train.jsonl"), "kind": "conversation"},
            "engine": {"mode": "inline"},
            "output": {"path": str(journey.out / name), "format": "jsonl", "layout": "openai", "split_by": "stage"},
            "stages": [
                "difficulty_features",
                {"split_stages": {"by": "difficulty", "stages": STAGES, "shuffle": shuffle}},
            ],
        }
        journey.facts[name] = run(Recipe.from_dict(recipe), fresh=True).summary["splits"]


def hash_of(text: str) -> int:
    import xxhash

    return int(xxhash.xxh64_intdigest(text.encode()))


def write(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), "utf-8")


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def tokenise(journey: Journey, vocabulary: int) -> None:
    """A tokenizer of the cleaned text, and token folders of everything."""
    sources = [str(journey.out / "documents" / "kept"), str(journey.out / "train.jsonl")]
    tokenizer = train_tokenizer(list(texts_of(sources)), vocabulary)
    tokenizer.save_pretrained(journey.out / "tokenizer")
    wanted = {"pretrain": sources[0], "held": str(journey.out / "held.jsonl")}
    wanted |= {
        f"{n}-{i + 1}": str(journey.out / n / "kept" / f"stage{i + 1}")
        for n in ("phases", "control")
        for i in range(STAGES)
    }
    for name, path in wanted.items():
        info = training.tokenize(
            [path], str(journey.out / "tokens" / name), str(journey.out / "tokenizer"), max_tokens=256
        )
        journey.facts.setdefault("tokens", {})[name] = info["tokens"]


def pretrain(journey: Journey) -> None:
    """A LLaMA from scratch; perplexity on held-out answers before and after."""
    shape = {
        "model_type": "llama",
        "hidden_size": journey.width,
        "intermediate_size": 3 * journey.width,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "tie_word_embeddings": True,
    }
    tokens = str(journey.out / "tokens" / "pretrain")
    model = {"shape": shape, "tokenizer": str(journey.out / "tokenizer"), "dtype": "fp32"}
    found = journey.train(
        "pretrain",
        "pretrain",
        160,
        2e-3,
        model=model,
        data={
            "train": [{"path": tokens}],
            "evaluation": [{"path": str(journey.out / "tokens" / "held")}],
            "sequence_length": 128,
        },
    )
    journey.facts["pretrain"] = found


def fine_tune(journey: Journey, name: str) -> None:
    """Three phases, each from the weights of the one before."""
    phases = [
        {
            "name": f"stage{i + 1}",
            "train": [{"path": str(journey.out / "tokens" / f"{name}-{i + 1}")}],
            "steps": journey.steps(40),
        }
        for i in range(STAGES)
    ]
    model = {"path": journey.model("pretrain"), "tokenizer": str(journey.out / "tokenizer"), "dtype": "fp32"}
    journey.facts[f"sft-{name}"] = journey.train(
        f"sft-{name}",
        "sft",
        40,
        1e-3,
        model=model,
        phases=phases,
        data={"evaluation": [{"path": str(journey.out / "tokens" / "held")}], "sequence_length": 256},
    )


def overlap(answer: str, reference: str) -> float:
    """F1 of character pairs, from 1 to 10: a stand-in for a judge."""
    a, b = ({t[i : i + 2] for i in range(len(t) - 1)} for t in (answer, reference))
    return 1 + 9 * 2 * len(a & b) / max(len(a) + len(b), 1)


def prefer(journey: Journey) -> None:
    """Sampled answers beside the reference; best against worst; a fifth of the prompts is held out."""
    rows = read(journey.out / "train.jsonl")[: round(160 * max(journey.scale, 0.25))]
    made = Generator(journey.model("sft-phases"))
    asked = [r["messages"][:-1] for r in rows]
    answers = []
    for seed in range(2):
        for row, answer in zip(
            rows, made.answer(asked, Sampling(48, temperature=1.0, seed=seed), batch=64), strict=True
        ):
            reference = row["messages"][-1]["content"]
            answers.append(
                {
                    "id": row["id"],
                    "prompt": row["messages"][:-1],
                    "response": answer or "。",
                    "score": overlap(answer, reference),
                }
            )
    answers += [
        {"id": r["id"], "prompt": r["messages"][:-1], "response": r["messages"][-1]["content"], "score": 10.0}
        for r in rows
    ]
    pairs, report = build_pairs(answers, PairOptions(margin=1.0, max_length_ratio=4.0))
    journey.facts["pairs"] = report
    held = max(8, len(pairs) // 5)
    journey.facts["held_pairs"] = held
    write(journey.out / "pairs.jsonl", pairs[held:])
    write(journey.out / "pairs-held.jsonl", pairs[:held])
    for name in ("pairs", "pairs-held"):
        training.tokenize(
            [str(journey.out / f"{name}.jsonl")],
            str(journey.out / "tokens" / name),
            str(journey.out / "tokenizer"),
            max_tokens=256,
        )
    model = {"path": journey.model("sft-phases"), "tokenizer": str(journey.out / "tokenizer"), "dtype": "fp32"}
    tokens = journey.out / "tokens"
    journey.facts["dpo"] = journey.train(
        "dpo",
        "dpo",
        40,
        3e-4,
        model=model,
        data={
            "train": [{"path": str(tokens / "pairs")}],
            "evaluation": [{"path": str(tokens / "pairs-held")}],
            "sequence_length": 256,
        },
    )
    before = evaluate_model(journey.model("sft-phases"), [str(tokens / "pairs-held")], length=256)
    journey.facts["accuracy"] = [before["accuracy"], *(e["eval/accuracy"] for e in journey.facts["dpo"]["evaluations"])]


def compare(journey: Journey) -> None:
    """Answers to held-out prompts: DPO against SFT, and phases against the control."""
    rows = read(journey.out / "held.jsonl")[:60]
    asked = [r["messages"][:-1] for r in rows]
    names = {"sft-phases": "SFT in phases", "sft-control": "SFT, random phases", "dpo": "DPO"}
    said = {n: Generator(journey.model(n)).answer(asked, Sampling(48, temperature=0.7), batch=64) for n in names}
    score = {
        n: [overlap(a, r["messages"][-1]["content"]) for a, r in zip(answers, rows, strict=True)]
        for n, answers in said.items()
    }

    def rate(first: str, second: str) -> WinRate:
        return win_rate([{"scores": [[a, b]] * 2} for a, b in zip(score[first], score[second], strict=True)])

    journey.facts["win_rates"] = {
        "DPO against SFT": rate("dpo", "sft-phases"),
        "phases against random phases": rate("sft-phases", "sft-control"),
    }
    journey.facts["samples"] = [
        {
            "prompt": r["messages"][-2]["content"],
            "reference": r["messages"][-1]["content"],
            **{names[n]: said[n][i] for n in names},
        }
        for i, r in enumerate(rows[:6])
    ]


def curve(points: list[tuple[float, float]], title: str, colour: str = "#0072B2") -> str:
    """A small line chart as SVG."""
    if len(points) < 2:
        return ""
    xs, ys = zip(*points, strict=True)
    low, high = min(ys), max(ys)
    span = max(high - low, 1e-9)
    places = " ".join(
        f"{10 + 380 * (x - xs[0]) / max(xs[-1] - xs[0], 1e-9):.1f},{110 - 95 * (y - low) / span:.1f}" for x, y in points
    )
    return (
        f'<figure><figcaption>{html.escape(title)}: {ys[0]:.3g} → {ys[-1]:.3g}</figcaption><svg viewBox="0 0 400 120"'
        f' width="400"><polyline points="{places}" fill="none" stroke="{colour}" stroke-width="2"/></svg></figure>'
    )


def report(journey: Journey) -> Path:
    """One page: what went in, curves, accuracy, win rates, samples."""
    f = journey.facts
    pretraining = [(e["step"], e["eval/perplexity"]) for e in f["pretrain"]["evaluations"]]
    charts = curve([(s["step"], s["loss"]) for s in f["pretrain"]["steps"]], "pretraining loss")
    charts += curve(pretraining, "perplexity of held-out answers while pretraining")
    for name, title in (("sft-phases", "phases of rising difficulty"), ("sft-control", "random phases")):
        found = f[name]["evaluations"]
        charts += curve(
            [(i, e["eval/perplexity"]) for i, e in enumerate(found)],
            f"perplexity of held-out answers, {title}",
            "#009E73",
        )
    charts += curve(list(enumerate(f["accuracy"])), "accuracy on held-out preferences before and during DPO", "#D55E00")
    charts += curve([(s["step"], s["rewards/margins"]) for s in f["dpo"]["steps"]], "reward margin", "#D55E00")
    rates = "".join(
        f"<tr><td>{html.escape(n)}</td><td>{r['rate']:.1%}</td><td>{r['low']:.1%} to {r['high']:.1%}</td><td>{r['win']}"
        f" / {r['tie']} / {r['loss']}</td></tr>"
        for n, r in f["win_rates"].items()
    )
    samples = "".join(
        "<article>" + "".join(f"<p><b>{html.escape(k)}</b> {html.escape(v)}</p>" for k, v in s.items()) + "</article>"
        for s in f["samples"]
    )
    d = f["documents"]
    words = (
        f"{d['records_in']:,} documents, {d['records_kept']:,} kept; {f['instructions']['kept']:,} instructions kept,"
        f" {f['instructions']['rejected']:,} rejected, {f['instructions']['held_out']} held out;"
        f" {sum(f['tokens'].values()):,} tokens; {f['pairs']['pairs']} preferences. {sum(journey.seconds.values()):.0f}"
        f" seconds on this machine: {', '.join(f'{k} {v:.0f}' for k, v in journey.seconds.items())}."
    )
    page = f"""<!doctype html><meta charset="utf-8"><title>From raw text to an aligned model</title>
<style>body{{font:15px/1.55 system-ui,"Noto Sans CJK SC",sans-serif;max-width:1000px;margin:24px auto;padding:0 20px;
color:#1c2430;background:#f5f7f9}}
figure,article{{background:#fff;border:1px solid #e3e8ee;border-radius:10px;padding:12px 16px;margin:0}}
figcaption{{font-size:13px;color:#5d6b7e}}
.grid{{display:grid;grid-template-columns:repeat(auto-fit,minmax(430px,1fr));gap:12px}}
article{{margin-bottom:10px}}article p{{margin:2px 0}}td{{padding:3px 18px 3px 0}}</style>
<h1>From raw text to an aligned model</h1><p>{words}</p><h2>Curves</h2><div class="grid">{charts}</div>
<h2>Win rates</h2><p>By overlap with the reference answer, which stands in for a judge.</p>
<table><tr><td></td><td>rate</td><td>95 %</td><td>win / tie / loss</td></tr>{rates}</table>
<h2>Answers to held-out prompts</h2>{samples}"""
    target = journey.out / "report.html"
    target.write_text(page, "utf-8")
    (journey.out / "facts.json").write_text(
        json.dumps({**f, "seconds": journey.seconds}, ensure_ascii=False, default=str), "utf-8"
    )
    return target


def main(
    documents: Annotated[list[str], typer.Option(help="Raw documents.")] = [str(HERE / "data")],  # noqa: B006
    instructions: Annotated[list[str], typer.Option(help="Instructions.")] = [str(HERE / "instructions")],  # noqa: B006
    out: Annotated[Path, typer.Option("--out", "-o")] = Path("out/end_to_end"),
    scale: Annotated[float, typer.Option(min=0.05, help="Steps, as a multiple of the usual.")] = 1.0,
    vocabulary: int = 4000,
    width: Annotated[int, typer.Option(min=32, help="Of the model; a multiple of 8.")] = 256,
) -> None:
    """Run the whole way."""
    import shutil

    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    journey = Journey(out.absolute(), scale, width, {}, {})
    journey.timed("clean", lambda: clean(journey, documents, instructions))
    journey.timed("tokenise", lambda: tokenise(journey, vocabulary))
    journey.timed("pretrain", lambda: pretrain(journey))
    for name in ("phases", "control"):
        journey.timed(f"fine-tune, {name}", lambda name=name: fine_tune(journey, name))  # type: ignore[misc]
    journey.timed("preferences and DPO", lambda: prefer(journey))
    journey.timed("compare", lambda: compare(journey))
    page = report(journey)
    evaluations = journey.facts["pretrain"]["evaluations"]
    count = journey.facts["held_pairs"]
    low, high = wilson(round(journey.facts["accuracy"][-1] * count), count)
    typer.echo(
        f"perplexity {evaluations[0]['eval/perplexity']:.1f} ->"
        f" {journey.facts['sft-phases']['evaluations'][-1]['eval/perplexity']:.1f}"
    )
    typer.echo(
        f"accuracy on held-out preferences {journey.facts['accuracy'][0]:.2f} -> {journey.facts['accuracy'][-1]:.2f}"
        f" ({low:.2f} to {high:.2f}, {count} pairs)"
    )
    typer.echo(f"report: {page}")


if __name__ == "__main__":
    typer.run(main)
