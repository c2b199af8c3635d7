"""The journal of a state directory: made, checked and closed by whoever holds the directory."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from greenray.cluster.config.state_dir import StateDir
from greenray.protocol.errors import (
    InvalidSetting,
    JournalError,
    JournalMissing,
    NoSuchPiece,
    StoreError,
)
from greenray.storage.journal_file import check_journal, close_in_order, create_journal
from greenray.storage.piece_location import PieceLocation
from greenray.storage.sqlite_schema import MISSING_JOURNAL_STEPS

log = logging.getLogger(__name__)


def prepare_journal(
    state: StateDir, pieces: PieceLocation, hosted: Iterable[str], *, new: bool
) -> None:
    """Check the journal that is there, or make one where none was needed yet.

    ``hosted``: operator addresses whose keys we have; ``new``: make one whatever else is there.

    Raises:
        JournalDamaged, JournalError: what is there cannot be used.
        JournalMissing: none is there, but a chain or pieces that it should tell of.
        InvalidSetting: ``new``, and there is one.
    """
    file = state.job_store_file
    if file.exists() and file.stat().st_size:
        if new:
            raise InvalidSetting(
                "there is a journal already", str(file), "Move it away, or leave out --new-journal"
            )
        check_journal(file)
        return
    known = None if new else _known_without(state, pieces, hosted)
    if known is not None:
        raise JournalMissing(f"the journal is gone, and {known}", str(file), MISSING_JOURNAL_STEPS)
    create_journal(file)


def _known_without(state: StateDir, pieces: PieceLocation, hosted: Iterable[str]) -> str | None:
    """What tells that there was a journal."""
    if state.knows_a_chain:
        return "this directory has served a chain"
    for sp_address in hosted:
        try:
            store = pieces.open_existing(sp_address)
        except NoSuchPiece:
            continue
        if any(True for _ in store.list_columns()):
            return f"storage provider {sp_address} has pieces at {pieces.url}"
    return None


def leave_in_order(state: StateDir) -> None:
    """After the network has ended: ``jobs.sqlite`` alone is the journal, also when the process that
    owned it was killed."""
    if not state.job_store_file.exists():
        return
    try:
        close_in_order(state.job_store_file)
    except JournalError as error:
        log.warning("the journal could not be closed: %s", error)


def check_chain_database(path: Path, *, named: Path | None = None) -> None:
    """``named``: the database that ``path`` is a copy of, for the error.

    Raises StoreError: it is damaged.
    """
    if not path.exists():
        return
    try:
        with closing(sqlite3.connect(path)) as connection:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        found = str(error)
    if found != "ok":
        raise StoreError(
            f"the embedded chain's database is damaged: {found}",
            str(named or path),
            "Put back a copy with 'greenray chain restore DIRECTORY', or choose another "
            "--state-dir",
        )
