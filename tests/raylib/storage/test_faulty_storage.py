"""Object storage that answers with errors and slowly, and a run that is killed while it writes there."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest

from raylib.engine import run
from raylib.recipe import Recipe
from raylib.storage.entry import ShardEntry
from raylib.storage.names import Phase, ShardName
from tests.raylib.engine.runs import STAGES, rows

pytestmark = pytest.mark.slow


FAULT = "<Error><Code>InternalError</Code><Message>injected</Message></Error>"
HOP_BY_HOP = ("transfer-encoding", "content-length", "expect")


class Proxy:
    """Between us and the store: every `faulty`-th request fails with 500, every `slow`-th waits."""

    def __init__(self, target: str, faulty: int, slow: int) -> None:
        self.target, self.faulty, self.slow = target, faulty, slow
        self.counter = itertools.count(1)
        self.failed = self.waited = 0
        self.port = 0
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._serve, daemon=True).start()
        self._ready.wait(20)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._start())
        self._loop.run_forever()

    async def _start(self) -> None:
        import aiohttp
        from aiohttp import web
        from yarl import URL

        self._session = aiohttp.ClientSession(auto_decompress=False)

        async def handle(request: Any) -> Any:
            body = await request.read()
            number = next(self.counter)
            if number % self.faulty == 0:
                self.failed += 1
                return web.Response(status=500, content_type="application/xml", text=FAULT)
            if number % self.slow == 0:
                self.waited += 1
                await asyncio.sleep(0.3)
            address = URL(f"http://{self.target}{request.rel_url.raw_path_qs}", encoded=True)
            headers = {k: v for k, v in request.headers.items() if k.lower() not in HOP_BY_HOP}
            async with self._session.request(
                request.method, address, data=body, headers=headers, allow_redirects=False
            ) as answer:
                content = await answer.read()
                kept = {k: v for k, v in answer.headers.items() if k.lower() not in ("transfer-encoding", "connection")}
                if request.method != "HEAD":
                    kept.pop("Content-Length", None)
                return web.Response(
                    status=answer.status, body=content if request.method != "HEAD" else None, headers=kept
                )

        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        self._ready.set()


def upload(source: Path, uri: str) -> None:
    system, path = pafs.FileSystem.from_uri(uri)
    with system.open_output_stream(path) as stream:
        stream.write(source.read_bytes())


def kept(uri: str) -> list[tuple[str, str]]:
    system, path = pafs.FileSystem.from_uri(uri)
    files = sorted(i.path for i in system.get_file_info(pafs.FileSelector(f"{path}/kept")))
    table = pq.read_table(files, filesystem=system)
    return list(zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True))


def recipe(read: str, out: str) -> Recipe:
    data = {
        "input": {"path": read, "kind": "document", "source": "in"},
        "output": {"path": out},
        "engine": {"mode": "inline", "batch_mb": 0.02},
        "stages": STAGES,
    }
    return Recipe.from_dict(data, "faulty")


def test_errors_and_slow_answers_cost_nothing_but_time(
    server: str, bucket: Callable[[str], str], write_jsonl: Callable[..., Path], tmp_path: Path
) -> None:
    source = write_jsonl([*rows(300), b"{broken"])
    proxy = Proxy(server, faulty=11, slow=17)
    query = bucket(f"127.0.0.1:{proxy.port}")
    upload(source, f"s3://faulty/in.jsonl{bucket(server)}")
    summary = run(recipe(f"s3://faulty/in.jsonl{query}", f"s3://faulty/out{query}")).summary
    assert summary["records_in"] == summary["records_kept"] + summary["records_rejected"] == 301
    assert not summary["quarantined"]
    assert proxy.failed > 5
    assert proxy.waited > 3
    run(recipe(str(source), str(tmp_path / "local")))
    local = pq.read_table(tmp_path / "local" / "kept")
    assert kept(f"s3://faulty/out{bucket(server)}") == list(
        zip(local["id"].to_pylist(), local["text"].to_pylist(), strict=True)
    )


def test_a_killed_run_goes_on_in_the_bucket(
    server: str, bucket: Callable[[str], str], write_jsonl: Callable[..., Path], tmp_path: Path
) -> None:
    source = write_jsonl(rows(600))
    query = bucket(server)
    upload(source, f"s3://faulty/in.jsonl{query}")
    out = f"s3://faulty/killed{query}"
    (tmp_path / "r.yaml").write_text(recipe(f"s3://faulty/in.jsonl{query}", out).to_yaml())
    system, _ = pafs.FileSystem.from_uri(f"s3://faulty/{query}")
    for moment in (3, 9):
        command = [sys.executable, "-m", "raylib", "run", str(tmp_path / "r.yaml"), "-q"]
        process = subprocess.Popen(command, env=dict(os.environ), stderr=subprocess.DEVNULL)
        while process.poll() is None:
            try:
                with system.open_input_stream("faulty/killed/manifest.jsonl") as stream:
                    if bytes(stream.read()).count(b'"shard"') >= moment:
                        break
            except OSError:
                time.sleep(0.02)
        process.kill()
        process.wait()
    summary = run(Recipe.from_file(tmp_path / "r.yaml")).summary
    assert summary["records_in"] == 600
    run(recipe(str(source), str(tmp_path / "local")))
    local = pq.read_table(tmp_path / "local" / "kept")
    assert kept(out) == list(zip(local["id"].to_pylist(), local["text"].to_pylist(), strict=True))


def test_a_manifest_in_parts(server: str, bucket: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    from raylib.storage import manifest as manifests
    from raylib.storage.folder import clear_store
    from raylib.storage.store import Store

    monkeypatch.setattr(manifests, "_PART", 4)
    store = Store(f"s3://faulty/manifest{bucket(server)}")
    manifest = manifests.Manifest(store)
    for i in range(10):
        manifest.append(ShardEntry(Phase.segment(0), ShardName(i), "k", {}))
    assert manifests.manifest_parts(store) == ["manifest.jsonl", "manifest-00001.jsonl", "manifest-00002.jsonl"]
    again = manifests.Manifest(store)
    again.append(ShardEntry(Phase.segment(0), ShardName(10), "k", {}))
    assert len(manifests.Manifest(store).entries) == 11
    assert len(manifests.manifest_parts(store)) == 3
    clear_store(store)
    assert not manifests.manifest_parts(store)
