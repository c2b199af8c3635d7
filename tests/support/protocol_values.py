"""The worked example of protocol 03, and small builders around it."""

from __future__ import annotations

from dataclasses import replace

from greenray.protocol.approvals import Approval
from greenray.protocol.job import JobContext, SecondaryReceipt
from greenray.protocol.job_events import JobEvent, ReplicateStarted, UploadFinished, UploadStarted
from greenray.protocol.job_table import apply
from greenray.protocol.objects import ObjectInfo, StorageParams, StorageProvider, Visibility

HELLO_CHECKSUMS = tuple(
    bytes.fromhex(text)
    for text in (
        "9595c9df90075148eb06860365df33584b75bff782a510c6cd4883a419833d50",
        "6b749c27fecfc7208b2f08cf4b8ed9e2e71209db700148d77c86a181235e9f78",
        "4769ef9fa63646c2c4901cc0b52a2ad11fad7d44b90ac87bd19bdd070ef0bd8d",
        "5bc853eb4c315005c0be04a99565b9cead5c90aa1b0ff9b05a6222fceebdf26f",
        "407feb4a4b8303baf4f84e29a209e0dcfd62e81f88c8edb7675c5a95d90e5c90",
        "87bb93f99065ef9d57aae3cb4bf589d261ce429fb05115907bf9216bfdcb1b9c",
        "a9bd961d2ade6f7fc84ce695b7997a3629811ffba2c980cbbf0718fdeb8a4134",
    )
)
HELLO = ObjectInfo(
    owner="0x1C5A77d9FA7eF466951B2F01F724BCa3A5820b63",
    bucket_name="test-bucket",
    object_name="test-object",
    id=1,
    payload_size=5,
    visibility=Visibility.VISIBILITY_TYPE_INHERIT,
    content_type="application/octet-stream",
    create_at=1684137600,
    checksums=HELLO_CHECKSUMS,
)
PRIMARY = "0x03a1Bba60B5Aa37094cf16123AdD674c01589488"
PRIMARY_OPERATOR_KEY = bytes([0x13]) * 32
SECONDARIES = (
    "0x2BD0C9FE079c8FcA0E3352eb3D02839c371E5c41",
    "0x1563915e194D8CfBA1943570603F7606A3115508",
    "0xD3E442496EB66a4748912ec4A3b7A111d0B855d6",
    "0xa06Add288DF81cc94dBA0375A545858f47C622C7",
    "0x7BdeD251C78e4d7092f643c6231127e0e53D30C8",
    "0x3843E244616Dfe901f3737b32D80F7E8386Aad15",
)
APPROVAL_ADDRESSES = (
    "0x77952Ce83Ca3cad9F7AdcFabeDA85Bd2F1f52008",
    "0x94622cC2A5b64a58C25A129d48a2bEEC4b65b779",
    "0x5CbDd86a2FA8Dc4bDdd8a8f69dBa48572EeC07FB",
    "0x0331CEd0875e2eee97ad88F2b85B02f4944f78FC",
    "0x8B11c43881b3f9148493c2EdAd543e97EFDC517A",
    "0x0DF5283B84D83637e3E6AAC675cE922d558b296e",
)
OPERATOR_KEYS = tuple(bytes([0x21 + r]) * 32 for r in range(6))
APPROVAL_KEYS = tuple(bytes([0x31 + r]) * 32 for r in range(6))

APPROVAL = Approval(
    HELLO,
    SECONDARIES[0],
    1684141200,
    signature=bytes.fromhex(
        "c4d1e7b86835d7358dacb5badb162f63c67b0efc3cb101aaac540a3ec378ab24"
        "33e92ae7fd517a19cf71d17dd8016033dc39f1bb841d6ff8be80566a3faf3f0300"
    ),
)


def provider(operator_address: str, approval_address: str = "") -> StorageProvider:
    return StorageProvider(operator_address, "", "", approval_address, "")


def approval_of(
    operator_address: str, info: ObjectInfo = HELLO, expired_time: int = 10**9
) -> Approval:
    """An unsigned approval; enough where signatures are not looked at."""
    return Approval(info, operator_address, expired_time)


def receipt_of(redundancy_index: int, operator_address: str) -> SecondaryReceipt:
    """An unsigned receipt; enough where signatures are not looked at."""
    return SecondaryReceipt(redundancy_index, operator_address, b"hash", b"signature")


def new_job(params: StorageParams | None = None) -> JobContext:
    return JobContext(1, PRIMARY, HELLO, params or StorageParams(), 4, 0.0, 86400.0)


def job_after(*events: JobEvent, job: JobContext | None = None) -> JobContext:
    """A job after these events, one second apart."""
    job = job or new_job()
    for second, event in enumerate(events, start=1):
        job = apply(job, event, float(second))
    return job


def replicating_job(*events: JobEvent) -> JobContext:
    """A job in REPLICATE_OBJECT_DOING, after these further events."""
    return job_after(UploadStarted(), UploadFinished(), ReplicateStarted(), *events)


def renamed(name: str) -> ObjectInfo:
    return replace(HELLO, object_name=name)
