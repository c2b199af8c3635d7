"""``greenray hash`` on the recorded cases of the reference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from greenray.cli.app import app
from tests.support.payloads import redundancy_vectors, vector_payload

CASES = [case for case in redundancy_vectors()["cases"] if case["size"] <= 1 << 20]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_hash_gives_the_checksums_of_the_reference(case: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "payload"
    path.write_bytes(vector_payload(case["gen"], case["arg"], case["size"]))
    options = ["--segment-size", case["segment_size"], "-k", case["k"], "-m", case["m"]]
    arguments = ["hash", path, *options, "--json"]
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert list(document) == [
        "payload_size_bytes",
        "segment_size_bytes",
        "k",
        "m",
        "codec",
        "integrity_hashes",
        "segment_checksums",
        "piece_checksums",
    ]
    assert document["payload_size_bytes"] == case["size"]
    assert document["segment_size_bytes"] == case["segment_size"]
    assert (document["k"], document["m"]) == (case["k"], case["m"])
    assert document["integrity_hashes"] == case["checksums"]
    for segment in case["segments"]:
        index = segment["index"]
        assert document["segment_checksums"][index] == segment["checksum"]
        pieces = [row[index] for row in document["piece_checksums"]]
        assert pieces == segment["piece_checksums"]
