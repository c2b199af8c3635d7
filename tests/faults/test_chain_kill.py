"""kill -9 of the embedded chain at random points under load: it continues from the last committed
block, whose state is whole."""

from __future__ import annotations

import random
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from greenray.chain.addresses import parse_address
from greenray.chain.dialects import get_local_dialect
from greenray.chain.dialects.v0_2.local_rules.records import get_bucket, get_object
from greenray.chain.local.app import Application
from greenray.chain.local.ledger.accounts import get_account
from greenray.chain.local.ledger.state import ChainDatabase
from greenray.protocol.objects import ObjectStatus
from tests.support.local_chain import (
    BUCKET,
    ChainProcess,
    address,
    create_bucket,
    create_object,
    seal_object,
    signed,
    small_genesis,
    write_genesis,
)

GENESIS = small_genesis()
ROUNDS = 6
SEED = 20_230_528


def _create_from(
    chain: ChainProcess, first: int, stop: threading.Event, accepted: list[int]
) -> None:
    """Creates one object after the other until the process dies; object i has sequence i + 1."""
    number = first
    while not stop.is_set():
        try:
            answer = chain.broadcast(
                signed(GENESIS, "user", create_object(f"o{number}"), number + 1), how="sync"
            )
        except OSError:
            return
        if answer.get("result", {}).get("code") == 0:
            accepted.append(number)
            number += 1


def _committed_sequence(home: Path) -> int:
    """Read behind the API: the user's sequence, and that the state around it fits together."""
    database = ChainDatabase(home / "chain.sqlite")
    try:
        head = Application(database, get_local_dialect(), None, 0).head
        account = get_account(database, parse_address(address("user")))
        assert account is not None
        for number in range(account.sequence - 1):
            assert get_object(database, BUCKET, f"o{number}") is not None
        assert get_object(database, BUCKET, f"o{account.sequence - 1}") is None
        heights = range(1, head.height + 1)
        assert all(database.block(height) is not None for height in heights)
        rows = sum(len(database.transactions_of(height)) for height in heights)
        assert rows == account.sequence, "every counted sequence is a transaction in a block"
        return account.sequence
    finally:
        database.close()


@pytest.mark.timeout(180)
def test_a_killed_chain_continues_from_its_last_committed_block(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    genesis = write_genesis(tmp_path / "genesis.json", GENESIS)
    home = tmp_path / "home"
    chain = ChainProcess(home, "--genesis", str(genesis), "--block-interval", "0.05")
    included = chain.broadcast(signed(GENESIS, "user", create_bucket(), 0), how="commit")
    assert included["result"]["deliver_tx"]["code"] == 0
    sequence = 1
    for round_ in range(ROUNDS):
        stop = threading.Event()
        accepted: list[int] = []
        worker = threading.Thread(
            target=_create_from, args=(chain, sequence - 1, stop, accepted), daemon=True
        )
        worker.start()
        delay_s = chance.uniform(0.1, 0.9)
        stop.wait(delay_s)
        chain.kill()
        stop.set()
        worker.join()
        where = f"seed {SEED}, round {round_}, killed after {delay_s:.3f} s"
        committed = _committed_sequence(home)
        assert sequence <= committed <= sequence + len(accepted), where
        sequence = committed
        chain = ChainProcess(home, "--block-interval", "0.05")
        assert chain.started["chain_id"] == GENESIS.chain_id, where
    seal = signed(GENESIS, "sp-0-seal", seal_object("o0", 1), 0)
    sealed = chain.broadcast(seal, how="commit")
    assert sealed["result"]["deliver_tx"]["code"] == 0
    assert chain.stop() == 0
    database = ChainDatabase(home / "chain.sqlite")
    info = get_object(database, BUCKET, "o0")
    database.close()
    assert info is not None
    assert info.object_status == ObjectStatus.OBJECT_STATUS_SEALED


def test_a_chain_killed_before_its_first_block_starts_again(tmp_path: Path) -> None:
    """The genesis is committed with block 1, or not at all."""
    home = tmp_path / "home"
    home.mkdir()
    ChainDatabase(home / "chain.sqlite").close()
    genesis = write_genesis(tmp_path / "genesis.json", GENESIS)
    chain = ChainProcess(home, "--genesis", str(genesis))
    assert chain.started["height"] == 1
    assert chain.stop() == 0


def test_a_commit_that_breaks_off_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = ChainDatabase(tmp_path / "chain.sqlite")
    app = Application(database, get_local_dialect(), GENESIS, 10**18)
    before = app.head

    class Broken:
        def __init__(self, connection: sqlite3.Connection) -> None:
            self._connection = connection

        def __getattr__(self, name: str) -> Any:
            return getattr(self._connection, name)

        def executemany(self, statement: str, rows: Any) -> sqlite3.Cursor:
            if "transactions" in statement:
                raise sqlite3.OperationalError("disk I/O error")
            return self._connection.executemany(statement, rows)

    tx_bytes = signed(GENESIS, "user", create_bucket(), 0)
    monkeypatch.setattr(database, "_db", Broken(database._db))
    with pytest.raises(sqlite3.OperationalError):
        app.make_block([tx_bytes], 10**18)
    monkeypatch.undo()
    database.close()
    again = ChainDatabase(tmp_path / "chain.sqlite")
    assert Application(again, get_local_dialect(), None, 0).head.hash == before.hash
    assert get_bucket(again, BUCKET) is None
    again.close()
