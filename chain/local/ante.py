"""The checks before a message runs, in the order of a node (protocol 04 §9, §12)."""

from __future__ import annotations

import base64
from functools import lru_cache

from greenray.chain.addresses import InvalidAddress, address_text, parse_address
from greenray.chain.dialect import Coin, TransactionTerms
from greenray.chain.local.decode import DecodedTransaction
from greenray.chain.local.ledger.accounts import AccountRecord, get_account, put_account
from greenray.chain.local.ledger.bank import FEE_COLLECTOR, coins_text, send_coins
from greenray.chain.local.ledger.context import Context
from greenray.chain.local.ledger.events import event
from greenray.chain.local.ledger.faults import ChainFault, sdk
from greenray.chain.local.ledger.local_dialect import LocalDialect
from greenray.chain.local.ledger.signatures import (
    SIGNATURE_SIZE_BYTES,
    address_of_key,
    recover_public_key,
)
from greenray.protocol.errors import InvalidInput

SIGN_MODE_EIP_712 = 712
MAX_GAS = 2**63 - 1
_MAX_PRIORITY = 2**63 - 1
# A simulated transaction has an empty signature; the node adds the size of a real one.
_SIMULATED_SIGNATURE_SIZE_BYTES = 107


def run_ante(context: Context, transaction: DecodedTransaction) -> None:
    """Deduct the fee, verify the signature, count the sequence up.

    Raises:
        ChainFault: the first check that fails; nothing of ``context.state`` may be kept then.
    """
    _check_single_message(transaction)
    signers = _check_form(context, transaction)
    _check_limits(context, transaction)
    _consume_gas(context, transaction)
    _deduct_fee(context, transaction, signers[0])
    _set_public_keys(context, transaction, signers)
    _verify_signatures(context, transaction, signers)
    for address in signers:
        account = _account(context, address)
        put_account(
            context.state,
            AccountRecord(
                account.address, account.account_number, account.sequence + 1, account.public_key
            ),
        )


def priority(transaction: DecodedTransaction) -> int:
    """The lowest gas price offered, as the node reports it in CheckTx."""
    if not transaction.gas_limit or not transaction.fee:
        return 0
    lowest = min(amount // transaction.gas_limit for _, amount in transaction.fee)
    return min(lowest, _MAX_PRIORITY)


def _check_single_message(transaction: DecodedTransaction) -> None:
    if len(transaction.messages) > 1:
        raise sdk(29, "Only one msg is allowed")


def _check_form(context: Context, transaction: DecodedTransaction) -> list[bytes]:
    """The transaction's own ValidateBasic; the addresses that have to sign."""
    if transaction.gas_limit > MAX_GAS:
        raise sdk(18, f"invalid gas supplied; {transaction.gas_limit} > {MAX_GAS}")
    if any(amount < 0 for _, amount in transaction.fee):
        raise sdk(13, f"invalid fee provided: {coins_text(transaction.fee)}")
    signers = [_message_signer(context, transaction)]
    if transaction.fee_payer:
        try:
            payer = parse_address(transaction.fee_payer)
        except InvalidAddress as error:
            raise sdk(7, f"invalid fee payer address ({error})") from error
        if payer not in signers:
            signers.append(payer)
    if transaction.fee_granter:
        try:
            parse_address(transaction.fee_granter)
        except InvalidAddress as error:
            raise sdk(7, f"invalid fee granter address ({error})") from error
    if not transaction.signatures:
        raise ChainFault("sdk", 15, "no signatures supplied")
    if len(transaction.signatures) != len(signers):
        raise sdk(
            4,
            f"wrong number of signers; expected {len(signers)}, got {len(transaction.signatures)}",
        )
    return signers


def _check_limits(context: Context, transaction: DecodedTransaction) -> None:
    params = context.rules.params
    if 0 < transaction.timeout_height < context.height:
        raise sdk(
            30,
            f"block height: {context.height}, timeout height: {transaction.timeout_height}",
        )
    characters = len(transaction.memo.encode())
    if characters > params.max_memo_characters:
        raise sdk(
            12,
            f"maximum number of characters is {params.max_memo_characters}"
            f" but received {characters} characters",
        )


def _consume_gas(context: Context, transaction: DecodedTransaction) -> None:
    """Gas is fixed per message type; a transaction of at least half the size limit pays by
    size, if that is more (protocol 04 §7.1)."""
    params = context.rules.params
    size_bytes = transaction.size_bytes
    if context.simulate:
        empty = sum(not signature for signature in transaction.signatures)
        size_bytes += empty * _SIMULATED_SIGNATURE_SIZE_BYTES
    if size_bytes > params.max_tx_size:
        raise sdk(21, f"tx length: {size_bytes}, limit: {params.max_tx_size}")
    gas = context.rules.genesis.gas.get(transaction.messages[0][0])
    if gas is None:
        raise sdk(29, f"{transaction.messages[0][0]} is not supported by the chain")
    location = "gas cost by msg type"
    by_size = size_bytes * params.min_gas_per_byte
    if size_bytes >= params.max_tx_size // 2 and by_size > gas:
        gas, location = by_size, "gas cost by tx bytes length"
    if not context.gas.consume(gas):
        raise sdk(
            11,
            f"out of gas in location: {location}; gasWanted: {context.gas.limit},"
            f" gasUsed: {context.gas.used}",
        )


def _deduct_fee(context: Context, transaction: DecodedTransaction, signer: bytes) -> None:
    fee = () if context.simulate else transaction.fee
    if context.is_check and not context.simulate:
        _check_minimum_fee(context, transaction)
    payer = parse_address(transaction.fee_payer) if transaction.fee_payer else signer
    if transaction.fee_granter:
        granter = parse_address(transaction.fee_granter)
        if granter != payer:
            raise sdk(
                38,
                f"{address_text(granter)} does not allow to pay fees for {address_text(payer)}:"
                " fee-grant not found",
            )
    if get_account(context.state, payer) is None:
        raise sdk(9, f"fee payer address: {address_text(payer)} does not exist")
    if any(amount for _, amount in fee):
        try:
            send_coins(context, payer, FEE_COLLECTOR, fee)
        except ChainFault as error:
            raise sdk(5, error.log) from error
    context.emit(event("tx", fee=coins_text(fee), fee_payer=address_text(payer)))


def _check_minimum_fee(context: Context, transaction: DecodedTransaction) -> None:
    genesis = context.rules.genesis
    required = genesis.min_gas_price * transaction.gas_limit
    if required == 0:
        return
    offered = dict(transaction.fee).get(genesis.min_gas_denom, 0)
    if offered < required:
        raise sdk(
            13,
            f"insufficient fees; got: {coins_text(transaction.fee)}"
            f" required: {required}{genesis.min_gas_denom}",
        )


def _set_public_keys(
    context: Context, transaction: DecodedTransaction, signers: list[bytes]
) -> None:
    if len(transaction.signers) != len(signers):
        raise sdk(
            4,
            f"wrong number of signers; expected {len(signers)}, got {len(transaction.signers)}",
        )
    for index, (info, address) in enumerate(zip(transaction.signers, signers, strict=True)):
        if info.public_key is None:
            continue
        if not context.simulate and address_of_key(info.public_key) != address:
            raise sdk(
                8,
                f"pubKey does not match signer address {address_text(address)}"
                f" with signer index: {index}",
            )
        account = _account(context, address)
        if not account.public_key:
            put_account(
                context.state,
                AccountRecord(address, account.account_number, account.sequence, info.public_key),
            )
    for info, address, signature in zip(
        transaction.signers, signers, transaction.signatures, strict=True
    ):
        context.emit(event("tx", acc_seq=f"{address_text(address)}/{info.sequence}"))
        context.emit(event("tx", signature=base64.b64encode(signature).decode()))


def _verify_signatures(
    context: Context, transaction: DecodedTransaction, signers: list[bytes]
) -> None:
    if len(signers) > context.rules.params.tx_sig_limit:
        limit = context.rules.params.tx_sig_limit
        raise sdk(14, f"signatures: {len(signers)}, limit: {limit}")
    for info, address, signature in zip(
        transaction.signers, signers, transaction.signatures, strict=True
    ):
        account = _account(context, address)
        if not context.simulate and not account.public_key:
            raise sdk(8, "pubkey on account is not set")
        if info.sequence != account.sequence:
            raise sdk(
                32,
                f"account sequence mismatch, expected {account.sequence}, got {info.sequence}",
            )
        if not context.simulate and not _is_signed_by(
            context, transaction, info.mode, account, signature
        ):
            raise sdk(
                4,
                f"signature verification failed; please verify account"
                f" ({address.hex().upper()}) and chain-id ({context.rules.chain_id})",
            )


def _is_signed_by(
    context: Context,
    transaction: DecodedTransaction,
    mode: int | None,
    account: AccountRecord,
    signature: bytes,
) -> bool:
    if mode != SIGN_MODE_EIP_712 or transaction.has_tip:
        return False
    if len(signature) != SIGNATURE_SIZE_BYTES:
        return False
    try:
        digest = _digest(
            context.rules.local_dialect,
            transaction,
            context.rules.chain_id,
            account.account_number,
            account.sequence,
        )
    except InvalidInput:
        return False
    return recover_public_key(digest, signature) == account.public_key


@lru_cache(maxsize=2048)
def _digest(
    local_dialect: LocalDialect,
    transaction: DecodedTransaction,
    chain_id: str,
    account_number: int,
    sequence: int,
) -> bytes:
    """What has to be signed, computed once for CheckTx and DeliverTx."""
    terms = TransactionTerms(
        chain_id=chain_id,
        account_number=account_number,
        sequence=sequence,
        gas_limit=transaction.gas_limit,
        fee=tuple(Coin(denom, amount) for denom, amount in transaction.fee),
        fee_payer=transaction.fee_payer,
        fee_granter=transaction.fee_granter,
        memo=transaction.memo,
        timeout_height=transaction.timeout_height,
    )
    return local_dialect.dialect.eip712_digest(transaction.messages[0][1], terms)


def _message_signer(context: Context, transaction: DecodedTransaction) -> bytes:
    dialect = context.rules.local_dialect.dialect
    return parse_address(dialect.signer_address(transaction.messages[0][1]))


def _account(context: Context, address: bytes) -> AccountRecord:
    account = get_account(context.state, address)
    if account is None:
        raise sdk(9, f"account {address_text(address)} does not exist")
    return account
