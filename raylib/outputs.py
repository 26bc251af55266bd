"""Where commands write: checked before any work, with one message for every reason why it cannot be written."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from raylib.atomic import FULL_VOLUME
from raylib.errors import OutputError
from raylib.paths import JOB_PACKAGES, absolute

__all__ = ["output_file", "output_folder", "refuse_job_package"]


def refuse_job_package(path: str, option: str) -> None:
    """Refuse an output in the temporary working directory of a job.

    Args:
        path: Path of the output, or a URI.
        option: Option that names it, for the message.

    Raises:
        OutputError: Ray would delete the output.
    """
    if "://" not in path and JOB_PACKAGES in absolute(path):
        raise OutputError(
            f"{option} {path!r} lies in {absolute(path)}, the temporary working directory of a job, which Ray deletes; "
            "give an absolute path that all nodes share, or a URI"
        )


def output_folder(path: str | Path, option: str = "--out", shown: str = "") -> Path:
    """Create the folder of an output, and try to write into it.

    Args:
        path: The folder, on a local disk.
        option: Option that names it, for the message.
        shown: The path as the user gave it, if that is another.

    Returns:
        The folder.

    Raises:
        OutputError: It cannot be created or written to. A full volume is not reported here, but where data are written.
    """
    refuse_job_package(shown or str(path), option)
    folder = Path(path).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        if error.errno not in FULL_VOLUME:
            raise OutputError(_cannot_write(shown or path, folder, option, error)) from None
    return folder


def output_file(path: str | Path, option: str = "--out") -> Path:
    """Create the folder of a file that is going to be written.

    Args:
        path: The file, on a local disk.
        option: Option that names it, for the message.

    Returns:
        The file.

    Raises:
        OutputError: It is a folder, or its folder cannot be written to.
    """
    file = Path(path).expanduser()
    if file.is_dir():
        raise OutputError(f"{option} {str(path)!r} is a folder; name a file")
    output_folder(file.parent, option, str(path))
    if file.exists() and not os.access(file, os.W_OK):
        raise OutputError(f"{option} {str(path)!r}: cannot write to {absolute(str(file))}: Permission denied")
    return file


def _cannot_write(path: str | Path, folder: Path, option: str, error: OSError) -> str:
    """What stands in the way: a file where a folder should be, or what the operating system says."""
    place = Path(absolute(str(folder)))
    there = next((p for p in (place, *place.parents) if os.path.lexists(p)), place)
    reason = f"{there} is a file" if there.is_file() else error.strerror
    return f"{option} {str(path)!r}: cannot write to {place}: {reason}"
