"""A set of any number of documents for deduplication: real sentences, recombined, with known shares of copies.

    python benchmarks/scaled_set.py OUT.parquet DOCUMENTS

Documents average about 670 characters. 65 % are new, 25 % are an earlier document with one or two
sentences dropped, replaced or swapped, 10 % are exact copies of an earlier one.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from measure import data_file

_GROUP = 10_000


def sentences(source: Path) -> list[str]:
    """Different sentences of 8 to 80 characters of a JSON lines file."""
    found: dict[str, None] = {}
    with gzip.open(source, "rt", encoding="utf-8") as stream:
        for line in stream:
            for sentence in re.findall(r"[^。！？\n]{8,80}[。！？]", json.loads(line)["text"]):
                found.setdefault(sentence, None)
    return list(found)


def make(target: Path, documents: int, source: Path, seed: int = 1) -> Path:
    """Write the set as Parquet, unless it is there already."""
    if target.is_file() and pq.read_metadata(target).num_rows == documents:
        return target
    rng = random.Random(seed)
    pool = sentences(source)
    schema = pa.schema([("id", pa.string()), ("text", pa.large_string()), ("source", pa.string())])
    earlier: list[list[str]] = []
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for begin in range(0, documents, _GROUP):
            texts = []
            for _ in range(min(_GROUP, documents - begin)):
                draw = rng.random()
                if draw < 0.65 or not earlier:
                    parts = [pool[int(rng.random() * len(pool))] for _ in range(rng.randint(18, 38))]
                else:
                    parts = list(earlier[int(rng.random() * len(earlier))])
                    for _ in range(rng.randint(1, 2) if draw < 0.90 else 0):
                        at = rng.randrange(len(parts))
                        if rng.random() < 0.5:
                            parts[at] = pool[int(rng.random() * len(pool))]
                        elif len(parts) > 5:
                            del parts[at]
                texts.append("".join(parts))
                if len(earlier) < 200_000:
                    earlier.append(parts)
                else:
                    earlier[int(rng.random() * len(earlier))] = parts
            ids = [f"d{begin + i:09d}" for i in range(len(texts))]
            columns = [pa.array(ids), pa.array(texts, pa.large_string()), pa.array(["scaled"] * len(texts))]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
    return target


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", type=Path, help="Parquet file to write")
    parser.add_argument("documents", type=int, help="number of documents")
    options = parser.parse_args()
    make(options.target, options.documents, data_file("pretrain_zh.jsonl.gz"))
