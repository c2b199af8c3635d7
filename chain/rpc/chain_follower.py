"""Holds a node to what was seen of its chain before: by this process, or by one before it.

Answers tell the height of the state they were read from, so a node that lags behind an earlier
answer is noticed by every query. Whether it is still the same chain is asked now and then.
"""

from __future__ import annotations

import asyncio

from greenray.chain.rpc.json_rpc import JsonRpc, QueryRefused, RpcRefused
from greenray.chain.rpc.settings import FollowSettings
from greenray.protocol.errors import (
    AnotherChain,
    ChainError,
    ChainLags,
    ChainRolledBack,
)
from greenray.protocol.known_chain import (
    Continuity,
    KnownBlock,
    KnownChain,
    block_to_compare,
    judge,
)

_FIRST_HEIGHT = 1


class ChainFollower:
    """One node, used from one event loop. ``history``: what was known before."""

    def __init__(self, rpc: JsonRpc, history: KnownChain, settings: FollowSettings) -> None:
        self._rpc = rpc
        self._settings = settings
        self._history = history
        self._head = KnownBlock(0, "")
        self._state_height = 0
        self._confirmed_at = float("-inf")
        self._confirming: asyncio.Task[None] | None = None

    @property
    def history(self) -> KnownChain:
        return self._history

    # --- answers ---------------------------------------------------------------------------------

    async def ask(self, path: str, request: bytes) -> tuple[bytes, int]:
        """``JsonRpc.abci_query`` of a state that is not older than what earlier answers came from.

        Raises: QueryRefused, ChainLags, ChainRolledBack, AnotherChain, ChainError.
        """
        await self.confirm()
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + self._settings.lag_patience_s
        while True:
            known_height = self._state_height
            try:
                answer, height = await self._rpc.abci_query(path, request)
            except QueryRefused as refused:
                if self._is_fresh(refused.height, known_height):
                    raise
                height = refused.height
            else:
                if self._is_fresh(height, known_height):
                    return answer, height
            if loop.time() >= give_up_at:
                await self.confirm(now=True)
                raise self._lags(height, known_height)
            await asyncio.sleep(self._settings.lag_poll_s)

    def _is_fresh(self, height: int, known_height: int) -> bool:
        """``known_height``: when the question was sent; answers may overtake each other. A height
        of 0 is not known."""
        self._state_height = max(self._state_height, height)
        return height >= known_height or height == 0

    async def latest_height(self) -> int:
        """Raises: as ``ask``."""
        await self.confirm()
        chain_id, head = await self._status()
        if judge(self._seen(), chain_id, head) is not Continuity.CONTINUES:
            await self.confirm(now=True)
            _, head = await self._status()
        self._head = max(self._head, head)
        return self._head.height

    def _seen(self) -> KnownChain:
        """The history with the newest head, which may be newer than what was confirmed last."""
        return self._history.with_block(self._head) if self._head.height else self._history

    # --- continuity ------------------------------------------------------------------------------

    async def confirm(self, *, now: bool = False) -> None:
        """Return when the node is known to continue what was seen. Costs nothing for some time
        after it was, unless it must be asked ``now``.

        Raises: ChainLags, ChainRolledBack, AnotherChain, ChainError.
        """
        loop = asyncio.get_running_loop()
        if now:
            self._confirmed_at = float("-inf")
        if loop.time() - self._confirmed_at < self._settings.confirm_every_s:
            return
        # Hundreds may come at the same time, to a node that does not answer: one asks for all.
        if self._confirming is None or self._confirming.done():
            self._confirming = asyncio.create_task(self._confirm())
        await asyncio.shield(self._confirming)

    async def _confirm(self) -> None:
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + self._settings.lag_patience_s
        while True:
            if await self._continues(must_tell=loop.time() >= give_up_at):
                break
            await asyncio.sleep(self._settings.lag_poll_s)
        self._confirmed_at = loop.time()

    async def _continues(self, *, must_tell: bool) -> bool:
        """False while the node is behind, and ``must_tell`` does not want it raised."""
        known = self._seen()
        chain_id, head = await self._status()
        anchor = block_to_compare(known, head)
        there = await self._hash_at(anchor.height) if anchor else ""
        match judge(known, chain_id, head, there):
            case Continuity.ANOTHER_CHAIN:
                raise self._another(chain_id)
            case Continuity.WENT_BACK:
                if not await self._has(known.blocks[0]):
                    raise self._another(chain_id)
                raise self._went_back(anchor or head)
            case Continuity.BEHIND:
                if must_tell:
                    raise self._lags(head.height, known.height)
                return False
            case Continuity.CONTINUES:
                if not known.blocks and (first := await self._hash_at(_FIRST_HEIGHT)):
                    known = known.with_block(KnownBlock(_FIRST_HEIGHT, first))
                self._head = max(self._head, head)
                self._history = KnownChain(chain_id, known.blocks).with_block(head)
        return True

    async def accept_rollback(self) -> int | None:
        """Go on with a chain that went back: forget the blocks that it has no more. Returns the
        height of the last one that it still has, None when it continues what was seen.

        Raises: AnotherChain (it has none of them), ChainError.
        """
        known = self._seen()
        chain_id, head = await self._status()
        if known.chain_id not in ("", chain_id):
            raise self._another(chain_id)
        kept = known.up_to(head.height)
        while kept.blocks and not await self._has(kept.blocks[-1]):
            kept = kept.up_to(kept.height - 1)
        if known.blocks and not kept.blocks:
            raise self._another(chain_id)
        self._history, self._head, self._state_height = kept, KnownBlock(0, ""), 0
        self._confirmed_at = float("-inf")
        return kept.height if kept != known else None

    # --- the node --------------------------------------------------------------------------------

    async def _status(self) -> tuple[str, KnownBlock]:
        """The chain's id, and the node's newest block."""
        try:
            status = await self._rpc.request("status", {})
        except RpcRefused as error:
            raise self._rpc.invalid(str(error)) from error
        node_info = self._rpc.member(status, "node_info", dict, "status")
        sync_info = self._rpc.member(status, "sync_info", dict, "status")
        height = self._rpc.integer(sync_info, "latest_block_height", "status")
        block_hash = self._rpc.member(sync_info, "latest_block_hash", str, "status")
        return self._rpc.member(node_info, "network", str, "status"), KnownBlock(height, block_hash)

    async def _hash_at(self, height: int) -> str:
        """Empty when the node does not have the block any more, or not yet."""
        try:
            result = await self._rpc.request("block", {"height": str(height)})
        except RpcRefused:
            return ""
        block_id = self._rpc.member(result, "block_id", dict, "block")
        found: str = self._rpc.member(block_id, "hash", str, "block")
        return found

    async def _has(self, block: KnownBlock) -> bool:
        return await self._hash_at(block.height) in ("", block.hash)

    # --- errors ----------------------------------------------------------------------------------

    def _lags(self, height: int, known_height: int) -> ChainError:
        return ChainLags(
            f"the node is at height {height}, it, or another one of its chain, was at "
            f"{known_height} before",
            f"chain node {self._rpc.endpoint}",
            "Wait until it has caught up; if the chain was put back to an older copy, start again "
            "with --accept-rollback",
        )

    def _went_back(self, block: KnownBlock) -> ChainError:
        return ChainRolledBack(
            f"the chain has another block {block.height} than it had: it was put back to an older "
            "copy",
            f"chain node {self._rpc.endpoint}",
            "Put back the newer chain, or go on without the blocks that are lost: "
            "greenray down, then greenray up --accept-rollback",
        )

    def _another(self, chain_id: str) -> ChainError:
        return AnotherChain(
            f"another chain answers, {chain_id}, or the same one after a reset; we follow "
            f"{self._history.chain_id or chain_id}",
            f"chain node {self._rpc.endpoint}",
            "Choose another --state-dir for it",
        )
