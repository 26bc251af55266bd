"""The command-line reference."""

from __future__ import annotations

from raylib.cli.reference import commands_markdown


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
