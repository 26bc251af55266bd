"""A local Ray in a separate process, so that this one can work while it starts and need not wait while it ends.

The helper owns the cluster and lives as long as its standard input is open: when the process that started it ends,
however it ends, the helper and with it all of Ray's processes end too.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from typing import IO

from raylib import termination
from raylib.cluster.loopback import note_own, on_loopback
from raylib.cluster.own_token import own_token
from raylib.cluster.proxies import pass_by_proxies
from raylib.cluster.ray_folder import ray_folder, remove_session
from raylib.cluster.surroundings import raise_file_limit
from raylib.errors import RaylibError

__all__ = ["LocalCluster", "serve"]

logger = logging.getLogger(__name__)

# With `-m`, a folder `raylib` in the working folder would come before the package that runs here.
_HELPER = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); from raylib.cluster import local; "
    "local.serve(json.loads(sys.argv[1]))"
)
_PATIENCE = 120  # seconds to come up, on a machine that is busy with other things
_BUSY = "timed out during startup"  # what Ray says if its processes need more than 30 s to find each other


@dataclass
class LocalCluster:
    """A local Ray: begin with `start`, ask for `address`, end with `stop`.

    Attributes:
        num_cpus: Number of CPUs that it offers.
        object_store_memory: Size of its object store in bytes; None leaves it to Ray.
        dashboard: Whether it has a dashboard.
    """

    num_cpus: int
    object_store_memory: int | None
    dashboard: bool = False
    _process: subprocess.Popen[bytes] | None = None
    _errors: IO[bytes] | None = None
    _address: str = ""
    _folder: str = ""
    _token: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _begun: float = field(default_factory=time.monotonic)

    def start(self) -> None:
        """Start the helper; returns at once.

        Raises:
            RaylibError: there is no folder for the files of Ray.
        """
        self._folder = ray_folder()
        self._token.enter_context(own_token(self._folder))
        self._spawn()

    def _spawn(self) -> None:
        """Start the helper."""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the cluster
        options = {
            "num_cpus": self.num_cpus,
            "object_store_memory": self.object_store_memory,
            "include_dashboard": self.dashboard,
            "_temp_dir": self._folder,
        }
        # a separate session: this process alone handles an interrupt at the terminal
        self._process = subprocess.Popen(
            [sys.executable, "-c", _HELPER, json.dumps(options), json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
        )
        termination.also_ends(self._process.pid)

    @property
    def is_running(self) -> bool:
        """Whether the helper lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def logs(self) -> str:
        """Pattern of the folder with the logs of Ray's processes."""
        pid = 0 if self._process is None else self._process.pid
        return os.path.join(self._folder, f"session_*_{pid}", "logs")

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
                said = self._error_text()
                if _BUSY not in said or time.monotonic() - self._begun > _PATIENCE:
                    raise RaylibError(f"a local Ray could not be started: {said}")
                logger.warning("a local Ray did not come up in 30 s, as on a busy machine; trying again")
                self._end_helper(self._process)
                remove_session(self._folder, self._process.pid)
                self._spawn()
                return None
            self._address = str(json.loads(line))
            note_own(self._address)
            logger.info("a local Ray is up at %s", self._address)
            return self._address
        if time.monotonic() - self._begun > _PATIENCE:
            raise RaylibError(f"a local Ray did not come up in {_PATIENCE} s: {self._error_text()}")
        return None

    def _error_text(self) -> str:
        """The last line of what the helper said, and where there is more; all of it goes to the log."""
        if self._errors is None:
            return ""
        self._errors.seek(0)
        said = self._errors.read().decode("utf-8", "replace").strip()
        logger.debug("the process that should have started Ray said:\n%s", said)
        last = (said.splitlines() or ["no message"])[-1][:500]
        return f"{last} (`raylib doctor` checks this machine; logs of Ray: {self.logs})"

    def stop(self, *, keep_logs: bool = False) -> None:
        """End the cluster at once. Nothing in it is needed any more: what a run made is committed to its folder.

        Ray's processes die with the one that started them; what they wrote is removed here.

        Args:
            keep_logs: Whether to leave it, because somebody should read the logs.
        """
        process = self._process
        if process is None:
            return
        self._end_helper(process)
        self._token.close()
        if not keep_logs:
            remove_session(self._folder, process.pid)

    def _end_helper(self, process: subprocess.Popen[bytes]) -> None:
        """End the helper and, with it, Ray's processes."""
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for stream in (process.stdin, process.stdout, self._errors):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        termination.also_ends(process.pid, no_longer=True)


def serve(options: dict[str, int | bool | str]) -> None:
    """Run a cluster until the standard input is closed: what the helper does.

    Args:
        options: Arguments of `ray.init`.
    """
    folder, is_up = str(options["_temp_dir"]), threading.Event()
    closed = threading.Thread(target=_await_end, args=(folder, is_up), daemon=True)
    closed.start()
    raise_file_limit()
    pass_by_proxies()
    import ray  # noqa: PLC0415 - loads in seconds

    # "local": a Ray that somebody else started on this machine is not ours
    with on_loopback():
        ray.init(address="local", log_to_driver=False, logging_level="ERROR", configure_logging=True, **options)
    is_up.set()
    with contextlib.suppress(BrokenPipeError):  # nobody waits for it any more
        sys.stdout.write(json.dumps(ray.get_runtime_context().gcs_address) + "\n")
        sys.stdout.flush()
    closed.join()
    ray.shutdown()
    remove_session(folder, os.getpid())


def _await_end(folder: str, is_up: threading.Event) -> None:
    """Wait until the standard input is closed; a Ray that is still starting then ends at once."""
    sys.stdin.buffer.read()
    if not is_up.is_set():
        remove_session(folder, os.getpid())
        os.killpg(0, signal.SIGKILL)  # this process, which leads its group, and those of Ray
