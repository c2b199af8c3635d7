"""What a dialect of the chain offers, and the values every dialect shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

Message = Any
"""A message dataclass of the dialect in use."""


@dataclass(frozen=True, slots=True)
class Coin:
    """``amount`` in the smallest unit of ``denom`` (10**-18 BNB)."""

    denom: str
    amount: int


@dataclass(frozen=True, slots=True)
class TransactionTerms:
    """What is signed beside the message (protocol 04 §4.4).

    ``fee_payer`` empty: the signer pays, and the signed document says so although the
    transaction leaves the field empty. ``timeout_height`` 0: valid for ever.
    """

    chain_id: str
    account_number: int
    sequence: int
    gas_limit: int
    fee: tuple[Coin, ...]
    fee_payer: str = ""
    fee_granter: str = ""
    memo: str = ""
    timeout_height: int = 0


@dataclass(frozen=True, slots=True)
class Fault:
    """Why the chain refuses a message; ``log`` is its text, letter by letter."""

    codespace: str
    code: int
    log: str


class Dialect(Protocol):
    """One wire dialect. A module of this package is one; nothing outside compares names."""

    @property
    def NAME(self) -> str: ...

    def encode_message(self, message: Message) -> bytes:
        """Protobuf bytes. Raises InvalidInput for values that do not fit."""

    def decode_message(self, type_url: str, value: bytes) -> Message:
        """The message inside an Any. Raises InvalidInput."""

    def type_url(self, message: Message) -> str: ...

    def signer_address(self, message: Message) -> str:
        """The account that must sign: creator, operator or sender."""

    def validate_basic(self, message: Message) -> Fault | None:
        """The chain's checks that need no state; None when it passes."""

    def eip712_typed_data(self, message: Message, terms: TransactionTerms) -> dict[str, Any]: ...

    def eip712_digest(self, message: Message, terms: TransactionTerms) -> bytes:
        """The 32 bytes that a transaction's signature is over."""

    def approval_sign_bytes(self, message: Message) -> bytes:
        """What the primary SP's approval key signs. Raises InvalidInput without an approval."""

    def with_approval(self, message: Message, expired_height: int, sig: bytes) -> Message: ...

    def message_to_json(self, message: Message) -> dict[str, Any]: ...

    def message_from_json(
        self, value: Mapping[str, Any], message_type: type[Any] | None = None
    ) -> Message: ...
