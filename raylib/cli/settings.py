"""Values of `--set key=value` options."""

from __future__ import annotations

import yaml

from raylib.errors import RaylibError

__all__ = ["overrides"]


def overrides(items: list[str]) -> dict[str, object]:
    """Values by dotted key.

    Args:
        items: The options as given, `key=value`; a value is YAML.

    Raises:
        RaylibError: An option has no `=`, or its value is not YAML.
    """
    out: dict[str, object] = {}
    for item in items:
        key, sign, value = item.partition("=")
        if not sign or not key:
            raise RaylibError(f"--set {item!r}: write --set key=value, for example --set engine.actors=4")
        try:
            out[key.strip()] = yaml.safe_load(value) if value else ""
        except yaml.YAMLError as error:
            raise RaylibError(f"--set {item!r}: the value is not YAML: {error}") from None
    return out
