"""Fenced blocks of the documentation, and the commands in them."""

from __future__ import annotations

import ast
import itertools
import re
import shlex
from dataclasses import dataclass

import yaml

from tests.house import ROOT

__all__ = ["Block", "blocks_of", "commands_of", "meaning", "unmade_files"]

LANGUAGES = {"sh", "yaml", "python", "text"}


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the line of the page on which it starts."""

    page: str
    line: int
    language: str
    text: str

    @property
    def where(self) -> str:
        """Page and line, as an editor opens them."""
        return f"{self.page}:{self.line}"

    @property
    def file(self) -> str:
        """Name of the file that a YAML block is to be saved as: its first line, a comment."""
        found = re.match(r"# (\S+\.ya?ml)\n", self.text)
        return found[1] if found else ""


def blocks_of(page: str, text: str = "") -> list[Block]:
    """All fenced blocks of a page, in order. A language that nobody runs is an error: no block is passed over."""
    text = text or (ROOT / page).read_text("utf-8")
    found = []
    for match in re.finditer(r"^```(\w*)\n(.*?)^```", text, re.S | re.M):
        line = text[: match.start()].count("\n") + 1
        assert match[1] in LANGUAGES, f"{page}:{line}: a block in '{match[1]}'"
        found.append(Block(page, line, match[1], match[2]))
    return found


def commands_of(block: Block) -> list[str]:
    """The commands of a shell block, without comments; a line that ends with a backslash goes on."""
    joined = block.text.replace("\\\n", " ")
    lines = [re.sub(r"(^|\s+)#( .*)?$", "", line).strip() for line in joined.splitlines()]
    return [re.sub(r"\s{2,}", " ", line) for line in lines if line]


def meaning(block: Block) -> object:
    """What a block says without comments and layout, to compare two translations of a page."""
    if block.language == "sh":
        return [shlex.split(c) for c in commands_of(block)]
    if block.language == "yaml":
        return yaml.safe_load(block.text)
    return ast.dump(ast.parse(block.text)) if block.language == "python" else block.text


_MADE = re.compile(r"^(out|models|tokens)/\S+|^[\w]+\.jsonl$")  # what no reader brings, but a command of the page makes


def unmade_files(page: str, text: str = "") -> list[str]:
    """Files that a command of a page reads although nothing above it on the page makes them."""
    made: set[str] = set()
    problems = []
    for block in blocks_of(page, text):
        if block.language == "yaml":
            made |= set(re.findall(r"output: \{path: ([^,}\s]+)", block.text))
            made |= {f"{a}/{b}" for a, b in re.findall(r"^output: (\S+)\nname: (\S+)$", block.text, re.M)}
        for command in commands_of(block) if block.language == "sh" else ():
            targets, read = _files_of(command)
            problems += [
                f"{block.where}: {name}"
                for name in read
                if _MADE.match(name) and not any(name == m or name.startswith(f"{m}/") for m in made)
            ]
            made |= targets
    return problems


def _files_of(command: str) -> tuple[set[str], list[str]]:
    """What a command makes, and all other words of it that may be files."""
    words = shlex.split(command)
    targets = {after for word, after in itertools.pairwise(words) if word in {"-o", "--out", "--json", ">"}}
    targets |= {word.removeprefix("output.path=") for word in words if word.startswith("output.path=")}
    targets |= {f"out/train/{word.removeprefix('name=')}" for word in words if word.startswith("name=")}
    targets |= {word.removeprefix("OUT=") for word in words if word.startswith("OUT=")}
    if words[:2] == ["hf", "download"]:
        targets.add(words[-1])
    values = [word.rsplit("=", 1)[-1] for word in words if not word.startswith("output.path=")]
    return targets, [value for value in values if value not in targets]
