"""A fault campaign that can be repeated: does every run end with the same bytes, whatever happened to it?

    python benchmarks/faults.py --minutes 120 --seed 1

Kind of fault, work and moment of each case are drawn from the seed and the number of the case. A case runs a command,
disturbs it, runs it again until it ends well, and compares files and numbers with those of a run that nobody disturbed.
`--case 17` repeats one case of the seed, `--one "kill actor"` draws cases of one kind only.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from fault_kinds import FILES, KINDS, MOUNTS, Running, after, damage, end_all, inject, start
from fault_works import WORKS, Result, Work, prepare
from measure import write_section

__all__ = ["Case", "campaign", "main"]

_HANG = 90.0  # seconds beyond the undisturbed run after which a command hangs
_AGAIN = 3  # runs that a case has to end well
_RUNS_ONLY = {*FILES, "two drivers", "kill actor", "kill raylet", "kill gcs", "kill agent", "kill reader"}
_RUNS_ONLY |= {"stop actor", "stop gcs"}


@dataclass
class Case:
    """A case and what became of it.

    Attributes:
        number: Its number.
        kind: Kind of the fault.
        work: What was disturbed.
        phase: Phase in which that happened.
        hit: Whether the fault met anything.
        codes: Exit codes, one a run.
        seconds: From the fault to the end of the command.
        hangs: Number of commands that did not end by themselves.
        identical: Whether files and numbers are those of the undisturbed run.
        lost: Number of records that are nowhere.
        twice: Number of records that are there more than once.
        detail: What was damaged, or the last message.
    """

    number: int
    kind: str
    work: str
    phase: str = ""
    hit: bool = False
    codes: list[int] = field(default_factory=list)
    seconds: float = 0.0
    hangs: int = 0
    identical: bool = False
    lost: int = 0
    twice: int = 0
    detail: str = ""

    @property
    def failed(self) -> bool:
        """Whether the promise was broken."""
        return not self.identical or bool(self.hangs or self.lost or self.twice)


def draw(seed: int, number: int, kinds: tuple[str, ...]) -> tuple[Case, random.Random]:
    """The case of a number."""
    rng = random.Random(f"{seed}-{number}")
    kind = rng.choice(kinds)
    works = [work for work in WORKS if work != "tokenize" or kind not in _RUNS_ONLY]
    return Case(number, kind, rng.choice(works)), rng


def disturb(case: Case, work: Work, out: Path, rng: random.Random, pause: float) -> None:
    """Run the command, and do the fault at its moment."""
    moment, limit = rng.random() * 0.95, work.seconds * 3 + _HANG
    process = start(work, out, case.kind, rng)
    running = Running(work, out, process, pause)
    begun = time.perf_counter()
    if case.kind not in MOUNTS or case.kind == "read-only":
        while process.poll() is None and time.perf_counter() - begun < limit and _progress(running) < moment:
            time.sleep(0.01)
    time.sleep(rng.random() * 0.2)
    case.phase = work.phase(out)
    second = start(work, out, "", rng, fresh=rng.random() < 0.5) if case.kind == "two drivers" else None
    case.hit = second is not None or (process.poll() is None and inject(case.kind, running, rng))
    begun = time.perf_counter()
    for command in (process, second):
        if command is not None:
            _finish(command, limit, case)
    case.seconds = round(time.perf_counter() - begun, 1)
    after(out)
    if case.kind == "disk full":
        case.hit = case.codes[0] != 0
    if case.kind in FILES:
        case.detail = damage(case.kind, out, rng)
        case.hit = bool(case.detail)


def _progress(running: Running) -> float:
    """Progress, also of a run whose output is a volume in another namespace."""
    driver = running.driver
    inside = Path(f"/proc/{driver.pid}/root{running.out}") if driver is not None else running.out
    try:
        return running.work.progress(inside)
    except OSError:
        return 0.0


def _finish(process: subprocess.Popen[str], limit: float, case: Case) -> None:
    try:
        _, said = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        end_all(process)
        case.hangs += 1
        said = ""
    except BaseException:  # the campaign itself is being ended
        end_all(process)
        raise
    case.codes.append(process.returncode)
    if process.returncode and said.strip():
        case.detail = case.detail or said.strip().splitlines()[-1][:200]


def one_case(case: Case, work: Work, rng: random.Random, pause: float) -> Case:
    """Run a case to its end."""
    out = work.folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    disturb(case, work, out, rng, pause)
    for _ in range(_AGAIN):
        again = start(work, out, "", rng)
        _finish(again, work.seconds * 3 + _HANG, case)
        if again.returncode == 0:
            break
    if case.codes[-1] == 0:
        _compare(case, work, work.result(out))
    shutil.rmtree(out, ignore_errors=True)
    return case


def _compare(case: Case, work: Work, found: Result) -> None:
    expected = work.reference
    if expected is None:
        raise RuntimeError("make_reference() comes first")
    case.identical = (found.files, found.numbers) == (expected.files, expected.numbers)
    case.lost = sum((expected.ids - found.ids).values())
    case.twice = sum((found.ids - expected.ids).values())


def campaign(
    minutes: float, seed: int, kinds: tuple[str, ...], only: int | None, pause: float, records: int
) -> list[Case]:
    """Run cases for some minutes, or one of them."""
    cases = []
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        works = prepare(Path(name), records)
        end = time.monotonic() + minutes * 60
        number = 0 if only is None else only
        while time.monotonic() < end:
            case, rng = draw(seed, number, kinds)
            work = works[case.work]
            if work.reference is None:
                work.make_reference()
            cases.append(one_case(case, work, rng, pause))
            print(_line(case), flush=True)
            number += 1
            if only is not None:
                break
    return cases


def _line(case: Case) -> str:
    mark = "FAILED" if case.failed else "ok" if case.hit else "missed"
    where = f"{case.kind:16} {case.work:9} {case.phase:8}"
    return f"{case.number:4d} {mark:6} {where} {case.codes} {case.seconds} s {case.detail}"


def table(cases: list[Case]) -> list[str]:
    """A table in Markdown: a line for each kind of fault and phase."""
    rows: dict[tuple[str, str], list[Case]] = defaultdict(list)
    for case in cases:
        rows[case.kind, case.work].append(case)
    columns = (
        "fault",
        "work",
        "cases",
        "met something",
        "identical",
        "lost",
        "twice",
        "exit codes",
        "longest s",
        "hangs",
    )
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for (kind, work), found in sorted(rows.items()):
        codes = ", ".join(str(code) for code in sorted({case.codes[0] for case in found}))
        numbers = [len(found), sum(c.hit for c in found), sum(c.identical for c in found)]
        numbers += [sum(c.lost for c in found), sum(c.twice for c in found)]
        longest, hangs = max(c.seconds for c in found), sum(c.hangs for c in found)
        lines.append(f"| {kind} | {work} | {' | '.join(map(str, numbers))} | {codes} | {longest} | {hangs} |")
    return lines


def main() -> int:
    """Read the options, run the campaign, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="Minutes after which no new case begins.")
    parser.add_argument("--seed", type=int, default=1, help="Seed of all cases.")
    parser.add_argument("--one", choices=KINDS, help="Kind of fault to draw, in place of all of them.")
    parser.add_argument("--case", type=int, help="Number of the one case to run.")
    parser.add_argument("--pause", type=float, default=60, help="Seconds for which a stopped process sleeps.")
    parser.add_argument("--records", type=int, default=3000, help="Number of records of the input.")
    parser.add_argument("--json", type=Path, help="File for all cases as JSON.")
    parser.add_argument("--results", action="store_true", help="Whether the table goes into RESULTS.md.")
    options = parser.parse_args()
    kinds = (options.one,) if options.one else KINDS
    cases = campaign(options.minutes, options.seed, kinds, options.case, options.pause, options.records)
    lines = table(cases)
    print("\n".join(lines))
    failed = [case.number for case in cases if case.failed]
    print(f"{len(cases)} cases, {sum(case.hit for case in cases)} met something, failed: {failed or 'none'}")
    if options.json:
        options.json.write_text(json.dumps([asdict(case) for case in cases], ensure_ascii=False, indent=1))
    if options.results:
        write_section("Faults", lines)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
