"""A small obvious model of what the chain holds: buckets, objects, statuses, policies, sequences.

It says of every step which code the chain must answer, and what its state is afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from greenray.protocol.objects import ObjectStatus

CREATED, SEALED = ObjectStatus.OBJECT_STATUS_CREATED, ObjectStatus.OBJECT_STATUS_SEALED
N = 6
MAX_PAYLOAD_BYTES = 2 * 1024**3
OK = ("", 0)
Code = tuple[str, int]


@dataclass(frozen=True)
class CreateBucket:
    signer: str
    bucket: str
    primary: int
    """99 is no storage provider."""
    expired: bool


@dataclass(frozen=True)
class CreateObject:
    signer: str
    bucket: str
    object: str
    payload_size: int
    checksums: int
    expired: bool


@dataclass(frozen=True)
class Seal:
    signer: str
    bucket: str
    object: str
    secondaries: int
    signatures: int
    signed_for_another_object: bool


@dataclass(frozen=True)
class Reject:
    signer: str
    bucket: str
    object: str


@dataclass(frozen=True)
class Cancel:
    signer: str
    bucket: str
    object: str


@dataclass(frozen=True)
class Delete:
    signer: str
    bucket: str
    object: str


@dataclass(frozen=True)
class DeleteBucket:
    signer: str
    bucket: str


@dataclass(frozen=True)
class Allow:
    """Let the guest create objects in the bucket."""

    signer: str
    bucket: str


@dataclass(frozen=True)
class Send:
    signer: str
    too_much: bool


Step = CreateBucket | CreateObject | Seal | Reject | Cancel | Delete | DeleteBucket | Allow | Send


@dataclass(frozen=True)
class Bucket:
    id: int
    owner: str
    primary: int


@dataclass(frozen=True)
class Object:
    id: int
    creator: str
    status: ObjectStatus


@dataclass
class Model:
    buckets: dict[str, Bucket] = field(default_factory=dict)
    objects: dict[tuple[str, str], Object] = field(default_factory=dict)
    allowed: set[str] = field(default_factory=set)
    """Buckets in which the guest may create objects."""
    sequences: dict[str, int] = field(default_factory=dict)
    last_object_id: int = 0
    last_bucket_id: int = 0

    def run(self, step: Step) -> Code:
        """DeliverTx: the sequence is spent, whatever the message does."""
        self.sequences[step.signer] = self.sequences.get(step.signer, 0) + 1
        match step:
            case CreateBucket():
                return self._create_bucket(step)
            case CreateObject():
                return self._create_object(step)
            case Seal():
                return self._seal(step)
            case Reject():
                return self._reject(step)
            case Cancel():
                return self._cancel(step)
            case Delete():
                return self._delete(step)
            case DeleteBucket():
                return self._delete_bucket(step)
            case Allow():
                return self._allow(step)
            case Send():
                return ("sdk", 5) if step.too_much else OK

    def _create_bucket(self, step: CreateBucket) -> Code:
        if step.bucket in self.buckets:
            return "storage", 1104
        if step.expired:
            return "storage", 1116
        if step.primary == 99:
            return "storage", 1111
        self.last_bucket_id += 1
        self.buckets[step.bucket] = Bucket(self.last_bucket_id, step.signer, step.primary)
        return OK

    def _create_object(self, step: CreateObject) -> Code:
        place = step.bucket, step.object
        bucket = self.buckets.get(step.bucket)
        if step.checksums != N + 1:
            return "greenfiled", 1003
        if step.payload_size > MAX_PAYLOAD_BYTES:
            return "storage", 1115
        if bucket is None:
            return "storage", 1100
        guest_may = step.signer == "guest" and step.bucket in self.allowed
        if step.signer != bucket.owner and not guest_may:
            return "storage", 1107
        if step.expired:
            return "storage", 1116
        if place in self.objects:
            return "storage", 1105
        self.last_object_id += 1
        status = CREATED if step.payload_size else SEALED
        self.objects[place] = Object(self.last_object_id, step.signer, status)
        return OK

    def _seal(self, step: Seal) -> Code:
        place = step.bucket, step.object
        bucket, info = self.buckets.get(step.bucket), self.objects.get(place)
        if step.secondaries != N:
            return "greenfiled", 1006
        if step.signatures != N:
            return "greenfiled", 1005
        if bucket is None:
            return "storage", 1100
        if not step.signer.startswith("seal"):
            return "storage", 1111
        if step.signer != f"seal-{bucket.primary}":
            return "storage", 1107
        if info is None:
            return "storage", 1101
        if info.status is SEALED:
            return "storage", 1108
        if step.signed_for_another_object:
            return "storage", 1116
        self.objects[place] = replace(info, status=SEALED)
        return OK

    def _reject(self, step: Reject) -> Code:
        refusal = self._not_created(step.bucket, step.object)
        if refusal is not None:
            return refusal
        if not step.signer.startswith("seal"):
            return "storage", 1111
        if step.signer != f"seal-{self.buckets[step.bucket].primary}":
            return "storage", 1107
        del self.objects[step.bucket, step.object]
        return OK

    def _cancel(self, step: Cancel) -> Code:
        refusal = self._not_created(step.bucket, step.object)
        if refusal is not None:
            return refusal
        info = self.objects[step.bucket, step.object]
        if step.signer not in (self.buckets[step.bucket].owner, info.creator):
            return "storage", 1107
        del self.objects[step.bucket, step.object]
        return OK

    def _delete(self, step: Delete) -> Code:
        place = step.bucket, step.object
        if step.bucket not in self.buckets:
            return "storage", 1100
        if place not in self.objects:
            return "storage", 1101
        if self.objects[place].status is CREATED:
            return "storage", 1113
        if step.signer != self.buckets[step.bucket].owner:
            return "storage", 1107
        del self.objects[place]
        return OK

    def _delete_bucket(self, step: DeleteBucket) -> Code:
        if step.bucket not in self.buckets:
            return "storage", 1100
        if step.signer != self.buckets[step.bucket].owner:
            return "storage", 1107
        if any(bucket == step.bucket for bucket, _ in self.objects):
            return "storage", 1109
        del self.buckets[step.bucket]
        self.allowed.discard(step.bucket)
        return OK

    def _allow(self, step: Allow) -> Code:
        bucket = self.buckets.get(step.bucket)
        if bucket is None:
            return "storage", 1100
        if step.signer != bucket.owner:
            return "storage", 1107
        if bucket.owner == "guest":
            return "greenfiled", 1007
        self.allowed.add(step.bucket)
        return OK

    def _not_created(self, bucket: str, name: str) -> Code | None:
        if bucket not in self.buckets:
            return "storage", 1100
        if (bucket, name) not in self.objects:
            return "storage", 1101
        return None if self.objects[bucket, name].status is CREATED else ("storage", 1112)
