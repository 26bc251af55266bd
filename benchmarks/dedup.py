"""Near deduplication side by side with data-juicer, datatrove and datasketch; scaling; semantic deduplication.

    RAYLIB_TEST_DATA=... python benchmarks/dedup.py [--sizes 100000 500000 ...] [--folder DIR] [--no-slow-peers]

Peers are measured when `make bench-peers` has installed them.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from measure import PYTHON, ROOT, Measured, data_file, run_measured, summary_of, write_section
from scaled_set import make

JUICER = """\
project_name: dedup
dataset_path: {source}
export_path: {out}/dj_out.jsonl
np: 2
open_tracer: false
use_cache: false
text_keys: text
process:
  - document_minhash_deduplicator:
      tokenization: character
      window_size: 5
      num_permutations: 128
      jaccard_threshold: 0.7
      lowercase: false
      ignore_pattern: null
"""
TROVE = """\
import os, shutil, sys
from datatrove.executor import LocalPipelineExecutor as Run
from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter
from datatrove.utils.hashing import HashConfig
if __name__ == "__main__":
    source, work = sys.argv[1:]
    os.makedirs(work + "/in")
    lines = open(source).readlines()
    for k in range(2):
        open(f"{work}/in/{k}.jsonl", "w").writelines(lines[k::2])
    c = MinhashConfig(hash_config=HashConfig(precision=64), num_buckets=14, hashes_per_bucket=8, n_grams=5)
    sign = MinhashDedupSignature(output_folder=work + "/sig", config=c, language="cmn_Hani")
    Run([JsonlReader(work + "/in"), sign], tasks=2, workers=2, logging_dir=work + "/l1").run()
    bucket = MinhashDedupBuckets(input_folder=work + "/sig", output_folder=work + "/bk", config=c)
    Run([bucket], tasks=14, workers=2, logging_dir=work + "/l2").run()
    Run([MinhashDedupCluster(input_folder=work + "/bk", output_folder=work + "/rm", config=c)], tasks=1,
        logging_dir=work + "/l3").run()
    keep = [JsonlReader(work + "/in"), MinhashDedupFilter(input_folder=work + "/rm"), JsonlWriter(work + "/out")]
    Run(keep, tasks=2, workers=2, logging_dir=work + "/l4").run()
"""


def ours(source: Path, out: Path, *settings: str) -> tuple[Measured, dict[str, Any]]:
    command = [PYTHON, "-m", "raylib", "dedup", str(source), "-o", str(out), "--fresh", "-q"]
    for setting in ("input.kind=document", *settings):
        command += ["--set", setting]
    done = run_measured(command, cwd=ROOT)
    assert done.returncode == 0, done.output[-3000:]
    return done, dict(summary_of(out))


def kept_ids(folder: Path, pattern: str) -> set[str]:
    found: set[str] = set()
    for path in folder.glob(pattern):
        if path.suffix == ".parquet":
            found |= set(pq.read_table(path, columns=["id"])["id"].to_pylist())
        else:
            with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as stream:
                found |= {json.loads(line)["id"] for line in stream}
    return found


def recall(rows: list[dict[str, Any]], kept: set[str]) -> tuple[float, int]:
    """Share of removable records of clusters with true Jaccard >= 0.8 that went, and singletons that went."""
    clusters: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        clusters[row["cluster_id"]].append(row)
    removable = removed = lost = 0
    for members in clusters.values():
        near = [r for r in members if r["edit_kind"] == "original" or r["jaccard5"] >= 0.8]
        if len(near) > 1:
            left = sum(r["id"] in kept for r in near)
            removable += len(near) - 1
            removed += len(near) - max(1, left)
        lost += len(members) == 1 and members[0]["id"] not in kept
    return removed / removable, lost


def precision(rows: list[dict[str, Any]], out: Path) -> float:
    """Share of removed records whose true Jaccard with the record that stayed is 0.6 or more."""
    from dedup.signatures import true_jaccard

    texts = {r["id"]: r["text"] for r in rows}
    rejected = pq.read_table(out / "rejected").to_pylist()
    stayed = [r["detail"].removeprefix("duplicate of ").split(",")[0] for r in rejected]
    both = pa.array([texts[r["id"]] for r in rejected] + [texts[i] for i in stayed], pa.large_string())
    left = np.arange(len(rejected))
    return float((true_jaccard(both, left, left + len(rejected)) >= 0.6).mean())


def truth(folder: Path, slow_peers: bool) -> list[str]:
    with gzip.open(data_file("dedup_truth_zh.jsonl.gz")) as stream:
        rows = [json.loads(line) for line in stream]
    plain = folder / "truth.jsonl"
    with plain.open("w") as out:
        for row in rows:
            out.write(json.dumps({"id": row["id"], "text": row["text"]}, ensure_ascii=False) + "\n")
    lines = [
        f"dedup_truth_zh, {len(rows):,} documents; whole processes, one run, one after the other.",
        "",
        (
            "| program | whole process | ratio | recall, true Jaccard >= 0.8 | removed with true Jaccard >= "
            "0.6 | single documents removed | peak PSS |"
        ),
        "|---|---|---|---|---|---|---|",
    ]
    done, _ = ours(plain, folder / "ours")
    found, lost = recall(rows, kept_ids(folder / "ours" / "kept", "*.parquet"))
    right = precision(rows, folder / "ours")
    base = done.seconds
    lines.append(f"| raylib | {base:.1f} s | 1 | {found:.2%} | {right:.2%} | {lost} | {done.peak_pss_mb:.0f} MB |")
    for name, command, pattern in _peers(plain, folder, slow_peers):
        done = run_measured(command, cwd=folder)
        if done.returncode:
            lines.append(f"| {name} | failed: {done.output.strip().splitlines()[-1][:80]} | | | | | |")
            continue
        found, lost = recall(rows, kept_ids(folder, pattern))
        lines.append(
            f"| {name} | {done.seconds:.1f} s | {done.seconds / base:.1f} | {found:.2%} | | {lost} | "
            f"{done.peak_pss_mb:.0f} MB |"
        )
    return [
        *lines,
        "",
        "Single documents removed are near duplicates between clusters of the set (verses of one poem, say),",
        "not errors as such: raylib's are in the column before.",
        "",
    ]


def _peers(plain: Path, folder: Path, slow: bool) -> list[tuple[str, list[str], str]]:
    peers = []
    juicer = ROOT / ".venv-peers/bin/dj-process"
    if juicer.is_file():
        (folder / "juicer.yaml").write_text(JUICER.format(source=plain, out=folder))
        peers.append(("data-juicer 1.6.1", [str(juicer), "--config", str(folder / "juicer.yaml")], "dj_out.jsonl"))
    trove = ROOT / ".venv-peers-datatrove/bin/python"
    if slow and trove.is_file():
        (folder / "trove.py").write_text(TROVE)
        work = folder / "trove"
        peers.append(
            ("datatrove 0.10.1", [str(trove), str(folder / "trove.py"), str(plain), str(work)], "trove/out/*.gz")
        )
    return peers


def datasketch_rate() -> str:
    try:
        from datasketch import MinHash
    except ImportError:
        return "datasketch: not installed"
    with gzip.open(data_file("dedup_truth_zh.jsonl.gz")) as stream:
        texts = [json.loads(next(stream))["text"] for _ in range(2000)]
    from dedup.shingles import tokens
    from dedup.signatures import signatures

    array = pa.array(texts, pa.large_string())
    signatures(tokens(array))
    begun = time.perf_counter()
    signatures(tokens(array))
    mine = len(texts) / (time.perf_counter() - begun)
    begun = time.perf_counter()
    for text in texts:
        MinHash(128).update_batch([text[i : i + 5].encode() for i in range(len(text) - 4)])
    theirs = len(texts) / (time.perf_counter() - begun)
    return (
        f"Signatures of 128 on one core, folding and shingling included: {mine:,.0f} documents/s, datasketch "
        f"{theirs:,.0f}."
    )


def scaling(folder: Path, sizes: list[int], peer_documents: int) -> list[str]:
    lines = [
        "Scaled set (recombined real sentences, 35 % copies), Parquet in, 2 actors:",
        "",
        (
            "| documents | characters each | whole process | sketch to verdicts | documents/s to verdicts | "
            "microseconds each | removed | peak PSS, process tree |"
        ),
        "|---|---|---|---|---|---|---|---|",
    ]
    cost = {}
    whole = {}
    for size in sizes:
        source = make(folder / f"scaled-{size}.parquet", size, data_file("pretrain_zh.jsonl.gz"))
        done, summary = ours(source, folder / "scaled", "engine.work_while_starting=0")
        phases = summary["phases"]
        seconds = sum(v for k, v in phases.items() if k != "s1")
        cost[size], whole[size] = 1e6 * seconds / size, done.seconds
        length = summary["characters_in"] / size
        lines.append(
            f"| {size:,} | {length:.0f} | {done.seconds:.0f} s | {seconds:.1f} s | {size / seconds:,.0f} "
            f"| {cost[size]:.1f} "
            f"| {summary['records_rejected']:,} | {done.peak_pss_mb:.0f} MB |"
        )
        print(lines[-1], flush=True)
        shutil.rmtree(folder / "scaled")
    first, last = min(cost), max(cost)
    lines += ["", f"Cost per document from {first:,} to {last:,}: {100 * (cost[last] / cost[first] - 1):+.0f} %."]
    juicer = ROOT / ".venv-peers/bin/dj-process"
    if juicer.is_file() and peer_documents:
        plain = folder / "peer.jsonl"
        table = pq.read_table(folder / f"scaled-{first}.parquet").slice(0, peer_documents)
        with plain.open("w") as out:
            for row in table.to_pylist():
                out.write(json.dumps({"id": row["id"], "text": row["text"]}, ensure_ascii=False) + "\n")
        (folder / "juicer.yaml").write_text(JUICER.format(source=plain, out=folder))
        done = run_measured([str(juicer), "--config", str(folder / "juicer.yaml")], cwd=folder)
        if done.returncode == 0:
            each = 1e6 * done.seconds / len(table)
            large = max(s for s in whole if s <= 1_000_000)
            ratio = each / (1e6 * whole[large] / large)
            lines.append(
                f"data-juicer on {len(table):,} of these documents: {done.seconds:.0f} s, {each:,.0f} "
                "microseconds each, "
                f"{done.peak_pss_mb:.0f} MB; a document costs it {ratio:.0f} times what it costs raylib "
                f"at {large:,}, whole processes."
            )
    return [*lines, ""]


def semantic(documents: int = 100_000, width: int = 384) -> list[str]:
    """The rounds of semantic deduplication over made-up embeddings in clusters, engine and files left out."""
    from dedup.kmeans import fit_centroids, nearest_centroid
    from dedup.semantic import SemanticDedup
    from raylib.stage import resolve_in_memory
    from raylib.vectors import embedding_array

    rng = np.random.default_rng(0)
    centers = rng.normal(size=(documents // 50, width))
    matrix = centers[rng.integers(len(centers), size=documents)] + 0.6 * rng.normal(size=(documents, width))
    matrix[documents // 2 :: 10] = matrix[: documents // 2 : 10][: len(matrix[documents // 2 :: 10])]
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    ids = pa.array([f"{i:07d}" for i in range(documents)])
    table = pa.table({"id": ids, "source": ids, "embedding": embedding_array(matrix)})
    stage = SemanticDedup(threshold=0.95)
    begun = time.perf_counter()
    sketch = stage.sketch(table)
    order = np.argsort(sketch["key"].to_numpy(), kind="stable")
    sketch = sketch.take(pa.array(order)).append_column("shard", pa.array(np.zeros(documents, np.int32)))

    class Whole:
        def tables(self) -> Any:
            yield sketch

    verdicts = resolve_in_memory(stage, Whole())  # type: ignore[arg-type]
    seconds = time.perf_counter() - begun
    half = matrix.astype(np.float16).astype(np.float32)
    centroids = fit_centroids(
        half[order][: stage.sample] / np.linalg.norm(half[order][: stage.sample], axis=1, keepdims=True),
        documents // 500,
        0,
    )
    cluster, _ = nearest_centroid(half, centroids)
    return [
        f"Semantic deduplication of {documents:,} x {width} embeddings (made-up clusters, a tenth of one half copied): "
        f"{seconds:.1f} s beside the embedding, one process and thread; {len(verdicts):,} removed, "
        f"{len(set(cluster.tolist()))} clusters.",
        "",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", default=[100_000, 500_000, 1_000_000, 2_000_000])
    parser.add_argument("--folder", default="")
    parser.add_argument("--no-slow-peers", action="store_true")
    parser.add_argument("--peer-documents", type=int, default=50_000)
    options = parser.parse_args()
    folder = Path(options.folder or tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    lines = truth(folder, not options.no_slow_peers)
    print("\n".join(lines), flush=True)
    lines += [datasketch_rate(), ""]
    lines += semantic()
    print("\n".join(lines[-3:]), flush=True)
    write_section("Deduplication", lines)
    if options.sizes:
        lines = scaling(folder, options.sizes, options.peer_documents)
        print("\n".join(lines))
        write_section("Deduplication at scale", lines)


if __name__ == "__main__":
    main()
