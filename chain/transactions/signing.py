"""Signed transactions and the form that is simulated (protocol 04 §3, §7.3)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from greenray.chain import wire
from greenray.chain.crypto import public_key_of, sign_digest
from greenray.chain.dialect import Coin, Dialect, Message, TransactionTerms

SIGN_MODE_EIP_712 = 712
FEE_DENOM = "BNB"


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """``tx_bytes`` may be broadcast any number of times: identical bytes are one transaction.

    ``tx_hash`` is upper-case hex; ``timeout_height`` 0 means that it never times out.
    """

    tx_bytes: bytes
    tx_hash: str
    sequence: int
    timeout_height: int


def transaction_hash(tx_bytes: bytes) -> str:
    """SHA-256 of the TxRaw bytes, upper-case hex."""
    return hashlib.sha256(tx_bytes).hexdigest().upper()


def sign_transaction(
    dialect: Dialect,
    message: Message,
    *,
    private_key: bytes,
    chain_id: str,
    account_number: int,
    sequence: int,
    gas_limit: int,
    fee_amount: int,
    fee_denom: str = FEE_DENOM,
    fee_payer: str = "",
    timeout_height: int = 0,
    memo: str = "",
) -> SignedTransaction:
    """Sign ``message`` with ``private_key``. ``fee_amount`` in 10**-18 BNB.

    ``fee_payer`` empty: the signer, and the transaction does not name it.

    Raises:
        InvalidInput: a value does not fit, or the key or chain id is malformed.
    """
    fee = (Coin(fee_denom, fee_amount),)
    terms = TransactionTerms(
        chain_id,
        account_number,
        sequence,
        gas_limit,
        fee,
        fee_payer=fee_payer,
        memo=memo,
        timeout_height=timeout_height,
    )
    signature = sign_digest(private_key, dialect.eip712_digest(message, terms))
    wire_fee = wire.tx.Fee(gas_limit=gas_limit, payer=fee_payer)
    for coin in fee:
        wire_fee.amount.add(denom=coin.denom, amount=str(coin.amount))
    auth_info = _auth_info_bytes(public_key_of(private_key), sequence, wire_fee)
    body = _body_bytes(dialect, message, memo, timeout_height)
    tx_bytes = _raw_bytes(body, auth_info, signature)
    return SignedTransaction(tx_bytes, transaction_hash(tx_bytes), sequence, timeout_height)


def unsigned_for_simulation(
    dialect: Dialect,
    message: Message,
    public_key: bytes,
    sequence: int,
    memo: str = "",
    timeout_height: int = 0,
) -> bytes:
    """TxRaw bytes with one empty signature and no fee; ``public_key`` is compressed (33 bytes)."""
    body = _body_bytes(dialect, message, memo, timeout_height)
    return _raw_bytes(body, _auth_info_bytes(public_key, sequence, wire.tx.Fee()), b"")


def _body_bytes(dialect: Dialect, message: Message, memo: str, timeout_height: int) -> bytes:
    body = wire.tx.TxBody(memo=memo, timeout_height=timeout_height)
    body.messages.add(type_url=dialect.type_url(message), value=dialect.encode_message(message))
    encoded: bytes = body.SerializeToString()
    return encoded


def _auth_info_bytes(public_key: bytes, sequence: int, fee: Any) -> bytes:
    auth_info = wire.tx.AuthInfo(fee=fee)
    signer = auth_info.signer_infos.add(sequence=sequence)
    signer.public_key.type_url = wire.PUBLIC_KEY_TYPE_URL
    signer.public_key.value = wire.ethsecp256k1.PubKey(key=public_key).SerializeToString()
    signer.mode_info.single.mode = SIGN_MODE_EIP_712
    encoded: bytes = auth_info.SerializeToString()
    return encoded


def _raw_bytes(body: bytes, auth_info: bytes, signature: bytes) -> bytes:
    # Ascending fields, shortest varints: what ADR-027 demands is what protobuf writes.
    raw = wire.tx.TxRaw(body_bytes=body, auth_info_bytes=auth_info, signatures=[signature])
    encoded: bytes = raw.SerializeToString(deterministic=True)
    return encoded
