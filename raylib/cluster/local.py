"""A local Ray in a separate process, so that this one can work while it starts and need not wait while it ends.

The helper owns the cluster and lives as long as its standard input is open: when the process that started it ends,
however it ends, the helper and with it all of Ray's processes end too.
"""

from __future__ import annotations

import contextlib
import glob
import json
import logging
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from typing import IO

from raylib.cluster.loopback import note_own, on_loopback
from raylib.errors import RaylibError

__all__ = ["LocalCluster"]

logger = logging.getLogger(__name__)

_PATIENCE = 120  # seconds to come up, on a machine that is busy with other things


@dataclass
class LocalCluster:
    """A local Ray: begin with `start`, ask for `address`, end with `stop`.

    Attributes:
        num_cpus: Number of CPUs that it offers.
        object_store_memory: Size of its object store in bytes.
        dashboard: Whether it has a dashboard.
    """

    num_cpus: int
    object_store_memory: int
    dashboard: bool = False
    _process: subprocess.Popen[bytes] | None = None
    _errors: IO[bytes] | None = None
    _address: str = ""
    _session: str = ""
    _begun: float = field(default_factory=time.monotonic)

    def start(self) -> None:
        """Start the helper; returns at once."""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the cluster
        options = {
            "num_cpus": self.num_cpus,
            "object_store_memory": self.object_store_memory,
            "include_dashboard": self.dashboard,
        }
        # a separate session: this process alone handles an interrupt at the terminal
        self._process = subprocess.Popen(
            [sys.executable, "-m", "raylib.cluster.local", json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
        )

    def address(self, wait: float = 0.0) -> str | None:
        """The cluster's address.

        Args:
            wait: Seconds to wait for it.

        Returns:
            The address; None while the cluster is not up.

        Raises:
            RaylibError: the cluster could not be started.
        """
        if self._address:
            return self._address
        if self._process is None or self._process.stdout is None:
            raise RuntimeError("start() comes first")
        ready, _, _ = select.select([self._process.stdout], [], [], wait)
        if ready:
            line = self._process.stdout.readline()
            if not line:
                raise RaylibError(f"a local Ray could not be started: {self._error_text()}")
            self._address, self._session = json.loads(line)
            note_own(self._address)
            logger.info("a local Ray is up at %s", self._address)
            return self._address
        if time.monotonic() - self._begun > _PATIENCE:
            raise RaylibError(f"a local Ray did not come up in {_PATIENCE} s: {self._error_text()}")
        return None

    def _error_text(self) -> str:
        if self._errors is None:
            return ""
        self._errors.seek(0)
        return self._errors.read()[-2000:].decode("utf-8", "replace").strip() or "no message"

    def stop(self) -> None:
        """End the cluster at once. Nothing in it is needed any more: what a run made is committed to its folder.

        Ray's processes die with the one that started them; only what they spilled would stay on the disk.
        """
        process = self._process
        if process is None:
            return
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        if self._session:
            for folder in glob.glob(f"{glob.escape(self._session)}/ray_spilled_objects*"):
                shutil.rmtree(folder, ignore_errors=True)
        if self._errors is not None:
            self._errors.close()


def _serve(options: dict[str, int | bool]) -> None:
    """Run a cluster until the standard input is closed."""
    import ray  # noqa: PLC0415 - loads in seconds

    # "local": a Ray that somebody else started on this machine is not ours
    with on_loopback():
        ray.init(address="local", log_to_driver=False, logging_level="ERROR", configure_logging=True, **options)
    node = ray._private.worker.global_worker.node  # noqa: SLF001 - Ray has no public name for its session's folder
    answer = [ray.get_runtime_context().gcs_address, node.get_session_dir_path()]
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
    sys.stdin.buffer.read()
    ray.shutdown()


if __name__ == "__main__":
    _serve(json.loads(sys.argv[1]))
