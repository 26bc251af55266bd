"""Quality stages, measured: classifiers, IFD, difficulty against a strong judge's, t-SNE, selection from a million.

RAYLIB_TEST_DATA=... python benchmarks/quality.py [classifier ifd difficulty tsne selection recipe]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from measure import PYTHON, ROOT, data_file, run_measured, write_section

sys.path.insert(0, str(ROOT))

SFT = ("sft_alpaca_zh", "sft_exam_zh", "sft_medical_zh", "sft_roleplay_zh")


def _apply(model: str, texts: list[str]) -> int:
    from quality.scores.classify import Classify

    stage = Classify(model)
    stage.setup()
    table = pa.table({"id": [str(i) for i in range(len(texts))], "text": pa.array(texts, pa.large_string())})
    return len(stage(table).kept)


def classifier() -> list[str]:
    """F1 beside a linear model; labelled sentences a second on all cores, segmentation included."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score

    from quality.models.classifier import TextClassifier, TrainOptions, evaluation, read_labelled, split, tune

    lines = [
        (
            "| set | records | fastText, defaults | fastText, `--tune` | char 1-3-gram TF-IDF + logistic "
            "regression (best C) | chosen |"
        ),
        "|---|---|---|---|---|---|",
    ]
    speeds = []
    for name in ("labels_offensive_zh", "labels_news_zh"):
        texts, labels, _ = read_labelled([str(data_file(f"{name}.jsonl.gz"))])
        train, test = split(len(texts), 0.2, 0)
        seen, held = [[(texts[i], labels[i]) for i in part] for part in (train, test)]
        xs, ys = [list(c) for c in zip(*seen, strict=True)], [list(c) for c in zip(*held, strict=True)]
        plain = evaluation(TextClassifier.train(*xs), *ys)["macro_f1"]
        options, _ = tune(*xs, TrainOptions())
        model = TextClassifier.train(*xs, options)
        tuned = evaluation(model, *ys)["macro_f1"]
        vectorizer = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), min_df=2, sublinear_tf=True)
        matrix, other = vectorizer.fit_transform(xs[0]), vectorizer.transform(ys[0])
        linear = max(
            f1_score(ys[1], LogisticRegression(C=c, max_iter=1000).fit(matrix, xs[1]).predict(other), average="macro")
            for c in (1, 4, 10)
        )
        chosen = f"{options.loss}, rate {options.learning_rate}, {options.epochs} epochs, {options.word_ngrams}-grams"
        lines.append(f"| {name} | {len(texts):,} | {plain:.4f} | {tuned:.4f} | {linear:.4f} | {chosen} |")
        with tempfile.TemporaryDirectory() as folder:
            model.save(folder)
            many = (texts * (1 + 120_000 // len(texts)))[:120_000]
            workers = os.cpu_count() or 1
            parts = [(folder, many[i::workers]) for i in range(workers)]
            with multiprocessing.get_context("spawn").Pool(workers) as pool:
                pool.starmap(_apply, [(folder, texts[:100])] * workers)
                begun = time.perf_counter()
                pool.starmap(_apply, parts)
                seconds = time.perf_counter() - begun
        speeds.append(
            f"{name}: {len(many) / seconds:,.0f} sentences/s ({sum(map(len, many)) / len(many):.0f} characters each)"
        )
    return [*lines, "", f"Stage `classify` on {os.cpu_count()} cores, model loading included: {'; '.join(speeds)}."]


def _tiny(folder: Path, minutes: float) -> Path:
    from examples.tiny_model import build, texts_of

    texts = list(texts_of([str(data_file(f"{n}.jsonl.gz")) for n in (*SFT, "sft_alpaca_en")]))
    random.Random(0).shuffle(texts)
    return build(texts[:20_000], folder, seconds=60 * minutes)


def _table(name: str) -> pa.Table:
    from raylib.records import Unread, tables_of

    return pa.concat_tables(list(tables_of(str(data_file(f"{name}.jsonl.gz")), "conversation", rejected=Unread())))


def ifd(model: Path, folder: Path) -> list[str]:
    """Batched IFD against one record at a time, on the same threads, for models of several sizes."""
    from examples.tiny_model import build, texts_of

    texts = list(texts_of([str(data_file("sft_alpaca_zh.jsonl.gz"))]))[:4000]
    models = [
        build(texts, folder / f"m{w}", vocabulary=v, layers=n, width=w, steps=40, seconds=60)
        for v, n, w in ((2000, 2, 32), (2000, 2, 64))
    ]
    rows = [_ifd(m) for m in (*models, model)]
    return [
        "| model | tokens/s | batched, s | one at a time, s | times | largest difference of IFD |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
        "600 records of alpaca-zh, float32, the same threads for both. One record at a time pays for the "
        "start of each operation; "
        "a model of a million parameters already keeps two cores busy with arithmetic (123 of 170 "
        "GFLOP/s), and no order of work saves that. No accelerator was at hand.",
    ]


def _ifd(model: Path) -> str:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from quality.models.language_model import chat_prompt
    from quality.scores.ifd import Ifd
    from quality.text.turns import exchanges

    table = _table("sft_alpaca_zh").slice(0, 600)
    stage = Ifd(str(model))
    stage.setup()
    stage(table.slice(0, 50))
    stage.notes()
    begun = time.perf_counter()
    ours = np.array(stage(table).kept["ifd"].to_pylist(), float)
    batched = time.perf_counter() - begun
    notes = stage.notes()
    plain_model, tokenizer = AutoModelForCausalLM.from_pretrained(model).eval(), AutoTokenizer.from_pretrained(model)

    def loss(ids: list[int], start: int) -> float:
        labels = [-100] * start + ids[start:]
        return float(plain_model(input_ids=torch.tensor([ids]), labels=torch.tensor([labels])).loss)

    begun = time.perf_counter()
    theirs = []
    with torch.no_grad():
        for pair in exchanges(table):
            asked = tokenizer(chat_prompt(tokenizer, pair.messages, "auto"), add_special_tokens=False)["input_ids"]
            answer = tokenizer(pair.response, add_special_tokens=False)["input_ids"]
            if not answer:
                theirs.append(np.nan)
                continue
            theirs.append(loss([1, *asked, *answer], 1 + len(asked)) / loss([1, *answer], 1))
    single = time.perf_counter() - begun
    error = np.nanmax(np.abs(ours - np.array(theirs)))
    size = sum(p.numel() for p in plain_model.parameters()) / 1e6
    return (
        f"| LLaMA, {size:.2f} M parameters | {notes['tokens'] / batched:,.0f} | {batched:.2f} | {single:.2f} "
        f"| **{single / batched:.1f}** | {error:.1e} |"
    )


def difficulty(model: Path) -> list[str]:
    """AUC of difficulty signals for telling what a strong judge put into the hardest stage from a plain sample."""
    from sklearn.metrics import roc_auc_score

    from quality.scores.difficulty import DifficultyFeatures
    from quality.scores.ifd import Ifd
    from quality.scores.instruction import InstructionFeatures
    from quality.scores.perplexity import Perplexity
    from quality.text.turns import instruction_of

    hard, demo = _table("sft_scored_en"), _table("sft_alpaca_en")
    full = _table("more/sft_alpaca_full_en")
    asked = set(instruction_of(hard).to_pylist())
    rest = full.filter(pa.array([q not in asked for q in instruction_of(full).to_pylist()]))
    hard, rest = hard.slice(0, 2000), rest.slice(0, 2000)
    lines = [
        f"{len(hard):,} records that GPT-4 put into the hardest stage (score 3.5 to 5), against "
        f"{len(demo):,} of alpaca_en, whose answers another model wrote, so that signals which see the "
        "answer compare writers too; "
        f"and against {len(rest):,} of the same Alpaca that are not in that stage. 0.5 is chance, below "
        "it a signal points the other way.",
        "",
        "| signal | AUC against alpaca_en | AUC against the rest of Alpaca |",
        "|---|---|---|",
    ]
    scored = pa.concat_tables([hard, demo, rest])
    for stage in (InstructionFeatures(), DifficultyFeatures(), Ifd(str(model)), Perplexity(str(model))):
        scored = stage(scored).kept
    first, second = len(hard), len(hard) + len(demo)
    for name in (
        "difficulty",
        "instruction_length",
        "response_length",
        "constraints",
        "reasoning",
        "steps",
        "rare_words",
        "ifd",
        "ifd_loss",
        "perplexity",
    ):
        values = np.array(scored[name].to_pylist(), float)
        found = []
        for other in (values[first:second], values[second:]):
            both, y = np.concatenate([values[:first], other]), np.array([1] * first + [0] * len(other))
            known = np.isfinite(both)
            found.append(f"{roc_auc_score(y[known], both[known]):.3f}")
        lines.append(f"| {name} | {' | '.join(found)} |")
    return lines


def tsne() -> list[str]:
    """t-SNE of 20,000 real records."""
    from quality.diversity_report.drawing import DiversityOptions, embed_samples, sample_of
    from quality.embeddings.tsne import project
    from raylib.records import Unread, tables_of

    tables = (t for n in SFT for t in tables_of(str(data_file(f"{n}.jsonl.gz")), scores=True, rejected=Unread()))
    sample = sample_of("records", tables, 20_000, 0)
    begun = time.perf_counter()
    embed_samples([sample], DiversityOptions())
    embedded = time.perf_counter() - begun
    assert sample.vectors is not None
    begun = time.perf_counter()
    project(sample.vectors)
    return [
        (
            f"{len(sample.vectors):,} records: embedding {embedded:.1f} s, t-SNE (PCA to 50, openTSNE, "
            f"perplexity 35) {time.perf_counter() - begun:.1f} s."
        )
    ]


_SELECT = """
import sys, time, numpy as np
sys.path.insert(0, {root!r})
from quality.embeddings.diversity import greedy_by_quality, k_center, quota_by_cluster
from quality.embeddings.metrics import nearest_neighbour_distances
from dedup.kmeans import fit_centroids, nearest_centroid
n, d, k = {n}, 384, {n} // 5
rng = np.random.default_rng(0)
centers = rng.normal(size=(2000, d)).astype(np.float32)
vectors = np.empty((n, d), np.float16)
for i in range(0, n, 50_000):
    count = min(50_000, n - i)
    made = centers[rng.integers(2000, size=count)] + 0.7 * rng.normal(size=(count, d)).astype(np.float32)
    vectors[i : i + len(made)] = made / np.linalg.norm(made, axis=1, keepdims=True)
order = rng.permutation(n)
t = time.perf_counter()
if {method!r} == "deita":
    rows = greedy_by_quality(vectors, order, k, 0.9).rows
elif {method!r} == "k_center":
    rows = k_center(vectors, k)
else:
    centroids = fit_centroids(vectors[:50_000].astype(np.float32), 500, 0)
    parts = (vectors[i : i + 65536].astype(np.float32) for i in range(0, n, 65536))
    labels = np.concatenate([nearest_centroid(part, centroids)[0] for part in parts])
    rows = quota_by_cluster(vectors, labels, order, k, pool=3.0)
seconds = time.perf_counter() - t
random = rng.choice(n, k, replace=False)
ours, theirs = (nearest_neighbour_distances(vectors[part], queries=500).mean() for part in (rows, random))
print(f"{{seconds:.0f}} {{ours:.4f}} {{theirs:.4f}} {{len(set(rows.tolist()))}}")
"""


def selection(n: int = 1_000_000) -> list[str]:
    """20 % of a million float16 vectors of 384 dimensions: time and peak memory of the whole process."""
    lines = [
        f"20 % of {n:,} x 384 float16 vectors (2,000 groups), {os.cpu_count()} cores.",
        "",
        "| method | seconds | peak memory, GB | mean nearest-neighbour distance | of a random fifth |",
        "|---|---|---|---|---|",
    ]
    for method in ("deita", "k_center", "quota"):
        done = run_measured([PYTHON, "-c", _SELECT.format(root=str(ROOT), n=n, method=method)])
        if done.returncode:
            raise SystemExit(done.output)
        seconds, ours, random_, count = done.output.split()[-4:]
        assert int(count) == n // 5
        lines.append(f"| {method} | {seconds} | {done.peak_rss_mb / 1000:.2f} | {ours} | {random_} |")
        print(lines[-1], flush=True)
    return lines


def recipe(model: Path, folder: Path) -> list[str]:
    """recipes/sft_zh.yaml from end to end."""
    import json

    labels = str(data_file("labels_offensive_zh.jsonl.gz"))
    out = folder / "offensive"
    train = [
        PYTHON,
        "-m",
        "raylib",
        "classifier",
        "train",
        labels,
        "-o",
        str(out),
        "--set",
        "learning_rate=0.2",
        "--set",
        "epochs=8",
    ]
    trained = run_measured(train)
    paths = ",".join(str(data_file(f"{n}.jsonl.gz")) for n in SFT)
    command = [
        PYTHON,
        "-m",
        "raylib",
        "run",
        str(ROOT / "recipes" / "sft_zh.yaml"),
        "--fresh",
        "-q",
        "--set",
        f"input.path=[{paths}]",
        "--set",
        f"output.path={folder / 'sft'}",
        "--set",
        f"stages.ifd.model={model}",
        "--set",
        f"stages.classify.model={out}",
    ]
    done = run_measured(command)
    if done.returncode:
        raise SystemExit(done.output)
    summary = json.loads((folder / "sft" / "summary.json").read_text("utf-8"))
    sections = json.loads((folder / "sft" / "sections.json").read_text("utf-8"))
    table = sections["select"]["blocks"][0]
    lines = [
        (
            f"{summary['records_in']:,} records in, {summary['records_kept']:,} kept, {done.seconds:.0f} s "
            f"with Ray's start (classifier trained before in {trained.seconds:.0f} s), peak "
            f"{done.peak_pss_mb / 1000:.1f} GB (PSS)."
        ),
        "",
    ]
    lines += ["| " + " | ".join(table["head"]) + " |", "|" + "---|" * len(table["head"])]
    return lines + ["| " + " | ".join(row) + " |" for row in table["rows"]]


def main() -> None:
    names = ["classifier", "ifd", "difficulty", "tsne", "selection", "recipe"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"what to measure: {', '.join(names)} (default: all)")
    wanted = parser.parse_args().parts or names
    if unknown := set(wanted) - set(names):
        parser.error(f"unknown part {min(unknown)!r}; valid: {', '.join(names)}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        given = os.environ.get("RAYLIB_TINY_MODEL")
        model = Path(given) if given else folder / "tiny"
        if not given and {"ifd", "difficulty", "recipe"} & set(wanted):
            _tiny(model, 3.0)
        parts: dict[str, Any] = {
            "classifier": classifier,
            "ifd": lambda: ifd(model, folder),
            "difficulty": lambda: difficulty(model),
            "tsne": tsne,
            "selection": selection,
            "recipe": lambda: recipe(model, folder),
        }
        titles = {
            "classifier": "fastText classifiers",
            "ifd": "IFD",
            "difficulty": "Difficulty signals against a strong judge",
            "tsne": "t-SNE",
            "selection": "Selection from a million",
            "recipe": "The SFT recipe",
        }
        for part in wanted:
            lines = parts[part]()
            print("\n".join(lines), flush=True)
            write_section(titles[part], lines)


if __name__ == "__main__":
    main()
