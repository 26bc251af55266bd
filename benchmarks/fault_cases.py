"""Cases of the fault campaign: how they are drawn, and the table of what became of them."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from fault_kinds import KINDS, MOUNTS, NEEDS_RAY, NETWORK
from fault_works import RECIPES, WORKS

__all__ = ["Case", "draw", "line", "table"]

_ANYWHERE = ("kill driver", "stop driver", "memory", *(kind for kind in MOUNTS if kind != "shm full"))
_OFTEN = {"kill driver": 4, "two drivers": 2, "flip": 2, "kill actor": 2}  # cases of a kind; 1 of the others
_INLINE = 0.8  # share of the cases without Ray, of the faults that do not need it


@dataclass
class Case:
    """A case and what became of it.

    Attributes:
        number: Its number.
        kind: Kind of the fault.
        work: What was disturbed.
        inline: Whether it ran without Ray.
        phase: Phase in which that happened.
        hit: Whether the fault met anything.
        codes: Exit codes, one a run.
        seconds: From the fault to the end of the command.
        hangs: Number of commands that did not end by themselves.
        identical: Whether files and numbers are those of the undisturbed run.
        lost: Number of records that are nowhere.
        twice: Number of records that are there more than once.
        left: Names of processes that were there after the last run.
        left_at_fault: Names of processes that outlived the disturbed command.
        tracebacks: Number of commands that said a traceback.
        detail: What was damaged, or the last message.
    """

    number: int
    kind: str
    work: str
    inline: bool = True
    phase: str = ""
    hit: bool = False
    codes: list[int] = field(default_factory=list)
    seconds: float = 0.0
    hangs: int = 0
    identical: bool = False
    lost: int = 0
    twice: int = 0
    left: list[str] = field(default_factory=list)
    left_at_fault: list[str] = field(default_factory=list)
    tracebacks: int = 0
    detail: str = ""

    @property
    def failed(self) -> bool:
        """Whether the promise was broken."""
        return not self.identical or bool(self.hangs or self.lost or self.twice)

    @property
    def is_recipe(self) -> bool:
        """Whether it disturbs a run of a recipe."""
        return self.work in RECIPES


def works_of(kind: str) -> tuple[str, ...]:
    """The works that a kind of fault can disturb; training is long, and comes by its own faults or seldom."""
    if kind == "kill trainer":
        return ("train",)
    several = (*RECIPES, *RECIPES)
    if kind in _ANYWHERE:
        return (*several, *several, "tokenize", "tokenize", "train")
    return tuple(RECIPES)


def draw(seed: int, number: int) -> tuple[Case, random.Random]:
    """The case of a number."""
    rng = random.Random(f"{seed}-{number}")
    kind = rng.choices(KINDS, [_OFTEN.get(kind, 1) for kind in KINDS])[0]
    work = rng.choice(works_of(kind))
    without_ray = rng.random() < _INLINE
    inline = work not in RECIPES or kind == "memory" or (without_ray and kind not in (*NEEDS_RAY, *NETWORK))
    return Case(number, kind, work, inline), rng


def line(case: Case) -> str:
    """What became of a case, in a line."""
    mark = "FAILED" if case.failed else "ok" if case.hit else "not hit"
    engine = "inline" if case.inline else "ray"
    where = f"{case.kind:16} {case.work:8} {engine:6} {case.phase:8}"
    left = f" left: {', '.join(case.left_at_fault)}" if case.left_at_fault else ""
    traces = f" tracebacks: {case.tracebacks}" if case.tracebacks else ""
    return f"{case.number:4d} {mark:7} {where} {case.codes} {case.seconds} s{left}{traces} {case.detail}"


def table(cases: list[Case]) -> list[str]:
    """A table in Markdown: a line for each kind of fault."""
    rows: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        rows[case.kind].append(case)
    columns = (
        "fault",
        "works",
        "cases",
        "hit",
        "hit and right",
        "lost",
        "twice",
        "first exit codes",
        "longest",
        "hangs",
    )
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for kind, found in sorted(rows.items()):
        counts = Counter(case.work for case in found)
        works = ", ".join(f"{name} {counts[name]}" for name in WORKS if name in counts)
        codes = ", ".join(str(code) for code in sorted({case.codes[0] for case in found if case.codes}))
        right = sum(case.hit and not case.failed for case in found)
        numbers = [len(found), sum(case.hit for case in found), right]
        numbers += [sum(case.lost for case in found), sum(case.twice for case in found)]
        longest, hangs = max(case.seconds for case in found), sum(case.hangs for case in found)
        lines.append(f"| {kind} | {works} | {' | '.join(map(str, numbers))} | {codes} | {longest:.0f} s | {hangs} |")
    return lines
