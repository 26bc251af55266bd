"""What recipes do to text: good records whole, damaged, rejected; bad ones caught; precision of each rule; shares kept.

    python benchmarks/text_quality.py
    python benchmarks/text_quality.py --cases ../shared/cases/cleaning --data ../shared/data --counts

The bundled records are in tests/quality_of_text. `--cases` is a folder with `documents.jsonl` (`text`, `expect`,
`must`, `must_not`); `--data` one with `*.jsonl.gz` of documents, of which the share that is kept is printed by source,
or with `--counts` what the rewriting rules take out of lines that stay, or with `--speed 12` the time of each rule.
"""

from __future__ import annotations

import argparse
import gzip
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.text_losses import count_losses
from cleaning import protected, rules
from cleaning.rule import RejectingRule
from raylib.recipe import Recipe, StageSpec
from tests.quality_of_text.judge import judge
from tests.quality_of_text.records import RECORDS, Record

LEAST = 128  # characters of a document whose keeping counts


def of_cases(folder: Path) -> Iterator[Record]:
    """Records of a folder of cases."""
    for line in (folder / "documents.jsonl").read_bytes().splitlines():
        case = orjson.loads(line)
        yield Record(case["id"], case["text"], case["expect"] != "reject", tuple(case["must"]), tuple(case["must_not"]))


def report(title: str, records: Iterable[Record], chain: Sequence[StageSpec]) -> None:
    """Print what a chain does to records."""
    listed = list(records)
    verdict = judge(listed, chain)
    good = sum(record.keep for record in listed)
    print(f"\n{title}: {good} good records, {len(listed) - good} bad ones")
    print(
        f"  perfect {len(verdict.perfect)}, residue left in {len(verdict.left)}, damaged {len(verdict.damaged)}, ",
        end="",
    )
    print(f"rejected {len(verdict.rejected)}; caught {len(verdict.caught)} of {len(listed) - good}")
    for name, why in [*verdict.rejected.items(), *verdict.damaged.items(), *verdict.left.items()]:
        print(f"    {name}: {why}")
    print("    not caught:", ", ".join(verdict.missed) or "none")
    print(f"  {'rule':24s} good harmful neutral precision")
    for rule in dict.fromkeys(spec.name for spec in chain):
        precision = verdict.precision(rule)
        shown = "" if precision is None else f"{precision:.0%}"
        print(f"  {rule:24s} {verdict.good[rule]:4d} {verdict.harmful[rule]:7d} {verdict.neutral[rule]:7d} {shown:>9s}")


def documents_of(folder: Path, most: int) -> dict[str, list[str]]:
    """Texts of the documents of a folder by source."""
    texts: dict[str, list[str]] = defaultdict(list)
    for path in sorted(folder.rglob("pretrain*.jsonl.gz")):
        with gzip.open(path) as stream:
            for line in stream:
                record = orjson.loads(line)
                if len(record["text"]) >= LEAST and len(texts[record["source"]]) < most:
                    texts[record["source"]].append(record["text"])
    return texts


def losses(folder: Path, chain: Sequence[StageSpec], most: int, examples: int) -> None:
    """Print what the rewriting rules of a chain take out of lines that stay."""
    named = [(f"{s}-{i}", text) for s, listed in documents_of(folder, most).items() for i, text in enumerate(listed)]
    found = count_losses(named, chain)
    print(f"\nlost in lines that stay, {found.documents} documents")
    for kind, seen in found.seen.items():
        by_rule = {rule: n for (rule, k), n in found.lost.items() if k == kind}
        print(f"  {kind:20s} {seen:9,d} there, {sum(by_rule.values())} lost  {by_rule or ''}")
    print("  indents of code:", {rule: n for (rule, k), n in found.lost.items() if k == "indents"} or "0 lost")
    for key, listed in found.examples.items():
        for example in listed[:examples]:
            print(f"    {key[0]}, {key[1]}: {example}")


def kept_by_source(folder: Path, chain: Sequence[StageSpec], most: int) -> None:
    """Print the share of documents that a chain keeps, by source, with the rules that reject."""
    texts = documents_of(folder, most)
    print(f"\nshare kept of documents of {LEAST} characters or more, at most {most} of a source")
    for source, listed in sorted(texts.items()):
        array, rejected = pa.array(listed, pa.large_string()), {}
        for spec in chain:
            rule = getattr(rules, spec.name)
            result = rule.function(array, **spec.parameters)
            if isinstance(rule, RejectingRule):
                stays = pc.is_null(result)
                if count := len(array) - (pc.sum(stays).as_py() or 0):
                    rejected[spec.name] = count
                result = array.filter(stays)
            array = result
        print(f"  {source:24s} {len(listed):6d} {len(array) / len(listed):6.1%}  {rejected}")


def speed(folder: Path, chain: Sequence[StageSpec], step: int) -> None:
    """Print the CPU time of each rule on every `step`th document, and the part of it that finds protected stretches."""
    texts: list[str] = []
    with gzip.open(folder / "pretrain_zh.jsonl.gz", "rb") as lines:
        texts = [orjson.loads(line)["text"] for i, line in enumerate(lines) if i % step == 0]
    inside = [0.0]

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            begun = time.process_time()
            try:
                return function(*arguments)
            finally:
                inside[0] += time.process_time() - begun

        return call

    found, fences = protected._found, protected.fences_of
    protected._found, protected.fences_of = timed(found), timed(fences)
    taken: dict[str, float] = defaultdict(float)
    for turn in range(2):  # the first loads word lists and models
        taken.clear()
        inside[0] = 0.0
        array = pa.array([text + " " * turn for text in texts], pa.large_string())
        size = array.nbytes
        for spec in chain:
            begun = time.process_time()
            rule = getattr(rules, spec.name)
            result = rule.function(array, **spec.parameters)
            array = array.filter(pc.is_null(result)) if isinstance(rule, RejectingRule) else result
            taken[spec.name] += time.process_time() - begun
    protected._found, protected.fences_of = found, fences
    total = sum(taken.values())
    print(f"{size / 1e6:.1f} MB in {total:.2f} s of CPU: {size / 1e6 / total:.2f} MB/s")
    print(f"finding protected stretches: {inside[0]:.2f} s, {inside[0] / total:.1%}")
    for name, seconds in sorted(taken.items(), key=lambda pair: -pair[1]):
        print(f"  {name:24s} {seconds:6.2f} s {seconds / total:6.1%}")


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="recipes/pretrain_zh.yaml", help="Recipe whose cleaning rules are judged.")
    parser.add_argument("--cases", type=Path, help="Folder with documents.jsonl.")
    parser.add_argument("--data", type=Path, help="Folder with pretrain*.jsonl.gz.")
    parser.add_argument("--most", type=int, default=1000, help="Number of documents of a source that are read.")
    parser.add_argument("--counts", action="store_true", help="Count losses in lines of --data that stay.")
    parser.add_argument("--speed", type=int, default=0, help="Time the rules on every Nth document of --data.")
    parser.add_argument("--examples", type=int, default=3, help="Number of losses of a rule and kind that are shown.")
    options = parser.parse_args()
    chain = [spec for spec in Recipe.from_file(options.recipe).stages if hasattr(rules, spec.name)]
    report("bundled records", RECORDS, chain)
    if options.cases:
        report(str(options.cases), of_cases(options.cases), chain)
    if options.data and options.speed:
        speed(options.data, chain, options.speed)
    elif options.data and options.counts:
        losses(options.data, chain, options.most, options.examples)
    elif options.data:
        kept_by_source(options.data, chain, options.most)


if __name__ == "__main__":
    main()
