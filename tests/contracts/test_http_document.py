"""The document on a gateway's HTTP, run line by line against a network, and empty objects in it."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import shlex
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from greenray.chain.crypto import address_of
from greenray.chain.dialects import get_dialect
from greenray.chain.dialects.v0_2 import MsgCreateObject, SpApproval
from greenray.cli.app import app
from greenray.client.creation import PutOptions
from greenray.client.progress import ProgressReporter
from greenray.cluster.config.state_dir import StateDir
from greenray.protocol.objects import ObjectStatus, Visibility
from tests.support.browser_key import BrowserKey
from tests.support.payloads import ctr_payload
from tests.support.whole_network import USER_KEY, WholeNetwork, whole_network
from tests.unit.test_state_dir import NETWORK

DOCUMENT = Path(__file__).parents[2] / "docs" / "http-requests.md"
PHOTO, PUBLIC, NEW = (bytes(ctr_payload(name, 9000)) for name in ("photo", "public", "new"))


def lines_of_the_document() -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.replace("|\n", "|").splitlines()]


@dataclass(frozen=True)
class Shell:
    """Runs lines in a folder of their own; ``greenray`` runs in this process."""

    folder: Path
    environment: dict[str, str]
    state: StateDir
    """Locked, as by a network that runs."""

    async def run(self, line: str) -> str:
        """What it prints. An exit code that is not 0 fails the test."""
        sign, pipe, curl = line.rpartition("|")
        given = b""
        if pipe:
            words = shlex.split(self._filled(sign))
            assert words.pop(0) == "greenray"
            result = CliRunner().invoke(app, [*words, "--state-dir", str(self.folder / "state")])
            assert result.exit_code == 0, result.output
            given = result.stdout.encode()
        process = await asyncio.create_subprocess_exec(
            *("bash", "-c", curl),
            cwd=self.folder,
            env={**os.environ, **self.environment, "CURL_HOME": str(self.folder)},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        printed, errors = await process.communicate(given)
        assert process.returncode == 0, (line, errors.decode())
        return printed.decode()

    def _filled(self, text: str) -> str:
        return re.sub(r"\$([A-Z_]+)", lambda match: self.environment[match[1]], text)


@pytest.fixture
async def network(tmp_path: Path) -> AsyncIterator[WholeNetwork]:
    async with whole_network(tmp_path) as network:
        network.domain = "gnfd.test"
        await network.start()
        yield network


def _write_files(folder: Path, network: WholeNetwork, page: BrowserKey) -> StateDir:
    """What the document has files for, and a state directory that is held as long as it lives."""
    folder.mkdir()
    keys = {"user": {"private_key": USER_KEY.hex(), "address": address_of(USER_KEY)}}
    (folder / "keys.json").write_text(json.dumps({"chain_id": "x_1-1", "keys": keys}))
    state = StateDir(folder / "state")
    state.lock()
    state.write_network(
        replace(NETWORK, pid=os.getpid(), keys=str(folder / "keys.json"), user_key_name="user")
    )
    for name, headers in (
        ("registration.txt", page.registration(network.primary)),
        ("page.txt", page.asking()),
    ):
        lines = (f"{header}: {value}\n" for header, value in headers.items())
        (folder / name).write_text("".join(lines))
    (folder / "photo.jpg").write_bytes(NEW)
    # The chain's endpoint of the primary leads to where it listens.
    port = network.live.endpoints[network.primary].rpartition(":")[2]
    (folder / ".curlrc").write_text(f'connect-to = "127.0.0.1:9033:127.0.0.1:{port}"\n')
    return state


async def _shell(network: WholeNetwork, folder: Path) -> Shell:
    """With what the document takes for given: its variables, files and objects."""
    page = BrowserKey(USER_KEY)
    state = _write_files(folder, network, page)
    gateway = network.live.endpoints[network.primary]
    options, reporter = PutOptions(), ProgressReporter(None)
    public = PutOptions(visibility=Visibility.VISIBILITY_TYPE_PUBLIC_READ)
    async with network.client() as client:
        photo = await client.put(io.BytesIO(PHOTO), "album", "photo")
        await client.put(io.BytesIO(PUBLIC), "album", "public", options=public)
        await client.prepare(io.BytesIO(NEW), "new", "album", "new", options, reporter)
    message = MsgCreateObject(
        creator=address_of(USER_KEY),
        bucket_name="album",
        object_name="another",
        payload_size=1,
        visibility=Visibility.VISIBILITY_TYPE_PRIVATE,
        content_type="text/plain",
        expect_checksums=photo.object_info.checksums,
        primary_sp_approval=SpApproval(2**64 - 1, b""),
    )
    asked = get_dialect().message_to_json(message)
    return Shell(
        folder,
        {
            "GATEWAY": gateway,
            "OTHER_GATEWAY": network.live.endpoints[network.sps[1].address],
            "ACCOUNT": page.account,
            "OBJECT_ID": str(photo.object_info.id),
            "MESSAGE": json.dumps(asked).encode().hex(),
        },
        state,
    )


async def test_every_request_of_the_document_is_answered_as_it_says(
    network: WholeNetwork, tmp_path: Path
) -> None:
    shell = await _shell(network, tmp_path / "shell")
    printed: dict[str, str] = {}
    for line in lines_of_the_document():
        printed[line] = await shell.run(line)
        if line.endswith("-o copy.jpg") and "etag-compare" not in line:
            copy = (shell.folder / "copy.jpg").read_bytes()
            assert copy == (PHOTO if "/photo" in line else PUBLIC), line

    def answer_to(part: str) -> str:
        return next(text for line, text in printed.items() if part in line)

    async with network.client() as client:
        assert (await client.status("album", "new"))["state_number"] >= 2
    assert (shell.folder / "part.jpg").read_bytes() == PHOTO[:10]
    assert (shell.folder / "public").read_bytes() == PUBLIC
    assert (shell.folder / "piece.bin").read_bytes() == PHOTO[:4096]
    assert "<ProgressDescription>" in answer_to("upload-progress")
    assert answer_to("HEAD").startswith("HTTP/1.1 200 OK")
    assert "<ReadConsumedSize>" in answer_to("read-quota")
    assert "<ReadSize>10</ReadSize>" in answer_to("list-read-record")
    assert '"next_nonce":1' in answer_to("request_nonce")
    assert answer_to("update_key") == '{"result":true}'
    assert "X-Gnfd-Signed-Msg: " in answer_to("get-approval")
    assert "<Code>NoSuchKey</Code>" in answer_to("missing")


async def test_empty_objects_and_folders_are_put_and_read_as_nothing(
    network: WholeNetwork,
) -> None:
    await network.put(b"something", "full")
    for name in ("empty", "2023/", "2023/empty"):
        status = await network.put(b"", name)
        assert (status["sealed"], status["payload_size_bytes"]) == (True, 0)
        assert await network.get(name) == b""
    async with network.client() as client:
        info = await client.get("album", "2023/", network.folder / "folder")
        assert info.object_status is ObjectStatus.OBJECT_STATUS_SEALED
    assert await network.live.job_store.list_jobs(unfinished_only=True) == ()
