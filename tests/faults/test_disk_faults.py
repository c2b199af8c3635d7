"""Disks that are full, read-only or broken, and a journal that somebody has locked: what is asked
for meanwhile is refused with what to do, what was acknowledged stays, and work goes on after it."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from greenray.client.storage_client import WaitFor
from greenray.cluster.config.state_dir import StateDir
from greenray.protocol.errors import GreenrayError, JournalUnavailable, StoreError, StoreUnavailable
from greenray.storage.direct_io import store_error
from tests.support.failing_disk import failing_disk
from tests.support.payloads import ctr_payload
from tests.support.small_disk import small_disk
from tests.support.whole_network import WholeNetwork, whole_network

MIB = 1 << 20
BEFORE = bytes(ctr_payload("before the fault", 300_000))
ENDLESS_S = 3600.0
"""A client that waited so long for what does not pass by itself would be ended by the timeout."""
DURING = bytes(ctr_payload("during the fault", 400_000))

pytestmark = pytest.mark.timeout(180)


@dataclass(frozen=True, slots=True)
class DiskFault:
    """What ``begin`` does to a disk, what is said of it, and how it ends."""

    begin: Callable[[], object]
    end: Callable[[], object]
    reason: str
    says: str
    answer: str = "HTTP 500"


@pytest.fixture(params=["full", "read-only", "broken"])
def fault(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DiskFault]:
    """Of the disk that all pieces are on."""
    pieces = tmp_path / "network" / "pieces"
    pieces.mkdir(parents=True)
    with ExitStack() as undo:
        if request.param == "broken":
            disk = undo.enter_context(failing_disk(pieces, tmp_path / "image"))
            if disk is None:
                pytest.skip("a disk that fails needs root, a loop device and the device mapper")
            yield DiskFault(disk.fail, disk.mend, "store-error", "dmesg")
            return
        if not undo.enter_context(small_disk(pieces, 8 * MIB)):
            pytest.skip("mounting a small disk needs root")
        if request.param == "full":
            ballast = pieces / "ballast"
            yield DiskFault(
                lambda: _fill(ballast),
                ballast.unlink,
                "no-space-left",
                "Free some space",
                answer="HTTP 507",
            )
        else:
            yield DiskFault(
                lambda: _remount(pieces, "ro"),
                lambda: _remount(pieces, "rw"),
                "store-error",
                "mount it for writing again",
            )


def _fill(ballast: Path) -> None:
    """Leave 64 KiB."""
    status = os.statvfs(ballast.parent)
    ballast.write_bytes(bytes(status.f_bavail * status.f_frsize - 65_536))


def _remount(path: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(path)], check=True, capture_output=True)


@pytest.fixture
async def network(tmp_path: Path) -> AsyncIterator[WholeNetwork]:
    folder = tmp_path / "network"
    folder.mkdir(exist_ok=True)
    async with whole_network(folder) as network:
        await network.start(task_node=False)
        yield network


async def test_an_upload_is_refused_with_what_to_do_and_taken_when_the_fault_is_gone(
    fault: DiskFault, network: WholeNetwork
) -> None:
    network.start_task_node()
    await network.put(BEFORE, name="before.jpg")
    network.client_outage_s = ENDLESS_S
    fault.begin()
    with pytest.raises(GreenrayError) as refused:
        await network.put(DURING, name="during.jpg")
    assert refused.value.reason == fault.reason
    assert fault.says in str(refused.value)
    assert fault.answer in str(refused.value)
    assert not refused.value.retry_after_s
    assert await network.get("before.jpg") == BEFORE
    fault.end()
    await network.put(DURING, name="during.jpg")
    assert await network.get("during.jpg") == DURING
    assert await network.get("before.jpg") == BEFORE


async def test_what_was_acknowledged_is_sealed_when_the_fault_is_gone(
    fault: DiskFault, network: WholeNetwork
) -> None:
    await network.put(BEFORE, wait=WaitFor.UPLOADED)
    fault.begin()
    network.start_task_node()
    failed = await network.wait_until(lambda status: status["error"] is not None)
    assert not failed["final"]
    fault.end()
    sealed = await network.wait_until(lambda status: status["final"])
    assert sealed["state"] == "SEAL_OBJECT_DONE"
    assert await network.get() == BEFORE


async def test_a_journal_that_another_process_has_locked_is_named_and_used_again(
    network: WholeNetwork,
) -> None:
    network.start_task_node()
    await network.put(BEFORE, name="before.jpg")
    lock = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _LOCK,
        str(network.folder / "jobs.sqlite"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert lock.stdout is not None
    assert await lock.stdout.readline() == b"locked\n"
    with pytest.raises(JournalUnavailable, match="Another process has it locked") as refused:
        await network.put(DURING, name="during.jpg")
    assert refused.value.retry_after_s
    await lock.communicate(b"\n")
    await network.put(DURING, name="during.jpg")
    assert await network.get("during.jpg") == DURING
    assert await network.get("before.jpg") == BEFORE


_LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.readline()
"""


def test_an_error_of_a_disk_says_what_to_do() -> None:
    for number, step in ((errno.EIO, "replace it"), (errno.EROFS, "mount it for writing again")):
        error = store_error(OSError(number, ""), Path("pieces"), "append 5 bytes")
        assert type(error) is StoreError
        assert step in error.next_step
    for number, step in ((errno.EMFILE, "ulimit -n"), (errno.ESTALE, "its server")):
        error = store_error(OSError(number, ""), Path("pieces"), "append 5 bytes")
        assert type(error) is StoreUnavailable
        assert step in error.next_step


def test_a_state_directory_on_a_read_only_disk_is_refused_before_anything_is_started(
    tmp_path: Path,
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    with small_disk(disk, MIB) as mounted:
        if not mounted:
            pytest.skip("mounting a small disk needs root")
        _remount(disk, "ro")
        with pytest.raises(StoreError, match=r"Read-only file system.*Choose another"):
            StateDir(disk / "network").lock()
