from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.file_store import FilePieceStore
from storage.memory_store import MemoryPieceStore
from storage.ports import PieceStore
from tests.contracts.piece_store_contract import PieceStoreContract

SHARED_MEMORY = Path("/dev/shm")


class TestMemoryPieceStore(PieceStoreContract):
    @pytest.fixture
    def store(self) -> PieceStore:
        return MemoryPieceStore()


class TestDurableFilePieceStore(PieceStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> PieceStore:
        return FilePieceStore(tmp_path / "pieces")


class TestFilePieceStoreThatIsNotDurable(PieceStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> PieceStore:
        return FilePieceStore(tmp_path / "pieces", durable=False)


@pytest.mark.skipif(not SHARED_MEMORY.is_dir(), reason="no tmpfs here")
class TestFilePieceStoreWithoutDirectIo(PieceStoreContract):
    @pytest.fixture
    def store(self) -> Iterator[PieceStore]:
        with tempfile.TemporaryDirectory(dir=SHARED_MEMORY) as root:
            yield FilePieceStore(Path(root))
