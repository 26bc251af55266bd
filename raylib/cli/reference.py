"""Generated pages about the command line and about monitoring, for `python -m raylib.reference`."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Protocol, cast, get_args

import typer

from raylib.cli.app import app
from raylib.cluster import monitoring

__all__ = ["commands_markdown", "pages"]

_TYPES = {"str": "text", "int": "integer", "float": "number"}  # other names are shown as they are
_HEAD = """# Command line

Generated from the code by `python -m raylib.reference`. `raylib COMMAND --help` prints the same information.

If a command fails because of its input, it prints one line that starts with `error:` and exits with status 1. Ctrl-C
exits with status 130 and SIGTERM with status 143. Commands that write to a folder continue an interrupted run when you
repeat them. While one command writes to a folder, a second one for the same folder is refused: its message names the
process, its host and when it began. A process that was killed holds no lock; one on another host counts until it has
given no sign of life for 60 seconds. In object storage this check is best effort.

These options of `raylib` itself stand before the command, as in `raylib -v run recipe.yaml`:
"""


class Parameter(Protocol):
    """What is used of an argument or option of click."""

    name: str
    opts: list[str]
    secondary_opts: list[str]
    required: bool
    nargs: int
    default: object
    metavar: str | None
    help: str | None
    hidden: bool
    param_type_name: str


class Command(Protocol):
    """What is used of a command of click."""

    help: str | None
    hidden: bool
    params: list[Parameter]


def pages() -> dict[str, str]:
    """Texts of the generated pages, by path in the checkout."""
    made = {"docs/commands.md": commands_markdown()}
    for name, text in monitoring.files().items():
        made[f"deploy/monitoring/{name}"] = text
    return made


def commands_markdown() -> str:
    """The command-line reference: a section per command with usage, description, arguments and options."""
    root = cast("Command", typer.main.get_command(app))
    commands = list(_leaves(root, "raylib"))
    lines = [_HEAD, *_options(root), "", "| command | |", "|---|---|"]
    lines += [f"| [`{path}`](#{path.replace(' ', '-')}) | {_cell(_summary(command))} |" for path, command in commands]
    for path, command in commands:
        lines += ["", *_section(path, command)]
    return "\n".join(lines).rstrip() + "\n"


def _leaves(command: Command, path: str) -> Iterator[tuple[str, Command]]:
    """All visible commands that are not groups, with their full names."""
    children: dict[str, Command] = getattr(command, "commands", {})
    for name, child in children.items():
        if child.hidden:
            continue
        if hasattr(child, "commands"):
            yield from _leaves(child, f"{path} {name}")
        else:
            yield f"{path} {name}", child


def _summary(command: Command) -> str:
    """First paragraph of a command's help."""
    return inspect.cleandoc(command.help or "").split("\n\n")[0].replace("\n", " ")


def _section(path: str, command: Command) -> list[str]:
    """Usage, description and tables of a command."""
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = _options(command)
    usage = " ".join([path, *(["[OPTIONS]"] if options else []), *(_metavar(a) for a in arguments)])
    lines = [f"## {path}", "", inspect.cleandoc(command.help or ""), "", "```text", usage, "```"]
    if arguments:
        lines += ["", "| argument | type | required | |", "|---|---|---|---|"]
        lines += [
            f"| `{_metavar(a).strip('[]')}` | {_type(a)} | {'yes' if a.required else 'no'} | {_cell(a.help or '')} |"
            for a in arguments
        ]
    return [*lines, "", *options] if options else lines


def _options(command: Command) -> list[str]:
    """The table of a command's options."""
    options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
    if not options:
        return []
    rows = [f"| {_names(o)} | {_type(o)} | {_default(o)} | {_cell(o.help or '')} |" for o in options]
    return ["| option | type | default | |", "|---|---|---|---|", *rows]


def _metavar(argument: Parameter) -> str:
    """An argument as the usage line shows it."""
    name = argument.metavar or argument.name.upper()
    if argument.metavar is None and argument.nargs == -1:
        name += "..."
    return name if argument.required else f"[{name}]"


def _names(option: Parameter) -> str:
    """All names of an option."""
    return ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])


def _type(parameter: Parameter) -> str:
    """Type and bounds of an argument or option."""
    if getattr(parameter, "is_flag", False):
        return "flag"
    old = getattr(parameter, "type", None)  # click's parameter type, in versions of typer before 0.29
    if old is not None:
        name = str(old.name).split()[0]
    else:
        name = _plain(parameter.type_descriptor.annotation).__name__.lower()  # type: ignore[attr-defined]  # newer
    shown = _TYPES.get(name, name)
    low, high = (getattr(old if old is not None else parameter, side, None) for side in ("min", "max"))
    if low is not None and high is not None:
        shown += f" from {low:,} to {high:,}"
    elif low is not None:
        shown += f", at least {low}"
    repeated = getattr(parameter, "multiple", False) or parameter.nargs == -1
    return f"{shown}, repeatable" if repeated else shown


def _plain(annotation: object) -> type:
    """The class in `list[X]` or `X | None`."""
    inner = [a for a in get_args(annotation) if a is not type(None)]
    return _plain(inner[0]) if inner else cast("type", annotation)


def _default(option: Parameter) -> str:
    """Default of an option; empty if it has none."""
    if option.required:
        return "(required)"
    value = option.default
    if getattr(option, "is_flag", False):
        if not option.secondary_opts:
            return "off"
        return f"`{(option.opts if value else option.secondary_opts)[0]}`"
    if callable(value) or value is None or value in ("", [], ()):
        return ""
    return f"`{value}`"


def _cell(text: str) -> str:
    """Text for a cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")
