"""Browser keys of accounts, inside a transaction (see ``greenray.storage.job_rows``)."""

from __future__ import annotations

import sqlite3

from greenray.protocol.errors import TooManyKeys, WrongNonce
from greenray.protocol.user_keys import MAX_DOMAINS, MAX_KEY_AGE_S, UserKey


def user_key(db: sqlite3.Connection, sp_address: str, account: str, domain: str) -> UserKey | None:
    row = db.execute(
        "SELECT public_key, nonce, expires_at FROM user_keys "
        "WHERE sp_address = ? AND account = ? AND domain = ?",
        (sp_address, account, domain),
    ).fetchone()
    return UserKey(sp_address, account, domain, *row) if row else None


def register_key(db: sqlite3.Connection, key: UserKey, now: float) -> None:
    db.execute("DELETE FROM user_keys WHERE registered_at < ?", (now - MAX_KEY_AGE_S,))
    last = user_key(db, key.sp_address, key.account, key.domain)
    expected = last.nonce + 1 if last else 1
    if key.nonce != expected:
        raise WrongNonce(f"the next nonce is {expected}, not {key.nonce}", key.domain)
    if last is None and _count(db, key) >= MAX_DOMAINS:
        raise TooManyKeys(
            f"the account has keys for {MAX_DOMAINS} domains",
            key.account,
            "Wait until one of them was registered a week ago",
        )
    db.execute(
        "INSERT OR REPLACE INTO user_keys VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            key.sp_address,
            key.account,
            key.domain,
            key.public_key,
            key.nonce,
            key.expires_at,
            now,
        ),
    )


def _count(db: sqlite3.Connection, key: UserKey) -> int:
    row = db.execute(
        "SELECT count(*) FROM user_keys WHERE sp_address = ? AND account = ?",
        (key.sp_address, key.account),
    ).fetchone()
    count: int = row[0]
    return count
