"""The embedded chain's application with blocks that a test makes."""

from __future__ import annotations

from typing import Any

from greenray.chain.addresses import parse_address
from greenray.chain.dialects import get_local_dialect
from greenray.chain.dialects import v0_2 as dialect
from greenray.chain.dialects.v0_2.local_rules.records import get_object, get_stream
from greenray.chain.local.app import Application
from greenray.chain.local.ledger.genesis import Genesis
from greenray.chain.local.ledger.state import ChainDatabase
from tests.support.local_chain import BUCKET, address, signed

CLOCK_NS = 1_700_000_000 * 10**9


class ChainByHand:
    """An application with a sealed-by-hand clock; each block a second later."""

    def __init__(self, database: ChainDatabase, genesis: Genesis) -> None:
        self.database = database
        self.genesis = genesis
        self.app = Application(database, get_local_dialect(), genesis, CLOCK_NS)
        self.sequences: dict[str, int] = {}

    def run(self, *senders_and_messages: tuple[str, dialect.Message]) -> list[tuple[str, int]]:
        """One block with all of them; (code, log) of each."""
        transactions = []
        for name, message in senders_and_messages:
            sequence = self.sequences.get(name, 0)
            self.sequences[name] = sequence + 1
            transactions.append(signed(self.genesis, name, message, sequence))
        results = self.app.make_block(transactions, self.app.head.time_ns + 10**9)
        self.app.reset_check_state()
        return [(result.codespace, result.code) for result in results]

    def object(self, name: str) -> Any:
        """ObjectInfo, or None."""
        return get_object(self.database, BUCKET, name)

    def locked_fee(self, name: str) -> int:
        stream = get_stream(self.database, parse_address(address(name)))
        assert stream is not None
        return int(stream.lock_balance)
