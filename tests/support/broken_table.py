"""A journal that fails while its owner uses it."""

from __future__ import annotations

import sqlite3
from pathlib import Path


class BrokenTable:
    """A table of the journal that cannot be used, behind the back of its owner."""

    def __init__(self, journal: Path, table: str) -> None:
        self._journal = journal
        self._table = table

    def _run(self, statement: str) -> None:
        with sqlite3.connect(self._journal) as connection:
            connection.execute(statement)
        connection.close()

    def take_away(self) -> None:
        self._run(f"ALTER TABLE {self._table} RENAME TO {self._table}_aside")

    def put_back(self) -> None:
        self._run(f"ALTER TABLE {self._table}_aside RENAME TO {self._table}")
