"""The state directory: everything that must survive, and the lock that one ``up`` holds on it."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from greenray.client.network_file import (
    LOCK_FILE,
    NETWORK_FILE,
    NetworkFile,
)
from greenray.cluster.config.private_files import make_private_directory
from greenray.protocol.errors import AlreadyRunning, AnotherChain, StateLost, StoreError
from greenray.protocol.known_chain import KnownBlock, KnownChain


class StateDir:
    """Paths below one directory. Only ``lock`` and ``open_file`` make it."""

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().absolute()
        self.chain_home = self.root / "chain"
        self.chain_database = self.chain_home / "chain.sqlite"
        self.genesis_file = self.root / "genesis.json"
        self.keys_file = self.root / "keys.json"
        self.job_store_file = self.root / "jobs.sqlite"
        self.log_dir = self.root / "logs"
        self.pieces = self.root / "pieces"
        self._network_file = self.root / NETWORK_FILE
        self._chain_file = self.root / "chain.json"
        self._lock: IO[str] | None = None

    def lock(self) -> None:
        """Become the only owner of this directory until ``unlock`` or the end of the process.

        Raises AlreadyRunning, StoreError.
        """
        lock = self.open_file(self.root / LOCK_FILE)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise AlreadyRunning(
                "another greenray network is running on this state directory",
                str(self.root),
                "Stop it with 'greenray down', or choose another with --state-dir",
            ) from None
        self._lock = lock
        self.remove_network()  # what a crash left: nothing can be reached before we say so

    def open_file(self, path: Path) -> IO[str]:
        """For appending; the directory is made if need be, and closed to other users.

        Raises StoreError, InvalidSetting (others may write it).
        """
        try:
            make_private_directory(self.root)
            self.log_dir.mkdir(exist_ok=True)
            return path.open("a+")
        except OSError as error:
            raise StoreError(
                f"the state directory cannot be used ({error.strerror})",
                str(self.root),
                "Choose another with --state-dir",
            ) from None

    def free_bytes(self) -> int:
        """What the disk still takes; of the disk that the directory would be made on."""
        existing = next(path for path in (self.root, *self.root.parents) if path.exists())
        return shutil.disk_usage(existing).free

    def check_lock(self) -> None:
        """Raises StateLost: the lock that we hold is no longer the one of this directory."""
        assert self._lock is not None
        ours = os.fstat(self._lock.fileno())
        try:
            is_ours = os.path.samestat(ours, (self.root / LOCK_FILE).stat())
        except FileNotFoundError:
            is_ours = False
        except OSError:  # a disk that cannot be read for a moment is no disk that is gone
            return
        if not is_ours:
            raise StateLost(
                "the state directory of the running network was removed",
                str(self.root),
                "Nothing that was in it can be read any more: put back a copy, or start anew",
            )

    def unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """``lock`` and ``unlock``. Directories that were made for it are removed again when what is
        done meanwhile fails."""
        made = next((p for p in (*reversed(self.root.parents), self.root) if not p.exists()), None)
        self.lock()
        try:
            yield
        except BaseException:
            if made is not None:
                shutil.rmtree(made, ignore_errors=True)
            raise
        finally:
            self.unlock()

    def check_chain(self, chain_id: str, first_block_hash: str) -> None:
        """Remember the chain that this directory's jobs belong to, or compare it. Raises
        AnotherChain."""
        now = {"chain_id": chain_id, "first_block_hash": first_block_hash}
        known = self.compare_chain(**now)
        self._replace(self._chain_file, {**known, **{k: v for k, v in now.items() if v}})

    def compare_chain(self, chain_id: str, first_block_hash: str) -> dict[str, Any]:
        """Refuse another chain than the remembered one, which is returned: objects of another chain
        have the same numbers. An unknown (empty) block hash is not compared.

        Raises AnotherChain.
        """
        known = self._known_chain()
        now = {"chain_id": chain_id, "first_block_hash": first_block_hash}
        if any(known.get(name) and value and known[name] != value for name, value in now.items()):
            raise AnotherChain(
                "this state directory belongs to another chain, or to this one before a reset",
                str(self.root),
                "Choose another --state-dir",
            )
        return known

    def known_chain(self) -> KnownChain:
        """What is known of that chain. Raises StoreError."""
        try:
            known = self._known_chain()
            blocks = tuple(KnownBlock(int(h), str(found)) for h, found in known.get("blocks", []))
            if not blocks and known.get("first_block_hash"):
                blocks = (KnownBlock(1, known["first_block_hash"]),)
            return KnownChain(known.get("chain_id", ""), blocks)
        except (OSError, ValueError, TypeError) as error:
            raise StoreError(
                f"what is known of the chain cannot be read ({error})",
                str(self._chain_file),
                "Put back a copy of it, or choose another --state-dir",
            ) from error

    def remember_chain(self, history: KnownChain) -> None:
        """Once ``check_chain`` has passed."""
        blocks = [[block.height, block.hash] for block in history.blocks]
        known = {**self._known_chain(), "blocks": blocks}
        self._replace(self._chain_file, known)

    def _known_chain(self) -> dict[str, Any]:
        if not self._chain_file.exists():
            return {}
        known: dict[str, Any] = json.loads(self._chain_file.read_text())
        return known

    @property
    def knows_a_chain(self) -> bool:
        """Whether a network has run here."""
        return self._chain_file.exists()

    def write_network(self, network: NetworkFile) -> None:
        self._replace(self._network_file, network.to_json())

    def _replace(self, path: Path, document: dict[str, Any]) -> None:
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(document, indent=2) + "\n")
        os.replace(temporary, path)

    def remove_network(self) -> None:
        self._network_file.unlink(missing_ok=True)
