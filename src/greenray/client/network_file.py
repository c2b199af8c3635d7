"""How clients find a running network: the file that it keeps in its state directory."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from greenray.chain.dialects import check_dialect
from greenray.protocol.errors import InvalidInput, NotRunning
from greenray.storage.piece_kinds import location_from_json, location_to_json
from greenray.storage.piece_location import PieceLocation

NETWORK_FILE = "network.json"
LOCK_FILE = "lock"


@dataclass(frozen=True, slots=True)
class GatewayAddress:
    """Where one hosted SP can be reached: by the gateway of one Uploader."""

    operator_address: str
    endpoint: str
    uploader: str
    node_id: str
    """Ray's name of the node it runs on."""


@dataclass(frozen=True, slots=True)
class SealAccount:
    """What a hosted SP pays its seals with, when it is not much. ``balance``: amount and coin."""

    operator_address: str
    seal_address: str
    balance: str
    seals_left: int

    def __str__(self) -> str:
        return (
            f"seal address {self.seal_address} of {self.operator_address} has {self.balance}, "
            f"enough for {self.seals_left} seals"
        )


@dataclass(frozen=True, slots=True)
class NetworkFile:
    """What clients need to find a running network; it is removed when the network stops."""

    pid: int
    chain_endpoint: str
    chain_id: str
    dialect: str
    gateways: tuple[GatewayAddress, ...]
    keys: str
    """Where the keys are (see ``KeyRing.open``); empty: in the environment."""
    user_key_name: str
    """Whose key clients use if they are not told; empty: they must be told."""
    started_at: float
    pieces: PieceLocation
    ray_address: str
    """Where a process attaches to the network's Ray cluster."""
    ray_namespace: str
    """Of the network's actors."""
    scrubbers: int = 1
    """How many Scrubbers it has."""
    low_seal_accounts: tuple[SealAccount, ...] = ()
    status_port: int = 0
    """On this machine; who connects is told how the network is."""
    logs: str = ""
    """The directory of its logs."""
    ray_logs: str = ""
    """That of Ray's own processes; empty without Ray."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"pieces": location_to_json(self.pieces)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> NetworkFile:
        fields = dict(document)
        gateways = tuple(GatewayAddress(**gateway) for gateway in fields.pop("gateways"))
        pieces = location_from_json(fields.pop("pieces"))
        low = tuple(SealAccount(**one) for one in fields.pop("low_seal_accounts", ()))
        return cls(**fields, gateways=gateways, pieces=pieces, low_seal_accounts=low)

    def endpoints(self, gateway: str | None = None) -> dict[str, str]:
        """Endpoints by operator address, of the Uploader that has the endpoint ``gateway``; None:
        of the first one.

        Raises InvalidInput, when no gateway has that endpoint.
        """
        chosen = next((g for g in self.gateways if gateway in (None, g.endpoint)), None)
        if chosen is None:
            raise InvalidInput(
                "no gateway of the network has this endpoint", str(gateway), "See greenray status"
            )
        same = (g for g in self.gateways if g.uploader == chosen.uploader)
        return {g.operator_address: g.endpoint for g in same}


def is_locked(state_dir: Path) -> bool:
    """Whether some process holds the lock of the state directory."""
    path = state_dir / LOCK_FILE
    if not path.exists():
        return False
    with path.open("a+") as probe:
        try:
            fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def read_network(state_dir: Path) -> NetworkFile:
    """Of the network that runs on this state directory. Raises NotRunning, and InvalidSetting when
    it speaks a dialect that is not known here."""
    root = state_dir.expanduser().absolute()
    if not is_locked(root) or not (root / NETWORK_FILE).exists():
        raise NotRunning(
            "no network is running here",
            str(root),
            "Start one with 'greenray up', or name another with --state-dir",
        )
    network = NetworkFile.from_json(json.loads((root / NETWORK_FILE).read_text()))
    check_dialect(network.dialect, str(root / NETWORK_FILE))
    return network
