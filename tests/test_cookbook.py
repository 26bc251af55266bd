"""Recipes and commands of the documentation are ones that the program takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer
import yaml

from raylib.cli import app
from raylib.recipe import Recipe

ROOT = Path(__file__).parents[1]
PAGES = [
    "docs/cookbook.md",
    "docs/guide.md",
    "docs/migration.md",
    "README.md",
    "README.zh.md",
    "docs/quality.md",
    "docs/scaling.md",
    "docs/tutorial.md",
]


def blocks(page: str, kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", (ROOT / page).read_text("utf-8"), re.S)


@pytest.mark.parametrize("text", [b for p in PAGES for b in blocks(p, "yaml") if "stages:" in b and "input:" in b])
def test_recipes_load(text: str) -> None:
    assert Recipe.from_dict(yaml.safe_load(text), "documentation").stages


def commands() -> list[str]:
    found = []
    for page in PAGES:
        for block in blocks(page, "sh"):
            joined = block.replace("\\\n", " ")
            found += [
                line.split("    #")[0].split("   #")[0].strip()
                for line in joined.splitlines()
                if line.startswith("raylib ")
            ]
    return sorted(set(found))


@pytest.mark.parametrize("line", commands())
def test_commands_are_taken(line: str) -> None:
    words = shlex.split(re.sub(r"\s+# .*$", "", line))[1:]
    command = typer.main.get_command(app)
    while hasattr(command, "commands"):
        assert words, line
        assert words[0] in command.commands, line
        command = command.commands[words.pop(0)]
    command.make_context(line, words)  # parses, does not run


def test_there_is_something_to_check() -> None:
    assert len(commands()) > 30
    assert len(re.findall(r"^### \d+\.", (ROOT / "docs/cookbook.md").read_text("utf-8"), re.M)) == 20


@pytest.mark.parametrize("page", sorted(str(p.relative_to(ROOT)) for p in [*ROOT.glob("*.md"), *ROOT.glob("*/*.md")]))
def test_links_lead_somewhere(page: str) -> None:
    prose = re.sub(r"`[^`\n]*`", "", (ROOT / page).read_text("utf-8"))
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", prose):
        assert "://" in target or (ROOT / page).parent.joinpath(target).exists(), target
