"""The slowest rules on hostile input: seconds for each megabyte. The aim is under 1 for every pair."""

from __future__ import annotations

import argparse
import time

from measure import write_section

from raylib.stage import stage_info
from tests.cleaning.test_hostile import HOSTILE, RULES


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    rows = []
    for name in RULES:
        rule = stage_info(name).make.rule
        rule("预热")
        for label, text in HOSTILE.items():
            begun = time.perf_counter()
            rule(text)
            rows.append((time.perf_counter() - begun, name, label, len(text.encode()) / 1e6))
    rows.sort(key=lambda row: -row[0] / row[3])
    lines = [f"{len(RULES)} rules on {len(HOSTILE)} texts of about 1 MB; the ten slowest pairs.", ""]
    lines += ["| rule | text | seconds for each MB |", "|---|---|---|"]
    lines += [f"| {name} | {label} | {seconds / size:.2f} |" for seconds, name, label, size in rows[:10]]
    print("\n".join(lines))
    write_section("Hostile input", lines)


if __name__ == "__main__":
    main()
