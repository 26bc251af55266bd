"""Whether a token folder is whole: its description carries size and checksum of each of its files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TypedDict

from raylib.checksums import checksum_of
from raylib.errors import SourceError
from raylib.storage.store import Store
from raylib.storage.verification import Verified, check_file

__all__ = ["DESCRIPTION", "file_sums", "is_token_folder", "verify_tokens"]

DESCRIPTION = "tokens.json"


def file_sums(folder: str | os.PathLike[str], names: Iterable[str]) -> dict[str, tuple[int, str]]:
    """Size and checksum of files.

    Args:
        folder: Their folder.
        names: Their names; those that are not there are left out.
    """
    sums = {}
    for name in names:
        path = os.path.join(folder, name)
        if os.path.exists(path):
            with open(path, "rb") as stream:
                sums[name] = checksum_of(stream)
    return sums


class _Files(TypedDict, total=False):
    """What is looked at in the description."""

    files: Mapping[str, tuple[int, str]]


def is_token_folder(path: str) -> bool:
    """Whether a folder on a disk is a token folder."""
    return "://" not in path and os.path.isfile(os.path.join(os.path.expanduser(path), DESCRIPTION))


def verify_tokens(folder: str) -> Verified:
    """Check everything in a token folder; nothing in it is changed.

    Args:
        folder: The folder.

    Returns:
        What is whole and what is not.
    """
    found, store = Verified(folder, finished=True), Store(folder)
    area = found.area("tokens")
    try:
        info = store.read_json(DESCRIPTION, _Files)
        files = {name: (size, summed) for name, (size, summed) in info.get("files", {}).items()}
    except SourceError as error:
        area.damaged += 1
        found.problems.append(str(error))
        files = {}
    for name, written in files.items():
        check_file(store, "tokens", name, written, found)
    if not files and not found.problems:
        area.unsummed = area.files = len(store.names(""))
    if found.problems:
        found.advice = "delete the folder and run the same raylib tokenize command again"
    return found
