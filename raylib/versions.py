"""Versions of what is installed."""

from __future__ import annotations

import importlib.metadata
import platform

__all__ = ["__version__", "package_version", "versions"]

__version__ = "0.2.0"


def package_version(package: str) -> str:
    """Version of an installed distribution; empty if it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def versions() -> dict[str, str]:
    """Versions by package, as a run's summary records them; packages that are not installed are left out."""
    found = {p: package_version(p) for p in ("ray", "pyarrow", "numpy")}
    return {"raylib": __version__, "python": platform.python_version(), **{p: v for p, v in found.items() if v}}
