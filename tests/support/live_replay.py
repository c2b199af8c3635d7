"""Runs the recorded transactions against any v0.2 node, with fresh names and signed again.

A sample keeps everything that makes it what it is: its fee, gas, memo, sign mode, unknown fields,
and what is wrong with its signatures. Names, addresses of users, ids, sequences and approvals are
those of this run. Nothing is assumed of heights or of the pace of blocks.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import secrets
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

from greenray.chain import wire
from greenray.chain.crypto import (
    address_of,
    keccak256,
    public_key_of,
    recover_signer,
    sign_digest,
    to_checksum_address,
)
from greenray.chain.dialects import v0_2 as dialect
from greenray.chain.eip712 import numeric_chain_id
from greenray.chain.transactions.signing import (
    SignedTransaction,
    sign_transaction,
    unsigned_for_simulation,
)
from greenray.protocol.errors import GreenrayError
from greenray.protocol.integrity import secondary_sign_bytes
from tests.support.chain_replay import (
    DATA,
    ReplayReport,
    Sample,
    mask_text,
    rebuilt_message,
    recorded_order,
)
from tests.support.live_node import Account, Keys, LiveNode, NodeProblem, check_node, load_keys

PROVIDER_KEYS = [
    f"greenray-sp-{number}-{role}"
    for number in range(7)
    for role in ("operator", "seal", "approval")
]
NEEDED_KEYS = [*PROVIDER_KEYS, "greenray-user-0"]
_USER_FUNDS = 10**19
_FUNDING_GAS = 1200
_RECORDED_GAS_PRICE = 5_000_000_000
_HIGHEST_RECORDED_ID = 100
_ANTE_EVENTS = 7
_CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
# Objects that the recorded run created without recording it.
_UNRECORDED_OBJECTS = ("seal-errors", "reject-me")
# Refused for their bytes alone, before any account is looked at: sent as they were recorded.
_REFUSED_FOR_BYTES = {("sdk", code) for code in (2, 7, 15, 18, 29, 30)}
_SIZE = re.compile(r"exactly (\d+) bytes")
_GAP = re.compile(r"sequence mismatch, expected (\d+), got (\d+)")
_NUMBERS = (
    (re.compile(r"\d{10,}BNB"), "N BNB"),
    (re.compile(r"pubkey 0x[0-9a-fA-F]{40} is different"), "pubkey P is different"),
    (re.compile(r"(expected|got) \d+"), r"\1 N"),
    (re.compile(r"tx length: \d+"), "tx length: N"),
    (re.compile(r"gas used: '\d{5,}'"), "gas used: 'N'"),
    (re.compile(r"gasUsed: \d{5,}"), "gasUsed: N"),
)
_HIDDEN = frozenset(
    {"acc_seq", "amount", "bucket_id", "buffer_balance", "create_at", "crud_timestamp", "fee"}
    | {"id", "lock_balance", "netflow_rate", "object_id", "out_flows", "policy_id", "resource_id"}
    | {"settle_timestamp", "signature", "static_balance"}
)

T = TypeVar("T")


def run_suite(endpoint: str, keys_path: Path) -> ReplayReport:
    """Raises NodeProblem when the suite cannot run there."""
    keys, node = load_keys(keys_path, NEEDED_KEYS), LiveNode(endpoint)
    check_node(node, keys)
    recording = json.loads((DATA / "chain-v0_2.json").read_text())
    return LiveReplay(node, keys, recording).run()


class Names:
    """What stands in this run for the names and addresses of the recording."""

    def __init__(self, keys: Keys, recording: dict[str, Any]) -> None:
        self._token = secrets.token_hex(4)
        self.private_keys: dict[str, bytes] = {}
        """Recorded address, in lower case without 0x -> private key of this run."""
        self._recorded_keys: dict[str, bytes] = {}
        for name, entry in recording["keys"].items():
            recorded = entry["address"]
            self._recorded_keys[_plain(recorded)] = bytes.fromhex(entry["private_key"])
            self.private_keys[_plain(recorded)] = keys.by_name.get(name) or self.fresh_key(name)
        for row in recording["errors"]:
            if _plain(row["signer"]) not in self.private_keys:
                self._recorded_keys[_plain(row["signer"])] = bytes.fromhex(row["private_key"])
                self.private_keys[_plain(row["signer"])] = self.fresh_key(row["signer"])
        self._chain_ids = (recording["chain"]["chain_id"], keys.chain_id)
        self._any_address = re.compile("|".join(self.private_keys), re.IGNORECASE)

    def fresh_key(self, name: str) -> bytes:
        return hashlib.sha256(f"{self._token} {name}".encode()).digest()

    def recorded_key(self, address: str) -> bytes:
        return self._recorded_keys[_plain(address)]

    def address(self, recorded: str) -> str:
        """Of this run, written as the recorded one was; others stay."""
        key = self.private_keys.get(_plain(recorded))
        if key is None:
            return recorded
        text = address_of(key)
        text = text if recorded.startswith("0x") else text[2:]
        if recorded == recorded.upper():
            return text.upper()
        return text.lower() if recorded == recorded.lower() else text

    def bucket(self, recorded: str) -> str:
        """A fresh name for a valid one; names that are refused stay."""
        if dialect.validate_basic(dialect.MsgRejectSealObject(_ANYBODY, recorded, "o")) is not None:
            return recorded
        # With a letter: digits alone would make an IP address of "pub.1.2.3".
        name = recorded.replace("pub", f"p{self._token}", 1) if "pub" in recorded else None
        return (name or f"{recorded[:50]}-{self._token}")[-63:]

    def text(self, recorded: str, buckets: Sequence[str]) -> str:
        """A log of the recording as it would read in this run."""
        recorded = self._any_address.sub(lambda match: self.address(match.group()), recorded)
        for name in buckets:
            recorded = recorded.replace(name, self.bucket(name))
        return recorded.replace(*self._chain_ids)


class LiveReplay:
    """``run`` plays all samples in the order of the recording."""

    def __init__(self, node: LiveNode, keys: Keys, recording: dict[str, Any]) -> None:
        self._node, self._keys, self._recording = node, keys, recording
        self._names = Names(keys, recording)
        self._samples = recorded_order(recording)
        self._buckets = sorted(
            {s.row["message"].get("bucket_name", "") for s in self._samples} - {""},
            key=len,
            reverse=True,
        )
        self._gas_price = self._ask_gas_price()
        self._corrected = self._rejects_are_corrected()
        self._recorded_objects: dict[tuple[str, str], tuple[int | None, tuple[bytes, ...]]] = {}
        self._to_make = set(_UNRECORDED_OBJECTS)
        self.report = ReplayReport()

    def run(self) -> ReplayReport:
        self._fund_users()
        for sample in self._samples:
            reason = self._reason_to_skip(sample)
            if reason is not None:
                self.report.left_out[sample.label] = reason
                continue
            self._make_unrecorded(sample)
            self._play(sample)
            self.report.run += 1
        return self.report

    def _reason_to_skip(self, sample: Sample) -> str | None:
        if "note" in sample.row:
            return "needs a provider that is in jail at genesis"
        if self._corrected and sample.label in (
            "reject by the registered seal key",
            "reject by an unregistered account",
        ):
            return "needs a genesis with recorded_reject_seal: this chain corrects RejectSealObject"
        return None

    # --- the node ---

    def _ask_gas_price(self) -> Fraction:
        """Of the node, in BNB per gas, as a simulation tells it."""
        user = self._keys.address("greenray-user-0")
        message = dialect.MsgSend(user, user, (dialect.Coin("BNB", 1),))
        account = self._node.account(user)
        assert account is not None
        key = self._keys.by_name["greenray-user-0"]
        unsigned = unsigned_for_simulation(dialect, message, public_key_of(key), account.sequence)
        answer = self._node.simulate(unsigned)
        if answer["value"] is None:
            raise NodeProblem(f"greenray-user-0 cannot send coins: {answer['log']}")
        response = wire.tx.SimulateResponse.FromString(base64.b64decode(answer["value"]))
        match = re.match(r"[0-9.]+", response.gas_info.min_gas_price)
        return Fraction(match.group()) if match else Fraction(0)

    def _rejects_are_corrected(self) -> bool:
        """Only the embedded chain says so, in its genesis."""
        document = self._node.call("genesis").get("result", {}).get("genesis", {})
        storage = document.get("params", {}).get("storage", {})
        return storage.get("recorded_reject_seal") is False

    def _fund_users(self) -> None:
        owner = self._keys.address("greenray-user-0")
        for name, entry in self._recording["keys"].items():
            if "-user-" in name and name not in self._keys.by_name:
                receiver = self._names.address(entry["address"])
                coins = (dialect.Coin("BNB", _USER_FUNDS),)
                self._send(owner, dialect.MsgSend(owner, receiver, coins))

    def _make_unrecorded(self, sample: Sample) -> None:
        message = sample.row["message"]
        name = message.get("object_name")
        if name not in self._to_make:
            return
        self._to_make.remove(name)
        usual = self._usual_object()
        recorded = replace(usual, bucket_name=message["bucket_name"], object_name=name)
        approved = self._approved_again(recorded)
        self._send(self._keys.address("greenray-user-0"), self._message(approved))

    def _usual_object(self) -> dialect.MsgCreateObject:
        usual = rebuilt_message(self._recording["accepted"][5]["message"])
        assert isinstance(usual, dialect.MsgCreateObject)
        return usual

    def _send(self, signer: str, message: dialect.Message) -> None:
        """Must succeed."""
        account = self._node.account(signer)
        if account is None:
            raise NodeProblem(f"the account {signer} does not exist")
        key = next(k for k in self._names.private_keys.values() if address_of(k) == signer)
        fee = -(-_FUNDING_GAS * self._gas_price // 1)
        signed = self._signed(message, key, account, _FUNDING_GAS, fee)
        checked = self._node.broadcast(signed.tx_bytes)
        if checked["code"] == 0:
            checked = self._node.wait(bytes.fromhex(signed.tx_hash))
        if checked["code"] != 0:
            raise NodeProblem(f"{type(message).__name__} was refused: {checked['log']}")

    def _signed(
        self, message: dialect.Message, key: bytes, account: Account, gas_limit: int, fee: int
    ) -> SignedTransaction:
        return sign_transaction(
            dialect,
            message,
            private_key=key,
            chain_id=self._keys.chain_id,
            account_number=account.number,
            sequence=account.sequence,
            gas_limit=gas_limit,
            fee_amount=fee,
        )

    # --- one sample ---

    def _play(self, sample: Sample) -> None:
        row = sample.row
        recorded_check = row["broadcast_sync"]["result"]
        tx_bytes, simulated = self._bytes_of(sample)
        if sample.simulated is not None and simulated is not None:
            answer = self._node.simulate(simulated)
            code = sample.simulated.get("abci_code", sample.simulated.get("code"))
            self._compare(sample, "simulate", sample.simulated | {"code": code}, answer)
        checked = self._node.broadcast(tx_bytes)
        self._compare(sample, "CheckTx", recorded_check, checked)
        if checked["code"] != 0:
            return
        delivered = self._node.wait(hashlib.sha256(tx_bytes).digest())
        if sample.deliver is not None:
            self._compare(sample, "DeliverTx", sample.deliver, delivered)
            self._compare_events(sample, sample.deliver, delivered)

    def _compare(
        self, sample: Sample, stage: str, recorded: dict[str, Any], got: dict[str, Any]
    ) -> None:
        expected_log, log = recorded["log"], got["log"]
        if expected_log.startswith(("[{", "(JSON")):
            # Events are compared for themselves.
            expected_log = log = ""
        self.report.compare(
            sample.label,
            stage,
            [recorded["codespace"], recorded["code"], self._masked(expected_log, mapped=True)],
            [got["codespace"], got["code"], self._masked(log, mapped=False)],
            masked=expected_log != log,
        )

    def _masked(self, log: str, *, mapped: bool) -> str:
        text = mask_text(self._names.text(log, self._buckets) if mapped else log)
        for pattern, replacement in _NUMBERS:
            text = pattern.sub(replacement, text)
        return text

    def _compare_events(
        self, sample: Sample, recorded: dict[str, Any], got: dict[str, Any]
    ) -> None:
        if isinstance(recorded.get("events"), list) and isinstance(recorded["events"][0], dict):
            expected = [self._shown(one, mapped=True) for one in recorded["events"]]
            shown = [self._shown(one, mapped=False) for one in got["events"]]
        else:
            expected = [(name, []) for name in recorded.get("event_types", [])]
            shown = [(one["type"], []) for one in got["events"]] if expected else []
        if not sample.row["message"]["@type"].endswith("MsgSend"):
            expected, shown = _without_top_ups(expected), _without_top_ups(shown)
        self.report.compare(sample.label, "events", expected, shown, masked=True)

    def _shown(self, event: dict[str, Any], *, mapped: bool) -> Any:
        attributes = []
        # Providers are paid in the order of their addresses, which are those of the keys.
        hidden = _HIDDEN | ({"account"} if event["type"].endswith("StreamRecordUpdate") else set())
        for one in event["attributes"]:
            value = "*" if one["key"] in hidden else self._masked(one["value"], mapped=mapped)
            attributes.append((one["key"], value))
        return event["type"], attributes

    # --- the bytes of a sample ---

    def _bytes_of(self, sample: Sample) -> tuple[bytes, bytes | None]:
        """(transaction, transaction to simulate)."""
        row = sample.row
        recorded_tx = row.get("tx")
        recorded_simulation = (
            row["simulate"]["tx"] if sample.kind == "accepted" else row.get("simulate_tx")
        )
        if not isinstance(recorded_tx, str):
            return self._built(sample)
        tx_bytes = base64.b64decode(recorded_tx)
        simulation = (
            base64.b64decode(recorded_simulation) if isinstance(recorded_simulation, str) else None
        )
        check = row["broadcast_sync"]["result"]
        is_refused = sample.simulated is not None and sample.simulated["codespace"] == "sdk"
        is_for_bytes = check["codespace"] == "greenfiled" or check["code"] in (1116, 1118)
        if is_refused and (
            (check["codespace"], check["code"]) in _REFUSED_FOR_BYTES or is_for_bytes
        ):
            return tx_bytes, simulation
        rewriter = _Rewriter(self, row)
        return rewriter.transaction(tx_bytes), simulation and rewriter.simulation(simulation)

    def _built(self, sample: Sample) -> tuple[bytes, bytes]:
        """A long transaction, of which the recording has the message only."""
        row = sample.row
        recorded = rebuilt_message(row["message"])
        wanted = _SIZE.search(sample.label)
        key = self._names.private_keys[_plain(row["signer"])]
        account = self._node.account(address_of(key))
        assert account is not None
        fee = self.scaled(row["fee"][0]["amount"])

        def sign(message: dialect.Message) -> bytes:
            return self._signed(message, key, account, row["gas_limit"], fee).tx_bytes

        message = self._message(recorded)
        tx_bytes = sign(message)
        if wanted is not None:
            # Other names and numbers made it longer or shorter: the content type makes up for it.
            assert isinstance(recorded, dialect.MsgCreateObject)
            length = len(recorded.content_type) + int(wanted.group(1)) - len(tx_bytes)
            recorded = self._approved_again(replace(recorded, content_type="c" * length))
            message = self._message(recorded)
            tx_bytes = sign(message)
        return tx_bytes, unsigned_for_simulation(
            dialect, message, public_key_of(key), account.sequence
        )

    def _approved_again(self, changed: dialect.MsgCreateObject) -> dialect.MsgCreateObject:
        """A recorded message that was changed since, approved by the recorded key."""
        key = self._names.recorded_key(self._recording["keys"]["greenray-sp-0-approval"]["address"])
        assert changed.primary_sp_approval is not None
        digest = keccak256(dialect.approval_sign_bytes(changed))
        height = changed.primary_sp_approval.expired_height
        return dialect.with_approval(changed, height, sign_digest(key, digest))

    # --- messages ---

    def _message(self, recorded: dialect.Message) -> dialect.Message:
        """The message with this run's names, approved and signed for as the recorded one was."""
        content = self._renamed(dialect.message_to_json(recorded))
        message = dialect.message_from_json(content, type(recorded))
        match recorded, message:
            case (
                (dialect.MsgCreateBucket() | dialect.MsgCreateObject()) as before,
                (dialect.MsgCreateBucket() | dialect.MsgCreateObject()) as now,
            ) if before.primary_sp_approval is not None:
                approval = before.primary_sp_approval
                signature = self._signed_again(
                    approval.sig,
                    dialect.approval_sign_bytes(before),
                    dialect.approval_sign_bytes(now),
                )
                return dialect.with_approval(now, approval.expired_height, signature)
            case dialect.MsgSealObject() as before, dialect.MsgSealObject() as now:
                return self._seal(before, now)
            case dialect.MsgSend(), dialect.MsgSend():
                # What is sent has to pay fees later.
                coins = [dialect.Coin(c.denom, self.scaled(c.amount)) for c in recorded.amount]
                return replace(message, amount=tuple(coins))
        return message

    def scaled(self, amount: int | str) -> int:
        """A recorded amount at this node's gas price."""
        return -(-Fraction(amount) * self._gas_price // _RECORDED_GAS_PRICE)

    def _renamed(self, value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            return {key: self._renamed(item, key) for key, item in value.items()}
        if isinstance(value, list):
            return [self._renamed(item, name) for item in value]
        if not isinstance(value, str):
            return value
        if name == "bucket_name":
            return self._names.bucket(value)
        if name == "resource":
            kind, _, path = value.partition("::")
            bucket, slash, rest = path.partition("/")
            return f"{kind}::{self._names.bucket(bucket)}{slash}{rest}"
        return self._names.address(value)

    def _seal(
        self, recorded: dialect.MsgSealObject, message: dialect.MsgSealObject
    ) -> dialect.MsgSealObject:
        object_id = self._node.object_id(message.bucket_name, message.object_name) or 0
        recorded_id, checksums = self._recorded_object(recorded)
        signatures = []
        for index, signature in enumerate(recorded.secondary_sp_signatures):
            if recorded_id is None or index >= len(recorded.secondary_sp_addresses):
                signatures.append(signature)
                continue
            checksum = checksums[min(index, 5) + 1]
            before = secondary_sign_bytes(
                _checksummed(recorded).secondary_sp_addresses[index], recorded_id, checksum
            )
            now = secondary_sign_bytes(
                _checksummed(message).secondary_sp_addresses[index], object_id, checksum
            )
            signatures.append(self._signed_again(signature, before, now))
        return replace(message, secondary_sp_signatures=tuple(signatures))

    def _recorded_object(self, seal: dialect.MsgSealObject) -> tuple[int | None, tuple[bytes, ...]]:
        """The id that the recorded object must have had, and its checksums."""
        place = (seal.bucket_name, seal.object_name)
        if place not in self._recorded_objects:
            created = self._recorded_messages(dialect.MsgCreateObject, place)
            created.append(self._usual_object())
            checksums = created[0].expect_checksums
            ids = Counter(
                number
                for one in self._recorded_messages(dialect.MsgSealObject, place)
                for number in self._ids_signed_for(_checksummed(one), checksums)
            )
            found = ids.most_common(1)
            self._recorded_objects[place] = (found[0][0] if found else None, checksums)
        return self._recorded_objects[place]

    def _recorded_messages(self, kind: type[T], place: tuple[str, str]) -> list[T]:
        messages = [
            sample.row["message"]
            for sample in self._samples
            if (sample.row["message"].get("bucket_name"), sample.row["message"].get("object_name"))
            == place
        ]
        return [m for m in map(rebuilt_message, messages) if isinstance(m, kind)]

    def _ids_signed_for(
        self, seal: dialect.MsgSealObject, checksums: Sequence[bytes]
    ) -> Iterator[int]:
        rows = zip(
            seal.secondary_sp_addresses, seal.secondary_sp_signatures, checksums[1:], strict=False
        )
        for address, signature, checksum in rows:
            for number in range(1, _HIGHEST_RECORDED_ID):
                document = secondary_sign_bytes(address, number, checksum)
                if self._known_signer(document, signature) is not None:
                    yield number

    # --- signatures ---

    def _known_signer(self, document: bytes, signature: bytes) -> str | None:
        is_high = int.from_bytes(signature[32:64], "big") > _CURVE_ORDER // 2
        try:
            signer = _plain(recover_signer(document, _other_s(signature) if is_high else signature))
        except GreenrayError:
            return None
        return signer if signer in self._names.private_keys else None

    def _signed_again(self, signature: bytes, recorded: bytes, document: bytes) -> bytes:
        """The signature over another document, by the key that stands for the recorded signer,
        and as unusual as the recorded one. What nobody signed stays."""
        signer = self._known_signer(recorded, signature)
        if signer is None:
            return signature
        usual = sign_digest(self._names.recorded_key(signer), keccak256(recorded))
        again = sign_digest(self._names.private_keys[signer], keccak256(document))
        return altered(usual, signature)(again)


_ANYBODY = "0x" + "11" * 20


class _Rewriter:
    """A recorded transaction's bytes, with this run's message, key, sequence and signature."""

    def __init__(self, replay: LiveReplay, row: dict[str, Any]) -> None:
        self._replay, self._row, self._names = replay, row, replay._names
        self._recorded = rebuilt_message(row["message"])
        self._message = replay._message(self._recorded)
        account = replay._node.account(dialect.signer_address(self._message))
        simulated = row["simulate"].get("result", row["simulate"])
        gap = _GAP.search(row["broadcast_sync"]["result"]["log"] + simulated["log"])
        self._number = account.number if account else 0
        self._sequence = account.sequence if account else 0
        if gap is not None:
            self._sequence = max(0, self._sequence + int(gap.group(2)) - int(gap.group(1)))

    def transaction(self, tx_bytes: bytes) -> bytes:
        raw = wire.tx.TxRaw.FromString(tx_bytes)
        self._recorded_auth_info = raw.auth_info_bytes
        new = wire.tx.TxRaw(
            body_bytes=self._body(raw.body_bytes), auth_info_bytes=self._auth_info(raw)
        )
        recorded_signature = sign_digest(
            bytes.fromhex(self._row["private_key"]), self._digest(raw, mine=False)
        )
        signature = sign_digest(self._signing_key(), self._digest(new, mine=True))
        for one in raw.signatures:
            new.signatures.append(altered(recorded_signature, one)(signature))
        return bytes(new.SerializeToString(deterministic=True))

    def simulation(self, tx_bytes: bytes) -> bytes:
        raw = wire.tx.TxRaw.FromString(tx_bytes)
        new = wire.tx.TxRaw(
            body_bytes=self._body(raw.body_bytes),
            auth_info_bytes=self._auth_info(raw),
            signatures=raw.signatures,
        )
        return bytes(new.SerializeToString(deterministic=True))

    def _signing_key(self) -> bytes:
        recorded = address_of(bytes.fromhex(self._row["private_key"]))
        return self._names.private_keys[_plain(recorded)]

    def _body(self, recorded: bytes) -> bytes:
        """What the recorded body and message have behind their known fields stays."""
        body = wire.tx.TxBody.FromString(recorded)
        value, known = body.messages[0].value, dialect.encode_message(self._recorded)
        tail = recorded.removeprefix(_known_part(body))
        new = wire.tx.TxBody(memo=body.memo, timeout_height=self._timeout_height(body))
        new.messages.add(
            type_url=body.messages[0].type_url,
            value=dialect.encode_message(self._message) + value.removeprefix(known),
        )
        return bytes(new.SerializeToString()) + (tail if tail != recorded else b"")

    def _timeout_height(self, body: Any) -> int:
        recorded: int = body.timeout_height
        return self._replay._node.height() + 10_000 if recorded > 1 else recorded

    def _auth_info(self, raw: Any) -> bytes:
        info = wire.tx.AuthInfo.FromString(raw.auth_info_bytes)
        for signer in info.signer_infos:
            if signer.public_key.value:
                key = wire.ethsecp256k1.PubKey(key=public_key_of(self._signing_key()))
                signer.public_key.value = key.SerializeToString()
            signer.sequence = self._sequence
        for coin in info.fee.amount:
            if coin.denom == "BNB":
                coin.amount = str(self._replay.scaled(coin.amount))
        if info.fee.payer:
            info.fee.payer = self._names.address(info.fee.payer)
        if info.fee.granter:
            info.fee.granter = self._names.address(info.fee.granter)
        return bytes(info.SerializeToString())

    def _digest(self, raw: Any, *, mine: bool) -> bytes:
        """What has to be signed, with what the row says was wrong in it."""
        body = wire.tx.TxBody.FromString(raw.body_bytes)
        info = wire.tx.AuthInfo.FromString(raw.auth_info_bytes)
        row = self._row
        terms = dialect.TransactionTerms(
            chain_id=self._chain_id() if mine else row["chain_id"],
            account_number=self._signed_number() if mine else row["account_number"],
            sequence=self._signed_sequence(info) if mine else row["sequence"],
            gas_limit=info.fee.gas_limit,
            fee=tuple(dialect.Coin(c.denom, int(c.amount)) for c in info.fee.amount),
            fee_payer=info.fee.payer,
            fee_granter=info.fee.granter,
            memo=body.memo,
            timeout_height=body.timeout_height,
        )
        return dialect.eip712_digest(self._message if mine else self._recorded, terms)

    def _signed_number(self) -> int:
        signer = _plain(dialect.signer_address(self._recorded))
        numbers: dict[str, int] = {
            _plain(entry["address"]): entry["account_number"]
            for entry in self._replay._recording["keys"].values()
        }
        recorded: int = self._row["account_number"]
        return self._number + recorded - numbers.get(signer, recorded)

    def _signed_sequence(self, info: Any) -> int:
        written = info.signer_infos[0].sequence
        recorded = wire.tx.AuthInfo.FromString(self._recorded_auth_info).signer_infos[0].sequence
        return int(written + self._row["sequence"] - recorded)

    def _chain_id(self) -> str:
        mine, recorded = self._replay._keys.chain_id, self._replay._recording["chain"]["chain_id"]
        is_other = numeric_chain_id(self._row["chain_id"]) != numeric_chain_id(recorded)
        return f"greenfield_{numeric_chain_id(mine) + 1}-1" if is_other else mine


def _without_top_ups(events: list[Any]) -> list[Any]:
    """A stream takes coins from its account when it runs low: that depends on the pace of blocks.
    The transfer comes as four events behind those of the fee."""
    kept = events[:_ANTE_EVENTS]
    rest = iter(events[_ANTE_EVENTS:])
    for one in rest:
        if one[0] == "coin_spent":
            for _ in range(3):
                next(rest)
        else:
            kept.append(one)
    return kept


def altered(usual: bytes, unusual: bytes) -> Callable[[bytes], bytes]:
    """How ``unusual`` differs from the ``usual`` signature, to be done to another one."""
    if len(unusual) != len(usual):
        return lambda other: other[: len(unusual)]
    if unusual[:64] == usual[:64]:
        return lambda other: other[:64] + _moved(usual[64], unusual[64], other[64])
    if unusual[:32] == usual[:32]:
        return _other_s
    return lambda other: unusual


def _moved(usual: int, unusual: int, other: int) -> bytes:
    if unusual in (27, 28):
        return bytes([other + 27])
    return bytes([unusual if unusual > 1 else other ^ usual ^ unusual])


def _other_s(signature: bytes) -> bytes:
    """The same signature with s high instead of low, or the other way around."""
    s = _CURVE_ORDER - int.from_bytes(signature[32:64], "big")
    return signature[:32] + s.to_bytes(32, "big") + bytes([signature[64] ^ 1])


def _known_part(body: Any) -> bytes:
    known = wire.tx.TxBody(memo=body.memo, timeout_height=body.timeout_height)
    known.messages.extend(body.messages)
    return bytes(known.SerializeToString())


def _checksummed(seal: dialect.MsgSealObject) -> dialect.MsgSealObject:
    """The seal with addresses as they are signed for."""
    addresses = tuple(_eip55(address) for address in seal.secondary_sp_addresses)
    return replace(seal, secondary_sp_addresses=addresses)


def _eip55(address: str) -> str:
    plain = _plain(address)
    return to_checksum_address(plain) if len(plain) == 40 else address


def _plain(address: str) -> str:
    return address.lower().removeprefix("0x")


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when all answers are the recorded ones, 1 when some differ, 2 when nothing could run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("endpoint")
    parser.add_argument("keys", type=Path)
    given = parser.parse_args(arguments)
    try:
        report = run_suite(given.endpoint, given.keys)
    except NodeProblem as problem:
        print(f"the suite cannot run: {problem}", file=sys.stderr)
        return 2
    for label, reason in report.left_out.items():
        print(f"left out: {label}: {reason}")
    for difference in report.differences:
        print(difference)
    print(report.summary(f"recorded transactions at {given.endpoint}"))
    return 1 if report.differences else 0


if __name__ == "__main__":
    sys.exit(main())
