"""The token by which the processes of a local Ray know each other: a file that nobody else can read."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["own_token"]

_NAMED = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


@contextmanager
def own_token(folder: str) -> Iterator[None]:
    """Make the token unless there is one; for the length of the block where the home folder cannot be written to.

    Ray makes it by itself, but readable by everybody, and it does not start if the home folder is read-only.

    Args:
        folder: Folder of Ray, where the token is kept in that case.
    """
    if any(os.environ.get(name) for name in _NAMED) or os.environ.get("RAY_AUTH_MODE", "token").lower() != "token":
        yield
        return
    if _made(os.path.join(os.path.expanduser("~"), ".ray", "auth_token")):
        yield
        return
    with tempfile.NamedTemporaryFile(dir=folder, prefix="token_") as file:  # readable by this user alone
        file.write(secrets.token_hex(32).encode())
        file.flush()
        os.environ["RAY_AUTH_TOKEN_PATH"] = file.name
        try:
            yield
        finally:
            os.environ.pop("RAY_AUTH_TOKEN_PATH", None)


def _made(path: str) -> bool:
    """Make the file of a token; one that exists is left as it is. Returns whether it is there."""
    if os.path.exists(path):
        return True
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=os.path.dirname(path), prefix=".token_") as file:
            file.write(secrets.token_hex(32).encode())
            file.flush()
            with contextlib.suppress(FileExistsError):
                os.link(file.name, path)
    except OSError:
        return False
    return True
