"""Writes the tree of modules in ARCHITECTURE.md from the first lines of their docstrings.

`python docs/make_tree.py [--check] [PAGE]`; with `--check` it changes nothing and fails if the page is out of date.
"""

from __future__ import annotations

import ast
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("raylib", "cleaning", "dedup", "quality", "training")
START, END = "<!-- tree -->", "<!-- end of tree -->"
COLUMN, WIDTH = 26, 120


def note(path: Path) -> str:
    """The first line of a module's docstring."""
    return (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").split("\n")[0]


def entry(name: str, text: str, depth: int) -> str:
    """One line of the tree; long texts go on below themselves."""
    head = "  " * depth + name
    if not text:
        return head
    first = f"{head:<{COLUMN}}" if len(head) < COLUMN - 1 else head + "  "
    return textwrap.fill(text, WIDTH, initial_indent=first, subsequent_indent=" " * COLUMN, break_long_words=False)


def branch(folder: Path, depth: int = 0) -> list[str]:
    """A package: its own line, its modules, then its folders."""
    lines = [entry(f"{folder.name}/", note(folder / "__init__.py"), depth)]
    modules = sorted(p for p in folder.glob("*.py") if p.name != "__init__.py")
    lines += [entry(path.name, note(path), depth + 1) for path in modules]
    for inner in sorted(p.parent for p in folder.glob("*/__init__.py")):
        lines += branch(inner, depth + 1)
    return lines


def with_tree(page: str) -> str:
    """The page with its tree made from the code."""
    head, rest = page.split(START, 1)
    tail = rest.split(END, 1)[1]
    tree = "\n".join(line for package in PACKAGES for line in [*branch(ROOT / package), ""]).rstrip()
    return f"{head}{START}\n\n```text\n{tree}\n```\n\n{END}{tail}"


def main(arguments: list[str]) -> int:
    """Write the page, or compare it."""
    names = [a for a in arguments if a != "--check"]
    page = Path(names[0]) if names else ROOT / "ARCHITECTURE.md"
    before = page.read_text("utf-8")
    after = with_tree(before)
    if before == after:
        return 0
    if "--check" in arguments:
        print(f"{page.name} is out of date: run `python docs/make_tree.py`", file=sys.stderr)
        return 1
    page.write_text(after, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
