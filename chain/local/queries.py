"""abci_query: the gRPC methods that a storage provider and its clients ask (protocol 05)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, NoReturn

from google.protobuf.message import DecodeError

from greenray.chain import wire
from greenray.chain.dialects.v0_2_state import storage_provider_to_wire
from greenray.chain.local import blocks, gogoproto, permission
from greenray.chain.local.addresses import InvalidAddress, address_text, parse_address, parse_hex
from greenray.chain.local.app import Application, SimulationFault, message_data
from greenray.chain.local.events import Event, message_log
from greenray.chain.local.faults import ChainFault, root_text, sdk
from greenray.chain.local.genesis import GenesisProvider
from greenray.chain.local.ledger import (
    BUCKET,
    OBJECT,
    OBJECT_PLACE,
    bucket_key,
    get_balance,
    get_bucket,
    get_bucket_by_id,
    get_object,
    get_object_by_id,
    get_stream,
    number_key,
)
from greenray.chain.local.state import ChainDatabase
from greenray.chain.local.transactions import get_tx_response
from greenray.chain.proto_json import Effect
from greenray.protocol.objects import ProviderStatus, StorageProvider

VERSION = "v0.2.0"
MAX_LIST_LIMIT = 200
DEFAULT_LIST_LIMIT = 100
# gRPC status -> sdk error code (protocol 05 §1)
_NOT_FOUND, _INVALID_ARGUMENT, _UNKNOWN = "NotFound", "InvalidArgument", "Unknown"
_INTERNAL = "Internal"
_CODES = {_NOT_FOUND: 22, _INVALID_ARGUMENT: 18, _UNKNOWN: 6, _INTERNAL: 6}


_PROVIDER_FIELDS = {one.name for one in fields(StorageProvider)} & {
    one.name for one in fields(GenesisProvider)
} - {"status"}


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    """``response`` of abci_query; ``value`` None when there is none."""

    code: int = 0
    codespace: str = ""
    log: str = ""
    key: bytes | None = None
    value: bytes | None = None
    height: int = 0


class _StateAt:
    """Committed state as of a height."""

    def __init__(self, database: ChainDatabase, height: int | None) -> None:
        self.database = database
        self.height = height

    def get(self, kind: str, key: bytes) -> bytes | None:
        if self.height is None:
            return self.database.get(kind, key)
        return self.database.get_at(kind, key, self.height)

    def put(self, kind: str, key: bytes, value: bytes | None) -> None:
        self.database.put(kind, key, value)

    def page(self, kind: str, prefix: bytes, request: Any) -> tuple[list[bytes], Any]:
        """The values of one page and its PageResponse (cosmos pagination)."""
        _check_place(request)
        limit = request.limit or DEFAULT_LIST_LIMIT
        count = request.count_total or (not request.limit and not request.key)
        rows = self.database.scan(
            kind,
            prefix,
            start=prefix + request.key if request.key else b"",
            height=self.height,
            reverse=request.reverse,
        )
        values: list[bytes] = []
        response = wire.query.PageResponse()
        total = 0
        first = 0 if request.key else request.offset
        for position, (key, value) in enumerate(rows):
            total += 1
            if first <= position < first + limit:
                values.append(value)
            elif position == first + limit:
                response.next_key = key[len(prefix) :]
                if not count or request.key:
                    break
        if count and not request.key:
            response.total = total
        return values, response


class Queries:
    """Answers abci_query over one application."""

    def __init__(self, app: Application) -> None:
        self._app = app
        storage, sp = "/greenfield.storage.Query/", "/greenfield.sp.Query/"
        self._methods: dict[str, tuple[Any, Callable[[Any, _StateAt], Any]]] = {
            f"{storage}Params": (wire.storage.QueryParamsRequest, self._storage_params),
            f"{storage}HeadBucket": (wire.storage.QueryHeadBucketRequest, _head_bucket),
            f"{storage}HeadBucketById": (
                wire.storage.QueryHeadBucketByIdRequest,
                _head_bucket_by_id,
            ),
            f"{storage}HeadObject": (wire.storage.QueryHeadObjectRequest, _head_object),
            f"{storage}HeadObjectById": (
                wire.storage.QueryHeadObjectByIdRequest,
                _head_object_by_id,
            ),
            f"{storage}ListBuckets": (wire.storage.QueryListBucketsRequest, _list_buckets),
            f"{storage}ListObjects": (wire.storage.QueryListObjectsRequest, _list_objects),
            f"{storage}ListObjectsByBucketId": (
                wire.storage.QueryListObjectsByBucketIdRequest,
                _list_objects_by_bucket_id,
            ),
            f"{storage}VerifyPermission": (
                wire.storage.QueryVerifyPermissionRequest,
                _verify_permission,
            ),
            f"{sp}Params": (wire.sp.QueryParamsRequest, self._sp_params),
            f"{sp}StorageProviders": (
                wire.sp.QueryStorageProvidersRequest,
                self._storage_providers,
            ),
            f"{sp}StorageProvider": (
                wire.sp.QueryStorageProviderRequest,
                self._storage_provider,
            ),
            "/cosmos.auth.v1beta1.Query/Account": (wire.auth.QueryAccountRequest, _account),
            "/cosmos.bank.v1beta1.Query/Balance": (wire.bank.QueryBalanceRequest, _balance),
            "/greenfield.payment.Query/StreamRecord": (
                wire.payment.QueryGetStreamRecordRequest,
                _stream_record,
            ),
            "/cosmos.base.tendermint.v1beta1.Service/GetLatestBlock": (
                wire.tendermint_service.GetLatestBlockRequest,
                self._latest_block,
            ),
            "/cosmos.tx.v1beta1.Service/GetTx": (wire.tx.GetTxRequest, self._get_tx),
            "/cosmos.tx.v1beta1.Service/Simulate": (wire.tx.SimulateRequest, self._simulate),
        }

    def answer(self, path: str, data: bytes, height: int, *, prove: bool = False) -> QueryAnswer:
        """``height`` 0 means the latest committed state."""
        try:
            if path not in self._methods:
                return self._other(path, data, height)
            self._check_height(height, prove)
        except ChainFault as error:
            return QueryAnswer(error.code, error.codespace, error.log)
        at = height or self._app.head.height
        try:
            return QueryAnswer(value=self._call(path, data, height or None), height=at)
        except ChainFault as error:
            return QueryAnswer(error.code, error.codespace, error.log, height=at)

    def _check_height(self, height: int, prove: bool) -> None:
        last = self._app.head.height
        if height < 0:
            raise sdk(18, "cannot query with height < 0; please provide a valid height")
        if height > last:
            raise sdk(26, "cannot query with height in the future; please provide a valid height")
        if prove and (height or last) <= 1:
            raise sdk(18, "cannot query with proof when height <= 1; please provide a valid height")

    def _other(self, path: str, data: bytes, height: int) -> QueryAnswer:
        """Paths that are no method: ``/app/...``; the first slash may be missing."""
        if path == "/cosmos.tx.v1beta1.Service/BroadcastTx":
            raise sdk(18, "can't route a broadcast tx message")
        parts = path.removeprefix("/").split("/") if path else []
        if not parts:
            raise sdk(6, "no query path provided")
        if parts[0] != "app":
            raise sdk(6, "unknown query path")
        if len(parts) == 1:
            raise sdk(
                6,
                "expected second parameter to be either 'simulate' or 'version',"
                " neither was present",
            )
        at = height or self._app.head.height
        if parts[1] == "version":
            return QueryAnswer(codespace="sdk", value=VERSION.encode(), height=at)
        if parts[1] == "simulate":
            try:
                return QueryAnswer(
                    codespace="sdk",
                    value=self._simulation(data).SerializeToString(),
                    height=at,
                )
            except SimulationFault as error:
                cause = error.cause
                raise ChainFault(
                    cause.codespace, cause.code, f"failed to simulate tx: {cause.log}"
                ) from error
        raise sdk(6, f"unknown query: [{' '.join(parts)}]")

    def _call(self, path: str, data: bytes, height: int | None) -> bytes:
        request_class, method = self._methods[path]
        try:
            gogoproto.check(request_class.DESCRIPTOR, data)
            request = request_class.FromString(data)
        except (gogoproto.WireError, DecodeError) as error:
            # What only Python refuses is text that is not UTF-8: nothing has such a name.
            text = str(error) if isinstance(error, gogoproto.WireError) else "unexpected EOF"
            raise sdk(18, text) from error
        response: bytes = method(request, _StateAt(self._app.database, height)).SerializeToString()
        return response

    # --- constant state ----------------------------------------------------------------------

    def _storage_params(self, request: Any, state: _StateAt) -> Any:
        params = self._app.rules.params.storage
        message = wire.storage.Params()
        for field in message.DESCRIPTOR.fields:
            if field.name != "versioned_params":
                setattr(message, field.name, getattr(params, field.name))
        for field in message.versioned_params.DESCRIPTOR.fields:
            setattr(message.versioned_params, field.name, getattr(params, field.name))
        return wire.storage.QueryParamsResponse(params=message)

    def _sp_params(self, request: Any, state: _StateAt) -> Any:
        params = self._app.rules.params
        message = wire.sp.Params(
            deposit_denom=params.deposit_denom,
            min_deposit=str(params.min_deposit),
            secondary_sp_store_price_ratio=_decimal_wire(params.secondary_sp_store_price_ratio),
        )
        return wire.sp.QueryParamsResponse(params=message)

    def _storage_providers(self, request: Any, state: _StateAt) -> Any:
        page = request.pagination
        _check_place(page)
        limit = page.limit or DEFAULT_LIST_LIMIT
        items = list(self._app.rules.providers.items())
        if page.reverse:
            items.reverse()
        first = page.offset
        if page.key:
            before = [key > page.key if page.reverse else key < page.key for key, _ in items]
            first = sum(before)
        response = wire.sp.QueryStorageProvidersResponse()
        response.sps.extend(_provider(p) for _, p in items[first : first + limit])
        response.pagination.SetInParent()
        if first + limit < len(items):
            response.pagination.next_key = items[first + limit][0]
        if not page.key and (page.count_total or not page.limit):
            response.pagination.total = len(items)
        return response

    def _storage_provider(self, request: Any, state: _StateAt) -> Any:
        provider = self._app.rules.providers.get(_parse_address(request.spAddress))
        if provider is None:
            _fail(_UNKNOWN, root_text("sp", 1))
        return wire.sp.QueryStorageProviderResponse(storageProvider=_provider(provider))

    # --- blocks and transactions -------------------------------------------------------------

    def _latest_block(self, request: Any, state: _StateAt) -> Any:
        head = self._app.head
        header = head.block.header
        sdk_header = wire.message_class("cosmos.base.tendermint.v1beta1.Header")()
        for field, value in header.ListFields():
            if field.name == "proposer_address":
                sdk_header.proposer_address = address_text(value)
            elif field.message_type is not None:
                getattr(sdk_header, field.name).CopyFrom(value)
            else:
                setattr(sdk_header, field.name, value)
        sdk_block = wire.tendermint_service.Block(
            header=sdk_header,
            data=head.block.data,
            evidence=head.block.evidence,
            last_commit=head.block.last_commit,
        )
        return wire.tendermint_service.GetLatestBlockResponse(
            block_id=blocks.block_id(head.block, head.hash), block=head.block, sdk_block=sdk_block
        )

    def _get_tx(self, request: Any, state: _StateAt) -> Any:
        if not request.hash:
            _fail(_INVALID_ARGUMENT, "tx hash cannot be empty", prefixed=True)
        try:
            tx_hash = parse_hex(request.hash)
        except InvalidAddress as error:
            raise sdk(18, str(error)) from error
        stored = self._app.database.transaction(tx_hash)
        if stored is None:
            _fail(_NOT_FOUND, f"tx not found: {request.hash}", prefixed=True)
        block = self._app.database.block(stored.height)
        assert block is not None
        return get_tx_response(stored, wire.tendermint_types.Block.FromString(block.block))

    def _simulate(self, request: Any, state: _StateAt) -> Any:
        tx_bytes = request.tx_bytes
        if not tx_bytes and request.HasField("tx"):
            tx_bytes = request.tx.SerializeToString()
        if not tx_bytes:
            _fail(_INVALID_ARGUMENT, "empty txBytes is not allowed", prefixed=True)
        try:
            return self._simulation(tx_bytes)
        except SimulationFault as error:
            # The real node names a Go source position in the brackets.
            text = (
                f"{error.cause.log} [chain/local:0] With gas wanted: '{error.gas_wanted}'"
                f" and gas used: '{error.gas_used}' "
            )
            _fail(_UNKNOWN, text, prefixed=True)

    def _simulation(self, tx_bytes: bytes) -> Any:
        result = self._app.simulate(tx_bytes)
        genesis = self._app.rules.genesis
        # The log has the message's events only, which begin with its action.
        actions = [i for i, one in enumerate(result.events) if one.attributes[0][0] == "action"]
        return wire.tx.SimulateResponse(
            gas_info=wire.abci.GasInfo(
                gas_wanted=2**64 - 1,
                gas_used=result.gas_used,
                min_gas_price=f"{genesis.min_gas_price}{genesis.min_gas_denom}",
            ),
            result=wire.abci.Result(
                data=message_data(result.response),
                log=message_log(result.events[actions[0] :]),
                events=[_event(one) for one in result.events],
                msg_responses=[result.response],
            ),
        )


# --- state -------------------------------------------------------------------------------------


def _head_bucket(request: Any, state: _StateAt) -> Any:
    return _bucket_response(get_bucket(state, request.bucket_name))


def _head_bucket_by_id(request: Any, state: _StateAt) -> Any:
    return _bucket_response(get_bucket_by_id(state, _id_key(request.bucket_id, "bucket")))


def _bucket_response(bucket: Any | None) -> Any:
    if bucket is None:
        _fail(_UNKNOWN, root_text("storage", 1100))
    return wire.storage.QueryHeadBucketResponse(bucket_info=bucket)


def _head_object(request: Any, state: _StateAt) -> Any:
    return _object_response(get_object(state, request.bucket_name, request.object_name))


def _head_object_by_id(request: Any, state: _StateAt) -> Any:
    return _object_response(get_object_by_id(state, _id_key(request.object_id, "object")))


def _object_response(info: Any | None) -> Any:
    if info is None:
        _fail(_UNKNOWN, root_text("storage", 1101))
    return wire.storage.QueryHeadObjectResponse(object_info=info)


def _list_buckets(request: Any, state: _StateAt) -> Any:
    _check_limit(request.pagination)
    values, page = state.page(BUCKET, b"", request.pagination)
    return wire.storage.QueryListBucketsResponse(
        bucket_infos=[wire.storage.BucketInfo.FromString(value) for value in values],
        pagination=page,
    )


def _list_objects(request: Any, state: _StateAt) -> Any:
    _check_limit(request.pagination)
    keys, page = state.page(OBJECT_PLACE, bucket_key(request.bucket_name), request.pagination)
    values = [state.get(OBJECT, key) for key in keys]
    return wire.storage.QueryListObjectsResponse(
        object_infos=[wire.storage.ObjectInfo.FromString(v) for v in values if v is not None],
        pagination=page,
    )


def _list_objects_by_bucket_id(request: Any, state: _StateAt) -> Any:
    bucket = get_bucket_by_id(state, _id_key(request.bucket_id, "bucket"))
    if bucket is None:
        _fail(_UNKNOWN, root_text("storage", 1100))
    by_name = wire.storage.QueryListObjectsRequest(
        pagination=request.pagination, bucket_name=bucket.bucket_name
    )
    return _list_objects(by_name, state)


def _verify_permission(request: Any, state: _StateAt) -> Any:
    operator = b""
    if request.operator:
        try:
            operator = parse_address(request.operator)
        except InvalidAddress as error:
            _fail(_UNKNOWN, f"invalid operator address ({error}): {root_text('sdk', 7)}")
    if not request.bucket_name:
        _fail(_UNKNOWN, "No bucket specified: Invalid parameter")
    bucket = get_bucket(state, request.bucket_name)
    if bucket is None:
        _fail(_UNKNOWN, root_text("storage", 1100))
    if not request.object_name:
        allowed = permission.is_allowed_in_bucket(state, bucket, operator, request.action_type)
    else:
        info = get_object(state, request.bucket_name, request.object_name)
        if info is None:
            _fail(_UNKNOWN, root_text("storage", 1101))
        allowed = permission.is_allowed_on_object(
            state, bucket, info, operator, request.action_type
        )
    return wire.storage.QueryVerifyPermissionResponse(
        effect=Effect.EFFECT_ALLOW if allowed else Effect.EFFECT_DENY
    )


def _account(request: Any, state: _StateAt) -> Any:
    if not request.address:
        _fail(_INVALID_ARGUMENT, "Address cannot be empty", prefixed=True)
    value = state.get("account", _parse_address(request.address))
    if value is None:
        _fail(_NOT_FOUND, f"account {request.address} not found", prefixed=True)
    return wire.auth.QueryAccountResponse(
        account=wire.protobuf.Any(type_url=wire.BASE_ACCOUNT_TYPE_URL, value=value)
    )


def _balance(request: Any, state: _StateAt) -> Any:
    address = _parse_address(request.address)
    amount = get_balance(state, address, request.denom)
    return wire.bank.QueryBalanceResponse(
        balance=wire.base.Coin(denom=request.denom, amount=str(amount))
    )


def _stream_record(request: Any, state: _StateAt) -> Any:
    try:
        address = parse_address(request.account)
    except InvalidAddress:
        _fail(_INVALID_ARGUMENT, "invalid account", prefixed=True)
    record = get_stream(state, address)
    if record is None:
        _fail(_NOT_FOUND, "not found", prefixed=True)
    return wire.payment.QueryGetStreamRecordResponse(stream_record=record)


# --- helpers -----------------------------------------------------------------------------------


def _fail(status: str, text: str, *, prefixed: bool = False) -> NoReturn:
    """A gRPC error as abci_query shows it; errors that carry a status say so in their text."""
    shown = f"rpc error: code = {status} desc = {text}" if prefixed else text
    raise sdk(_CODES[status], shown)


def _parse_address(text: str) -> bytes:
    try:
        return parse_address(text)
    except InvalidAddress as error:
        raise sdk(18, str(error)) from error


def _id_key(text: str, kind: str) -> bytes:
    number = _go_integer(text)
    if number is None or not 0 <= number < 2**256:
        _fail(_INVALID_ARGUMENT, f"invalid {kind} id", prefixed=True)
    return number_key(number)


# A base prefix, or a leading zero for octal; single underscores behind it and between digits.
_GO_INTEGER = re.compile(
    r"([+-]?)(?:(0[xX])((?:_?[0-9a-fA-F])+)|(0[bB])((?:_?[01])+)|(0[oO])((?:_?[0-7])+)"
    r"|(0)((?:_?[0-7])+)|((?:[1-9](?:_?[0-9])*|0)))",
    re.ASCII,
)
_MAX_DECIMAL_DIGITS = 1000
"""More are no id, and Python refuses to read very many."""
_BASES = {"0x": 16, "0b": 2, "0o": 8, "0": 8}


def _go_integer(text: str) -> int | None:
    """A number as Go's big.Int reads it when its text may choose the base."""
    match = _GO_INTEGER.fullmatch(text)
    if match is None:
        return None
    sign, *parts = (part for part in match.groups() if part is not None)
    base = _BASES[parts[0].lower()] if len(parts) == 2 else 10
    digits = parts[-1].replace("_", "")
    if base == 10 and len(digits) > _MAX_DECIMAL_DIGITS:
        return None
    number = int(digits, base)
    return -number if sign == "-" else number


def _check_place(page: Any) -> None:
    if page.offset and page.key:
        text = "invalid request, either offset or key is expected, got both"
        _fail(_INTERNAL, text, prefixed=True)


def _check_limit(page: Any) -> None:
    if page.limit > MAX_LIST_LIMIT:
        _fail(_INVALID_ARGUMENT, f"exceed pagination limit {MAX_LIST_LIMIT}", prefixed=True)


def _decimal_wire(text: str) -> str:
    """A Dec on the wire is its value times 10^18."""
    whole, _, fraction = text.partition(".")
    return str(int(whole + fraction.ljust(18, "0")[:18]))


def _provider(provider: GenesisProvider) -> Any:
    shared = {name: getattr(provider, name) for name in _PROVIDER_FIELDS}
    status = ProviderStatus(provider.status)
    return storage_provider_to_wire(
        StorageProvider(**shared, total_deposit=str(provider.deposit), status=status)
    )


def _event(one: Event) -> Any:
    return wire.tendermint_abci.Event(
        type=one.type,
        attributes=[
            wire.tendermint_abci.EventAttribute(key=key, value=value)
            for key, value in one.attributes
        ],
    )
