"""Whether the Ray that this process has joined is still alive: a lost one answers nothing, and Ray waits for it."""

from __future__ import annotations

import os
import socket
import sys
import time

from raylib.cluster.local import LocalCluster
from raylib.errors import ClusterLostError

__all__ = ["Watch"]

_EVERY = 1.0  # seconds between looks
_PATIENCE = 20.0  # seconds for which the head of a cluster may be away, because one that is restarted comes back
_RAYS_PATIENCE = "RAY_gcs_rpc_server_reconnect_timeout_s"  # Ray's own, if a user has set it


class Watch:
    """Looks at the processes of Ray that this one depends on.

    Args:
        cluster: The local Ray that this process has started; None if it has joined another one.
    """

    def __init__(self, cluster: LocalCluster | None) -> None:
        self._cluster = cluster
        self._raylet, self._head = _sockets()
        self._looked = self._answered = time.monotonic()
        self._patience = float(os.environ.get(_RAYS_PATIENCE) or _PATIENCE)
        self.lost = False

    def check(self) -> None:
        """Look, if the last time was a moment ago.

        Raises:
            ClusterLostError: Ray has ended.
        """
        now = time.monotonic()
        if now - self._looked < _EVERY:
            return
        self._looked = now
        what = self._missing(now)
        if what:
            self.lost = True
            logs = f"; its logs are in {self._cluster.logs}" if self._cluster is not None else ""
            raise ClusterLostError(
                f"{what}, perhaps because memory was short or somebody killed it{logs}. Everything committed so far is "
                "kept: run the same command again to continue"
            )

    def _missing(self, now: float) -> str:
        """What has ended; empty if nothing has."""
        if self._cluster is not None and not self._cluster.is_running:
            return "the local Ray has ended"
        if self._raylet and not _answers(socket.AF_UNIX, self._raylet):
            return "Ray on this machine has ended (its raylet)"
        if self._head is None or _answers(socket.AF_INET6 if ":" in self._head[0] else socket.AF_INET, self._head):
            self._answered = now
        if now - self._answered <= (0 if self._cluster is not None else self._patience):
            return ""
        return "the head of the Ray cluster does not answer any more (its GCS)"


def _answers(family: socket.AddressFamily, address: str | tuple[str, int]) -> bool:
    """Whether somebody listens. One that is only slow does: the system accepts for it."""
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(2)
        try:
            connection.connect(address)
        except BlockingIOError:
            return True  # more are waiting than it has accepted
        except OSError:
            return False
    return True


def _sockets() -> tuple[str, tuple[str, int] | None]:
    """The socket of this machine's raylet and the address of the head; empty for what is not known."""
    worker = sys.modules.get("ray._private.worker")
    node = getattr(worker, "_global_node", None)
    if node is None:
        return "", None  # Ray's client: a server far away does everything
    host, _, port = str(node.gcs_address).rpartition(":")
    return str(node.raylet_socket_name), (host.strip("[]"), int(port))
