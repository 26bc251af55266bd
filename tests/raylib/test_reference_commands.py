"""The command-line reference."""

from __future__ import annotations

from pathlib import Path

from raylib.reference_commands import commands_markdown

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text("utf-8") == commands_markdown(), "run `python -m raylib.reference_commands`"


def test_commands_of_groups_have_a_section() -> None:
    assert "## raylib classifier train" in commands_markdown()


def test_a_required_option_is_marked() -> None:
    section = commands_markdown().split("## raylib export\n")[1].split("\n## ")[0]
    assert "| `--out`, `-o` | text | (required) |" in section


def test_a_flag_with_two_names_shows_its_default() -> None:
    section = commands_markdown().split("## raylib run\n")[1].split("\n## ")[0]
    assert "| `--fresh`, `--resume` | flag | `--resume` |" in section


def test_limits_of_numbers_are_shown() -> None:
    section = commands_markdown().split("## raylib ui\n")[1].split("\n## ")[0]
    assert "| integer from 1 to 65,535 | `8700` |" in section
