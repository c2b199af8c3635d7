"""Many transactions of one key at once: consecutive nonces, no wait for a block in between."""

from __future__ import annotations

from collections.abc import Sequence

from greenray.chain.crypto import address_of, public_key_of
from greenray.chain.dialect import Dialect, Message
from greenray.chain.ports import ChainClient
from greenray.chain.transactions.signing import (
    SignedTransaction,
    sign_transaction,
    unsigned_for_simulation,
)
from greenray.chain.transactions.user import TransactionSender
from greenray.protocol.errors import TransactionRefused


class PipelinedSender:
    """Nobody else may use the key meanwhile."""

    def __init__(self, chain: ChainClient, dialect: Dialect, private_key: bytes) -> None:
        self.address = address_of(private_key)
        self._chain = chain
        self._dialect = dialect
        self._private_key = private_key
        self._waiting = TransactionSender(chain, dialect, private_key, poll_interval_s=0.02)

    async def signed(self, messages: Sequence[Message]) -> list[SignedTransaction]:
        """Messages of one type, ready to be sent. Raises TransactionRefused, ChainError."""
        account = await self._chain.account(self.address)
        chain_id = await self._chain.chain_id()
        gas = await self._chain.simulate(
            unsigned_for_simulation(
                self._dialect, messages[0], public_key_of(self._private_key), account.sequence
            )
        )
        return [
            sign_transaction(
                self._dialect,
                message,
                private_key=self._private_key,
                chain_id=chain_id,
                account_number=account.account_number,
                sequence=sequence,
                gas_limit=gas.gas_limit,
                fee_amount=gas.fee_amount,
                fee_denom=gas.fee_denom,
            )
            for sequence, message in enumerate(messages, account.sequence)
        ]

    async def send(self, transactions: Sequence[SignedTransaction]) -> None:
        """Broadcast them in order, and wait until the last one, hence all, is in a block.

        Raises: TransactionRefused, TransactionFailed, ChainError.
        """
        for answer in await self._chain.broadcast_all([one.tx_bytes for one in transactions]):
            if answer.code != 0:
                raise TransactionRefused(
                    f"{answer.codespace}/{answer.code}: {answer.log}",
                    f"transaction {answer.tx_hash}",
                    "",
                    answer.codespace,
                    answer.code,
                )
        await self._waiting.wait(transactions[-1])
