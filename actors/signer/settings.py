"""What the Signer is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from annotated_types import Ge

from greenray.actors.settings import AtLeastOne, NotNegative, PositiveSeconds


@dataclass(frozen=True, slots=True)
class QueueSettings:
    seal_timeout_blocks: Annotated[int, Ge(5)] = 100
    """timeout_height of a seal transaction, counted from the current height. In no block until
    then, it is dead."""
    settle_blocks: NotNegative = 2
    """How many blocks a node may take to index a transaction."""
    batch_limit: int = 128
    """How many transactions are reserved in one go; a refusal signs at most these again."""
    plan_rounds: int = 5
    """How often one batch is planned again before its jobs are told to come back."""
    send_tries: AtLeastOne = 3
    """How often the bytes of a transaction are sent when no answer comes."""
    cached_gas_up_to_size_bytes: int = 30_000
    """From half of the chain's 65536 byte limit on, gas depends on the size (protocol 04 §7.1)."""


@dataclass(frozen=True, slots=True)
class WatchSettings:
    poll_interval_s: PositiveSeconds = 0.2
    """How often the chain is asked for transactions on their way."""
    resend_after_blocks: AtLeastOne = 5
    """How many blocks may consume no nonce of an address before its bytes are sent again."""
    object_check_blocks: int = 20
    """How often the object itself is looked at while its transaction is in flight."""
    parallel_looks: int = 64


@dataclass(frozen=True, slots=True)
class SignerSettings:
    queue: QueueSettings = field(default_factory=QueueSettings)
    watch: WatchSettings = field(default_factory=WatchSettings)
