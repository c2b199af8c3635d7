from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from greenray.storage.ports import JobStore
from greenray.storage.sqlite_store import SqliteJobStore
from tests.contracts.job_store_contract import Clock, JobStoreContract


class TestSqliteJobStore(JobStoreContract):
    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    async def store(self, tmp_path: Path, clock: Clock) -> AsyncIterator[JobStore]:
        store = SqliteJobStore.open(tmp_path / "journal.db", clock)
        yield store
        await store.close()
