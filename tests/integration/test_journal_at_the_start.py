"""Which journal a network starts with: the one that is there if it is intact, a new one only where
nothing tells of an older one."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest

from greenray.cluster.chain_copy import back_up_chain
from greenray.cluster.config.state_dir import StateDir
from greenray.cluster.journal import check_chain_database, prepare_journal
from greenray.protocol.errors import (
    InvalidInput,
    InvalidSetting,
    JournalDamaged,
    JournalMissing,
    StoreError,
)
from greenray.storage.file_location import FileLocation
from greenray.storage.journal_file import check_journal
from tests.contracts.piece_store_contract import CONTENT, KEY, LAYOUT, put

SP = "0xABCDEF"


class Start:
    """What ``up`` does with a state directory, as far as the journal is concerned."""

    def __init__(self, root: Path) -> None:
        self.state = StateDir(root / "state")
        self.state.root.mkdir()
        self.pieces = FileLocation(root / "pieces", durable=False)
        self.journal = self.state.job_store_file

    def prepare(self, *, new: bool = False) -> None:
        prepare_journal(self.state, self.pieces, (SP,), new=new)


@pytest.fixture
def start(tmp_path: Path) -> Start:
    return Start(tmp_path)


def test_a_new_directory_gets_a_journal_and_goes_on_with_it(start: Start) -> None:
    start.prepare()
    start.state.check_chain("greenfield_9000-121", "AA")
    start.prepare()
    assert check_journal(start.journal).jobs == 0


@pytest.mark.parametrize("left", ["nothing", "an empty file"])
def test_no_journal_is_made_beside_a_known_chain(start: Start, left: str) -> None:
    start.state.check_chain("greenfield_9000-121", "AA")
    if left == "an empty file":
        start.journal.touch()
    with pytest.raises(JournalMissing, match=r"has served a chain.*journal rebuild.*--new-journal"):
        start.prepare()
    assert not start.journal.exists() or start.journal.stat().st_size == 0
    start.prepare(new=True)
    assert check_journal(start.journal).jobs == 0


def test_no_journal_is_made_beside_pieces(start: Start) -> None:
    put(start.pieces.open((SP,))[SP], KEY, LAYOUT, CONTENT)
    with pytest.raises(JournalMissing, match=rf"{SP} has pieces.*--new-journal"):
        start.prepare()
    assert not start.journal.exists()


def test_pieces_of_others_and_empty_directories_are_no_sign_of_a_journal(start: Start) -> None:
    stores = start.pieces.open((SP, "0x123456"))
    put(stores["0x123456"], KEY, LAYOUT, CONTENT)
    start.prepare()
    assert check_journal(start.journal).jobs == 0


def test_a_journal_that_is_there_is_not_begun_anew(start: Start) -> None:
    start.prepare()
    before = start.journal.read_bytes()
    with pytest.raises(InvalidSetting, match="there is a journal already"):
        start.prepare(new=True)
    assert start.journal.read_bytes() == before


def test_a_damaged_journal_is_refused(start: Start) -> None:
    start.prepare()
    data = start.journal.read_bytes()
    start.journal.write_bytes(data[: len(data) // 2])
    with pytest.raises(
        JournalDamaged, match=r"greenray journal restore FILE.*greenray journal rebuild"
    ):
        start.prepare()


def chain_database(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE blocks AS SELECT randomblob(2000) FROM sqlite_master")
        connection.executemany("INSERT INTO blocks VALUES (?)", [(b"block" * 500,)] * 50)
    connection.close()


def test_a_damaged_database_of_the_chain_is_refused(tmp_path: Path) -> None:
    database = tmp_path / "chain.sqlite"
    check_chain_database(database)
    assert not database.exists()
    chain_database(database)
    check_chain_database(database)
    database.write_bytes(database.read_bytes()[: 40 * 1024])
    with pytest.raises(StoreError, match=r"chain\.sqlite.*damaged.*greenray chain restore"):
        check_chain_database(database)


def test_a_damaged_chain_is_not_backed_up_and_named_where_it_is(tmp_path: Path) -> None:
    state = StateDir(tmp_path / "state")
    chain_database(state.chain_database)
    content = bytearray(state.chain_database.read_bytes())
    content[40 * 1024 : 60 * 1024] = bytes(20 * 1024)
    state.chain_database.write_bytes(content)
    with pytest.raises(StoreError, match=re.escape(f"{state.chain_database}: the embedded chain")):
        back_up_chain(state, tmp_path / "backup")
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_a_backup_of_the_chain_removes_nothing_that_is_called_like_its_unfinished_copy(
    tmp_path: Path,
) -> None:
    state = StateDir(tmp_path / "state")
    chain_database(state.chain_database)
    (tmp_path / "backup.part").mkdir()
    (tmp_path / "backup.part" / "notes").touch()
    with pytest.raises(InvalidInput, match=r"backup\.part.*not overwritten"):
        back_up_chain(state, tmp_path / "backup")
    assert (tmp_path / "backup.part" / "notes").exists()
    assert not (tmp_path / "backup").exists()
