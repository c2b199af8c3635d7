"""The commands of docs/http.md, executed as they stand there, against a network in one process."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import greenray
from greenray.cluster.local_chain.keys import USER_KEY_NAME
from greenray.protocol.listing import buckets_from_json, page_from_json

DOCUMENT = Path(__file__).parents[2] / "docs" / "http.md"
COMMAND = re.compile(r"^curl .+$", re.MULTILINE)
CHAIN = {"block_interval_s": 0.1, "genesis_params": {"max_segment_size": 4096}}

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Of a shell: where the gateway is, and whose the bucket is."""
    state_dir = tmp_path_factory.mktemp("network")
    with greenray.local_network(ray=False, chain=CHAIN, state_dir=state_dir) as network:
        for name in ("cat.jpg", "2026/one.jpg", "2026/two.jpg"):
            network.put(b"picture", f"photos/{name}")
        gateway = next(iter(network.gateways.values()))
        keys = json.loads((state_dir / "keys.json").read_text())["keys"]
        yield {**os.environ, "GATEWAY": gateway, "ACCOUNT": keys[USER_KEY_NAME]["address"]}


def answer(command: str, surroundings: dict[str, str]) -> object:
    ran = subprocess.run(
        ["bash", "-c", command], env=surroundings, capture_output=True, check=True, timeout=60
    )
    document: object = json.loads(ran.stdout)
    return document


COMMANDS = COMMAND.findall(DOCUMENT.read_text())


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_document_is_answered(command: str, surroundings: dict[str, str]) -> None:
    assert "code" not in str(answer(command, surroundings))[:20]


def test_the_lists_of_the_document_are_what_it_says(surroundings: dict[str, str]) -> None:
    """In the order in which they stand there."""
    buckets, objects, page, grouped, *_ = (
        answer(command, surroundings) for command in COMMANDS[:4]
    )
    assert [one.info.bucket_name for one in buckets_from_json(buckets)] == ["photos"]
    names = [one.info.object_name for one in page_from_json(objects).objects]
    assert names == ["2026/one.jpg", "2026/two.jpg", "cat.jpg"]
    assert page_from_json(page).next_token
    assert page_from_json(grouped).common_prefixes == ("2026/",)


def test_a_bucket_is_told_with_what_its_account_pays(surroundings: dict[str, str]) -> None:
    document = answer(COMMANDS[5], surroundings)
    assert isinstance(document, dict)
    assert document["stream_record"]["account"] == surroundings["ACCOUNT"]
    assert int(document["stream_record"]["netflow_rate"]) < 0
