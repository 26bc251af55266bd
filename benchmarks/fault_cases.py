"""Cases of the fault campaign: how they are drawn, and the table of what became of them."""

from __future__ import annotations

import argparse
import multiprocessing
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from fault_kinds import FILES, KINDS, MOUNTS, NEEDS_RAY, NETWORK, impossible
from fault_works import RECIPES, WORKS

__all__ = ["FORK", "Case", "Dealer", "Fault", "draw", "line", "table", "works_of"]

FORK = multiprocessing.get_context("fork")  # lanes know what the process before them has prepared
_ANYWHERE = ("kill driver", "stop driver", "memory", *(kind for kind in MOUNTS if kind != "shm full"))
_OFTEN = {"kill driver": 4, "two drivers": 2, "flip": 2, "kill actor": 2}  # cases of a kind; 1 of the others
_INLINE = 0.8  # share of the runs without Ray, of the faults that do not need it
_MORE = (0.15, 0.25, 0.3, 0.3)  # shares of the cases with so many more faults
_SURVIVED = ("kill actor", "kill agent", "kill reader", "stop actor", "stop driver", "stop gcs")  # the run goes on
_THEN = ("kill driver", "kill actor", "kill raylet", "kill gcs", *FILES)  # what may come upon it in the same run
_LATER = ("kill driver", *FILES, "kill driver", "disk full", "read-only", "memory", "two drivers", "kill actor")


@dataclass
class Fault:
    """A fault of a case and what became of it.

    Attributes:
        kind: Its kind.
        inline: Whether the run went without Ray.
        joined: Whether it comes in the run that the fault before it disturbed.
        phase: Phase in which it came.
        hit: Whether it met anything.
        codes: Exit codes of the commands that it disturbed.
        seconds: From the fault to the end of the command.
        left: Names of processes that outlived the disturbed command.
        detail: What was damaged.
    """

    kind: str
    inline: bool = True
    joined: bool = False
    phase: str = ""
    hit: bool = False
    codes: list[int | None] = field(default_factory=list)
    seconds: float = 0.0
    left: list[str] = field(default_factory=list)
    detail: str = ""


@dataclass
class Case:
    """A work that is disturbed, started again and perhaps disturbed again, and what became of it.

    Attributes:
        number: Its number.
        seed: Seed of the campaign.
        work: What is disturbed.
        faults: Its faults: those that were drawn, and in the end those that were tried.
        codes: Exit codes, one a run.
        hangs: Number of commands that did not end by themselves.
        identical: Whether files and numbers are those of the undisturbed run.
        lost: Number of records that are nowhere.
        twice: Number of records that are there more than once.
        left: Names of processes that were there after the last run.
        tracebacks: Number of commands that said a traceback.
        detail: The last message.
        differs: What is not as in the undisturbed run.
    """

    number: int
    seed: int
    work: str
    faults: list[Fault] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    hangs: int = 0
    identical: bool = False
    lost: int = 0
    twice: int = 0
    left: list[str] = field(default_factory=list)
    tracebacks: int = 0
    detail: str = ""
    differs: str = ""

    @property
    def failed(self) -> bool:
        """Whether the promise was broken."""
        return not self.identical or bool(self.hangs or self.lost or self.twice)

    @property
    def is_recipe(self) -> bool:
        """Whether it disturbs a run of a recipe."""
        return self.work in RECIPES

    def rng(self, place: int) -> random.Random:
        """The source of moments and victims of a fault."""
        return random.Random(f"{self.seed}-{self.number}-{place}")

    def runs(self) -> Iterator[list[tuple[int, Fault]]]:
        """The faults of each disturbed run, with their places."""
        run: list[tuple[int, Fault]] = []
        for place, fault in enumerate(self.faults):
            if run and not fault.joined:
                yield run
                run = []
            run.append((place, fault))
        if run:
            yield run


def works_of(kind: str) -> tuple[str, ...]:
    """The works that a kind of fault can disturb."""
    if kind == "kill trainer":
        return ("train",)
    if kind == "kill reader":
        return ("scored",)  # of whose input a task of its own is the reader
    return WORKS if kind in _ANYWHERE else tuple(RECIPES)


def draw(seed: int, number: int) -> Case:
    """The case of a number: kinds and works are dealt like cards, so that each of them comes up."""
    deck = [kind for kind in KINDS for _ in range(_OFTEN.get(kind, 1))]
    again, place = divmod(number, len(deck))
    random.Random(f"{seed}-deck-{again}").shuffle(deck)
    kind = deck[place]
    earlier = again * deck.count(kind) + deck[:place].count(kind)
    works = list(works_of(kind))
    random.Random(f"{seed}-{kind}-{earlier // len(works)}").shuffle(works)
    case = Case(number, seed, works[earlier % len(works)])
    rng = case.rng(-1)
    case.faults = [Fault(kind, _without_ray(case, kind, rng))]
    for _ in range(rng.choices(range(len(_MORE)), _MORE)[0]):
        case.faults.append(_another(case, rng))
    return case


def _another(case: Case, rng: random.Random) -> Fault:
    """One more fault, of the same run or of the next."""
    last = case.faults[-1]
    if last.kind in _SURVIVED and case.is_recipe and rng.random() < 0.7:
        kinds = [kind for kind in _THEN if kind not in NEEDS_RAY or not last.inline]
        return Fault(rng.choice(kinds), last.inline, joined=True)
    kind = rng.choice([kind for kind in _LATER if case.work in works_of(kind)])
    return Fault(kind, _without_ray(case, kind, rng))


def _without_ray(case: Case, kind: str, rng: random.Random) -> bool:
    without = rng.random() < _INLINE
    return not case.is_recipe or kind == "memory" or (without and kind not in (*NEEDS_RAY, *NETWORK))


class Dealer:
    """Deals the cases that the options ask for to all lanes."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._end_at = 0.0
        self._next, self._left = FORK.Value("q", 0), FORK.Value("q", options.cases)
        self._cannot = {kind: why for kind in KINDS if (why := impossible(kind))}
        for kind, why in self._cannot.items():
            print(f"{kind} is passed over: {why}", flush=True)

    def begin(self) -> None:
        """Let the time begin, now that the works have been run undisturbed."""
        self._end_at = time.monotonic() + self._options.minutes * 60

    def works(self) -> list[str]:
        """The works that come up."""
        if self._options.case is not None:
            return [draw(self._options.seed, self._options.case).work]
        cases = [draw(self._options.seed, number) for number in range(1000)]
        return sorted({case.work for case in cases if self._wants(case)})

    def __iter__(self) -> Iterator[Case]:
        if self._options.case is not None:
            with self._next.get_lock():
                self._next.value += 1
                if self._next.value == 1:
                    yield draw(self._options.seed, self._options.case)
            return
        while time.monotonic() < self._end_at and (case := self._take()) is not None:
            yield case

    def _take(self) -> Case | None:
        with self._next.get_lock():
            while self._left.value > 0:
                case = draw(self._options.seed, self._next.value)
                self._next.value += 1
                if self._wants(case):
                    self._left.value -= 1
                    return case
        return None

    def _wants(self, case: Case) -> bool:
        kinds = {fault.kind for fault in case.faults}
        by_kind = not self._options.one or bool(kinds & {*self._options.one})
        by_work = not self._options.work or case.work in self._options.work
        return by_kind and by_work and not kinds & {*self._cannot}


def line(case: Case) -> str:
    """What became of a case, in a line."""
    mark = "FAILED" if case.failed else "ok"
    said = []
    for fault in case.faults:
        engine = "" if fault.inline else " ray"
        missed = "" if fault.hit else " NOT HIT"
        left = f" left: {', '.join(fault.left)}" if fault.left else ""
        where = f" {fault.detail}" if fault.detail else ""
        said.append(f"{'+ ' * fault.joined}{fault.kind}{engine} {fault.phase} {fault.seconds} s{missed}{left}{where}")
    traces = f" tracebacks: {case.tracebacks}" if case.tracebacks else ""
    return (
        f"{case.number:4d} {mark:6} {case.work:8} {case.codes} [{'; '.join(said)}]{traces} {case.detail}{case.differs}"
    )


def table(cases: list[Case]) -> list[str]:
    """A table in Markdown: a line for each kind of fault."""
    rows: dict[str, list[tuple[Case, Fault]]] = defaultdict(list)
    for case in cases:
        for fault in case.faults:
            rows[fault.kind].append((case, fault))
    columns = ("fault", "works", "with Ray", "tried", "hit", "hit and right", "exit codes", "longest")
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for kind, found in sorted(rows.items()):
        counts = Counter(case.work for case, _ in found)
        works = ", ".join(f"{name} {counts[name]}" for name in WORKS if name in counts)
        codes = ", ".join(str(code) for code in sorted({c for _, fault in found for c in fault.codes if c is not None}))
        hit = [(case, fault) for case, fault in found if fault.hit]
        right = sum(not case.failed for case, _ in hit)
        numbers = [sum(not fault.inline for _, fault in found), len(found), len(hit), right]
        longest = max(fault.seconds for _, fault in found)
        lines.append(f"| {kind} | {works} | {' | '.join(map(str, numbers))} | {codes} | {longest:.0f} s |")
    return lines
