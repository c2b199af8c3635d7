from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenray.storage.file_store import FilePieceStore
from greenray.storage.memory_store import MemoryPieceStore
from greenray.storage.ports import PieceStore
from greenray.storage.s3_store import S3PieceStore
from tests.contracts.piece_store_contract import PieceStoreContract
from tests.support.s3_server import S3Server, s3_server

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


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


class TestS3PieceStore(PieceStoreContract):
    @pytest.fixture
    def store(self, server: S3Server) -> PieceStore:
        return S3PieceStore(server.bucket("pieces"), f"sp-{uuid.uuid4().hex}")
