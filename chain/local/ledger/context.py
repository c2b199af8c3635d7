"""What a transaction runs in: the state, the rules of the chain, gas and events."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from greenray.chain.addresses import parse_address
from greenray.chain.local.ledger.events import Event
from greenray.chain.local.ledger.genesis import Genesis, GenesisProvider
from greenray.chain.local.ledger.params import ChainParams
from greenray.chain.local.ledger.state import State

if TYPE_CHECKING:
    from greenray.chain.local.ledger.local_dialect import LocalDialect


class Rules:
    """The constant part of a chain: its dialect, and its genesis, indexed."""

    def __init__(self, genesis: Genesis, local_dialect: LocalDialect) -> None:
        self.genesis = genesis
        self.local_dialect = local_dialect
        self.chain_id = genesis.chain_id
        self.params: ChainParams = genesis.params
        by_operator = {parse_address(p.operator_address): p for p in genesis.storage_providers}
        # In the order in which the chain lists them.
        self.providers: dict[bytes, GenesisProvider] = dict(sorted(by_operator.items()))
        self.providers_by_seal: dict[bytes, GenesisProvider] = {
            parse_address(p.seal_address): p for p in genesis.storage_providers
        }
        self.providers_by_gc: dict[bytes, GenesisProvider] = {
            parse_address(p.gc_address): p for p in genesis.storage_providers
        }


class GasMeter:
    """Counts gas against a limit; ``limit`` 2^64-1 stands for none."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    def consume(self, amount: int) -> bool:
        """False when the limit is exceeded; what was asked for counts as used all the same."""
        self.used += amount
        return self.used <= self.limit


NO_GAS_LIMIT = 2**64 - 1


@dataclass(slots=True)
class Context:
    """What a transaction runs in. ``time_ns`` is the block's time since the Unix epoch."""

    state: State
    rules: Rules
    height: int
    time_ns: int
    is_check: bool = False
    simulate: bool = False
    by_itself: bool = False
    """The chain acts, not a message: there is nobody whom it could refuse."""
    events: list[Event] = field(default_factory=list)
    gas: GasMeter = field(default_factory=lambda: GasMeter(NO_GAS_LIMIT))

    @property
    def time_s(self) -> int:
        """The block's time in unix seconds."""
        return self.time_ns // 1_000_000_000

    def emit(self, *events: Event) -> None:
        self.events.extend(events)
