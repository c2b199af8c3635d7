"""Layers of state, the database below, and what a block commits."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from greenray.chain.dialects import get_local_dialect
from greenray.chain.local.app import Application
from greenray.chain.local.ledger.events import Event
from greenray.chain.local.ledger.state import ChainDatabase, Overlay, StoredBlock, StoredTransaction
from greenray.chain.local.tx_result import TxResult
from greenray.protocol.errors import InvalidInput, StoreError
from tests.support.local_chain import create_bucket, signed, small_genesis


def block(height: int) -> StoredBlock:
    return StoredBlock(height, bytes([height]) * 32, b"block", "{}")


def test_an_overlay_hides_its_writes_until_it_is_applied(database: ChainDatabase) -> None:
    lower = Overlay(database)
    upper = Overlay(lower)
    upper.put("kind", b"key", b"value")
    assert upper.get("kind", b"key") == b"value"
    assert lower.get("kind", b"key") is None
    upper.apply()
    assert lower.get("kind", b"key") == b"value"
    assert database.get("kind", b"key") is None


def test_a_deletion_in_an_overlay_covers_the_value_below(database: ChainDatabase) -> None:
    database.commit(block(1), {("kind", b"key"): b"value"}, [])
    overlay = Overlay(database)
    overlay.put("kind", b"key", None)
    assert overlay.get("kind", b"key") is None
    assert database.get("kind", b"key") == b"value"


def test_committed_state_is_changed_by_blocks_only(database: ChainDatabase) -> None:
    with pytest.raises(StoreError):
        database.put("kind", b"key", b"value")


def test_values_of_past_heights_stay_readable(database: ChainDatabase) -> None:
    database.commit(block(1), {("kind", b"key"): b"one"}, [])
    database.commit(block(2), {("kind", b"key"): b"two"}, [])
    database.commit(block(3), {("kind", b"key"): None}, [])
    at = [database.get_at("kind", b"key", height) for height in range(4)]
    assert at == [None, b"one", b"two", None]
    assert list(database.scan("kind")) == []
    assert list(database.scan("kind", height=2)) == [(b"key", b"two")]


def test_a_scan_keeps_to_its_prefix_in_both_directions(database: ChainDatabase) -> None:
    keys = [b"a1", b"a2", b"a3", b"b1"]
    database.commit(block(1), {("kind", key): key for key in keys}, [])
    assert [key for key, _ in database.scan("kind", b"a")] == keys[:3]
    assert [key for key, _ in database.scan("kind", b"a", start=b"a2")] == keys[1:3]
    backwards = database.scan("kind", b"a", start=b"a2", reverse=True)
    assert [key for key, _ in backwards] == [b"a2", b"a1"]


def test_transactions_are_found_by_hash_and_tag(database: ChainDatabase) -> None:
    stored = StoredTransaction(1, 0, b"h" * 32, b"bytes", '{"code":0}', (("tag", "value", 3),))
    database.commit(block(1), {}, [stored])
    found = database.transaction(b"h" * 32)
    assert found is not None
    assert (found.tx_bytes, found.result) == (b"bytes", '{"code":0}')
    assert database.tag_positions("tag", "value = ?", ["value"]) == {(1, 0, 3)}


def test_a_value_that_many_transactions_of_a_block_share_is_found_in_each(
    database: ChainDatabase,
) -> None:
    def stored(height: int, position: int) -> StoredTransaction:
        tags = (("tag", "same", 1), ("tag", "same", 4), ("tag", f"own {position}", 1))
        return StoredTransaction(height, position, b"h%d%d" % (height, position), b"", "[]", tags)

    database.commit(block(1), {}, [stored(1, 0), stored(1, 1)])
    database.commit(block(2), {}, [stored(2, 0)])
    places = {(1, 0, 1), (1, 0, 4), (1, 1, 1), (1, 1, 4), (2, 0, 1), (2, 0, 4)}
    assert database.tag_positions("tag", "value = ?", ["same"]) == places
    assert database.tag_positions("tag", "value = ?", ["own 1"]) == {(1, 1, 1)}
    assert database.tag_positions("unknown") == set()


def test_tags_are_known_again_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "chain.sqlite"
    for height in (1, 2):
        again = ChainDatabase(path)
        tags = (("tag", "value", 0), (f"tag {height}", "value", 0))
        stored = StoredTransaction(height, 0, bytes([height]), b"", "[]", tags)
        again.commit(block(height), {}, [stored])
        found = again.tag_positions("tag")
        again.close()
        assert found == {(h, 0, 0) for h in range(1, height + 1)}


def test_a_result_is_the_same_after_it_was_kept() -> None:
    events = (Event("tx", (("fee", "1BNB"),)), Event("message", (("action", "<send>"),)))
    succeeded = TxResult(0, "", "", b"\x0a", 1200, 1200, events, 5, message_events=1)
    failed = TxResult(1104, "storage", "Bucket already exists", None, 2400, 2400, events[:1])
    for result in (succeeded, failed):
        assert TxResult.unpacked(result.packed()).to_json() == result.to_json()
    assert succeeded.log == (
        '[{"msg_index":0,"events":[{"type":"message","attributes":'
        '[{"key":"action","value":"\\u003csend\\u003e"}]}]}]'
    )
    assert failed.log == "Bucket already exists"


def test_a_file_that_is_not_a_database_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "chain.sqlite"
    path.write_bytes(b"this is not SQLite" * 100)
    with pytest.raises(StoreError, match="cannot be opened"):
        ChainDatabase(path)


def test_a_database_of_another_layout_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "chain.sqlite"
    with closing(sqlite3.connect(path)) as old:
        old.execute("CREATE TABLE state (kind TEXT)")
    for _ in range(2):
        with pytest.raises(StoreError, match="another version"):
            ChainDatabase(path)


def test_a_new_chain_needs_a_genesis(database: ChainDatabase) -> None:
    with pytest.raises(InvalidInput, match="needs a genesis"):
        Application(database, get_local_dialect(), None, 0)


def test_a_chain_refuses_another_genesis(database: ChainDatabase) -> None:
    Application(database, get_local_dialect(), small_genesis(), 10**18)
    with pytest.raises(InvalidInput, match="another genesis"):
        Application(database, get_local_dialect(), small_genesis({"min_charge_size": 5}), 10**18)


def test_a_reopened_chain_has_the_same_head(tmp_path: Path) -> None:
    genesis = small_genesis()
    first = ChainDatabase(tmp_path / "chain.sqlite")
    app = Application(first, get_local_dialect(), genesis, 10**18)
    results = app.make_block([signed(genesis, "user", create_bucket(), 0)], 10**18)
    assert results[0].code == 0
    head = app.head
    first.close()
    second = ChainDatabase(tmp_path / "chain.sqlite")
    again = Application(second, get_local_dialect(), None, 0).head
    second.close()
    assert (again.height, again.hash, again.app_hash) == (head.height, head.hash, head.app_hash)


def test_the_same_transactions_give_the_same_app_hash(tmp_path: Path) -> None:
    genesis = small_genesis()
    hashes = []
    for name in ("one", "two"):
        database = ChainDatabase(tmp_path / name)
        app = Application(database, get_local_dialect(), genesis, 10**18)
        app.make_block([signed(genesis, "user", create_bucket(), 0)], 10**18 + 1)
        hashes.append((app.head.hash, app.head.app_hash))
        database.close()
    assert hashes[0] == hashes[1]
