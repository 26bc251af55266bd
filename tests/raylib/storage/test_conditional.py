"""Writes that only one of several processes wins, and what a store without them gets."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from raylib.errors import LockedError
from raylib.locking import LOCK_NAME
from raylib.storage import locks
from raylib.storage.conditional import tag_of, write_if
from raylib.storage.locks import locked_output
from raylib.storage.store import Store


def test_one_of_many_creates_an_object(server: str, bucket: Callable[[str], str]) -> None:
    uri = f"s3://faulty/a%20b{bucket(server)}"
    assert tag_of(uri, "x") is None
    won: list[int] = []

    def work(number: int) -> None:
        if write_if(uri, "x", b"%d" % number, None):
            won.append(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert Store(uri).read("x") == b"%d" % won[0]
    tag = tag_of(uri, "x")
    assert write_if(uri, "x", b"second", tag) is True
    assert write_if(uri, "x", b"third", tag) is False, "it has changed since"
    assert Store(uri).read("x") == b"second"


def test_other_stores_know_no_conditions(tmp_path: object) -> None:
    assert write_if("gs://bucket/x", "y", b"", None) is None
    assert tag_of(f"file://{tmp_path}", "y") is None


@pytest.mark.parametrize("conditional", [True, False])
def test_of_processes_that_begin_together_one_holds_the_lock(
    server: str, bucket: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, conditional: bool
) -> None:
    if not conditional:
        monkeypatch.setattr(locks, "write_if", lambda *_: None)
        monkeypatch.setattr(locks, "_SETTLING", 1.0)
    store = Store(f"s3://faulty/together-{conditional}{bucket(server)}")
    begin, end = threading.Barrier(5), threading.Event()
    held: list[int] = []
    refused: list[str] = []

    def work(number: int) -> None:
        begin.wait()
        try:
            with locked_output(store, "out"):
                held.append(number)
                end.wait(20)
        except LockedError as error:
            refused.append(str(error))
        if len(refused) == 4:
            end.set()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(held) == 1
    assert len(refused) == 4
    assert not store.exists(LOCK_NAME)
