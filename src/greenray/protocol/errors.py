"""The error tree: one subclass per fact.

Every error carries what happened, where (which object, file, setting or provider) and what to do
next. ``reason`` is part of the contract: it appears in JSON output, in job rows and in logs, and
never changes its spelling. All arguments are positional so that errors survive pickling across Ray.
Their texts are printable and one line, whoever wrote what is quoted in them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from greenray.protocol.foreign_text import printable

_MAX_CHARACTERS = 8000
"""Of one text of an error: room for what each of many secondaries said."""


class GreenrayError(Exception):
    """Base of everything greenray raises on purpose."""

    reason: ClassVar[str] = "internal-error"
    retryable: ClassVar[bool] = False
    waits_for: ClassVar[str] = ""
    """What has to come from outside before another try is worth it: a job is parked until then.
    Empty for what may be tried again as it is."""
    retry_after_s: float = 0.0
    """How long who answered asks to wait before the next try; 0: it does not say."""

    def __init__(self, what: str, where: str = "", next_step: str = "") -> None:
        self.what = printable(what, _MAX_CHARACTERS)
        self.where = printable(where, _MAX_CHARACTERS)
        self.next_step = printable(next_step, _MAX_CHARACTERS)
        super().__init__(self.what, self.where, self.next_step)

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}. {self.next_step}" if self.next_step else text


# --- input that cannot be accepted -------------------------------------------------------------


class InvalidInput(GreenrayError):
    """Something a person or a peer gave us is malformed."""

    reason = "invalid-input"


class InvalidSetting(InvalidInput):
    reason = "invalid-setting"


class InvalidName(InvalidInput):
    reason = "invalid-name"


class InvalidHeader(InvalidInput):
    reason = "invalid-header"


class InvalidQuery(InvalidInput):
    """The query of a request has too much in it, or what may be read in two ways."""

    reason = "invalid-query"


class EmptyPayload(InvalidInput):
    reason = "empty-payload"


class UnreadableFile(InvalidInput):
    reason = "unreadable-file"


class PayloadTooLarge(InvalidInput):
    reason = "payload-too-large"


class PayloadSizeMismatch(InvalidInput):
    """Fewer or more bytes arrived than the object declares on chain."""

    reason = "payload-size-mismatch"


class PayloadChanged(InvalidInput):
    """A file was written to between its checksums and its upload, or while it was read."""

    reason = "payload-changed"


class PayloadInterrupted(GreenrayError):
    """The sender went away, or was silent for too long, in the middle of a payload."""

    reason = "payload-interrupted"
    retryable = True


class IntegrityHashMismatch(GreenrayError):
    reason = "integrity-hash-mismatch"


class CorruptPiece(GreenrayError):
    """Stored bytes no longer have the checksum that was recorded for them."""

    reason = "corrupt-piece"


class SegmentLost(CorruptPiece):
    """The primary's segment is broken, and too few pieces of it came from the secondaries; which
    ones did not, and why, is in ``what``."""

    reason = "segment-lost"


class FileChanged(UnreadableFile):
    """A file was written to while it was read: what was read is no state that it ever had."""

    reason = "file-changed"


# --- bundles -----------------------------------------------------------------------------------


class NotABundle(InvalidInput):
    reason = "not-a-bundle"


class BundleDamaged(InvalidInput):
    """The index of a bundle contradicts itself, or its bundle."""

    reason = "bundle-damaged"


class BundleIndexTooLarge(InvalidInput):
    reason = "bundle-index-too-large"


class BundleIncomplete(GreenrayError):
    """A bundle of several objects lacks one of them."""

    reason = "bundle-incomplete"


class DuplicateEntry(InvalidInput):
    reason = "duplicate-entry"


class UnreadableEntries(UnreadableFile):
    """Some files cannot be bundled, so that nothing was; ``what`` names the first of them."""

    reason = "unreadable-entries"


class NoSuchEntry(GreenrayError):
    reason = "no-such-entry"


class EntryMismatch(GreenrayError):
    """The bytes of an entry do not have the SHA-256 that the bundle's index tells."""

    reason = "entry-mismatch"


# --- redundancy coding -------------------------------------------------------------------------


class CodingError(GreenrayError):
    reason = "coding-error"


class InvalidShape(CodingError):
    """k and m outside k > 0, m >= 0, k + m <= 256."""

    reason = "invalid-shape"


class TooFewShards(CodingError):
    reason = "too-few-shards"


class ShardSizeMismatch(CodingError):
    reason = "shard-size-mismatch"


class CodecUnavailable(CodingError):
    reason = "codec-unavailable"


class SelfTestFailed(CodingError):
    reason = "self-test-failed"


# --- permission and identity -------------------------------------------------------------------


class SignatureError(GreenrayError):
    reason = "bad-signature"


class RequestTampered(SignatureError):
    reason = "request-tampered"


class AccessDenied(GreenrayError):
    reason = "access-denied"


class QuotaExceeded(AccessDenied):
    """No more of a bucket may be read in this month."""

    reason = "quota-exceeded"


class WrongNonce(InvalidInput):
    """A browser key is registered under another nonce than the next."""

    reason = "wrong-nonce"


class TooManyKeys(AccessDenied):
    """An account has browser keys for too many domains."""

    reason = "too-many-keys"


class ApprovalError(GreenrayError):
    """The approval is not this SP's own, has expired, or is for another object."""

    reason = "approval-error"


class WrongRedundancyIndex(InvalidInput):
    reason = "wrong-redundancy-index"


# --- objects and jobs --------------------------------------------------------------------------


class NoSuchBucket(GreenrayError):
    reason = "no-such-bucket"


class NoSuchObject(GreenrayError):
    reason = "no-such-object"


class ObjectGone(NoSuchObject):
    """The chain had the object, and does not have it any more."""

    reason = "object-gone"


class AnotherObject(NoSuchObject):
    """The chain has another object under this id or name: the one that was meant is gone, as after
    a chain went back to an older copy. Raised instead of answering for the other one."""

    reason = "another-object"


class NoSuchAccount(GreenrayError):
    reason = "no-such-account"


class NoSuchPiece(GreenrayError):
    reason = "no-such-piece"


class SharedBlockGone(NoSuchPiece):
    """Memory that another process has lent is not what it was lent as."""

    reason = "shared-block-gone"


class NoSuchJob(GreenrayError):
    reason = "no-such-job"


class NoTrace(GreenrayError):
    """Nobody remembers how an object was worked on."""

    reason = "no-trace"


class WrongObjectStatus(GreenrayError):
    reason = "wrong-object-status"


class AlreadyUploaded(GreenrayError):
    reason = "already-uploaded"


class EndLost(GreenrayError):
    """The job was given up, or its object removed, in blocks that the chain has lost: it has the
    object again. Its payload may be gone."""

    reason = "end-lost"
    retryable = True


class IllegalTransition(GreenrayError):
    """The event is not in the transition table for the job's state."""

    reason = "illegal-transition"


class StaleJob(GreenrayError):
    """Compare-and-set failed: another owner (epoch) or another state is in the row."""

    reason = "stale-job"


class UploadOwnerLost(GreenrayError):
    """The process that received the payload is gone; the client may put it again."""

    reason = "owner-lost"
    retryable = True


# --- replication -------------------------------------------------------------------------------


class TooFewProviders(GreenrayError):
    """Fewer SPs are on chain than one object needs."""

    reason = "too-few-providers"


class TooFewApprovals(GreenrayError):
    reason = "too-few-approvals"
    retryable = True


class SecondariesExhausted(GreenrayError):
    reason = "secondaries-exhausted"
    retryable = True


class SecondaryFailed(GreenrayError):
    reason = "secondary-failed"
    retryable = True


class SecondaryTimeout(SecondaryFailed):
    reason = "secondary-timeout"


class SecondaryLied(SecondaryFailed):
    """A secondary returned an integrity hash or signature that does not verify."""

    reason = "secondary-lied"


class NoPeerKnown(GreenrayError):
    """Nobody in the P2P network is known to stand for an SP."""

    reason = "no-peer-known"
    retryable = True


class PeerUnreachable(GreenrayError):
    """A peer of the P2P network takes no connection, or not in time."""

    reason = "peer-unreachable"
    retryable = True


class PeerNetworkUnavailable(GreenrayError):
    """What speaks to other providers is not installed, or does not start."""

    reason = "peer-network-unavailable"


class GroupNotOpen(GreenrayError):
    reason = "group-not-open"
    retryable = True


# --- chain -------------------------------------------------------------------------------------


class ChainError(GreenrayError):
    reason = "chain-error"
    retryable = True


class ChainUnavailable(ChainError):
    reason = "chain-unavailable"


class ChainAnswerInvalid(ChainError):
    reason = "chain-answer-invalid"


class ChainNotComparable(ChainError):
    """What the node says proves nothing: it is behind what was seen, or of another chain."""

    reason = "chain-not-comparable"


class ChainLags(ChainError):
    """A node does not have yet what it, or another one of its chain, has told before: what it says
    is old. Work waits until it has caught up."""

    reason = "chain-lags"
    waits_for = "its chain's node, which lags behind"


class ChainRolledBack(ChainError):
    """The chain lacks blocks that it had: it was put back to an older copy. Nothing goes on until
    somebody says that it may."""

    reason = "chain-rolled-back"
    waits_for = "an operator: its chain was put back to an older copy"


class AnotherChain(ChainError, InvalidSetting):
    """Another chain answers than the one that was followed."""

    reason = "another-chain"
    waits_for = "its own chain: another one answers"


class TransactionRefused(ChainError):
    """CheckTx or simulation refused the transaction; ``codespace/code: log`` is in ``what``."""

    reason = "transaction-refused"

    def __init__(
        self, what: str, where: str = "", next_step: str = "", codespace: str = "", code: int = 0
    ) -> None:
        super().__init__(what, where, next_step)
        self.args = (self.what, self.where, self.next_step, codespace, code)
        self.codespace = codespace
        self.code = code


class InsufficientFunds(TransactionRefused):
    """The signing address cannot pay the fee; waiting for coins, nothing is wrong with the rest."""

    reason = "insufficient-funds"


class SealAccountWithoutFunds(InsufficientFunds):
    """A storage provider's seal address cannot pay: it seals nothing until it is funded."""

    reason = "seal-account-without-funds"
    waits_for = "coins at the seal address of its storage provider"


class TransactionFailed(TransactionRefused):
    """The transaction is in a block and failed there."""

    reason = "transaction-failed"


class TransactionLost(ChainError):
    """Its timeout height has passed and it is in no block."""

    reason = "transaction-lost"


class SequenceTaken(TransactionLost):
    """Another transaction of the account is in a block with its sequence: another program, or
    another device, sends with the same key."""

    reason = "sequence-taken"


class SealTimeout(ChainError):
    reason = "seal-timeout"


class UnknownStorageProvider(ChainError):
    reason = "unknown-storage-provider"


@dataclass(frozen=True, slots=True)
class VoidReceipt:
    """A receipt that the chain would not take any more. ``is_gone``: its secondary takes no groups
    now; otherwise the same one may make another receipt."""

    redundancy_index: int
    operator_address: str
    is_gone: bool
    why: str


class ReceiptsVoid(GreenrayError):
    """Receipts that were verified once are worth nothing now: they are made again, or by others.
    Not retryable as they are."""

    reason = "receipts-void"

    def __init__(
        self,
        what: str,
        where: str = "",
        next_step: str = "",
        void: tuple[VoidReceipt, ...] = (),
    ) -> None:
        super().__init__(what, where, next_step)
        self.args = (what, where, next_step, void)
        self.void = void


class ReceiptInvalid(ReceiptsVoid, SignatureError):
    """A receipt is not of the approval key that its secondary has on chain, perhaps any more, or
    not of the object."""

    reason = "receipt-invalid"


class SecondaryOutOfService(ReceiptsVoid, UnknownStorageProvider):
    """A secondary has left service since it made its receipt."""

    reason = "secondary-out-of-service"
    retryable = True


class KeyMissing(GreenrayError):
    reason = "key-missing"


class KeystoreError(GreenrayError):
    reason = "keystore-error"


# --- machine and cluster -----------------------------------------------------------------------


class StoreError(GreenrayError):
    """A store refuses, and goes on refusing until somebody mends it. Who asked is told at once;
    retryable for jobs, which outlast the repair."""

    reason = "store-error"
    retryable = True


class StoreUnavailable(StoreError):
    """A store is away or busy, or somebody else came first: it passes by itself."""

    reason = "store-unavailable"


class NoSpaceLeft(StoreError):
    reason = "no-space-left"


class SegmentsUnreadable(StoreError):
    """The primary cannot read a payload that it has stored; no secondary has failed. Its disk may
    be away for a while only."""

    reason = "segments-unreadable"


class JournalError(StoreError):
    """The journal cannot be read or written. It is the own one, of all hosted SPs alike: no
    secondary has failed."""

    reason = "journal-error"


class JournalUnavailable(JournalError, StoreUnavailable):
    """Another process has it locked, or the one that has it is ending."""

    reason = "journal-unavailable"


class JournalFull(JournalError, NoSpaceLeft):
    reason = "journal-full"


class JournalDamaged(JournalError):
    """A check found it so; damage that a call meets is a JournalError, since it may be a part."""

    reason = "journal-damaged"
    retryable = False


class JournalMissing(JournalError):
    """There is no journal where one was."""

    reason = "journal-missing"
    retryable = False


class PortInUse(GreenrayError):
    reason = "port-in-use"


class AlreadyRunning(GreenrayError):
    reason = "already-running"


class NotRunning(GreenrayError):
    reason = "not-running"


class SharedMemoryTooSmall(GreenrayError):
    reason = "shared-memory-too-small"


class OpenCluster(GreenrayError):
    """A Ray cluster on which anybody who reaches it runs code."""

    reason = "open-cluster"


class ComponentUnavailable(GreenrayError):
    """An actor died or does not answer; it is restarted, the call may be made again."""

    reason = "component-unavailable"
    retryable = True


class Overloaded(GreenrayError):
    """Nothing is wrong, but too much is being done already; the request may be made again after
    ``retry_after_s``."""

    reason = "overloaded"
    retryable = True

    def __init__(
        self, what: str, where: str = "", next_step: str = "", retry_after_s: float = 1.0
    ) -> None:
        super().__init__(what, where, next_step)
        self.args = (what, where, next_step, retry_after_s)
        self.retry_after_s = retry_after_s


class NetworkFailed(GreenrayError):
    """A network has given up: what it is made of failed again and again."""

    reason = "network-failed"


class ClusterLost(GreenrayError):
    """The Ray cluster that a network is attached to has gone, or does not answer."""

    reason = "cluster-lost"


class StateLost(GreenrayError):
    """The state directory of a running network was removed, or replaced by another."""

    reason = "state-lost"


class BadAnswer(GreenrayError):
    """A gateway or peer answered with an error; the HTTP status and code are in ``what``."""

    reason = "bad-answer"
