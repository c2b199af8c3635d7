"""The application: transactions against state, blocks into the database.

Three states, as in the real node: what is committed; the check state above it, in which CheckTx
counts queued transactions and simulations run; and the state of the block being made.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from greenray.chain import wire
from greenray.chain.addresses import address_text, module_address, parse_address
from greenray.chain.dialect import Fault
from greenray.chain.local import blocks
from greenray.chain.local.ante import priority, run_ante
from greenray.chain.local.decode import DecodedTransaction, decode_transaction
from greenray.chain.local.ledger.accounts import (
    AccountRecord,
    get_balance,
    next_number,
    put_account,
    put_balance,
)
from greenray.chain.local.ledger.bank import DISTRIBUTION, FEE_COLLECTOR
from greenray.chain.local.ledger.context import NO_GAS_LIMIT, Context, GasMeter, Rules
from greenray.chain.local.ledger.events import Event, event, to_json
from greenray.chain.local.ledger.faults import ChainFault, NilPointer, panic, sdk
from greenray.chain.local.ledger.genesis import Genesis, genesis_to_json, parse_genesis
from greenray.chain.local.ledger.local_dialect import LocalDialect
from greenray.chain.local.ledger.state import ChainDatabase, Overlay, StoredBlock, StoredTransaction
from greenray.chain.local.messages import run_message
from greenray.chain.local.tx_result import TxResult
from greenray.protocol.errors import InvalidInput

_GENESIS_KIND = "genesis"
_CHAIN_KIND = "chain"
_APP_HASH_KEY = b"app_hash"
_RESULTS_HASH_KEY = b"last_results_hash"
_VALIDATOR_SHARE_PERCENT = 98
_COMMISSION_PERCENT = 7
_MIN_BLOCK_STEP_NS = 1_000_000
_PANIC_TEXT = (
    "recovered: runtime error: invalid memory address or nil pointer dereference\nstack:\n"
)


@dataclass(frozen=True, slots=True)
class Simulation:
    """``response`` is the Any of the message's response."""

    gas_used: int
    response: Any
    events: tuple[Event, ...]


class SimulationFault(Exception):
    """A simulation that failed, with the gas of that moment."""

    def __init__(self, cause: ChainFault, gas_wanted: int, gas_used: int) -> None:
        super().__init__(cause.log)
        self.cause = cause
        self.gas_wanted = gas_wanted
        self.gas_used = gas_used


@dataclass(frozen=True, slots=True)
class Head:
    """The last committed block."""

    height: int
    time_ns: int
    hash: bytes
    app_hash: bytes
    results_hash: bytes
    block: Any = field(repr=False)

    @property
    def time_s(self) -> int:
        return self.time_ns // 1_000_000_000


class Application:
    """One chain over one database.

    Raises:
        InvalidInput: no genesis for a new database, or another one than it was started from.
    """

    def __init__(
        self,
        database: ChainDatabase,
        local_dialect: LocalDialect,
        genesis: Genesis | None,
        now_ns: int,
    ) -> None:
        self.database = database
        stored = database.get(_GENESIS_KIND, b"")
        if stored is not None:
            started_from = parse_genesis(json.loads(stored), local_dialect.fixed_gas)
            if genesis is not None and genesis_to_json(genesis) != genesis_to_json(started_from):
                raise InvalidInput(
                    "the chain in this home was started from another genesis",
                    started_from.chain_id,
                    "Leave the genesis away to continue it, or choose another --home",
                )
            genesis = started_from
        if genesis is None:
            raise InvalidInput("a new chain needs a genesis", "genesis", "Give --genesis FILE")
        self.rules = Rules(genesis, local_dialect)
        self.validator = blocks.Validator(genesis.chain_id)
        if stored is None:
            self._start(now_ns)
        self.head = self._load_head()
        self._check_state = Overlay(database)

    def _start(self, now_ns: int) -> None:
        """Block 1 carries the genesis, in one commit."""
        state = Overlay(self.database)
        document = genesis_to_json(self.rules.genesis)
        state.put(_GENESIS_KIND, b"", json.dumps(document).encode())
        _write_genesis(state, self.rules)
        self._commit(state, (), (), None, now_ns, [], [])

    def _load_head(self) -> Head:
        height = self.database.last_height()
        stored = self.database.block(height)
        assert stored is not None
        block = wire.tendermint_types.Block.FromString(stored.block)
        return Head(
            height=height,
            time_ns=blocks.time_ns_of(block.header),
            hash=stored.hash,
            app_hash=self.database.get(_CHAIN_KIND, _APP_HASH_KEY) or b"",
            results_hash=self.database.get(_CHAIN_KIND, _RESULTS_HASH_KEY) or b"",
            block=block,
        )

    # --- transactions ------------------------------------------------------------------------

    def check_tx(self, tx_bytes: bytes) -> TxResult:
        """CheckTx: the ante chain in the check state; the message does not run."""
        state = Overlay(self._check_state)
        context = self._check_context(state)
        transaction = self._after_ante(context, tx_bytes)
        if isinstance(transaction, TxResult):
            return transaction
        state.apply()
        return TxResult(
            refusal="[]",
            data=b"",
            gas_wanted=transaction.gas_limit,
            gas_used=context.gas.used,
            priority=priority(transaction),
        )

    def simulate(self, tx_bytes: bytes) -> Simulation:
        """Ante chain and message in a throw-away check state.

        Raises:
            SimulationFault: what would refuse the transaction.
        """
        context = self._check_context(Overlay(self._check_state))
        context.simulate = True
        started = False
        try:
            transaction = self._decode(tx_bytes)
            started = True
            run_ante(context, transaction)
            response = _run(context, transaction)
        except ChainFault as error:
            wanted = context.gas.limit if started else 0
            raise SimulationFault(error, wanted, context.gas.used) from error
        return Simulation(context.gas.used, response, tuple(context.events))

    def reset_check_state(self) -> None:
        """Forget what CheckTx counted; the queue is checked again by its owner."""
        self._check_state = Overlay(self.database)

    def _check_context(self, state: Overlay) -> Context:
        return Context(
            state=state,
            rules=self.rules,
            height=self.head.height,
            time_ns=self.head.time_ns,
            is_check=True,
        )

    def _after_ante(self, context: Context, tx_bytes: bytes) -> DecodedTransaction | TxResult:
        """The transaction when the ante chain lets it pass, otherwise its result."""
        try:
            transaction = self._decode(tx_bytes)
            context.gas = GasMeter(transaction.gas_limit)
            run_ante(context, transaction)
        except ChainFault as error:
            wanted = context.gas.limit if context.gas.limit != NO_GAS_LIMIT else 0
            return _refused(error, wanted, context.gas.used)
        return transaction

    def _decode(self, tx_bytes: bytes) -> DecodedTransaction:
        """Decode, then what the message says of itself (before the ante chain)."""
        local_dialect = self.rules.local_dialect
        transaction = _decode_once(tx_bytes, local_dialect)
        if not transaction.messages:
            raise sdk(18, "must contain at least one message")
        problem = _problem_of(local_dialect, transaction)
        if problem is not None:
            raise ChainFault(problem.codespace, problem.code, problem.log)
        return transaction

    # --- blocks ------------------------------------------------------------------------------

    def make_block(self, transactions: Sequence[bytes], now_ns: int) -> list[TxResult]:
        """Run the transactions in order and commit a block with all of them."""
        time_ns = max(now_ns, self.head.time_ns + _MIN_BLOCK_STEP_NS)
        state = Overlay(self.database)
        begin_events = _begin_block(state, self.rules.genesis)
        results = [self._deliver(state, tx_bytes, time_ns) for tx_bytes in transactions]
        end_events = self._end_block(state, time_ns)
        self._commit(state, transactions, results, self.head, time_ns, begin_events, end_events)
        self.head = self._load_head()
        return results

    def _end_block(self, state: Overlay, time_ns: int) -> list[Event]:
        context = Context(state, self.rules, self.head.height + 1, time_ns, by_itself=True)
        self.rules.local_dialect.end_block(context)
        return context.events

    def _deliver(self, block_state: Overlay, tx_bytes: bytes, time_ns: int) -> TxResult:
        ante_state = Overlay(block_state)
        context = Context(
            state=ante_state,
            rules=self.rules,
            height=self.head.height + 1,
            time_ns=time_ns,
        )
        transaction = self._after_ante(context, tx_bytes)
        if isinstance(transaction, TxResult):
            return transaction
        # Fee and sequence are spent whatever the message does.
        ante_state.apply()
        ante_events = tuple(context.events)
        context.events = []
        context.state = message_state = Overlay(block_state)
        try:
            response = _run(context, transaction)
        except ChainFault as error:
            return _refused(error, transaction.gas_limit, context.gas.used, ante_events)
        message_state.apply()
        return TxResult(
            data=message_data(response),
            gas_wanted=transaction.gas_limit,
            gas_used=context.gas.used,
            events=ante_events + tuple(context.events),
            message_events=len(context.events),
        )

    def _commit(
        self,
        state: Overlay,
        transactions: Sequence[bytes],
        results: Sequence[TxResult],
        head: Head | None,
        time_ns: int,
        begin_events: list[Event],
        end_events: list[Event],
    ) -> None:
        height = head.height + 1 if head else 1
        block = blocks.make_block(
            chain_id=self.rules.chain_id,
            height=height,
            time_ns=time_ns,
            validator=self.validator,
            previous=head.block if head else None,
            previous_hash=head.hash if head else b"",
            app_hash=head.app_hash if head else blocks.EMPTY_HASH,
            last_results_hash=head.results_hash if head else blocks.EMPTY_HASH,
            transactions=transactions,
        )
        previous_app_hash = head.app_hash if head else b""
        state.put(_CHAIN_KIND, _APP_HASH_KEY, _app_hash(previous_app_hash, state))
        state.put(_CHAIN_KIND, _RESULTS_HASH_KEY, _results_hash(results))
        stored_block = StoredBlock(
            height=height,
            hash=blocks.header_hash(block.header),
            block=block.SerializeToString(),
            results=json.dumps(
                {
                    "begin_block_events": to_json(begin_events),
                    "end_block_events": to_json(end_events),
                }
            ),
        )
        stored = [
            StoredTransaction(
                height=height,
                position=position,
                hash=hashlib.sha256(tx_bytes).digest(),
                tx_bytes=tx_bytes,
                result=result.packed(),
                tags=_tags(result),
            )
            for position, (tx_bytes, result) in enumerate(zip(transactions, results, strict=True))
        ]
        self.database.commit(stored_block, state.writes(), stored)


def message_data(response: Any) -> bytes:
    """``data`` of a successful transaction: TxMsgData with the message's response."""
    data: bytes = wire.abci.TxMsgData(msg_responses=[response]).SerializeToString()
    return data


@lru_cache(maxsize=2048)
def _decode_once(tx_bytes: bytes, local_dialect: LocalDialect) -> DecodedTransaction:
    return decode_transaction(tx_bytes, local_dialect)


@lru_cache(maxsize=2048)
def _problem_of(local_dialect: LocalDialect, transaction: DecodedTransaction) -> Fault | None:
    """What the first bad message says of itself."""
    dialect = local_dialect.dialect
    problems = (dialect.validate_basic(message) for _, message in transaction.messages)
    return next((problem for problem in problems if problem is not None), None)


def _run(context: Context, transaction: DecodedTransaction) -> Any:
    type_url, message = transaction.messages[0]
    try:
        return run_message(context, type_url, message)
    except NilPointer as error:
        raise panic(_PANIC_TEXT) from error


def _refused(
    error: ChainFault, gas_wanted: int, gas_used: int, events: tuple[Event, ...] = ()
) -> TxResult:
    return TxResult(
        code=error.code,
        codespace=error.codespace,
        refusal=error.log,
        gas_wanted=gas_wanted,
        gas_used=gas_used,
        events=events,
    )


def _tags(result: TxResult) -> tuple[tuple[str, str, int], ...]:
    """What tx_search finds: ``type.key``, value and event of each attribute."""
    return tuple(
        (f"{one.type}.{key}", value, number)
        for number, one in enumerate(result.events)
        for key, value in one.attributes
    )


def _app_hash(previous: bytes, state: Overlay) -> bytes:
    """Chained over everything written, so that it stands for the whole state."""
    digest = hashlib.sha256(previous)
    for (kind, key), value in sorted(state.writes().items()):
        for part in (kind.encode(), key, b"" if value is None else b"\x01" + value):
            digest.update(len(part).to_bytes(4, "big") + part)
    return digest.digest()


def _results_hash(results: Sequence[TxResult]) -> bytes:
    """Over what is the same on all nodes: code, data and gas."""
    rows = (
        wire.tendermint_abci.ResponseDeliverTx(
            code=r.code, data=r.data or b"", gas_wanted=r.gas_wanted, gas_used=r.gas_used
        )
        for r in results
    )
    return blocks.merkle_root([row.SerializeToString() for row in rows])


def _begin_block(state: Overlay, genesis: Genesis) -> list[Event]:
    """The fees of the last block go to the distribution module, which credits the validator
    (taken to be the first account)."""
    denom = genesis.min_gas_denom
    fees = get_balance(state, FEE_COLLECTOR, denom)
    if fees:
        put_balance(state, FEE_COLLECTOR, denom, 0)
        put_balance(state, DISTRIBUTION, denom, get_balance(state, DISTRIBUTION, denom) + fees)
    amount = f"{fees}{denom}" if fees else ""
    sender, receiver = address_text(FEE_COLLECTOR), address_text(DISTRIBUTION)
    validator = genesis.accounts[0].address if genesis.accounts else ""
    reward = fees * _VALIDATOR_SHARE_PERCENT * 10**16
    return [
        event("coin_spent", spender=sender, amount=amount),
        event("coin_received", receiver=receiver, amount=amount),
        event("transfer", recipient=receiver, sender=sender, amount=amount),
        event("message", sender=sender),
        event(
            "commission",
            amount=_decimal_coin(reward * _COMMISSION_PERCENT // 100, denom),
            validator=validator,
        ),
        event("rewards", amount=_decimal_coin(reward, denom), validator=validator),
    ]


def _decimal_coin(amount_e18: int, denom: str) -> str:
    if not amount_e18:
        return ""
    whole, fraction = divmod(amount_e18, 10**18)
    return f"{whole}.{fraction:018d}{denom}"


def _write_genesis(state: Overlay, rules: Rules) -> None:
    genesis = rules.genesis
    for account in genesis.accounts:
        address = parse_address(account.address)
        put_account(state, AccountRecord(address, account.account_number, account.sequence))
        for denom, amount in account.balance:
            put_balance(state, address, denom, amount)
    first_free = max((a.account_number for a in genesis.accounts), default=-1) + 1
    for name in rules.local_dialect.module_accounts:
        number = next_number(state, "account", first_free)
        put_account(state, AccountRecord(module_address(name), number, 0))
