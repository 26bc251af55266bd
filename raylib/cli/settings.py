"""Values of `--set key=value` options."""

from __future__ import annotations

from typing import Any

import yaml

from raylib.errors import RaylibError

__all__ = ["overrides"]


def overrides(items: list[str]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for item in items:
        key, sign, value = item.partition("=")
        if not sign or not key:
            raise RaylibError(f"--set {item!r}: write --set key=value, for example --set engine.actors=4")
        try:
            out[key.strip()] = yaml.safe_load(value) if value else ""
        except yaml.YAMLError as error:
            raise RaylibError(f"--set {item!r}: the value is not YAML: {error}") from None
    return out
