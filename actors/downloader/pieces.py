"""The way to pieces of SPs that are not hosted in this cluster: the route challenge of their
Gateway (protocol 06 §3.5)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from yarl import URL

from greenray.actors.chain_view.provider_book import ProviderBook
from greenray.actors.ports import HeldPiece, SignerPort
from greenray.actors.replication.secondary_http import endpoint_url
from greenray.chain.crypto import keccak256
from greenray.peer.faults import PeerFault, PeerSilent
from greenray.peer.session import AnswerLimits, PeerSession
from greenray.protocol.errors import SecondaryFailed, SecondaryTimeout
from greenray.protocol.http_auth import canonical_request, format_authorization, message_to_sign
from greenray.protocol.layout import ColumnLayout
from greenray.storage.ports import ColumnKey

CHALLENGE_PATH = "/greenfield/admin/v1/challenge"
OBJECT_ID_HEADER = "X-Gnfd-Object-ID"
REDUNDANCY_INDEX_HEADER = "X-Gnfd-Redundancy-Index"
PIECE_INDEX_HEADER = "X-Gnfd-Piece-Index"
INTEGRITY_HASH_HEADER = "X-Gnfd-Integrity-Hash"
PIECE_HASH_HEADER = "X-Gnfd-Piece-Hash"

_MAX_HEADER_BYTES = 1024 * 1024
"""Of the checksums of all pieces of a column, 65 characters for each."""


class HttpPieces:
    """Implements ``greenray.actors.ports.PieceSource`` for SPs with an endpoint on chain."""

    def __init__(
        self, providers: ProviderBook, signer: SignerPort, connect_timeout_s: float
    ) -> None:
        self._providers = providers
        self._signer = signer
        self._limits = AnswerLimits(connect_timeout_s=connect_timeout_s)
        self._session: PeerSession | None = None

    async def read_piece(
        self,
        sp_address: str,
        holder: str,
        key: ColumnKey,
        layout: ColumnLayout,
        piece_index: int,
    ) -> HeldPiece:
        """See ``PieceSource.read_piece``; how long it may take is its caller's matter."""
        endpoint = (await self._providers.get(holder)).endpoint
        where = f"{holder} at {endpoint}"
        size_bytes = layout.piece_length(piece_index)
        try:
            url = URL(endpoint_url(endpoint)).joinpath(CHALLENGE_PATH.lstrip("/"))
            headers = await self._signed(sp_address, url, key, piece_index)
            async with self._open_session().request("GET", url, headers=headers) as answer:
                if answer.status != 200:
                    raise SecondaryFailed(f"it answered HTTP {answer.status}", where)
                checksums = answer.headers.get(PIECE_HASH_HEADER, "").split(",")
                piece = await answer.read(size_bytes)
        except PeerSilent as fault:
            raise SecondaryTimeout(str(fault), where) from fault
        except PeerFault as fault:
            raise SecondaryFailed(f"the connection failed: {fault}", where) from fault
        except ValueError as error:
            raise SecondaryFailed(f"its endpoint is no URL: {error}", where) from error
        if len(piece) != size_bytes:
            raise SecondaryFailed(f"it gave {len(piece)} of {size_bytes} bytes", where)
        return HeldPiece(np.frombuffer(piece, np.uint8), _checksums(checksums, where))

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _signed(
        self, sp_address: str, url: URL, key: ColumnKey, piece_index: int
    ) -> dict[str, str]:
        headers = {
            "Host": url.authority,
            OBJECT_ID_HEADER: str(key.object_id),
            REDUNDANCY_INDEX_HEADER: str(key.redundancy_index),
            PIECE_INDEX_HEADER: str(piece_index),
        }
        canonical = canonical_request("GET", url.path, "", headers.items(), url.authority)
        # The Signer hashes once more, with Keccak: what the signature of a request is over.
        digest = hashlib.sha256(canonical).digest()
        signature = await self._signer.sign_as_operator(sp_address, digest)
        message = message_to_sign(canonical, keccak256)
        return {**headers, "Authorization": format_authorization(message, signature)}

    def _open_session(self) -> PeerSession:
        if self._session is None:
            self._session = PeerSession(
                self._limits,
                max_head_bytes=_MAX_HEADER_BYTES,
                buffer_bytes=_MAX_HEADER_BYTES,
                skip_auto_headers=["User-Agent"],
            )
        return self._session


def _checksums(texts: Sequence[str], where: str) -> tuple[bytes, ...]:
    try:
        return tuple(bytes.fromhex(text) for text in texts)
    except ValueError:
        raise SecondaryFailed("its checksums are not hexadecimal", where) from None
