"""Copies of the embedded chain: its database with the genesis and the keys that belong to it."""

from __future__ import annotations

import itertools
import os
import shutil
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from greenray.cluster.config.state_dir import StateDir
from greenray.cluster.journal import check_chain_database
from greenray.protocol.errors import InvalidInput, NoSpaceLeft, StoreError
from greenray.storage.direct_io import store_errors, sync_directory
from greenray.storage.new_place import check_parent


@dataclass(frozen=True, slots=True)
class ChainCopy:
    """``kept``: where what was there before is now."""

    path: Path
    size_bytes: int
    kept: tuple[Path, ...] = ()


def back_up_chain(state: StateDir, directory: Path) -> ChainCopy:
    """Copy the chain as of one moment to ``directory``, a new one. The chain may run.

    Raises: InvalidInput (there is no embedded chain, the directory is there already, or none to put
    it in), NoSpaceLeft, StoreError (the database is damaged, or the copy cannot be written).
    """
    if not state.chain_database.exists():
        raise InvalidInput(
            "no embedded chain has run here", str(state.root), "Name another --state-dir"
        )
    check_parent(directory)
    part = directory.with_name(f"{directory.name}.part")
    for path in (directory, part):
        if path.exists():
            raise InvalidInput(
                "is there already, and is not overwritten", str(path), "Name another directory"
            )
    try:
        with store_errors(directory, "write the copy"):
            copy = StateDir(part)
            part.mkdir(mode=0o700)
            copy.chain_home.mkdir(mode=0o700)
            _copy_database(state.chain_database, copy.chain_database)
            check_chain_database(copy.chain_database, named=state.chain_database)
            for path in _beside(state):
                shutil.copy2(path, part / path.name)
                _sync(part / path.name)
            sync_directory(part)
            part.replace(directory)
            sync_directory(directory.parent)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return ChainCopy(directory, StateDir(directory).chain_database.stat().st_size)


def restore_chain(directory: Path, state: StateDir) -> ChainCopy:
    """Put the copy in ``directory`` in the place of the embedded chain; what is there is kept under
    another name. The caller has locked the state directory.

    Raises: InvalidInput (it is no copy), NoSpaceLeft, StoreError; nothing is changed then.
    """
    copy = StateDir(directory)
    if not (copy.chain_database.exists() and copy.genesis_file.exists()):
        raise InvalidInput(
            "is no copy of a chain", str(directory), "Name what 'greenray chain backup' has made"
        )
    check_chain_database(copy.chain_database)
    part = state.root / "chain.part"
    shutil.rmtree(part, ignore_errors=True)
    with store_errors(state.root, "replace the chain"):
        try:
            part.mkdir(mode=0o700)
            _copy_database(copy.chain_database, part / copy.chain_database.name)
            kept = _set_aside(state)
            part.replace(state.chain_home)
            for path in _beside(copy):
                shutil.copy2(path, state.root / path.name)
                _sync(state.root / path.name)
            sync_directory(state.root)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return ChainCopy(state.root, state.chain_database.stat().st_size, kept)


def _beside(state: StateDir) -> tuple[Path, ...]:
    """What belongs to the chain's database, as far as it is there."""
    return tuple(path for path in (state.genesis_file, state.keys_file) if path.exists())


def _set_aside(state: StateDir) -> tuple[Path, ...]:
    """Rename what a restored chain replaces."""
    stem = f"before-{time.strftime('%Y%m%dT%H%M%S')}"
    present = [path for path in (state.chain_home, *_beside(state)) if path.exists()]
    for number in itertools.count(1):
        kept = tuple(path.with_name(f"{path.name}.{stem}-{number}") for path in present)
        if not any(path.exists() for path in kept):
            break
    for path, name in zip(present, kept, strict=True):
        path.rename(name)
    return kept


def _copy_database(source: Path, target: Path) -> None:
    try:
        with (
            closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=rw", uri=True)) as reading,
            closing(sqlite3.connect(target, isolation_level=None)) as writing,
        ):
            reading.execute("PRAGMA query_only = ON")
            # All pages in one step: a step that the chain writes after begins anew.
            reading.backup(writing)
            writing.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
            raise NoSpaceLeft(
                "no space left to copy the chain", str(target.parent), "Free some space"
            ) from error
        raise StoreError(f"the chain cannot be copied: {error}", str(source)) from error
    _sync(target)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
