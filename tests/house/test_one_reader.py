"""What is closed by design stays closed: one reader of peers' answers, one writer of files."""

from __future__ import annotations

import re

from tests.support.sources import SOURCE, source_files

_OWN_FILES = {
    "cluster/config/state_dir.py",
    "cluster/local_chain/genesis.py",
    "cluster/local_chain/keys.py",
    "cluster/processes.py",
    "storage/journal_file.py",
}
"""They write in the state directory, which is the network's own."""


def _files_with(pattern: str) -> set[str]:
    return {
        path.relative_to(SOURCE / "greenray").as_posix()
        for path in source_files()
        if re.search(pattern, path.read_text())
    }


def test_requests_to_peers_are_made_in_one_place() -> None:
    # The benchmark reads from its own gateways, into memory that it uses again.
    found = _files_with(r"ClientSession\(|urlopen|HTTPS?Connection\(|import requests")
    assert found == {"peer/session.py", "bench/uploads.py"}


def test_files_that_a_person_names_are_written_in_one_place() -> None:
    found = _files_with(r"os\.(replace|rename)\(|write_(text|bytes)\(|savefig\(\w*path")
    assert found - _OWN_FILES == set()
