"""Cleaning side by side with data-juicer: the same 13 operators, whole processes, alternating runs.

    RAYLIB_TEST_DATA=... python benchmarks/cleaning.py [--runs 3] [--peer .venv-peers/bin/dj-process]

The peer's environment is made by `make bench-peers`; without it only our side is measured.
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import tempfile
from pathlib import Path

from measure import PYTHON, ROOT, data_file, run_measured, summary_of, write_section

PEER_RECIPE = """\
project_name: c
dataset_path: {source}
export_path: {out}/djc_out.jsonl
np: 2
open_tracer: false
use_cache: false
text_keys: text
process:
  - chinese_convert_mapper: {{mode: t2s}}
  - fix_unicode_mapper:
  - punctuation_normalization_mapper:
  - whitespace_normalization_mapper:
  - clean_links_mapper:
  - clean_email_mapper:
  - clean_html_mapper:
  - alphanumeric_filter: {{tokenization: false, min_ratio: 0.25}}
  - average_line_length_filter: {{min_len: 10}}
  - character_repetition_filter: {{rep_len: 10, max_ratio: 0.5}}
  - maximum_line_length_filter: {{min_len: 20}}
  - special_characters_filter: {{min_ratio: 0.0, max_ratio: 0.4}}
  - text_length_filter: {{min_len: 20, max_len: 100000}}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--peer", default=str(ROOT / ".venv-peers/bin/dj-process"))
    options = parser.parse_args()
    source = data_file("pretrain_zh.jsonl.gz")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plain = folder / "in.jsonl"
        with gzip.open(source, "rt", encoding="utf-8") as stream, plain.open("w", encoding="utf-8") as out:
            for line in stream:  # a record with an extra field makes the peer fail: give it three fields only
                row = json.loads(line)
                out.write(json.dumps({k: row[k] for k in ("id", "source", "text")}, ensure_ascii=False) + "\n")
        peer_recipe = folder / "peer.yaml"
        peer_recipe.write_text(PEER_RECIPE.format(source=plain, out=folder), "utf-8")
        has_peer = Path(options.peer).is_file()
        rows: dict[str, list[float]] = {
            "13 rules": [],
            "13 rules, engine": [],
            "web": [],
            "web, engine": [],
            "peer": [],
        }
        kept: dict[str, int] = {}
        for _ in range(options.runs):
            for label, recipe in (
                ("13 rules", "benchmarks/recipes/datajuicer_13.yaml"),
                ("web", "benchmarks/recipes/web.yaml"),
            ):
                out = folder / "out"
                command = [
                    PYTHON,
                    "-m",
                    "raylib",
                    "run",
                    recipe,
                    "--fresh",
                    "-q",
                    "--set",
                    f"input.path={plain}",
                    "--set",
                    f"output.path={out}",
                ]
                done = run_measured(command, cwd=ROOT)
                assert done.returncode == 0, done.output
                summary = summary_of(out)
                rows[label].append(done.seconds)
                rows[f"{label}, engine"].append(float(str(summary["mb_per_second"])))
                kept[label] = int(str(summary["records_kept"]))
            if has_peer:
                done = run_measured([options.peer, "--config", str(peer_recipe)], cwd=folder)
                assert done.returncode == 0, done.output[-2000:]
                rows["peer"].append(done.seconds)
                kept["peer"] = sum(1 for _ in (folder / "djc_out.jsonl").open("rb"))
        report(rows, kept, plain.stat().st_size / 1e6, has_peer)


def report(rows: dict[str, list[float]], kept: dict[str, int], size: float, has_peer: bool) -> None:
    def median(name: str) -> float:
        return statistics.median(rows[name])

    lines = [
        f"pretrain_zh, 96,611 records, {size:.1f} MB of JSON lines; whole process (Ray start and end included), "
        f"median of {len(rows['13 rules'])} alternating runs.",
        "",
        "| chain | program | whole process | MB/s, whole | MB/s, engine after start | records kept | ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    for label in ("13 rules", "web"):
        ratio = f"{median('peer') / median(label):.1f} times faster" if has_peer and label == "13 rules" else ""
        lines.append(
            f"| {label} | raylib | {median(label):.1f} s | {size / median(label):.1f} | "
            f"{median(f'{label}, engine'):.1f} "
            f"| {kept[label]:,} | {ratio} |"
        )
    if has_peer:
        lines.append(
            f"| 13 rules | data-juicer 1.6.1 | {median('peer'):.1f} s | {size / median('peer'):.2f} | | "
            f"{kept['peer']:,} | 1 |"
        )
    else:
        lines += ["", "The peer was not installed; run `make bench-peers` first."]
    print("\n".join(lines))
    write_section("Cleaning", lines)


if __name__ == "__main__":
    main()
