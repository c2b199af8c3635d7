"""Nonces and the fate of transactions, as pure decisions (protocol 04 §7.4, §7.5, §9, §11).

A nonce is an account's sequence number. A transaction that was ever handed to a node may sit in
some mempool; only two facts end its life without a block: the account's committed sequence has
passed its nonce, or a block at its ``timeout_height`` exists. Everything that asks the chain is in
``greenray.actors.signer.nonce_ledger``; here is what the answers mean.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import Enum

_SEQUENCE_MISMATCH = re.compile(
    r"account sequence mismatch(?:, expected ([0-9]{1,19}), got [0-9]{1,19})?"
)
_CHAIN_SDK = "sdk"


class Fate(Enum):
    """What has become of a transaction whose bytes are in the journal."""

    IN_FLIGHT = "in-flight"
    """In no block, and nothing rules out that it will be."""
    COMMITTED = "committed"
    """In a block with code 0."""
    FAILED = "failed"
    """Its message failed in a block: fee and nonce are gone."""
    DEAD = "dead"
    """In no block, and it can never be in one."""


@dataclass(frozen=True, slots=True)
class ChainView:
    """What an address looked like: the committed sequence, and a height read after it."""

    sequence: int
    height: int


def transaction_fate(
    *,
    nonce: int,
    timeout_height: int,
    code: int | None,
    view: ChainView,
    consumed_since_height: int | None,
    settle_blocks: int,
) -> Fate:
    """The fate of a transaction that was looked up after ``view`` was taken.

    ``code`` is its result in a block, None when it was in none. One that a block refused before its
    message ran (say, for want of fees) has not consumed its nonce, and its bytes may be put into a
    later block by anybody: it is as undecided as one in the mempool.

    Nodes index transactions a moment after the block, so "not found" counts only ``settle_blocks``
    blocks after its nonce was first seen consumed (``consumed_since_height``), or after its
    ``timeout_height`` (0: none).
    """
    if code == 0:
        return Fate.COMMITTED
    if code is not None and view.sequence > nonce:
        return Fate.FAILED
    if view.sequence > nonce and consumed_since_height is not None:
        if view.height >= consumed_since_height + settle_blocks:
            return Fate.DEAD
    elif timeout_height and view.height >= timeout_height + settle_blocks:
        return Fate.DEAD
    return Fate.IN_FLIGHT


def needs_look_up(*, nonce: int, timeout_height: int, view: ChainView) -> bool:
    """Whether the transaction can have left the mempool by a block, or died, at ``view``.

    Until then asking for it is a wasted request: a transaction in a block has consumed its nonce.
    """
    return view.sequence > nonce or bool(timeout_height and view.height >= timeout_height)


def free_nonces(
    *, sequence: int, held: Collection[int], count: int, expected: int | None = None
) -> tuple[int, ...]:
    """The ``count`` lowest nonces that no living transaction holds, ascending.

    ``sequence`` is the committed one; ``held`` are the nonces of the journal's living transactions.
    Gaps are filled first, because nothing above a gap can ever enter a block. ``expected`` is what
    the node's check state asked for: more than ``sequence`` when others' transactions of this
    address are queued.
    """
    found: list[int] = []
    nonce = max(sequence, expected or 0)
    while len(found) < count:
        if nonce not in held:
            found.append(nonce)
        nonce += 1
    return tuple(found)


def distinct_timeout_height(
    *, height: int, timeout_blocks: int, nonce: int, earlier: Iterable[tuple[int, int]]
) -> int:
    """The ``timeout_height`` of a new transaction.

    ``earlier`` are (nonce, timeout_height) of the job's transactions so far. Signatures are
    deterministic, so a second transaction of a job with the same nonce and the same timeout would
    be the same bytes under the same hash as one that is already declared dead.
    """
    used = [timeout for other, timeout in earlier if other == nonce]
    return max([height + timeout_blocks, *(timeout + 1 for timeout in used)])


class AnswerKind(Enum):
    ACCEPTED = "accepted"
    """In the mempool, now or already."""
    SEQUENCE = "sequence"
    """The node's check state expects another sequence."""
    FUNDS = "funds"
    """The address cannot pay: sdk/5 insufficient funds, sdk/13 insufficient fee."""
    MEMPOOL_FULL = "mempool-full"
    REFUSED = "refused"
    """Something is wrong with this transaction."""

    @property
    def concerns_address(self) -> bool:
        """Whether every other transaction of the address would be refused for the same reason."""
        return self in (AnswerKind.FUNDS, AnswerKind.MEMPOOL_FULL)


@dataclass(frozen=True, slots=True)
class NodeAnswer:
    """A node's answer to a transaction, read. ``expected_sequence``: only for SEQUENCE, and only
    when the node said it."""

    kind: AnswerKind
    expected_sequence: int | None = None


def read_answer(codespace: str, code: int, log: str, already_known: bool = False) -> NodeAnswer:
    """What CheckTx (or a failed simulation, which says everything in ``log``) meant."""
    if already_known or code == 0 or (codespace == _CHAIN_SDK and code == 19):
        return NodeAnswer(AnswerKind.ACCEPTED)
    mismatch = _SEQUENCE_MISMATCH.search(log)
    if mismatch is not None or (codespace == _CHAIN_SDK and code == 32):
        expected = mismatch[1] if mismatch is not None else None
        return NodeAnswer(AnswerKind.SEQUENCE, int(expected) if expected else None)
    if codespace == _CHAIN_SDK and code in (5, 13):
        return NodeAnswer(AnswerKind.FUNDS)
    if codespace == _CHAIN_SDK and code == 20:
        return NodeAnswer(AnswerKind.MEMPOOL_FULL)
    return NodeAnswer(AnswerKind.REFUSED)


class SentVerdict(Enum):
    """What to do after the first sending of a transaction."""

    ON_ITS_WAY = "on-its-way"
    NEVER_ACCEPTED = "never-accepted"
    """Every answer there was refused it: it is dead, and its nonce is free."""
    MAY_LIVE = "may-live"
    """Refused now, but an answer is missing: the node may have accepted it before."""


def sent_verdict(nonce: int, answer: NodeAnswer, tries: int) -> SentVerdict:
    """``tries``: how often the bytes were sent until an answer came."""
    if answer.kind is AnswerKind.ACCEPTED:
        return SentVerdict.ON_ITS_WAY
    if tries == 1:
        return SentVerdict.NEVER_ACCEPTED
    if resend_verdict(nonce, answer) is ResendVerdict.CONTINUE:
        return SentVerdict.ON_ITS_WAY
    return SentVerdict.MAY_LIVE


class ResendVerdict(Enum):
    """What to do after a transaction was sent again that may have been accepted before."""

    CONTINUE = "continue"
    """It is on its way; go on with the next nonce."""
    BELOW_A_GAP = "below-a-gap"
    """The node misses an earlier nonce: this one and all later ones cannot go yet."""
    BLOCKED = "blocked"
    """It is refused now, but a copy that was accepted earlier may still live: it stays."""


def resend_verdict(nonce: int, answer: NodeAnswer) -> ResendVerdict:
    if answer.kind is AnswerKind.ACCEPTED:
        return ResendVerdict.CONTINUE
    if answer.kind is AnswerKind.SEQUENCE:
        expected = answer.expected_sequence
        if expected is None or expected > nonce:
            return ResendVerdict.CONTINUE
        return ResendVerdict.BELOW_A_GAP
    return ResendVerdict.BLOCKED
