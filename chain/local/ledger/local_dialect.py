"""What the embedded chain executes: a dialect and the rules of its messages, as one value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from greenray.chain.dialect import Dialect
from greenray.chain.local.ledger.context import Context, Rules
from greenray.chain.local.ledger.reading import StateAt


@dataclass(frozen=True, slots=True)
class MessageRule:
    """How a message runs: ``run`` returns the protobuf response, or raises ChainFault or
    NilPointer. ``module`` is the name in the message's event."""

    wire_class: Any
    module: str
    fixed_gas: int
    run: Callable[[Context, Any], Any]


@dataclass(frozen=True, slots=True)
class QueryRule:
    """How a question is answered: protobuf request in, protobuf response out. Raises ChainFault."""

    request_class: Any
    answer: Callable[[Any, StateAt, Rules], Any]


@dataclass(frozen=True, slots=True, eq=False)
class LocalDialect:
    """Compared and hashed by identity: what was decoded and checked under it is remembered."""

    dialect: Dialect
    version: str
    """What a node of this dialect calls itself."""
    messages: Mapping[str, MessageRule]
    """By type URL; other messages are refused."""
    queries: Mapping[str, QueryRule]
    """By the path of abci_query, beside those that every dialect has."""
    name_faults: Mapping[str, tuple[str, int, str]]
    """Codespace, code and log for text that is not UTF-8, by the field that has it."""
    module_accounts: tuple[str, ...]
    """Modules whose accounts take numbers after those of the genesis, in this order."""
    end_block: Callable[[Context], None]
    """What happens by itself at the end of a block, after its transactions."""

    @property
    def fixed_gas(self) -> dict[str, int]:
        """By type URL, for a genesis that says nothing else."""
        return {url: rule.fixed_gas for url, rule in self.messages.items()}
