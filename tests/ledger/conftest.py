"""What blocks are written into."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from greenray.chain.local.ledger.state import ChainDatabase


@pytest.fixture
def database() -> Iterator[ChainDatabase]:
    """In memory, and empty."""
    database = ChainDatabase(Path(":memory:"))
    yield database
    database.close()
