"""Replays the recording of a real v0.2.0 node against the embedded chain (protocol 04 §12).

Samples run in the order in which the real node saw them (by the height of their simulation).
Recorded bytes are sent as they are; transactions that the recording leaves out are rebuilt from
their message and signed again; sequences that something unrecorded used are filled.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from greenray.chain import proto_json, wire
from greenray.chain.addresses import parse_address
from greenray.chain.crypto import address_of, keccak256, public_key_of, sign_digest
from greenray.chain.dialects import get_local_dialect
from greenray.chain.dialects import v0_2 as dialect
from greenray.chain.dialects.v0_2.local_rules.records import get_object
from greenray.chain.local.app import Application
from greenray.chain.local.ledger.accounts import COUNTER, get_account
from greenray.chain.local.ledger.genesis import Genesis, GenesisProvider, load_genesis
from greenray.chain.local.ledger.state import ChainDatabase
from greenray.chain.local.node import Node
from greenray.chain.local.queries import QueryAnswer
from greenray.chain.local.rpc_methods import CometMethods
from greenray.chain.local.tx_result import TxResult
from greenray.chain.transactions.signing import sign_transaction, unsigned_for_simulation
from greenray.protocol.integrity import secondary_sign_bytes
from greenray.protocol.objects import ProviderStatus, Visibility
from tests.support.local_chain import Approved

DATA = Path(__file__).parents[1] / "vectors" / "data"
SIMULATE = "/cosmos.tx.v1beta1.Service/Simulate"
FIRST_RECORDED_TIME_S = 1_795_359_050
# The pace of the recorded node: streams settle by the second.
BLOCK_INTERVAL_NS = 280_000_000
FOREVER = 1_000_000_000

LEFT_OUT: dict[str, str] = {}
"""Label of a transaction sample -> why it is not run. None at present."""


def recorded_genesis() -> Genesis:
    """What the recorded node started from, with its inverted RejectSealObject."""
    genesis = load_genesis(DATA / "genesis-v0_2.json", get_local_dialect().fixed_gas)
    return replace(genesis, params=replace(genesis.params, recorded_reject_seal=True))


def named_key(name: str) -> bytes:
    """The recording's keys are the hashes of their names."""
    return hashlib.sha256(name.encode()).digest()


def jailed_genesis() -> Genesis:
    """Another chain id, and an eighth provider that is in jail (the two jailed samples)."""

    def address(role: str) -> str:
        return address_of(named_key(f"greenray-sp-jailed-{role}"))

    genesis = recorded_genesis()
    jailed = GenesisProvider(
        operator_address=address("operator"),
        funding_address=address("funding"),
        seal_address=address("seal"),
        approval_address=address("approval"),
        gc_address=address("gc"),
        endpoint="http://127.0.0.1:9040",
        moniker="jailed",
        status=ProviderStatus.STATUS_IN_JAILED,
    )
    return replace(
        genesis,
        chain_id="greenfield_5600-1",
        storage_providers=(*genesis.storage_providers, jailed),
    )


def approved(message: Approved, key_name: str, expired_height: int = FOREVER) -> Approved:
    """The message with an approval signed by a named key."""
    unsigned = dialect.with_approval(message, expired_height, b"")
    digest = keccak256(dialect.approval_sign_bytes(unsigned))
    return dialect.with_approval(message, expired_height, sign_digest(named_key(key_name), digest))


class ReplayChain:
    """A node without a clock: every block is one interval after the last."""

    def __init__(self, directory: Path, genesis: Genesis) -> None:
        self._now_ns = FIRST_RECORDED_TIME_S * 1_000_000_000
        database = ChainDatabase(directory / "chain.sqlite")
        self.node = Node(
            Application(database, get_local_dialect(), genesis, self._tick()), clock_ns=self._tick
        )
        self.methods = CometMethods(self.node, "127.0.0.1:26657").methods

    def _tick(self) -> int:
        self._now_ns += BLOCK_INTERVAL_NS
        return self._now_ns

    def close(self) -> None:
        self.node.app.database.close()

    def simulate(self, tx_bytes: bytes) -> QueryAnswer:
        request = wire.tx.SimulateRequest(tx_bytes=tx_bytes).SerializeToString()
        return self.node.queries.answer(SIMULATE, request, 0)

    def sequence(self, address: str) -> int:
        account = get_account(self.node.app.database, parse_address(address))
        return 0 if account is None else account.sequence

    def account_number(self, address: str) -> int:
        account = get_account(self.node.app.database, parse_address(address))
        assert account is not None
        return account.account_number

    def sign(self, private_key: bytes, message: dialect.Message, sequence: int) -> bytes:
        """A transaction that pays exactly what it must."""
        gas = self.node.app.rules.genesis.gas[dialect.type_url(message)]
        signed = sign_transaction(
            dialect,
            message,
            private_key=private_key,
            chain_id=self.node.app.rules.chain_id,
            account_number=self.account_number(dialect.signer_address(message)),
            sequence=sequence,
            gas_limit=gas,
            fee_amount=gas * 5_000_000_000,
        )
        return signed.tx_bytes

    def send(self, private_key: bytes, message: dialect.Message) -> None:
        """Sign, and commit in a block of its own; it must succeed."""
        sequence = self.sequence(dialect.signer_address(message))
        self.commit(self.sign(private_key, message, sequence))

    def commit(self, tx_bytes: bytes) -> None:
        """Commit bytes in a block of their own; they must succeed."""
        checked = self.node.mempool.submit(tx_bytes)
        assert checked.code == 0, checked.log
        (result,) = self.node.make_block()
        assert result.code == 0, result.log


@dataclass
class ReplayReport:
    """``differences``: one line per answer that is not the recorded one."""

    run: int = 0
    answers: int = 0
    masked: int = 0
    left_out: dict[str, str] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)

    def compare(self, label: str, stage: str, recorded: Any, got: Any, *, masked: bool) -> None:
        self.answers += 1
        self.masked += masked
        if recorded != got:
            self.differences.append(f"{label} · {stage}\n  recorded: {recorded}\n  got:      {got}")

    def summary(self, name: str) -> str:
        equal = self.answers - len(self.differences)
        return (
            f"{name}: {self.run} samples run, {equal} of {self.answers} answers equal"
            f" ({self.masked} masked in part), {len(self.left_out)} samples left out"
        )


# --- masks -------------------------------------------------------------------------------------

_MASKS = (
    # Go source positions, and the place where the embedded chain says what it is.
    (re.compile(r"\[[^\[\]]*(?:\.go:\d+|chain/local:0)\] "), "[SOURCE] "),
    (re.compile(r"stack:\n.*", re.DOTALL), "stack:\n"),
    (re.compile(r"block height: \d+,"), "block height: N,"),
    (re.compile(r"spendable balance \d{20,}BNB"), "spendable balance NBNB"),
)
_TIME_ATTRIBUTES = {"create_at", "crud_timestamp", "settle_timestamp"}
_PAYMENT_POOL = "0x040fFD5925D40E11c67b7238A7fc9957850B8b9a"


def mask_text(text: str) -> str:
    """Without source positions, stacks, heights and balances."""
    for pattern, replacement in _MASKS:
        text = pattern.sub(replacement, text)
    return text


def mask_events(events: list[dict[str, Any]]) -> list[Any]:
    """Without times, and without the amounts that depend on them: static balances of streams and
    what flows into the payment pool."""
    masked = []
    for one in events:
        hidden = set(_TIME_ATTRIBUTES)
        if one["type"] == "greenfield.payment.EventStreamRecordUpdate":
            hidden.add("static_balance")
        if one["type"] in ("coin_spent", "coin_received", "transfer") and _feeds_pool(events, one):
            hidden.add("amount")
        attributes = [(a["key"], a["value"]) for a in one["attributes"]]
        masked.append((one["type"], [(k, "*" if k in hidden else v) for k, v in attributes]))
    return masked


def _feeds_pool(events: list[dict[str, Any]], one: dict[str, Any]) -> bool:
    """Whether a coin event belongs to a transfer into the payment pool: coin_spent, coin_received
    and transfer follow each other."""
    index = next(i for i, candidate in enumerate(events) if candidate is one)
    transfer = next(e for e in events[index:] if e["type"] == "transfer")
    return any(a["value"] == _PAYMENT_POOL for a in transfer["attributes"])


def mask_log(log: str) -> Any:
    """A log: text, or the masked events of a successful transaction."""
    if not log.startswith("[{"):
        return mask_text(log)
    return [mask_events(message["events"]) for message in json.loads(log)]


# --- the replay --------------------------------------------------------------------------------


def _sequence_in(tx: str) -> int:
    raw = wire.tx.TxRaw.FromString(base64.b64decode(tx))
    return int(wire.tx.AuthInfo.FromString(raw.auth_info_bytes).signer_infos[0].sequence)


@dataclass(frozen=True)
class Sample:
    kind: str
    row: dict[str, Any]

    @property
    def label(self) -> str:
        return str(self.row["label"])

    @property
    def deliver(self) -> dict[str, Any] | None:
        if self.kind == "accepted":
            result: dict[str, Any] = self.row["committed"]["tx_result"]
            return result
        return self.row.get("deliver_tx")

    @property
    def simulated(self) -> dict[str, Any] | None:
        answer = self.row.get("simulate")
        if self.kind == "accepted" and answer is not None:
            answer = answer["result"]
        return answer

    @property
    def height(self) -> int:
        return int((self.simulated or {})["height"])


def recorded_order(recording: dict[str, Any]) -> list[Sample]:
    """All samples as the real node saw them, by the height of their simulation. At equal height,
    what came into a block was the last; what has another genesis comes at the end."""
    errors = [Sample("error", row) for row in recording["errors"]]
    accepted = [Sample("accepted", row) for row in recording["accepted"]]
    return sorted(
        [*accepted, *errors],
        key=lambda sample: ("note" in sample.row, sample.height, sample.deliver is not None),
    )


class Replay:
    """``run`` plays everything on the recorded chain; the jailed samples have their own."""

    def __init__(self, chain: ReplayChain, recording: dict[str, Any]) -> None:
        self._chain = chain
        self._recording = recording
        self._keys = {
            key["address"]: bytes.fromhex(key["private_key"]) for key in recording["keys"].values()
        }
        self.report = ReplayReport()
        self._samples = [s for s in recorded_order(recording) if "note" not in s.row]
        self._unrecorded: list[tuple[int, Callable[[], None]]] = [
            (49, partial(self._create_buckets, [f"expiry-{i}" for i in range(5)])),
            (86, partial(self._create_object, "seal-errors")),
            (113, self._seal_race),
            (114, partial(self._create_object, "reject-me")),
            (139, partial(self._create_buckets, [f"queued-{i}" for i in range(5)])),
        ]

    def run(self) -> ReplayReport:
        for position, sample in enumerate(self._samples):
            if sample.label in LEFT_OUT:
                self.report.left_out[sample.label] = LEFT_OUT[sample.label]
                continue
            self._make_unrecorded(sample.height)
            self._fill_sequences(sample, self._samples[position + 1 :])
            self._play(sample)
            self.report.run += 1
        return self.report

    def make_second_run(self) -> None:
        """The recorded node saw the same again by greenray-user-4, before its interface was
        recorded. Of that run only the last transaction is known, with the ids of its bucket and
        its object: others of ours take the ids around them."""
        (sample,) = (r for r in self._recording["rpc"] if r["label"] == "tx_search desc")
        (last,) = json.loads(sample["response_body"])["result"]["txs"]
        (created,) = (
            {a["key"]: json.loads(a["value"]) for a in event["attributes"]}
            for event in last["tx_result"]["events"]
            if event["type"] == "greenfield.storage.EventCreateObject"
        )
        owner = self._recording["keys"]["greenray-user-4"]["address"]
        primary = self._provider_of(created["primary_sp_address"])
        # As many buckets as in the first run.
        for number in range(self._next_id("bucket") - 1):
            name = f"second-run-{number}" if number else created["bucket_name"]
            message = self._bucket_message(owner, name, primary)
            self._chain.send(self._keys[owner], approved(message, f"{primary}-approval"))
        while self._next_id("object") < int(created["object_id"]):
            name = f"second-run-{self._next_id('object')}"
            self._create_object(name, "greenray-user-4", created["bucket_name"], primary)
        while self._chain.sequence(owner) < _sequence_in(last["tx"]):
            self._fill(owner)
        while self._chain.node.app.head.height < int(last["height"]) - 1:
            self._chain.node.make_block()
        self._chain.commit(base64.b64decode(last["tx"]))

    def _next_id(self, kind: str) -> int:
        return int(self._chain.node.app.database.get(COUNTER, kind.encode()) or 1)

    def _provider_of(self, operator_address: str) -> str:
        names: dict[str, str] = {
            key["address"]: name for name, key in self._recording["keys"].items()
        }
        return names[operator_address].removesuffix("-operator")

    # --- what the recording does not hold ---

    def _fill_sequences(self, sample: Sample, later: list[Sample]) -> None:
        for signer, sequence in self._expected_sequences(sample, later):
            while self._chain.sequence(signer) < sequence:
                self._fill(signer)

    def _expected_sequences(self, sample: Sample, later: list[Sample]) -> list[tuple[str, int]]:
        """(signer, sequence) that the chain must have reached before the sample."""
        row = sample.row
        if "sequence" not in row or row["signer"] not in self._keys:
            return []
        if sample.deliver is not None:
            return [(row["signer"], row["sequence"])]
        following = [
            other.row["sequence"]
            for other in later
            if other.deliver is not None and other.row["signer"] == row["signer"]
        ]
        return [(row["signer"], min([row["sequence"], *following[:1]]))] if following else []

    def _fill(self, signer: str) -> None:
        amount = (dialect.Coin("BNB", 1),)
        owner = self._recording["keys"]["greenray-user-0"]["address"]
        self._chain.send(self._keys[signer], dialect.MsgSend(signer, owner, amount))

    def _make_unrecorded(self, height: int) -> None:
        """What the recorded run did up to ``height`` and shows in its notes only."""
        while self._unrecorded and self._unrecorded[0][0] <= height:
            _, make = self._unrecorded.pop(0)
            make()

    def _seal_race(self) -> None:
        """Two seals of one object in one block: the second fails there."""
        self._create_object("seal-race")
        notes = self._recording["notes"]["seal_twice_in_one_block"]
        for note in notes:
            assert self._submit(base64.b64decode(note["tx"]))["code"] == 0
        results = self._chain.node.make_block()
        for note, result in zip(notes, results, strict=True):
            recorded = note["committed"]["tx_result"]
            self.report.compare(
                "seal twice in one block",
                "DeliverTx",
                [recorded["codespace"], recorded["code"], recorded["events"]],
                [result.codespace, result.code, [one.type for one in result.events]],
                masked=False,
            )

    def _create_buckets(self, names: list[str]) -> None:
        creator = self._recording["keys"]["greenray-user-2"]["address"]
        for name in names:
            message = self._approved(self._bucket_message(creator, name))
            self._chain.send(self._keys[creator], message)

    def _bucket_message(
        self, creator: str, name: str, primary: str = "greenray-sp-0"
    ) -> dialect.MsgCreateBucket:
        return dialect.MsgCreateBucket(
            creator=creator,
            bucket_name=name,
            visibility=Visibility.VISIBILITY_TYPE_PRIVATE,
            primary_sp_address=self._recording["keys"][f"{primary}-operator"]["address"],
            primary_sp_approval=dialect.SpApproval(FOREVER),
        )

    def _create_object(
        self,
        object_name: str,
        user: str = "greenray-user-0",
        bucket_name: str = "pub-bucket",
        primary: str = "greenray-sp-0",
    ) -> None:
        signer = self._recording["keys"][user]["address"]
        checksums = tuple(
            base64.b64decode(text)
            for text in self._recording["accepted"][5]["message"]["expect_checksums"]
        )
        message = dialect.MsgCreateObject(
            creator=signer,
            bucket_name=bucket_name,
            object_name=object_name,
            payload_size=5,
            visibility=Visibility.VISIBILITY_TYPE_INHERIT,
            content_type="application/octet-stream",
            primary_sp_approval=dialect.SpApproval(FOREVER),
            expect_checksums=checksums,
        )
        self._chain.send(self._keys[signer], approved(message, f"{primary}-approval"))

    def _approved(self, message: Approved, expired_height: int = FOREVER) -> Approved:
        return approved(message, "greenray-sp-0-approval", expired_height)

    # --- what the notes of the recording tell ---

    def create_expiring_bucket(self, name: str, expired_height: int) -> TxResult:
        """Commit a create-bucket whose approval expires at that height."""
        creator = self._recording["keys"]["greenray-user-2"]["address"]
        message = self._approved(self._bucket_message(creator, name), expired_height)
        signed = self._signed(creator, message, self._chain.sequence(creator))
        assert self._submit(signed)["code"] == 0
        return self._chain.node.make_block()[0]

    def submit_transfer(self, signer: str, sequence: int) -> dict[str, Any]:
        """CheckTx of a transfer to itself with that sequence."""
        message = dialect.MsgSend(signer, signer, (dialect.Coin("BNB", 1),))
        return self._submit(self._signed(signer, message, sequence))

    def _signed(self, signer: str, message: dialect.Message, sequence: int) -> bytes:
        return self._chain.sign(self._keys[signer], message, sequence)

    # --- one sample ---

    def _play(self, sample: Sample) -> None:
        tx_bytes, simulate_bytes = self._bytes_of(sample)
        if sample.simulated is not None and simulate_bytes is not None:
            self._compare_simulation(sample, self._chain.simulate(simulate_bytes))
        hash_, checked = hashlib.sha256(tx_bytes).hexdigest().upper(), self._submit(tx_bytes)
        recorded = sample.row["broadcast_sync"]["result"]
        self.report.compare(
            sample.label,
            "CheckTx",
            [recorded["codespace"], recorded["code"], mask_text(recorded["log"])],
            [checked["codespace"], checked["code"], mask_text(checked["log"])],
            masked=mask_text(recorded["log"]) != recorded["log"],
        )
        self.report.compare(sample.label, "hash", sample.row["tx_hash"], hash_, masked=False)
        if sample.deliver is not None and checked["code"] == 0:
            self._compare_delivery(sample, sample.deliver, hash_)
            self._compare_object(sample)
        elif checked["code"] == 0:
            self._chain.node.make_block()

    def _submit(self, tx_bytes: bytes) -> dict[str, Any]:
        answer: dict[str, Any] = self._chain.methods["broadcast_tx_sync"].call(tx_bytes)
        return answer

    def _compare_simulation(self, sample: Sample, answer: QueryAnswer) -> None:
        recorded = sample.simulated or {}
        log = mask_text(recorded["log"])
        self.report.compare(
            sample.label,
            "simulate",
            [recorded["codespace"], recorded.get("abci_code", recorded.get("code")), log],
            [answer.codespace, answer.code, mask_text(answer.log)],
            masked=log != recorded["log"],
        )
        if recorded.get("decoded") and answer.value is not None:
            gas = wire.tx.SimulateResponse.FromString(answer.value).gas_info
            got = {
                "gas_wanted": gas.gas_wanted,
                "gas_used": gas.gas_used,
                "min_gas_price": gas.min_gas_price,
            }
            self.report.compare(
                sample.label, "simulated gas", recorded["decoded"], got, masked=False
            )
        if recorded.get("value"):
            value = base64.b64decode(recorded["value"])
            self.report.compare(
                sample.label,
                "simulated result",
                _simulated_result(value),
                _simulated_result(answer.value or b""),
                masked=True,
            )

    def _compare_delivery(self, sample: Sample, recorded: dict[str, Any], tx_hash: str) -> None:
        self._chain.node.make_block()
        answer = self._chain.methods["tx"].call(bytes.fromhex(tx_hash), False)
        got = answer["tx_result"]
        for name in ("codespace", "code", "gas_wanted", "gas_used", "data"):
            if name in recorded:
                self.report.compare(
                    sample.label, f"DeliverTx {name}", recorded[name], got[name], masked=False
                )
        if not recorded["log"].startswith("(JSON"):
            self.report.compare(
                sample.label,
                "DeliverTx log",
                mask_log(recorded["log"]),
                mask_log(got["log"]),
                masked=recorded["log"].startswith("[{") or "stack:" in recorded["log"],
            )
        if isinstance(recorded.get("events"), list) and isinstance(recorded["events"][0], dict):
            self.report.compare(
                sample.label,
                "DeliverTx events",
                mask_events(recorded["events"]),
                mask_events(got["events"]),
                masked=True,
            )
        if "event_types" in recorded:
            types = [one["type"] for one in got["events"]]
            self.report.compare(
                sample.label, "event types", recorded["event_types"], types, masked=False
            )

    def _compare_object(self, sample: Sample) -> None:
        """The object that the transaction left behind, when it was recorded."""
        recorded = sample.row.get("head_object_after")
        if recorded is None:
            return
        info = get_object(
            self._chain.node.app.database, recorded["bucket_name"], recorded["object_name"]
        )
        assert info is not None, sample.label
        got = proto_json.to_json(info)
        got["checksums"] = [checksum.hex() for checksum in info.checksums]
        shown = [
            {name: str(value) for name, value in one.items() if name != "create_at"}
            for one in (recorded, got)
        ]
        self.report.compare(sample.label, "object", shown[0], shown[1], masked=True)

    def _bytes_of(self, sample: Sample) -> tuple[bytes, bytes | None]:
        """(transaction, transaction to simulate)."""
        row = sample.row
        tx, simulated = row.get("tx"), row.get("simulate_tx")
        if sample.kind == "accepted":
            simulated = row["simulate"]["tx"]
        if isinstance(tx, str):
            simulate_bytes = base64.b64decode(simulated) if isinstance(simulated, str) else None
            return base64.b64decode(tx), simulate_bytes
        message = rebuilt_message(row["message"])
        signed = sign_transaction(
            dialect,
            message,
            private_key=bytes.fromhex(row["private_key"]),
            chain_id=row["chain_id"],
            account_number=row["account_number"],
            sequence=row["sequence"],
            gas_limit=row["gas_limit"],
            fee_amount=row["fee"][0]["amount"],
        )
        public_key = public_key_of(bytes.fromhex(row["private_key"]))
        unsigned = unsigned_for_simulation(dialect, message, public_key, row["sequence"])
        return signed.tx_bytes, unsigned


class JailedReplay:
    """The two samples with a provider in jail, on a chain of their own genesis.

    Their transactions are not recorded: they are built from their messages, and the secondaries
    sign again, because the object's id is another one.
    """

    def __init__(self, chain: ReplayChain, recording: dict[str, Any]) -> None:
        self._chain = chain
        self._keys = {
            key["address"]: bytes.fromhex(key["private_key"]) for key in recording["keys"].values()
        }
        self._samples = [Sample("error", row) for row in recording["errors"] if "note" in row]
        self._checksums = recording["accepted"][5]["message"]["expect_checksums"]
        self.report = ReplayReport()

    def run(self) -> ReplayReport:
        for sample in self._samples:
            message = rebuilt_message(sample.row["message"])
            if isinstance(message, dialect.MsgSealObject):
                self._make_object(message)
                message = self._signed_again(message)
            self._play(sample, message)
            self.report.run += 1
        return self.report

    def _play(self, sample: Sample, message: dialect.Message) -> None:
        signer = dialect.signer_address(message)
        key, sequence = self._keys[signer], self._chain.sequence(signer)
        unsigned = unsigned_for_simulation(dialect, message, public_key_of(key), sequence)
        simulated, recorded = self._chain.simulate(unsigned), sample.row["simulate"]
        self.report.compare(
            sample.label,
            "simulate",
            [recorded["codespace"], recorded["code"], mask_text(recorded["log"])],
            [simulated.codespace, simulated.code, mask_text(simulated.log)],
            masked=True,
        )
        checked = self._chain.node.mempool.submit(self._chain.sign(key, message, sequence))
        (delivered,) = self._chain.node.make_block()
        recorded_check = sample.row["broadcast_sync"]["result"]
        self.report.compare(
            sample.label,
            "CheckTx",
            [recorded_check["codespace"], recorded_check["code"], recorded_check["log"]],
            [checked.codespace, checked.code, checked.log],
            masked=False,
        )
        expected = sample.row["deliver_tx"]
        self.report.compare(
            sample.label,
            "DeliverTx",
            [expected["codespace"], expected["code"], expected["log"], expected["gas_used"]],
            [delivered.codespace, delivered.code, delivered.log, str(delivered.gas_used)],
            masked=False,
        )

    def _make_object(self, message: dialect.MsgSealObject) -> None:
        creator = next(a for a, key in self._keys.items() if key == named_key("greenray-user-0"))
        primary = self._chain.node.app.rules.providers_by_seal[parse_address(message.operator)]
        bucket = dialect.MsgCreateBucket(
            creator=creator,
            bucket_name=message.bucket_name,
            visibility=Visibility.VISIBILITY_TYPE_PRIVATE,
            primary_sp_address=primary.operator_address,
            primary_sp_approval=dialect.SpApproval(FOREVER),
        )
        self._chain.send(self._keys[creator], approved(bucket, "greenray-sp-1-approval"))
        info = dialect.MsgCreateObject(
            creator=creator,
            bucket_name=message.bucket_name,
            object_name=message.object_name,
            payload_size=5,
            visibility=Visibility.VISIBILITY_TYPE_INHERIT,
            content_type="application/octet-stream",
            primary_sp_approval=dialect.SpApproval(FOREVER),
            expect_checksums=tuple(base64.b64decode(text) for text in self._checksums),
        )
        self._chain.send(self._keys[creator], approved(info, "greenray-sp-1-approval"))

    def _signed_again(self, message: dialect.MsgSealObject) -> dialect.MsgSealObject:
        """The first secondaries sign for this chain's object id."""
        providers = self._chain.node.app.rules.providers
        info = get_object(self._chain.node.app.database, message.bucket_name, message.object_name)
        assert info is not None
        signatures = []
        for index, address in enumerate(message.secondary_sp_addresses):
            moniker = providers[parse_address(address)].moniker.removeprefix("sp")
            document = secondary_sign_bytes(address, int(info.id), info.checksums[index + 1])
            key = named_key(f"greenray-sp-{moniker}-approval")
            signatures.append(sign_digest(key, keccak256(document)))
        return replace(message, secondary_sp_signatures=tuple(signatures))


def _simulated_result(response: bytes) -> Any:
    """Data, responses, log and events of a simulation; in its events nothing is indexed."""
    result = wire.tx.SimulateResponse.FromString(response).result
    events = [
        {
            "type": one.type,
            "attributes": [{"key": a.key, "value": a.value} for a in one.attributes],
        }
        for one in result.events
    ]
    responses = [(one.type_url, one.value) for one in result.msg_responses]
    indexed = [a.index for one in result.events for a in one.attributes]
    return [result.data, responses, mask_log(result.log), mask_events(events), indexed]


def rebuilt_message(content: dict[str, Any]) -> dialect.Message:
    """A recorded message; long texts are given as a character and a count."""
    return dialect.message_from_json(
        {
            name: value["character"] * value["count"]
            if isinstance(value, dict) and "character" in value
            else value
            for name, value in content.items()
        }
    )
