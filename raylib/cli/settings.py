"""Values of `--set key=value` options."""

from __future__ import annotations

from raylib.credentials import secret_in_command
from raylib.errors import RaylibError
from raylib.user_yaml import KeyPath, parse_document

__all__ = ["Overrides", "overrides"]


class Overrides(dict[str, object]):
    """Values by dotted key.

    Attributes:
        written: Text of each value that YAML made a boolean or a number, by the path of its key.
    """

    def __init__(self) -> None:
        super().__init__()
        self.written: dict[KeyPath, str] = {}


def overrides(items: list[str], option: str = "--set") -> Overrides:
    """Values by dotted key.

    Args:
        items: The options as given, `key=value`; a value is YAML.
        option: Name of the option, for errors.

    Returns:
        The values, and how they were written.

    Raises:
        RaylibError: An option has no `=`, its value is not YAML, or it holds a secret.
    """
    out = Overrides()
    problem = secret_in_command(items)
    if problem:
        raise RaylibError(problem)
    for item in items:
        key, sign, value = item.partition("=")
        key = key.strip()
        if not sign or not key:
            full_width = "; '＝' is a full-width sign" if "＝" in item else ""
            example = "engine.actors=4" if option == "--set" else "name=value"
            raise RaylibError(
                f"{option} {item!r}: write {option} key=value, for example {option} {example}{full_width}"
            )
        held = parse_document(value, f"{option} {item}", RaylibError, lines=False)
        out[key] = held.data if value else ""
        for path, text in held.where.written.items():
            place: KeyPath = (*key.split("."), *path)
            out.written[place] = text
    return out
