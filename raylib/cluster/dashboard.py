"""The dashboard of a cluster: where it is, and a tunnel to it, because it listens on the head alone."""

from __future__ import annotations

import contextlib
import http.client
import importlib
import io
import os
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast
from urllib.parse import urlsplit

import yaml

from raylib.cluster.connection import use_token
from raylib.errors import RaylibError

__all__ = ["PORT", "Head", "Tunnel", "accepts", "head_of", "running_here"]

PORT = 8265  # of Ray's dashboard
_PATIENCE = 60.0  # seconds for ssh to connect, perhaps with a question for the passphrase of a key
_SILENCE = 10.0  # seconds for a dashboard to answer once ssh is connected
# as Ray's own commands for the same machines: they may be new ones with old addresses
_OPTIONS = {
    "StrictHostKeyChecking": "no",
    "UserKnownHostsFile": os.devnull,
    "ExitOnForwardFailure": "yes",
    "ServerAliveInterval": "5",
    "ServerAliveCountMax": "3",
    "ConnectTimeout": "10",
    "LogLevel": "ERROR",
}


@dataclass(frozen=True)
class Head:
    """The head of a cluster, and how ssh gets there.

    Attributes:
        cluster: Name of the cluster.
        file: Its cluster file, as the user wrote it.
        address: Address of the head.
        user: Whom to log in as.
        key: Private key; empty for those that ssh finds.
        proxy: Command that ssh connects through; empty for none.
    """

    cluster: str
    file: str
    address: str
    user: str
    key: str = ""
    proxy: str = ""

    def ssh(self, local: int, remote: int) -> list[str]:
        """The command that forwards a port of this machine to one of the head until its standard input ends."""
        options = dict(_OPTIONS)
        if self.key:
            options["IdentitiesOnly"] = "yes"
        if self.proxy:
            options["ProxyCommand"] = self.proxy
        command = ["ssh", *(["-i", os.path.expanduser(self.key)] if self.key else [])]
        for name, value in options.items():
            command += ["-o", f"{name}={value}"]
        return [
            *command,
            "-L",
            f"127.0.0.1:{local}:127.0.0.1:{remote}",
            f"{self.user}@{self.address}",
            "cat >/dev/null",
        ]


def head_of(file: Path) -> Head:
    """The head of the cluster that a file describes.

    Args:
        file: The `cluster.yaml`.

    Returns:
        The head. On machines of one's own its address is in the file; in a cloud, Ray asks the provider for it.

    Raises:
        RaylibError: the file cannot be read, or lacks a field, or no head is running.
    """
    config = _read(file)
    provider, auth = (_section(config, file, name) for name in ("provider", "auth"))
    if provider.get("type") == "local":
        address = provider.get("head_ip")
    else:
        auth, address = _ask_provider(config, file)
    for name, value in (("provider.head_ip", address), ("auth.ssh_user", auth.get("ssh_user"))):
        if not isinstance(value, str) or not value:
            raise RaylibError(f"{file}: {name} is missing")
    texts = {name: str(auth.get(field) or "") for name, field in _LOGIN.items()}
    return Head(str(config.get("cluster_name", "")), str(file), str(address), **texts)


_LOGIN = {"user": "ssh_user", "key": "ssh_private_key", "proxy": "ssh_proxy_command"}


def _read(file: Path) -> dict[str, object]:
    try:
        config = yaml.safe_load(file.read_text("utf-8"))
    except FileNotFoundError:
        raise RaylibError(f"there is no cluster file {file} (looked in {os.getcwd()})") from None
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise RaylibError(f"cannot read the cluster file {file}: {reason}") from None
    if not isinstance(config, dict):
        raise RaylibError(f"{file} is no cluster file: it has no fields such as provider and auth")
    return config


def _section(config: dict[str, object], file: Path, name: str) -> dict[str, object]:
    section = config.get(name)
    if not isinstance(section, dict):
        raise RaylibError(f"{file}: {name} is missing; a cluster file has provider and auth")
    return section


def _ask_provider(config: dict[str, object], file: Path) -> tuple[dict[str, object], str]:
    """How to log in, and the address of the head, on machines of a cloud."""
    sdk = importlib.import_module("ray.autoscaler.sdk")
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # Ray tells what it looks up
            full = sdk.bootstrap_config(config)
            return full["auth"], str(sdk.get_head_node_ip(full))
    except Exception as error:  # whatever the provider's library raises
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise RaylibError(f"cannot find the head of {file}: {reason}; `ray up {file}` starts it") from error


class Tunnel:
    """A port of this machine that leads to the dashboard of a head, for a `with` block.

    Args:
        head: The head.
        port: Port of this machine.
        remote: Port of the dashboard on the head.

    Raises:
        RaylibError: the port is taken, ssh does not connect, or no dashboard answers.
    """

    def __init__(self, head: Head, port: int = PORT, remote: int = PORT) -> None:
        self._head, self._port, self._remote = head, port, remote
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the tunnel

    @property
    def url(self) -> str:
        """Address of the dashboard on this machine."""
        return f"http://localhost:{self._port}"

    def __enter__(self) -> Tunnel:
        if shutil.which("ssh") is None:
            raise RaylibError("ssh is not installed on this machine")
        _check_free(self._port)
        # should this process be killed, the pipe closes and the tunnel with it
        command = self._head.ssh(self._port, self._remote)
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._errors)
        try:
            self._wait_for_answer(self._process)
        except BaseException:
            self._close()
            raise
        return self

    def _wait_for_answer(self, process: subprocess.Popen[bytes]) -> None:
        head = self._head
        deadline, connected = time.monotonic() + _PATIENCE, False
        while process.poll() is None and time.monotonic() < deadline:
            try:
                _get(self.url, "/api/authentication_mode")
            except ConnectionRefusedError:
                pass  # ssh listens here when it has logged in
            except (OSError, http.client.HTTPException):
                if not connected:
                    connected, deadline = True, time.monotonic() + _SILENCE
            else:
                return
            time.sleep(0.2)
        if connected:
            raise RaylibError(
                f"{head.address} can be reached by ssh, but no dashboard answers at its port {self._remote}; "
                f"`ray up {head.file}` starts the cluster"
            )
        raise RaylibError(f"no ssh connection to {head.user}@{head.address}: {self._reason()}")

    def _reason(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else f"no answer within {_PATIENCE:.0f} s"

    def wait(self) -> None:
        """Return when the tunnel breaks, never otherwise.

        Raises:
            RaylibError: it broke.
        """
        if self._process is None:
            raise RuntimeError("the tunnel is not open")
        self._process.wait()
        raise RaylibError(f"the connection to {self._head.address} broke: {self._reason()}")

    def _close(self) -> None:
        process = self._process
        if process is not None:
            process.terminate()
            if process.stdin is not None:
                process.stdin.close()
            process.wait()
        self._errors.close()

    def __exit__(self, *_: object) -> None:
        self._close()


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise RaylibError(
                f"port {port} of this machine is taken, perhaps by another tunnel or a local Ray; "
                f"give another one: --port {port + 1}"
            ) from None


def _get(url: str, path: str, token: str = "") -> int:
    """Status of an answer; any will do to know that somebody is there."""
    place = urlsplit(url)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    connection = http.client.HTTPConnection(place.hostname or "", place.port or 80, timeout=_SILENCE)
    with contextlib.closing(connection):  # not urllib, which would go through a proxy
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status


def accepts(url: str, token: str) -> bool:
    """Whether a dashboard accepts a token, or asks for none.

    Args:
        url: Its address.
        token: The token; empty for none.

    Raises:
        RaylibError: no dashboard answers there.
    """
    try:
        return _get(url, "/api/version", token) not in (401, 403)
    except (OSError, http.client.HTTPException) as error:
        raise RaylibError(f"no dashboard answers at {url}: {error}") from None


def running_here() -> str:
    """Address of the dashboard of the cluster that this machine is part of, or that the environment names.

    Raises:
        RaylibError: there is none.
    """
    use_token()
    utils = importlib.import_module("ray.dashboard.utils")
    try:
        return cast("str", utils.get_address_for_submission_client(None))
    except (ConnectionError, RuntimeError) as error:
        said = " ".join(str(error).split())[:300]  # none, several, or one that does not answer
        raise RaylibError(
            f"no Ray cluster of this machine answers ({said}); for another one: raylib dashboard cluster.yaml"
        ) from error
