"""Random sequences of messages, valid and not, against a model of buckets, objects, statuses and
sequences: after every block the chain answers the model's codes and holds the model's state."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from greenray.chain import wire
from greenray.chain.crypto import keccak256, sign_digest
from greenray.chain.dialects import get_local_dialect
from greenray.chain.dialects import v0_2 as dialect
from greenray.chain.local.app import Application
from greenray.chain.local.ledger.state import ChainDatabase
from greenray.chain.local.mempool import MempoolRefusal
from greenray.chain.local.node import Node
from greenray.chain.proto_json import Effect, PrincipalType
from greenray.protocol.integrity import secondary_sign_bytes
from greenray.protocol.objects import ActionType
from tests.support import local_chain
from tests.support.chain_model import (
    MAX_PAYLOAD_BYTES,
    OK,
    Allow,
    Cancel,
    Code,
    CreateBucket,
    CreateObject,
    Delete,
    DeleteBucket,
    Model,
    N,
    Reject,
    Seal,
    Send,
    Step,
)
from tests.support.local_chain import (
    CHECKSUMS,
    FOREVER,
    Approved,
    address,
    key,
    signed,
    small_genesis,
)

GENESIS = small_genesis()
BUCKETS, OBJECTS = ("bucket-a", "bucket-b"), ("x", "dir/y")
KEYS = {"owner": "user", "guest": "sp-5-gc", "seal-0": "sp-0-seal", "seal-1": "sp-1-seal"}


def often(usual: Any, *rare: Any) -> st.SearchStrategy[Any]:
    """Mostly the usual value, so that sequences get somewhere."""
    return st.sampled_from([usual] * 8 + list(rare))


signers = st.sampled_from(["owner", "owner", "owner", "guest", "seal-0", "seal-1"])
buckets, objects = st.sampled_from(BUCKETS), st.sampled_from(OBJECTS)
seals = often("seal-0", "seal-1", "seal-1", "owner")
steps: st.SearchStrategy[Step] = st.one_of(
    st.builds(CreateBucket, signers, buckets, often(0, 1, 99), often(False, True)),
    st.builds(
        CreateObject,
        signers,
        buckets,
        objects,
        often(5, 0, MAX_PAYLOAD_BYTES, MAX_PAYLOAD_BYTES + 1),
        often(N + 1, 0, N, N + 2),
        often(False, True),
    ),
    st.builds(
        Seal, seals, buckets, objects, often(N, N - 1), often(N, 0, N - 1), often(False, True)
    ),
    st.builds(Reject, seals, buckets, objects),
    st.builds(Cancel, signers, buckets, objects),
    st.builds(Delete, signers, buckets, objects),
    st.builds(DeleteBucket, signers, buckets),
    st.builds(Allow, signers, buckets),
    st.builds(Send, signers, often(False, True)),
)
WRONG: dict[str, Code] = {
    "sequence too high": ("sdk", 32),
    "sequence too low": ("sdk", 32),
    "key of another": ("sdk", 8),
    "chain of another": ("sdk", 4),
    "fee too low": ("sdk", 13),
    "gas too low": ("sdk", 11),
}
# None: committed. Steps are queued until a block, and blocks hold several transactions.
sequences = st.lists(
    st.tuples(steps, often("", *WRONG)) | st.just(None) | st.tuples(steps, st.just("")),
    max_size=35,
)


@settings(max_examples=100, deadline=None)
@given(sequences)
@example(
    [
        (CreateBucket("owner", "bucket-a", 0, False), ""),
        (CreateBucket("owner", "bucket-a", 0, False), "sequence too low"),
        None,
        (CreateBucket("owner", "bucket-a", 0, False), "sequence too low"),
    ]
)
def test_the_chain_does_what_the_model_says(sequence: list[tuple[Step, str] | None]) -> None:
    world = World()
    try:
        for item in sequence:
            if item is None:
                world.make_block()
            else:
                world.submit(*item)
        world.make_block()
    finally:
        world.node.app.database.close()


class World:
    """A node and the model; ``queued`` steps are in the mempool."""

    def __init__(self) -> None:
        self.node = Node(
            Application(ChainDatabase(Path(":memory:")), get_local_dialect(), GENESIS, 10**18),
            clock_ns=lambda: 0,
        )
        self.model = Model()
        self.queued: list[Step] = []
        self.queued_bytes: list[bytes] = []
        self.known: set[bytes] = set()

    def submit(self, step: Step, wrong: str) -> None:
        """CheckTx counts what is queued; ``wrong`` is what is wrong with the transaction."""
        sequence = self.model.sequences.get(step.signer, 0)
        sequence += sum(other.signer == step.signer for other in self.queued)
        tx_bytes = self._transaction(step, sequence, wrong)
        if wrong == "sequence too low" and sequence == 0:
            return
        if tx_bytes in self.known:
            with pytest.raises(MempoolRefusal, match="tx already exists in cache"):
                self.node.mempool.submit(tx_bytes)
            return
        checked = self.node.mempool.submit(tx_bytes)
        assert (checked.codespace, checked.code) == WRONG.get(wrong, OK), checked.log
        if not wrong:
            self.queued.append(step)
            self.queued_bytes.append(tx_bytes)
            self.known.add(tx_bytes)

    def make_block(self) -> None:
        results = self.node.make_block()
        got = [(result.codespace, result.code) for result in results]
        assert got == [self.model.run(step) for step in self.queued]
        for tx_bytes, result in zip(self.queued_bytes, results, strict=True):
            # What failed in a block may be sent again; what is queued or committed may not.
            if result.code:
                self.known.discard(tx_bytes)
        self.queued.clear()
        self.queued_bytes.clear()
        self._compare_state()

    def _compare_state(self) -> None:
        for name, account in KEYS.items():
            assert self._sequence(account) == self.model.sequences.get(name, 0)
        for bucket in BUCKETS:
            expected_bucket = self.model.buckets.get(bucket)
            got_bucket = self._ask("HeadBucket", bucket_name=bucket)
            assert (got_bucket is None) == (expected_bucket is None)
            if got_bucket is not None and expected_bucket is not None:
                info = got_bucket.bucket_info
                assert (info.id, info.owner) == (
                    str(expected_bucket.id),
                    address(KEYS[expected_bucket.owner]),
                )
            for name in OBJECTS:
                self._compare_object(bucket, name)

    def _compare_object(self, bucket: str, name: str) -> None:
        expected = self.model.objects.get((bucket, name))
        got = self._ask("HeadObject", bucket_name=bucket, object_name=name)
        if expected is None or got is None:
            assert (got, expected) == (None, None)
            return
        info = got.object_info
        assert (info.id, info.object_status) == (str(expected.id), expected.status)
        assert info.owner == address(KEYS[self.model.buckets[bucket].owner])

    def _ask(self, method: str, **fields: str) -> Any:
        request = getattr(wire.storage, f"Query{method}Request")(**fields).SerializeToString()
        answer = self.node.queries.answer(f"/greenfield.storage.Query/{method}", request, 0)
        if answer.value is None:
            return None
        return getattr(wire.storage, f"Query{method}Response").FromString(answer.value)

    def _sequence(self, account: str) -> int:
        request = wire.auth.QueryAccountRequest(address=address(account)).SerializeToString()
        answer = self.node.queries.answer("/cosmos.auth.v1beta1.Query/Account", request, 0)
        response = wire.auth.QueryAccountResponse.FromString(answer.value or b"")
        sequence: int = wire.auth.BaseAccount.FromString(response.account.value).sequence
        return sequence

    # --- messages ---

    def _transaction(self, step: Step, sequence: int, wrong: str) -> bytes:
        message, signer = self._message(step), KEYS[step.signer]
        gas = GENESIS.gas[dialect.type_url(message)]
        match wrong:
            case "sequence too high":
                sequence += 1
            case "sequence too low":
                sequence -= 1
            case "key of another":
                signer = "sp-6-gc"
            case "chain of another":
                return signed(GENESIS, signer, message, sequence, chain_id="greenfield_9001-7")
            case "fee too low":
                low = gas * GENESIS.min_gas_price - 1
                return signed(GENESIS, signer, message, sequence, fee_amount=low)
            case "gas too low":
                return signed(GENESIS, signer, message, sequence, gas_limit=gas - 1)
        return signed(GENESIS, signer, message, max(0, sequence))

    def _message(self, step: Step) -> dialect.Message:
        signer = address(KEYS[step.signer])
        match step:
            case CreateBucket():
                primary = f"sp-{step.primary}-operator"
                message = local_chain.create_bucket(step.bucket)
                message = replace(message, creator=signer, primary_sp_address=address(primary))
                return _approved(message, step.primary, step.expired)
            case CreateObject():
                created = local_chain.create_object(step.object, step.bucket, step.payload_size)
                checksums = (*CHECKSUMS, *CHECKSUMS)[: step.checksums]
                created = replace(created, creator=signer, expect_checksums=checksums)
                return _approved(created, self._primary(step.bucket), step.expired)
            case Seal():
                return self._seal(step)
            case Reject():
                return dialect.MsgRejectSealObject(signer, step.bucket, step.object)
            case Cancel():
                return dialect.MsgCancelCreateObject(signer, step.bucket, step.object)
            case Delete():
                return dialect.delete_object_message(signer, step.bucket, step.object)
            case DeleteBucket():
                return dialect.delete_bucket_message(signer, step.bucket)
            case Allow():
                return _policy(signer, step.bucket)
            case Send():
                amount = 10**30 if step.too_much else 1
                return dialect.MsgSend(signer, address("nobody"), (dialect.Coin("BNB", amount),))

    def _seal(self, step: Seal) -> dialect.MsgSealObject:
        object_id = self._id_at_its_turn(step) + step.signed_for_another_object
        secondaries = [f"sp-{index + 1}" for index in range(N)]
        signatures = []
        for index, secondary in enumerate(secondaries[: step.signatures]):
            document = secondary_sign_bytes(
                address(f"{secondary}-operator"), object_id, CHECKSUMS[index + 1]
            )
            signatures.append(sign_digest(key(f"{secondary}-approval"), keccak256(document)))
        addresses = [address(f"{secondary}-operator") for secondary in secondaries]
        return dialect.MsgSealObject(
            operator=address(KEYS[step.signer]),
            bucket_name=step.bucket,
            object_name=step.object,
            secondary_sp_addresses=tuple(addresses[: step.secondaries]),
            secondary_sp_signatures=tuple(signatures),
        )

    def _id_at_its_turn(self, step: Seal) -> int:
        """The object's id when the queue has run."""
        ahead = self._ahead()
        info = ahead.objects.get((step.bucket, step.object))
        return 1 if info is None else info.id

    def _primary(self, bucket: str) -> int:
        known = self._ahead().buckets.get(bucket)
        return 0 if known is None else known.primary

    def _ahead(self) -> Model:
        """The model as it will be when the queue has run."""
        model = Model(
            dict(self.model.buckets),
            dict(self.model.objects),
            set(self.model.allowed),
            dict(self.model.sequences),
            self.model.last_object_id,
            self.model.last_bucket_id,
        )
        for step in self.queued:
            model.run(step)
        return model


def _approved(message: Approved, sp: int, expired: bool) -> Approved:
    return local_chain.approved(message, sp, 0 if expired else FOREVER)


def _policy(operator: str, bucket: str) -> dialect.MsgPutPolicy:
    account = PrincipalType.PRINCIPAL_TYPE_GNFD_ACCOUNT
    return dialect.MsgPutPolicy(
        operator=operator,
        principal=dialect.Principal(account, address(KEYS["guest"])),
        resource=f"grn:b::{bucket}",
        statements=(dialect.Statement(Effect.EFFECT_ALLOW, (ActionType.ACTION_CREATE_OBJECT,)),),
    )
