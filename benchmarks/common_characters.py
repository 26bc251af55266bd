"""Rebuild cleaning/common_characters.txt: the 5,000 commonest Han characters by jieba's word frequencies."""

from __future__ import annotations

import argparse
from collections import Counter
from importlib.resources import files
from pathlib import Path

COUNT = 5000


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    counts: Counter[str] = Counter()
    for line in files("jieba").joinpath("dict.txt").read_text("utf-8").splitlines():
        word, frequency, *_ = line.split(" ")
        for character in word:
            if "\u4e00" <= character <= "\u9fff":
                counts[character] += int(frequency)
    common = sorted(counts, key=lambda c: (-counts[c], c))[:COUNT]
    rows = ["".join(common[i : i + 50]) for i in range(0, COUNT, 50)]
    target = Path(__file__).resolve().parent.parent / "cleaning" / "common_characters.txt"
    target.write_text("\n".join(rows) + "\n", "utf-8")


if __name__ == "__main__":
    main()
