"""Where the chain keeps what it knows: layered in memory, committed per block to SQLite.

State is a map (kind, key) -> bytes; values are protobuf or short text, never changed in place.
``Overlay`` holds writes above a parent, so that a transaction can be dropped and a check state
thrown away. ``ChainDatabase`` is the bottom: one SQLite transaction per block writes the state,
the block, its results and the index together, so a kill leaves the last committed block.

Every value is kept with the height that wrote it, which makes queries of past heights possible.
"""

from __future__ import annotations

import sqlite3
import struct
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from greenray.protocol.errors import StoreError

StateKey = tuple[str, bytes]

_CACHED_VALUES = 50_000
_LAYOUT = 3
_SCHEMA = """
CREATE TABLE IF NOT EXISTS state (
    kind TEXT NOT NULL, key BLOB NOT NULL, height INTEGER NOT NULL, value BLOB,
    PRIMARY KEY (kind, key, height)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS blocks (
    height INTEGER PRIMARY KEY, hash BLOB NOT NULL, block BLOB NOT NULL, results TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS block_by_hash ON blocks (hash);
CREATE TABLE IF NOT EXISTS transactions (
    height INTEGER NOT NULL, position INTEGER NOT NULL, hash BLOB NOT NULL,
    bytes BLOB NOT NULL, result BLOB NOT NULL,
    PRIMARY KEY (height, position)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS transaction_by_hash ON transactions (hash);
CREATE TABLE IF NOT EXISTS tag_names (id INTEGER PRIMARY KEY, tag TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS transaction_tags (
    tag_id INTEGER NOT NULL, value TEXT NOT NULL, height INTEGER NOT NULL, places BLOB NOT NULL,
    PRIMARY KEY (tag_id, value, height)
) WITHOUT ROWID;
"""


TagPosition = tuple[int, int, int]
"""(height, position in the block, event of the transaction)."""

_PLACE = struct.Struct(">II")
"""One position and event; a tag's value of one block has them one after the other."""


class State(Protocol):
    """A map (kind, key) -> bytes."""

    def get(self, kind: str, key: bytes) -> bytes | None: ...

    def put(self, kind: str, key: bytes, value: bytes | None) -> None:
        """``None`` deletes."""

    def scan(self, kind: str, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """(key, value) in key order, keys starting with ``prefix``."""


class Overlay:
    """Writes above ``parent`` that are not its own yet."""

    def __init__(self, parent: State) -> None:
        self._parent = parent
        self._writes: dict[StateKey, bytes | None] = {}

    def get(self, kind: str, key: bytes) -> bytes | None:
        place = (kind, key)
        if place in self._writes:
            return self._writes[place]
        return self._parent.get(kind, key)

    def put(self, kind: str, key: bytes, value: bytes | None) -> None:
        self._writes[kind, key] = value

    def scan(self, kind: str, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        own = {
            key: value
            for (one, key), value in self._writes.items()
            if one == kind and key.startswith(prefix)
        }
        below = {k: value for k, value in self._parent.scan(kind, prefix) if k not in own}
        merged = below | {key: value for key, value in own.items() if value is not None}
        yield from sorted(merged.items())

    def writes(self) -> Mapping[StateKey, bytes | None]:
        return self._writes

    def apply(self) -> None:
        """Hand the writes to the parent."""
        for (kind, key), value in self._writes.items():
            self._parent.put(kind, key, value)
        self._writes = {}


@dataclass(frozen=True, slots=True)
class StoredTransaction:
    """``result`` is the text of its ``TxResult``; ``hash`` 32 bytes; ``tags``: tag, value and
    event of each attribute that tx_search finds."""

    height: int
    position: int
    hash: bytes
    tx_bytes: bytes
    result: str
    tags: tuple[tuple[str, str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """``block`` is a protobuf tendermint.types.Block; ``results`` the JSON text of block_results
    without its transactions."""

    height: int
    hash: bytes
    block: bytes
    results: str


class ChainDatabase:
    """The committed chain. One connection, used from one thread.

    Raises:
        StoreError: the file cannot be opened, or is not a chain database of this layout.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._check_layout(path)
            self._db.executescript(f"{_SCHEMA} PRAGMA user_version = {_LAYOUT}")
        except sqlite3.Error as error:
            raise StoreError(
                f"the chain's database cannot be opened: {error}",
                str(path),
                "Choose another --home, or remove the file to start a new chain",
            ) from error
        self._cache: OrderedDict[StateKey, bytes | None] = OrderedDict()
        self._tag_ids: dict[str, int] = {
            tag: tag_id for tag_id, tag in self._db.execute("SELECT id, tag FROM tag_names")
        }

    def close(self) -> None:
        self._db.close()

    def _check_layout(self, path: Path) -> None:
        """A new file has no tables; an old one has those of its time."""
        has_tables = self._db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is not None
        if has_tables and self._db.execute("PRAGMA user_version").fetchone()[0] != _LAYOUT:
            raise StoreError(
                "the chain's database was written by another version of greenray",
                str(path),
                "Remove the home to start a new chain, or go on with that version",
            )

    # --- state ---------------------------------------------------------------------------------

    def get(self, kind: str, key: bytes) -> bytes | None:
        """The newest committed value."""
        place = (kind, key)
        if place in self._cache:
            self._cache.move_to_end(place)
            return self._cache[place]
        value = self.get_at(kind, key, None)
        self._remember(place, value)
        return value

    def put(self, kind: str, key: bytes, value: bytes | None) -> None:
        raise StoreError("committed state changes only with a block", kind)

    def get_at(self, kind: str, key: bytes, height: int | None) -> bytes | None:
        """The value as of ``height`` (None: the newest)."""
        row = self._db.execute(
            "SELECT value FROM state WHERE kind = ? AND key = ? AND height <= ?"
            " ORDER BY height DESC LIMIT 1",
            (kind, key, _height(height)),
        ).fetchone()
        return None if row is None else row[0]

    def scan(
        self,
        kind: str,
        prefix: bytes = b"",
        *,
        start: bytes = b"",
        height: int | None = None,
        reverse: bool = False,
    ) -> Iterator[tuple[bytes, bytes]]:
        """(key, value) in key order, keys starting with ``prefix`` and not before ``start``
        (reverse: not after it), as of ``height``."""
        low, high = prefix, prefix + b"\xff" * 40
        if start and reverse:
            high = start
        elif start:
            low = start
        order = "DESC" if reverse else "ASC"
        rows = self._db.execute(
            "SELECT key, value FROM state AS s WHERE kind = ? AND key >= ? AND key <= ?"
            " AND height = (SELECT max(height) FROM state"
            "   WHERE kind = s.kind AND key = s.key AND height <= ?)"
            f" AND value IS NOT NULL ORDER BY key {order}",
            (kind, low, high, _height(height)),
        )
        yield from rows

    def _remember(self, place: StateKey, value: bytes | None) -> None:
        self._cache[place] = value
        self._cache.move_to_end(place)
        while len(self._cache) > _CACHED_VALUES:
            self._cache.popitem(last=False)

    # --- blocks --------------------------------------------------------------------------------

    def commit(
        self,
        block: StoredBlock,
        writes: Mapping[StateKey, bytes | None],
        transactions: Sequence[StoredTransaction],
    ) -> None:
        """Write one block and everything that it changed, in one transaction."""
        self._db.execute("BEGIN IMMEDIATE")
        new_tags: dict[str, int] = {}
        try:
            self._db.executemany(
                "INSERT OR REPLACE INTO state VALUES (?, ?, ?, ?)",
                [(kind, key, block.height, value) for (kind, key), value in writes.items()],
            )
            self._db.execute(
                "INSERT INTO blocks VALUES (?, ?, ?, ?)",
                (block.height, block.hash, block.block, block.results),
            )
            self._db.executemany(
                "INSERT INTO transactions VALUES (?, ?, ?, ?, ?)",
                [
                    (t.height, t.position, t.hash, t.tx_bytes, _packed(t.result))
                    for t in transactions
                ],
            )
            self._db.executemany(
                "INSERT INTO transaction_tags VALUES (?, ?, ?, ?)",
                self._tag_rows(block.height, transactions, new_tags),
            )
            self._db.executemany(
                "INSERT INTO tag_names (tag, id) VALUES (?, ?)", list(new_tags.items())
            )
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        for place, value in writes.items():
            self._remember(place, value)
        self._tag_ids |= new_tags

    def _tag_rows(
        self, height: int, transactions: Sequence[StoredTransaction], new_tags: dict[str, int]
    ) -> list[tuple[int, str, int, bytes]]:
        """A row for each value of a tag in the block, in the order of the table: most values come
        with every transaction. Tags without a number get one in ``new_tags``."""
        places: dict[tuple[int, str], bytearray] = {}
        for transaction in transactions:
            for tag, value, event in transaction.tags:
                tag_id = self._tag_ids.get(tag) or new_tags.get(tag)
                if tag_id is None:
                    tag_id = new_tags[tag] = len(self._tag_ids) + len(new_tags) + 1
                place = _PLACE.pack(transaction.position, event)
                places.setdefault((tag_id, value), bytearray()).extend(place)
        return [
            (tag_id, value, height, bytes(found))
            for (tag_id, value), found in sorted(places.items())
        ]

    def last_height(self) -> int:
        """0 for a chain that has not been initialised."""
        row = self._db.execute("SELECT max(height) FROM blocks").fetchone()
        return row[0] or 0

    def first_height(self) -> int:
        row = self._db.execute("SELECT min(height) FROM blocks").fetchone()
        return row[0] or 0

    def block(self, height: int) -> StoredBlock | None:
        row = self._db.execute("SELECT * FROM blocks WHERE height = ?", (height,)).fetchone()
        return None if row is None else StoredBlock(*row)

    def block_by_hash(self, block_hash: bytes) -> StoredBlock | None:
        row = self._db.execute("SELECT * FROM blocks WHERE hash = ?", (block_hash,)).fetchone()
        return None if row is None else StoredBlock(*row)

    # --- transactions --------------------------------------------------------------------------

    def transaction(self, tx_hash: bytes) -> StoredTransaction | None:
        # Refused before it cost its sequence, the same transaction may come again: the last counts.
        row = self._db.execute(
            "SELECT * FROM transactions WHERE hash = ? ORDER BY height DESC, position DESC LIMIT 1",
            (tx_hash,),
        ).fetchone()
        return None if row is None else _transaction(row)

    def transactions_of(self, height: int) -> list[StoredTransaction]:
        rows = self._db.execute(
            "SELECT * FROM transactions WHERE height = ? ORDER BY position", (height,)
        )
        return [_transaction(row) for row in rows]

    def transaction_at(self, height: int, position: int) -> StoredTransaction:
        row = self._db.execute(
            "SELECT * FROM transactions WHERE height = ? AND position = ?", (height, position)
        ).fetchone()
        return _transaction(row)

    def tag_positions(
        self, tag: str, where: str = "1", arguments: Sequence[str | int] = ()
    ) -> set[TagPosition]:
        """Where a tag's values match a condition over ``value``."""
        rows = self._db.execute(
            f"SELECT height, places FROM transaction_tags WHERE tag_id = ? AND ({where})",
            [self._tag_ids.get(tag, 0), *arguments],
        )
        return {
            (height, position, event)
            for height, places in rows
            for position, event in _PLACE.iter_unpack(places)
        }

    def positions_by_height(
        self, where: str, arguments: Sequence[str | int]
    ) -> set[tuple[int, int]]:
        """(height, position) of the transactions that match a condition over ``height``."""
        rows = self._db.execute(
            f"SELECT height, position FROM transactions WHERE {where}", arguments
        )
        return set(rows)


def _packed(result: str) -> bytes:
    return zlib.compress(result.encode(), 1)


def _transaction(row: tuple[int, int, bytes, bytes, bytes]) -> StoredTransaction:
    height, position, tx_hash, tx_bytes, packed = row
    return StoredTransaction(height, position, tx_hash, tx_bytes, zlib.decompress(packed).decode())


def _height(height: int | None) -> int:
    return 2**62 if height is None else height
