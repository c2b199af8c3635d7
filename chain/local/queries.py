"""abci_query: the gRPC methods that a storage provider and its clients ask (protocol 05)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from greenray.chain import wire
from greenray.chain.addresses import InvalidAddress, address_text, parse_address, parse_hex
from greenray.chain.local import blocks, gogoproto
from greenray.chain.local.app import Application, SimulationFault, message_data
from greenray.chain.local.ledger.accounts import ACCOUNT, BALANCE, get_balance
from greenray.chain.local.ledger.context import Rules
from greenray.chain.local.ledger.events import Event, message_log
from greenray.chain.local.ledger.faults import ChainFault, sdk
from greenray.chain.local.ledger.local_dialect import QueryRule
from greenray.chain.local.ledger.reading import (
    INVALID_ARGUMENT,
    NOT_FOUND,
    UNKNOWN,
    StateAt,
    fail,
    queried_address,
)
from greenray.chain.local.node_info import node_info
from greenray.chain.local.transactions import get_tx_response


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    """``response`` of abci_query; ``value`` None when there is none."""

    code: int = 0
    codespace: str = ""
    log: str = ""
    key: bytes | None = None
    value: bytes | None = None
    height: int = 0


class QueryRouter:
    """Answers abci_query over one application."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self.listen_address = ""
        """host:port, once somebody listens."""
        auth, bank, tx = wire.auth, wire.bank, wire.tx
        tendermint = wire.tendermint_service
        self._methods = dict(app.rules.local_dialect.queries) | {
            "/cosmos.auth.v1beta1.Query/Account": QueryRule(auth.QueryAccountRequest, _account),
            "/cosmos.bank.v1beta1.Query/Balance": QueryRule(bank.QueryBalanceRequest, _balance),
            "/cosmos.bank.v1beta1.Query/AllBalances": QueryRule(
                bank.QueryAllBalancesRequest, _all_balances
            ),
            "/cosmos.base.tendermint.v1beta1.Service/GetLatestBlock": QueryRule(
                tendermint.GetLatestBlockRequest, self._latest_block
            ),
            "/cosmos.base.tendermint.v1beta1.Service/GetBlockByHeight": QueryRule(
                tendermint.GetBlockByHeightRequest, self._block_by_height
            ),
            "/cosmos.base.tendermint.v1beta1.Service/GetSyncing": QueryRule(
                tendermint.GetSyncingRequest, _syncing
            ),
            "/cosmos.base.tendermint.v1beta1.Service/GetNodeInfo": QueryRule(
                tendermint.GetNodeInfoRequest, self._node_info
            ),
            "/cosmos.tx.v1beta1.Service/GetTx": QueryRule(tx.GetTxRequest, self._get_tx),
            "/cosmos.tx.v1beta1.Service/Simulate": QueryRule(tx.SimulateRequest, self._simulate),
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
            version = self._app.rules.local_dialect.version
            return QueryAnswer(codespace="sdk", value=version.encode(), height=at)
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
        rule = self._methods[path]
        try:
            gogoproto.check(rule.request_class.DESCRIPTOR, data)
            request = rule.request_class.FromString(data)
        except (gogoproto.WireError, DecodeError) as error:
            # What only Python refuses is text that is not UTF-8: nothing has such a name.
            text = str(error) if isinstance(error, gogoproto.WireError) else "unexpected EOF"
            raise sdk(18, text) from error
        answer = rule.answer(request, StateAt(self._app.database, height), self._app.rules)
        response: bytes = answer.SerializeToString()
        return response

    # --- blocks and transactions -------------------------------------------------------------

    def _latest_block(self, request: Any, state: StateAt, rules: Rules) -> Any:
        head = self._app.head
        response = wire.tendermint_service.GetLatestBlockResponse()
        return _filled_with_block(response, head.block, head.hash)

    def _block_by_height(self, request: Any, state: StateAt, rules: Rules) -> Any:
        if request.height > self._app.head.height:
            text = "requested block height is bigger then the chain length"
            fail(INVALID_ARGUMENT, text, prefixed=True)
        if request.height <= 0:
            raise sdk(18, f"height must be greater than 0, but got {request.height}")
        stored = self._app.database.block(request.height)
        assert stored is not None
        block = wire.tendermint_types.Block.FromString(stored.block)
        response = wire.tendermint_service.GetBlockByHeightResponse()
        return _filled_with_block(response, block, stored.hash)

    def _node_info(self, request: Any, state: StateAt, rules: Rules) -> Any:
        info = node_info(self._app, self.listen_address)
        version = info["protocol_version"]
        return wire.tendermint_service.GetNodeInfoResponse(
            default_node_info=wire.tendermint_p2p.DefaultNodeInfo(
                protocol_version=wire.tendermint_p2p.ProtocolVersion(
                    **{name: int(number) for name, number in version.items()}
                ),
                default_node_id=info["id"],
                listen_addr=info["listen_addr"],
                network=info["network"],
                version=info["version"],
                channels=bytes.fromhex(info["channels"]),
                moniker=info["moniker"],
                other=wire.tendermint_p2p.DefaultNodeInfoOther(**info["other"]),
            ),
            application_version=wire.tendermint_service.VersionInfo(
                name="greenfield",
                app_name="greenray-chain",
                version=rules.local_dialect.version,
            ),
        )

    def _get_tx(self, request: Any, state: StateAt, rules: Rules) -> Any:
        if not request.hash:
            fail(INVALID_ARGUMENT, "tx hash cannot be empty", prefixed=True)
        try:
            tx_hash = parse_hex(request.hash)
        except InvalidAddress as error:
            raise sdk(18, str(error)) from error
        stored = self._app.database.transaction(tx_hash)
        if stored is None:
            fail(NOT_FOUND, f"tx not found: {request.hash}", prefixed=True)
        block = self._app.database.block(stored.height)
        assert block is not None
        return get_tx_response(stored, wire.tendermint_types.Block.FromString(block.block))

    def _simulate(self, request: Any, state: StateAt, rules: Rules) -> Any:
        tx_bytes = request.tx_bytes
        if not tx_bytes and request.HasField("tx"):
            tx_bytes = request.tx.SerializeToString()
        if not tx_bytes:
            fail(INVALID_ARGUMENT, "empty txBytes is not allowed", prefixed=True)
        try:
            return self._simulation(tx_bytes)
        except SimulationFault as error:
            # The real node names a Go source position in the brackets.
            text = (
                f"{error.cause.log} [chain/local:0] With gas wanted: '{error.gas_wanted}'"
                f" and gas used: '{error.gas_used}' "
            )
            fail(UNKNOWN, text, prefixed=True)

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


def _account(request: Any, state: StateAt, rules: Rules) -> Any:
    if not request.address:
        fail(INVALID_ARGUMENT, "Address cannot be empty", prefixed=True)
    value = state.get(ACCOUNT, queried_address(request.address))
    if value is None:
        fail(NOT_FOUND, f"account {request.address} not found", prefixed=True)
    return wire.auth.QueryAccountResponse(
        account=wire.protobuf.Any(type_url=wire.BASE_ACCOUNT_TYPE_URL, value=value)
    )


def _balance(request: Any, state: StateAt, rules: Rules) -> Any:
    address = queried_address(request.address)
    amount = get_balance(state, address, request.denom)
    return wire.bank.QueryBalanceResponse(
        balance=wire.base.Coin(denom=request.denom, amount=str(amount))
    )


def _all_balances(request: Any, state: StateAt, rules: Rules) -> Any:
    """All in one page: nothing here makes more than one kind of coin."""
    try:
        address = parse_address(request.address)
    except InvalidAddress as error:
        fail(INVALID_ARGUMENT, f"invalid address: {error}", prefixed=True)
    balances = [
        wire.base.Coin(denom=key[len(address) :].decode(), amount=value.decode())
        for key, value in state.scan(BALANCE, address)
    ]
    page = wire.query.PageResponse(total=len(balances))
    return wire.bank.QueryAllBalancesResponse(balances=balances, pagination=page)


def _syncing(request: Any, state: StateAt, rules: Rules) -> Any:
    return wire.tendermint_service.GetSyncingResponse(syncing=False)


# --- helpers -----------------------------------------------------------------------------------


def _event(one: Event) -> Any:
    return wire.tendermint_abci.Event(
        type=one.type,
        attributes=[
            wire.tendermint_abci.EventAttribute(key=key, value=value)
            for key, value in one.attributes
        ],
    )


def _filled_with_block(response: Any, block: Any, block_hash: bytes) -> Any:
    """A response with a block in the two forms that the service has, and its id."""
    response.block_id.CopyFrom(blocks.block_id(block, block_hash))
    response.block.CopyFrom(block)
    header = response.sdk_block.header
    for field, value in block.header.ListFields():
        if field.name == "proposer_address":
            header.proposer_address = address_text(value)
        elif field.message_type is not None:
            getattr(header, field.name).CopyFrom(value)
        else:
            setattr(header, field.name, value)
    response.sdk_block.data.CopyFrom(block.data)
    response.sdk_block.evidence.CopyFrom(block.evidence)
    response.sdk_block.last_commit.CopyFrom(block.last_commit)
    return response
