"""The commands of docs/http.md, run as they stand there against a network."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from greenray.chain.crypto import address_of
from greenray.protocol.listing import buckets_from_json, page_from_json
from tests.support.whole_network import USER_KEY, WholeNetwork, whole_network

DOCUMENT = Path(__file__).parents[2] / "docs" / "http.md"
COMMANDS = re.findall(r"^curl .+$", DOCUMENT.read_text(), re.MULTILINE)


@pytest.fixture
async def network(tmp_path: Path) -> AsyncIterator[WholeNetwork]:
    async with whole_network(tmp_path) as network:
        await network.start()
        await network.live.collector.follow()
        yield network


async def answers(network: WholeNetwork) -> list[Any]:
    """To the commands, in the order in which they stand there."""
    surroundings = {
        "GATEWAY": network.live.endpoints[network.primary],
        "ACCOUNT": address_of(USER_KEY),
    }
    found = []
    for command in COMMANDS:
        process = await asyncio.create_subprocess_exec(
            "bash",
            "-c",
            command,
            env={**os.environ, **surroundings},
            stdout=asyncio.subprocess.PIPE,
        )
        printed, _ = await process.communicate()
        assert process.returncode == 0, command
        found.append(json.loads(printed))
    return found


async def test_the_commands_of_the_document_list_what_it_says(network: WholeNetwork) -> None:
    for name in ("cat.jpg", "2026/one.jpg", "2026/two.jpg"):
        await network.put(b"picture", name)
    buckets, objects, page, grouped, one_object, bucket = await answers(network)
    assert [one.info.bucket_name for one in buckets_from_json(buckets)] == ["album"]
    names = [one.info.object_name for one in page_from_json(objects).objects]
    assert names == ["2026/one.jpg", "2026/two.jpg", "cat.jpg"]
    assert page_from_json(page).next_token
    assert page_from_json(grouped).common_prefixes == ("2026/",)
    assert one_object["object"]["object_info"]["object_name"] == "cat.jpg"
    assert bucket["stream_record"]["account"] == address_of(USER_KEY)
    assert int(bucket["stream_record"]["netflow_rate"]) < 0
