"""The embedded chain's application with blocks that a test makes."""

from __future__ import annotations

import json
from typing import Any

from greenray.chain.addresses import parse_address
from greenray.chain.dialects import get_local_dialect
from greenray.chain.dialects import v0_2 as dialect
from greenray.chain.dialects.v0_2.local_rules.records import get_object, get_stream
from greenray.chain.local.app import Application
from greenray.chain.local.ledger.genesis import Genesis
from greenray.chain.local.ledger.state import ChainDatabase
from greenray.chain.local.queries import QueryRouter
from greenray.chain.local.tx_result import TxResult
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
        """One block with all of them; (codespace, code) of each."""
        return [(one.codespace, one.code) for one in self.results(*senders_and_messages)]

    def results(self, *senders_and_messages: tuple[str, dialect.Message]) -> list[TxResult]:
        """One block with all of them."""
        transactions = []
        for name, message in senders_and_messages:
            sequence = self.sequences.get(name, 0)
            self.sequences[name] = sequence + 1
            transactions.append(signed(self.genesis, name, message, sequence))
        results = self.app.make_block(transactions, self.app.head.time_ns + 10**9)
        self.app.reset_check_state()
        return results

    def one(self, name: str, message: dialect.Message) -> TxResult:
        """A block with one message."""
        (result,) = self.results((name, message))
        return result

    def refusal(self, name: str, message: dialect.Message) -> tuple[str, int, str]:
        """Codespace, code and log of a message that runs and fails; the log without its prefix."""
        result = self.one(name, message)
        prefix = "failed to execute message; message index: 0: "
        assert result.log.startswith(prefix), result.log
        return result.codespace, result.code, result.log.removeprefix(prefix)

    def ask(self, path: str, request: Any, response_class: Any, height: int = 0) -> Any:
        """The answer to an abci_query; it must be one."""
        answer = QueryRouter(self.app).answer(path, request.SerializeToString(), height)
        assert answer.code == 0, answer.log
        return response_class.FromString(answer.value or b"")

    def refused_answer(self, path: str, request: Any) -> tuple[int, str]:
        """sdk's code and the log of an abci_query that is refused."""
        answer = QueryRouter(self.app).answer(path, request.SerializeToString(), 0)
        assert answer.codespace == "sdk"
        return answer.code, answer.log

    def object(self, name: str) -> Any:
        """ObjectInfo, or None."""
        return get_object(self.database, BUCKET, name)

    def locked_fee(self, name: str) -> int:
        stream = get_stream(self.database, parse_address(address(name)))
        assert stream is not None
        return int(stream.lock_balance)


def events_of(result: TxResult) -> list[tuple[str, dict[str, Any]]]:
    """Greenfield's own events of a message: type, and fields as JSON says them."""
    return [
        (one.type.removeprefix("greenfield."), {k: json.loads(v) for k, v in one.attributes})
        for one in result.events
        if one.type.startswith("greenfield.")
    ]
