"""The index of buckets and objects inside a transaction (see ``greenray.storage.job_rows``).

A row has the JSON that it is answered with: a page is read, joined and sent, and what events
change of a row, which is seldom, is parsed and written anew. Names of objects are BLOBs, so that
they stand in the order of their bytes, whatever those are.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence

from greenray.protocol.errors import ComponentUnavailable
from greenray.protocol.index_changes import (
    BlockRecord,
    BucketCreated,
    BucketDeleted,
    BucketDiscontinued,
    BucketUpdated,
    IndexChange,
    ObjectCopied,
    ObjectDiscontinued,
    Stamp,
    found_bucket,
    found_object,
)
from greenray.protocol.list_walk import (
    end_of_prefix,
    first_name,
    page_of_names,
    utf8,
)
from greenray.protocol.listing import BucketMeta, ObjectMeta, ObjectQuery, document_of
from greenray.protocol.objects import BucketInfo, ObjectInfo
from greenray.storage.object_index import IndexPage, IndexState

_BEHIND_ALL = b"\xff"
"""No name has that byte."""


# --- who keeps it --------------------------------------------------------------------------------


def load_state(db: sqlite3.Connection) -> IndexState | None:
    row = db.execute("SELECT * FROM index_state").fetchone()
    if row is None:
        return None
    return IndexState(row["height"], row["build"], bool(row["is_built"]), bool(row["is_building"]))


def begin_build(db: sqlite3.Connection, height: int) -> IndexState:
    before = load_state(db)
    state = IndexState(
        height, before.build + 1 if before else 1, before is not None and before.is_built, True
    )
    _save_state(db, state)
    return state


def put_found(
    db: sqlite3.Connection,
    build: int,
    buckets: Iterable[BucketInfo],
    objects: Iterable[ObjectInfo],
) -> None:
    for bucket in buckets:
        _put_bucket(db, found_bucket(bucket, _bucket(db, bucket.bucket_name)), build)
    for info in objects:
        before = _object(db, info.bucket_name, info.object_name)
        _put_object(db, found_object(info, before), build)


def end_build(db: sqlite3.Connection, build: int, limit: int) -> bool:
    state = load_state(db)
    if state is None or state.build != build:
        return True  # another one was begun, and will end
    left = 0
    for table in ("index_objects", "index_buckets"):
        rows = db.execute(
            f"SELECT rowid, document FROM {table} WHERE removed = 0 AND build != ? LIMIT ?",
            (build, limit - left),
        ).fetchall()
        left += len(rows)
        for row in rows:
            document = json.loads(row["document"])
            is_object = table == "index_objects"
            meta = (ObjectMeta if is_object else BucketMeta).from_json(
                {**document, "removed": True}
            )
            db.execute(
                f"UPDATE {table} SET removed = 1, document = ? WHERE rowid = ?",
                (document_of(meta), row["rowid"]),
            )
    if left == limit:
        return False
    _save_state(db, IndexState(state.height, build, True, False))
    return True


def apply_blocks(db: sqlite3.Connection, blocks: Sequence[BlockRecord], height: int) -> bool:
    state = load_state(db)
    if state is None or state.is_building:
        return False
    db.execute("SAVEPOINT blocks")
    for block in blocks:
        if block.height > state.height:
            for stamp, change in block.changes:
                if not _apply(db, stamp, change, state.build):
                    db.execute("ROLLBACK TO blocks")
                    db.execute("RELEASE blocks")
                    return False
    db.execute("RELEASE blocks")
    if height > state.height:
        db.execute("UPDATE index_state SET height = ?", (height,))
    return True


def forget(db: sqlite3.Connection) -> None:
    for table in ("index_state", "index_objects", "index_buckets"):
        db.execute(f"DELETE FROM {table}")


def _apply(db: sqlite3.Connection, stamp: Stamp, change: IndexChange, build: int) -> bool:
    """False: the index lacks what the change is of."""
    match change:
        case BucketCreated() | BucketUpdated() | BucketDiscontinued() | BucketDeleted():
            bucket = change.applied(stamp, _bucket(db, change.bucket_name))
            if bucket is not None:
                _put_bucket(db, bucket, build)
            return True
        case ObjectCopied():
            created = change.created(stamp, _object(db, *change.source))
            if created is None:
                return False
            meta = created.applied(stamp, None)
        case ObjectDiscontinued():
            meta = change.applied(stamp, _object_by_id(db, change.object_id))
        case _:
            meta = change.applied(stamp, _object(db, *change.place))
    if meta is not None:
        _put_object(db, meta, build)
    return True


def _save_state(db: sqlite3.Connection, state: IndexState) -> None:
    db.execute(
        "INSERT OR REPLACE INTO index_state VALUES (1, ?, ?, ?, ?)",
        (state.height, state.build, state.is_built, state.is_building),
    )


def _put_object(db: sqlite3.Connection, meta: ObjectMeta, build: int) -> None:
    info = meta.info
    db.execute(
        "INSERT INTO index_objects VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
        "object_id = excluded.object_id, removed = excluded.removed, build = excluded.build, "
        "document = excluded.document",
        (
            info.bucket_name,
            utf8(info.object_name),
            str(info.id),
            meta.removed,
            build,
            document_of(meta),
        ),
    )


def _put_bucket(db: sqlite3.Connection, meta: BucketMeta, build: int) -> None:
    info = meta.info
    db.execute(
        "INSERT INTO index_buckets VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
        "owner = excluded.owner, bucket_id = excluded.bucket_id, "
        "create_height = excluded.create_height, removed = excluded.removed, "
        "build = excluded.build, document = excluded.document",
        (
            info.bucket_name,
            info.owner,
            str(info.id),
            meta.create_height,
            meta.removed,
            build,
            document_of(meta),
        ),
    )


def _object(db: sqlite3.Connection, bucket_name: str, object_name: str) -> ObjectMeta | None:
    document = object_document(db, bucket_name, object_name)
    return ObjectMeta.from_json(json.loads(document)) if document else None


def _object_by_id(db: sqlite3.Connection, object_id: int) -> ObjectMeta | None:
    row = db.execute(
        "SELECT document FROM index_objects WHERE object_id = ?", (str(object_id),)
    ).fetchone()
    return ObjectMeta.from_json(json.loads(row["document"])) if row is not None else None


def _bucket(db: sqlite3.Connection, bucket_name: str) -> BucketMeta | None:
    row = db.execute(
        "SELECT document, create_height FROM index_buckets WHERE bucket_name = ?", (bucket_name,)
    ).fetchone()
    if row is None:
        return None
    return BucketMeta.from_json(json.loads(row["document"]), row["create_height"])


# --- who asks it ---------------------------------------------------------------------------------


def check_built(db: sqlite3.Connection) -> None:
    """Raises ComponentUnavailable."""
    state = load_state(db)
    if state is None or not state.is_built:
        raise ComponentUnavailable(
            "the index of buckets and objects is being made", "index", "Try again"
        )


def list_objects(db: sqlite3.Connection, query: ObjectQuery) -> IndexPage:
    return _grouped_page(db, query) if query.delimiter else _plain_page(db, query)


def _plain_page(db: sqlite3.Connection, query: ObjectQuery) -> IndexPage:
    rows = db.execute(
        f"SELECT object_name, document FROM index_objects {_within(query)} LIMIT :rows",
        _bounds(query, first_name(query)) | {"rows": query.page_size + 1},
    ).fetchall()
    shown = rows[: query.page_size]
    next_name = bytes(rows[-1][0]).decode() if len(rows) > len(shown) else ""
    return IndexPage(b",".join([row[1] for row in shown]), len(shown), (), next_name)


def _grouped_page(db: sqlite3.Connection, query: ObjectQuery) -> IndexPage:
    seeking = f"SELECT object_name, rowid FROM index_objects {_within(query)} LIMIT :rows"

    def seek(name: bytes, rows: int) -> Sequence[tuple[bytes, int]]:
        found = db.execute(seeking, _bounds(query, name) | {"rows": rows})
        return [(row[0], row[1]) for row in found]

    page = page_of_names(query, seek)
    documents = [
        db.execute("SELECT document FROM index_objects WHERE rowid = ?", (key,)).fetchone()[0]
        for key in page.keys
    ]
    return IndexPage(b",".join(documents), len(documents), page.common_prefixes, page.next_name)


def _within(query: ObjectQuery) -> str:
    living = "" if query.with_removed else "AND removed = 0 "
    return (
        "WHERE bucket_name = :bucket_name AND object_name >= :first AND object_name < :end "
        f"{living}ORDER BY object_name"
    )


def _bounds(query: ObjectQuery, first: bytes) -> dict[str, object]:
    prefix = utf8(query.prefix)
    end = end_of_prefix(prefix) if prefix else _BEHIND_ALL
    return {"bucket_name": query.bucket_name, "first": first, "end": end}


def list_buckets(db: sqlite3.Connection, owner: str, limit: int) -> bytes:
    rows = db.execute(
        "SELECT document FROM (SELECT * FROM index_buckets WHERE owner = :owner "
        "ORDER BY removed, create_height DESC, length(bucket_id) DESC, bucket_id DESC "
        "LIMIT max(:limit, (SELECT count(*) FROM index_buckets WHERE owner = :owner "
        "AND removed = 0))) "
        "ORDER BY create_height DESC, length(bucket_id) DESC, bucket_id DESC",
        {"owner": owner, "limit": limit},
    )
    return b",".join([row[0] for row in rows])


def object_document(db: sqlite3.Connection, bucket_name: str, object_name: str) -> bytes:
    row = db.execute(
        "SELECT document FROM index_objects WHERE bucket_name = ? AND object_name = ?",
        (bucket_name, utf8(object_name)),
    ).fetchone()
    return bytes(row[0]) if row is not None else b""


def bucket_document(db: sqlite3.Connection, bucket_name: str) -> bytes:
    row = db.execute(
        "SELECT document FROM index_buckets WHERE bucket_name = ?", (bucket_name,)
    ).fetchone()
    return bytes(row[0]) if row is not None else b""
