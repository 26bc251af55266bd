"""A fault campaign that can be repeated: does every run end with the same bytes, whatever happened to it?

    python benchmarks/faults.py --minutes 120 --seed 1

Kind of fault, work and moment of each case are drawn from the seed and the number of the case. A case runs a command,
disturbs it, runs it again until it ends well, and compares files and numbers with those of a run that nobody disturbed.
`--case 17` repeats one case of the seed. `--one "kill actor"` and `--work vectors` pass over all other cases, and
do not change the number and the course of a case. A fault that met nothing (the disk was never full, the process had
ended) is counted as "not hit", and never as passed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from fault_cases import Case, draw, line, table
from fault_kinds import (
    FILES,
    KINDS,
    MOUNTS,
    NETWORK,
    Running,
    Surroundings,
    after,
    damage,
    end,
    felt,
    impossible,
    inject,
    start,
)
from fault_places import Family
from fault_works import WORKS, Result, Work, prepare
from measure import write_section

from tests.raylib.cluster.hosts import Hosts

__all__ = ["Campaign", "main"]

_AGAIN = 3  # runs that a case has to end well
_RAY_STARTS = 8.0  # about the seconds within which Ray starts
_ENDS = 10.0  # seconds within which what a killed command started should have ended, too


class Campaign:
    """Cases one after the other.

    Attributes:
        works: All works, by name.
        pause: Seconds for which a stopped process sleeps.
        hang: Seconds beyond thrice the undisturbed run after which a command hangs.
    """

    def __init__(self, folder: Path, records: int, pause: float, hang: float) -> None:
        self.works = prepare(folder, records)
        self.pause, self.hang = pause, hang
        self._folder = folder
        self._family = Family()
        self._hosts: Hosts | None = None
        self._ending = contextlib.ExitStack()

    def __enter__(self) -> Campaign:
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.close()
        self._family.end(0)

    def run(self, case: Case, rng: random.Random) -> Case:
        """Run a case to its end."""
        work = self.works[case.work]
        if work.reference is None:
            work.make_reference()
        if case.kind in NETWORK and self._hosts is None:
            self._hosts = self._ending.enter_context(Hosts(self._folder / "hosts", 1, cpus=2))
        self._family.spare()
        out = work.folder / "out"
        shutil.rmtree(out, ignore_errors=True)
        again = self._disturb(case, work, out, rng)
        for _ in range(_AGAIN if again else 0):
            running = start(work, out, Surroundings(inline=rng.random() < 0.8), self.pause)
            self._finish(running.process, work, case)
            if running.process.returncode == 0:
                break
        if case.codes[-1] == 0:
            _compare(case, work, out)
        case.left = self._family.end(0)
        shutil.rmtree(out, ignore_errors=True)
        return case

    def _disturb(self, case: Case, work: Work, out: Path, rng: random.Random) -> bool:
        """Run the command, and do the fault at its moment; returns whether it has to be run again."""
        room = int(
            work.memory * rng.uniform(0.15, 0.6) if case.kind == "memory" else work.bytes * rng.uniform(0.05, 0.9)
        )
        where = Surroundings(case.kind, case.inline, room, self._hosts)
        options = ["--set", "output.check_space=false"] if case.kind == "disk full" and case.is_recipe else []
        running = start(work, out, where, self.pause, *options)
        process = running.process
        self._wait(case, running, rng)
        case.phase = work.phase(_inside(running))
        second = None
        if case.kind == "two drivers":
            fresh = ["--fresh"] if rng.random() < 0.5 else []
            second = start(work, out, Surroundings(inline=case.inline), self.pause, *fresh)
            hit = process.poll() is None
        else:
            hit = process.poll() is None and inject(case.kind, running, rng)
        begun = time.perf_counter()
        for command in (process, second.process if second else None):
            if command is not None:
                self._finish(command, work, case)
        case.seconds = round(time.perf_counter() - begun, 1)
        case.hit = any(case.codes) if second else felt(case.kind, running, hit)  # of two, one has to be refused
        if running.memory is not None:
            running.memory.remove()
        case.left_at_fault = self._family.end(_ENDS)
        after(out)
        if case.kind in ("disk full", "memory"):  # came when they wanted
            case.phase = work.phase(out)
        if case.kind in FILES:
            case.detail = damage(case.kind, out, rng)
            case.hit = bool(case.detail)
        return case.kind in FILES or case.kind == "two drivers" or any(case.codes)

    def _wait(self, case: Case, running: Running, rng: random.Random) -> None:
        """Wait for the moment of the fault: a share of the time of the undisturbed run, or of its steps."""
        by_time, moment, more = rng.random() < 0.4, rng.random(), rng.random() * 0.2
        if case.kind == "two drivers":
            moment *= 0.7  # the second needs time to start
        if case.kind in ("disk full", "memory", "kill reader"):
            return  # they come by themselves, and readers are there at the start only
        seconds = running.work.seconds if case.inline else _RAY_STARTS
        begun = time.perf_counter()
        while running.process.poll() is None and time.perf_counter() - begun < self._limit(running.work):
            share = (time.perf_counter() - begun) / seconds if by_time else _progress(running)
            if share >= moment and (case.kind not in MOUNTS or running.driver is not None):
                break
            time.sleep(0.01)
        time.sleep(more)

    def _limit(self, work: Work) -> float:
        return work.seconds * 3 + self.hang + self.pause

    def _finish(self, process: subprocess.Popen[str], work: Work, case: Case) -> None:
        try:
            _, said = process.communicate(timeout=self._limit(work))
        except subprocess.TimeoutExpired:
            end(process)
            case.hangs += 1
            said = ""
        except BaseException:  # the campaign itself is being ended
            end(process)
            raise
        case.codes.append(process.returncode)
        said = said or ""  # a command on a host says all in its output
        if process.returncode and said.strip():
            case.detail = case.detail or said.strip().splitlines()[-1][:200]
        case.tracebacks += "Traceback (most recent call last)" in said


def _inside(running: Running) -> Path:
    """The output, also where it is a volume in another namespace."""
    driver = running.driver if running.hosts is None else None
    return Path(f"/proc/{driver.pid}/root{running.out}") if driver is not None else running.out


def _progress(running: Running) -> float:
    try:
        return running.work.progress(_inside(running))
    except OSError:
        return 0.0


def _compare(case: Case, work: Work, out: Path) -> None:
    expected = work.reference
    if expected is None:
        raise RuntimeError("make_reference() comes first")
    try:
        found = work.result(out)
    except (OSError, KeyError, ValueError) as error:
        found = Result({}, {})
        case.detail = f"{type(error).__name__}: {error}"[:200]
    case.identical = (found.files, found.numbers) == (expected.files, expected.numbers)
    case.lost = sum((expected.ids - found.ids).values())
    case.twice = sum((found.ids - expected.ids).values())
    if not case.identical:
        names = sorted(n for n in {*found.files, *expected.files} if found.files.get(n) != expected.files.get(n))
        numbers = sorted(k for k in expected.numbers if found.numbers.get(k) != expected.numbers[k])
        case.detail += f" differs: {len(names)} files {names[:2]}, numbers {numbers}"


def cases_of(options: argparse.Namespace) -> Iterator[tuple[Case, random.Random]]:
    """The cases that the options ask for."""
    end_at = time.monotonic() + options.minutes * 60
    number, taken = (options.case or 0), 0
    cannot = {kind: why for kind in KINDS if (why := impossible(kind))}
    for kind, why in cannot.items():
        print(f"{kind} is passed over: {why}", flush=True)
    while time.monotonic() < end_at and taken < options.cases:
        case, rng = draw(options.seed, number)
        if options.case is not None:
            yield case, rng
            return
        number += 1
        wanted = (not options.one or case.kind in options.one) and (not options.work or case.work in options.work)
        if wanted and case.kind not in cannot:
            taken += 1
            yield case, rng


def main() -> int:
    """Read the options, run the campaign, print the table."""
    options = _parser().parse_args()
    cases: list[Case] = []
    with (
        tempfile.TemporaryDirectory(prefix="faults-") as name,
        Campaign(Path(name), options.records, options.pause, options.hang) as campaign,
    ):
        for case, rng in cases_of(options):
            cases.append(campaign.run(case, rng))
            print(line(case), flush=True)
            if options.json:
                options.json.write_text(json.dumps([asdict(c) for c in cases], ensure_ascii=False, indent=1))
    lines = table(cases)
    print("\n".join(lines))
    failed = [case.number for case in cases if case.failed]
    hit = sum(case.hit for case in cases)
    said = f"Seed {options.seed}, {options.records} records: {len(cases)} cases, {hit} of them hit, "
    said += f"failed: {failed or 'none'}."
    print(said)
    if options.results:
        write_section("Fault campaign", [said, "", *lines])
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="Minutes after which no new case begins.")
    parser.add_argument("--cases", type=int, default=1 << 30, help="Number of cases after which no new one begins.")
    parser.add_argument("--seed", type=int, default=1, help="Seed of all cases.")
    parser.add_argument("--one", choices=KINDS, action="append", help="Kind of fault whose cases are run; repeatable.")
    parser.add_argument("--work", choices=WORKS, action="append", help="Work whose cases are run; repeatable.")
    parser.add_argument("--case", type=int, help="Number of the one case to run.")
    parser.add_argument("--pause", type=float, default=60, help="Seconds for which a stopped process sleeps.")
    parser.add_argument("--hang", type=float, default=180, help="Seconds of patience beyond the usual duration.")
    parser.add_argument("--records", type=int, default=600, help="Number of records of the input.")
    parser.add_argument("--json", type=Path, help="Path of a file for all cases as JSON.")
    parser.add_argument("--results", action="store_true", help="Whether the table goes into RESULTS.md.")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
