"""A fault campaign that can be repeated: does every run end with the same bytes, whatever happened to it?

    python benchmarks/faults.py --minutes 120 --seed 1

Faults, work and moments of each case are drawn from the seed and the number of the case. A case runs a command and
disturbs it; the next start may be disturbed, too, or what the command left, up to four faults; then the command is run
until it ends well, and files and numbers are compared with those of a run that nobody disturbed. `--case 17` repeats
one case of the seed. `--one "kill actor"` and `--work vectors` pass over all other cases, and do not change the number
and the course of a case. A fault that met nothing (the disk was never full, the process had ended) is "not hit", and
never counts as passed. `--lanes 3` works on three cases at a time, since a process that sleeps for a minute needs no
core.
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
import traceback
from collections.abc import Iterator
from dataclasses import asdict
from multiprocessing.queues import SimpleQueue
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from fault_cases import FORK, Case, Dealer, Fault, line, table
from fault_kinds import (
    FILES,
    KINDS,
    MOUNTS,
    NEEDS_RAY,
    NETWORK,
    Running,
    Surroundings,
    after,
    damage,
    end,
    felt,
    inject,
    start,
)
from fault_places import Family
from fault_works import WORKS, Result, Work, prepare
from measure import write_section

from tests.raylib.cluster.hosts import Hosts

__all__ = ["Lane", "main"]

Done = SimpleQueue[Case | None]
_AGAIN = 3  # runs that a case has to end well
_RAY_STARTS = 8.0  # about the seconds within which Ray starts
_ENDS = 10.0  # seconds within which what a killed command started should have ended, too


class Lane:
    """Cases one after the other, in a process of their own.

    Attributes:
        works: All works, by name.
        pause: Seconds for which a stopped process sleeps.
        hang: Seconds beyond thrice the undisturbed run after which a command hangs.
    """

    def __init__(self, folder: Path, works: dict[str, Work], pause: float, hang: float) -> None:
        self.works = works
        self.pause, self.hang = pause, hang
        self._folder = folder
        folder.mkdir()
        self._family = Family()
        self._hosts: Hosts | None = None
        self._ending = contextlib.ExitStack()

    def __enter__(self) -> Lane:
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.close()
        self._family.end(0)

    def run(self, case: Case) -> None:
        """Run a case to its end."""
        work, out, rng = self.works[case.work], self._folder / "out", case.rng(-2)
        if self._hosts is None and any(fault.kind in NETWORK for fault in case.faults):
            self._hosts = self._ending.enter_context(Hosts(self._folder / "hosts", 1, cpus=2))
        self._family.spare()
        shutil.rmtree(out, ignore_errors=True)
        tried: list[Fault] = []
        unfinished = True
        for run in case.runs():
            if not unfinished and run[0][1].kind not in FILES:
                continue  # nothing is left to disturb; what lies there can still be damaged
            unfinished = self._disturb(case, work, out, run, unfinished)
            tried += [fault for _, fault in run]
        case.faults = tried
        for _ in range(_AGAIN if unfinished else 0):
            running = start(work, out, Surroundings(inline=rng.random() < 0.8), self.pause)
            if self._finish(running.process, work, case) == 0:
                break
        if case.codes[-1] == 0:
            _compare(case, work, out)
        case.left = self._family.end(_ENDS)
        shutil.rmtree(out, ignore_errors=True)

    def clean(self) -> None:
        """End all that a case has left that could not be run."""
        self._hosts = None
        self._ending.close()
        self._family.end(0)

    def _disturb(self, case: Case, work: Work, out: Path, run: list[tuple[int, Fault]], unfinished: bool) -> bool:
        """Run the command with its faults; returns whether it has to be run again."""
        place, first = run[0]
        rng = case.rng(place)
        if not unfinished:
            _damage(first, out, rng)
            return True
        least, most, size = (0.15, 0.6, work.memory) if first.kind == "memory" else (0.05, 0.9, work.missing(out))
        where = Surroundings(first.kind, first.inline, int(size * rng.uniform(least, most)), self._hosts)
        options = ["--set", "output.check_space=false"] if first.kind == "disk full" and case.is_recipe else []
        running = start(work, out, where, self.pause, *options)
        commands, begun = [running.process], 0.0
        for place, fault in run:
            rng = case.rng(place)
            self._wait(fault, running, rng)
            fault.phase = work.phase(_inside(running))
            if fault.kind == "two drivers":
                fresh = ["--fresh"] if rng.random() < 0.5 else []
                second = start(work, out, Surroundings(inline=fault.inline), self.pause, *fresh)
                fault.hit = running.process.poll() is None
                commands.append(second.process)
            else:
                fault.hit = running.process.poll() is None and inject(fault.kind, running, rng)
            begun = time.perf_counter()
        codes = [self._finish(command, work, case) for command in commands]
        left = self._family.end(_ENDS)
        after(out)
        for place, fault in run:
            fault.codes, fault.left = list(codes), left
            fault.seconds = round(time.perf_counter() - begun, 1)
            if fault.kind in FILES:
                _damage(fault, out, case.rng(place))
        last = run[-1][1]
        if last.kind == "two drivers":  # one of them has to be refused
            last.hit = any(codes)
        else:
            last.hit = last.hit if last.kind in FILES else felt(last.kind, running, last.hit)
        if running.memory is not None:
            running.memory.remove()
        if last.kind in ("disk full", "memory"):  # came when they wanted
            last.phase = work.phase(out)
        return last.kind in FILES or last.kind == "two drivers" or any(codes)

    def _wait(self, fault: Fault, running: Running, rng: random.Random) -> None:
        """Wait for the moment of the fault: a share of the time of the undisturbed run, or of its steps."""
        by_time, moment, more = rng.random() < 0.4 or running.work.name == "tokenize", rng.random(), rng.random() * 0.2
        if fault.kind in ("disk full", "memory", "kill reader"):
            return  # they come by themselves, and readers are there at the start only
        if running.work.name == "train":
            by_time = False  # most of its time goes into starting
        if fault.joined:
            by_time, moment = False, _progress(running) + moment * (1 - _progress(running)) * 0.8
        elif fault.kind == "two drivers":
            moment *= 0.4  # the second needs time to start
        elif fault.kind in (*NEEDS_RAY, *NETWORK, "read-only"):
            moment *= 0.8  # these need a part of the run after them
        seconds = running.work.seconds if fault.inline else _RAY_STARTS
        begun = time.perf_counter()
        while running.process.poll() is None and time.perf_counter() - begun < self._limit(running.work):
            share = (time.perf_counter() - begun) / seconds if by_time else _progress(running)
            if share >= moment and (fault.kind not in MOUNTS or running.driver is not None):
                break
            time.sleep(0.01)
        time.sleep(more)

    def _limit(self, work: Work) -> float:
        return work.seconds * 3 + self.hang + self.pause

    def _finish(self, process: subprocess.Popen[str], work: Work, case: Case) -> int:
        """Wait for a command; returns its exit code."""
        try:
            said = "".join(text or "" for text in process.communicate(timeout=self._limit(work)))
        except subprocess.TimeoutExpired:
            end(process)
            case.hangs += 1
            said = "".join(text or "" for text in process.communicate())
        except BaseException:  # the campaign itself is being ended
            end(process)
            raise
        case.codes.append(process.returncode)
        if process.returncode and said.strip():
            case.detail = case.detail or said.strip().splitlines()[-1][:200]
        case.tracebacks += "Traceback (most recent call last)" in said
        return process.returncode


def _damage(fault: Fault, out: Path, rng: random.Random) -> None:
    """Damage what a command has left."""
    fault.detail = damage(fault.kind, out, rng)
    fault.hit = bool(fault.detail)


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
        case.differs = f"{type(error).__name__}: {error}"[:200]
    case.identical = (found.files, found.numbers) == (expected.files, expected.numbers)
    case.lost = sum((expected.ids - found.ids).values())
    case.twice = sum((found.ids - expected.ids).values())
    if not case.identical:
        names = sorted(n for n in {*found.files, *expected.files} if found.files.get(n) != expected.files.get(n))
        numbers = sorted(k for k in expected.numbers if found.numbers.get(k) != expected.numbers[k])
        case.differs += f" differs: {len(names)} files {names[:2]}, numbers {numbers}"


def _serve(folder: Path, works: dict[str, Work], options: argparse.Namespace, dealer: Dealer, done: Done) -> None:
    """What the process of a lane does."""
    try:
        with Lane(folder, works, options.pause, options.hang) as lane:
            for case in dealer:
                try:
                    lane.run(case)
                except Exception:  # noqa: BLE001 - one case that we cannot run must not end a campaign of hours
                    traceback.print_exc()
                    case.differs = " the campaign itself failed: see what it said"
                    lane.clean()
                done.put(case)
    finally:
        done.put(None)


def _all_cases(folder: Path, options: argparse.Namespace) -> Iterator[Case]:
    """Cases as they end, from all lanes."""
    dealer, works = Dealer(options), prepare(folder, options.records)
    for name in dealer.works():
        works[name].make_reference()
        print(f"{name} takes {works[name].seconds:.0f} s undisturbed", flush=True)
    dealer.begin()
    done: Done = FORK.SimpleQueue()
    lanes = [
        FORK.Process(target=_serve, args=(folder / f"lane{number}", works, options, dealer, done))
        for number in range(options.lanes)
    ]
    for lane in lanes:
        lane.start()
    for _ in lanes:
        while (case := done.get()) is not None:
            yield case
    for lane in lanes:
        lane.join()
        if lane.exitcode:
            raise SystemExit(f"a lane ended with exit code {lane.exitcode}")


def main() -> int:
    """Read the options, run the campaign, print the table."""
    options = _parser().parse_args()
    cases: list[Case] = []
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        for case in _all_cases(Path(name), options):
            cases.append(case)
            print(line(case), flush=True)
            if options.json:
                options.json.write_text(json.dumps([asdict(c) for c in cases], ensure_ascii=False, indent=1))
    lines = table(cases)
    print("\n".join(lines))
    failed = [case.number for case in cases if case.failed]
    faults = [fault for case in cases for fault in case.faults]
    said = (
        f"Seed {options.seed}, {options.records} records, pauses of {options.pause:g} seconds, {options.lanes} cases "
    )
    said += f"at a time, {(time.monotonic() - begun) / 60:.0f} minutes: {len(cases)} cases with {len(faults)} faults, "
    said += (
        f"of which {sum(fault.hit for fault in faults)} hit. Records lost: {sum(case.lost for case in cases)}; there "
    )
    said += f"twice: {sum(case.twice for case in cases)}; commands that hung: {sum(case.hangs for case in cases)}; "
    said += f"failed cases: {failed or 'none'}."
    print(said)
    if options.results:
        write_section("Fault campaign", [said, "", *lines])
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--minutes", type=float, default=10, help="Minutes, from the first case on, after which none begins."
    )
    parser.add_argument("--cases", type=int, default=1 << 30, help="Number of cases after which no new one begins.")
    parser.add_argument("--seed", type=int, default=1, help="Seed of all cases.")
    parser.add_argument("--one", choices=KINDS, action="append", help="Kind of fault whose cases are run; repeatable.")
    parser.add_argument("--work", choices=WORKS, action="append", help="Work whose cases are run; repeatable.")
    parser.add_argument("--case", type=int, help="Number of the one case to run.")
    parser.add_argument("--lanes", type=int, default=1, help="Number of cases at a time.")
    parser.add_argument("--pause", type=float, default=60, help="Seconds for which a stopped process sleeps.")
    parser.add_argument("--hang", type=float, default=180, help="Seconds of patience beyond the usual duration.")
    parser.add_argument("--records", type=int, default=600, help="Number of records of the input.")
    parser.add_argument("--json", type=Path, help="Path of a file for all cases as JSON.")
    parser.add_argument("--results", action="store_true", help="Whether the table goes into RESULTS.md.")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
