"""The journal of a network is kept: one file after the end, checked at the start, backed up while
the network runs, and never replaced by an empty one."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import greenray
from greenray.protocol.errors import JournalDamaged, JournalMissing
from greenray.storage.journal_file import check_journal
from tests.support.cli import SEGMENT_SIZE_BYTES, Surroundings, databases, start_network

CHAIN = {"block_interval_s": 0.1, "genesis_params": {"max_segment_size": SEGMENT_SIZE_BYTES}}
PAYLOAD = random.Random(17).randbytes(3 * SEGMENT_SIZE_BYTES + 11)

pytestmark = pytest.mark.timeout(300)


def home_of(surroundings: Surroundings) -> psutil.Process:
    """The process that owns the journal."""
    # Ray names it by what it does at the moment: ray::Home, ray::home:Home.call.
    titles = ("ray::Home", "ray::home:")
    [home] = [p for p in surroundings.processes() if "".join(p.cmdline()[:1]).startswith(titles)]
    return home


@pytest.fixture
def surroundings(tmp_path: Path) -> Iterator[Surroundings]:
    surroundings = Surroundings(tmp_path / "network")
    yield surroundings
    surroundings.kill_everything()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "payload.bin"
    path.write_bytes(PAYLOAD)
    return path


def start(state_dir: Path, *, new_journal: bool = False) -> greenray.Network:
    return greenray.local_network(
        ray=False, chain=CHAIN, state_dir=state_dir, new_journal=new_journal
    )


# --- on Ray --------------------------------------------------------------------------------------
# tests/e2e/test_up_and_down.py ends others in order, and looks at what they leave.


@pytest.mark.parametrize("owner", ["was killed", "is stopped"])
def test_after_down_each_database_is_one_file(
    surroundings: Surroundings, file: Path, owner: str
) -> None:
    assert surroundings.run("up", "--detach").exit_code == 0
    put = surroundings.call("put", "--wait", "uploaded", file, "album/photo.jpg")
    assert put.exit_code == 0
    home = home_of(surroundings)
    home.send_signal(signal.SIGSTOP)
    if owner == "was killed":
        home.kill()
    assert surroundings.run("down").exit_code == 0
    assert databases(surroundings.state_dir) == ["chain.sqlite", "jobs.sqlite"]
    assert check_journal(surroundings.state_dir / "jobs.sqlite", thorough=True).jobs == 1


def test_a_lost_journal_is_replaced_only_when_that_is_wanted(
    surroundings: Surroundings, file: Path
) -> None:
    with start(surroundings.state_dir) as network:
        network.put(PAYLOAD, "album/photo.jpg")
    (surroundings.state_dir / "jobs.sqlite").unlink()
    for run, *arguments in ((surroundings.call, "up"), (surroundings.run, "up", "--detach")):
        error = run(*arguments, "--json")
        assert error.document["error"]["reason"] == "journal-missing"
        assert "greenray up --new-journal" in error.document["error"]["message"]
        psutil.wait_procs(surroundings.processes())
    assert databases(surroundings.state_dir) == ["chain.sqlite"]
    up = start_network(surroundings, "--new-journal")
    up.answer("put", file, "album/other.jpg")
    up.stop()
    assert surroundings.call("up", "--new-journal", "--json").error["reason"] == "invalid-setting"


# --- in one process ------------------------------------------------------------------------------


def test_a_backup_of_a_running_network_is_restored_and_its_objects_are_read(
    surroundings: Surroundings, tmp_path: Path
) -> None:
    backup, journal = tmp_path / "backup.sqlite", surroundings.state_dir / "jobs.sqlite"
    with start(surroundings.state_dir) as network:
        network.put(PAYLOAD, "album/photo.jpg")
        made = surroundings.call("journal", "backup", backup, "--json").document
        assert (made["path"], made["jobs"], made["unfinished"]) == (str(backup), 1, 0)
        again = surroundings.call("journal", "backup", backup, "--json").error
        assert again["reason"] == "invalid-input"
        checked = surroundings.call("journal", "check", "--json").document
        assert checked["integrity_records"] == 7
        running = surroundings.call("journal", "restore", backup, "--json").error
        assert running["reason"] == "already-running"
        assert "greenray down" in running["message"]

    data = journal.read_bytes()
    journal.write_bytes(data[: len(data) // 2])
    assert surroundings.call("journal", "check", "--json").error["reason"] == "journal-damaged"
    refused = surroundings.call("up", "--json").error
    assert refused["reason"] == "journal-damaged"
    assert f"{journal}: the journal is damaged" in refused["message"]
    assert "greenray journal restore FILE" in refused["message"]
    assert surroundings.processes() == []

    restored = surroundings.call("journal", "restore", backup, "--json")
    assert restored.document == made | {"path": str(journal)}
    [kept] = surroundings.state_dir.glob("jobs.sqlite.before-*")
    assert kept.stat().st_size == len(data) // 2
    assert str(kept) in restored.stderr
    with start(surroundings.state_dir) as network:
        assert network.get("album/photo.jpg") == PAYLOAD


def test_a_network_in_one_process_leaves_each_database_as_one_file(tmp_path: Path) -> None:
    with start(tmp_path) as network:
        network.put(PAYLOAD, "photos/one", wait="uploaded")
    assert databases(tmp_path) == ["chain.sqlite", "jobs.sqlite"]
    assert check_journal(tmp_path / "jobs.sqlite").jobs == 1


def test_python_is_told_of_a_journal_that_is_gone_or_damaged(tmp_path: Path) -> None:
    with start(tmp_path) as network:
        network.put(PAYLOAD, "photos/one")
    journal = tmp_path / "jobs.sqlite"
    data = journal.read_bytes()
    journal.write_bytes(data[: len(data) // 2])
    with pytest.raises(JournalDamaged, match="greenray journal restore FILE"):
        start(tmp_path)
    journal.unlink()
    with pytest.raises(JournalMissing, match="--new-journal"):
        start(tmp_path)
    with start(tmp_path, new_journal=True) as network:
        assert network.put(PAYLOAD, "photos/two").status.sealed
