"""Commands that work on what a gateway lists: ls, du, rb, and get and rm of many."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import greenray
from tests.support.client_commands import Client
from tests.support.waiting import until

CHAIN = {"block_interval_s": 0.1, "genesis_params": {"max_segment_size": 65536}}
FILES = {
    "a.txt": b"a",
    "may/one.txt": b"one one",
    "may/two.bin": bytes(2000),
    "mayor.txt": b"",
}

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with greenray.local_network(ray=False, chain=CHAIN) as network:
        yield Client.of(network, tmp_path_factory.mktemp("client") / "home")


@pytest.fixture
def bucket(client: Client, tmp_path: Path) -> str:
    """One that has ``FILES``, all in the list."""
    name = f"bucket-{time.monotonic_ns()}"
    for relative, payload in FILES.items():
        path = tmp_path / "tree" / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(payload)
    client.text("put", "-r", tmp_path / "tree", name)
    listed(client, name, len(FILES))
    return name


def listed(client: Client, bucket: str, count: int) -> None:
    """Wait until the index has followed the chain."""
    until(lambda: len(client.text("ls", "-r", bucket).splitlines()) == count)


def test_a_bucket_is_listed_by_folders_by_prefixes_and_whole(client: Client, bucket: str) -> None:
    assert f"  {bucket}\n" in client.text("ls")
    top = [line.split()[-1] for line in client.text("ls", bucket).splitlines()]
    assert top == ["a.txt", "may/", "mayor.txt"]
    below = [line.split()[-1] for line in client.text("ls", f"{bucket}/may/").splitlines()]
    assert below == ["may/one.txt", "may/two.bin"]
    documents = [
        json.loads(line) for line in client.text("ls", "-r", bucket, "--json").splitlines()
    ]
    assert {d["object"]: d["size_bytes"] for d in documents} == {
        name: len(payload) for name, payload in FILES.items()
    }
    assert " 2000  may/two.bin" in client.text("ls", "-r", bucket, "--bytes")
    assert client.run("ls", f"{bucket}/none").stderr == "there is nothing\n"
    assert client.refusal("ls", "no-such-bucket")["reason"] == "no-such-bucket"


def test_sizes_are_summed(client: Client, bucket: str) -> None:
    total = client.document("du", bucket)
    assert (total["objects"], total["size_bytes"]) == (4, sum(map(len, FILES.values())))
    assert client.document("du", f"{bucket}/may/")["objects"] == 2


def test_many_are_got_at_once_and_found_again(client: Client, bucket: str, tmp_path: Path) -> None:
    client.text("get", "-r", bucket, tmp_path / "back")
    assert found(tmp_path / "back") == FILES
    client.text("get", f"{bucket}/may/*.txt", tmp_path / "texts")
    assert found(tmp_path / "texts") == {"one.txt": FILES["may/one.txt"]}
    (tmp_path / "back" / "a.txt").write_bytes(b"mine")
    again = client.run("get", "-r", bucket, tmp_path / "back", "--no-clobber")
    assert "4 were there" in again.stderr
    assert (tmp_path / "back" / "a.txt").read_bytes() == b"mine"


def test_nothing_is_written_outside_the_directory(
    client: Client, bucket: str, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "back").mkdir()
    (tmp_path / "back" / "may").symlink_to(tmp_path / "elsewhere")
    result = client.run("get", "-r", bucket, tmp_path / "back")
    assert (result.exit_code, "2 failed" in result.stderr) == (1, True)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_pattern_and_a_folder_are_deleted_and_the_rest_stays(client: Client, bucket: str) -> None:
    planned = client.text("rm", f"{bucket}/may/*.bin", "--dry-run")
    assert planned == f"would delete {bucket}/may/two.bin\n"
    client.text("rm", f"{bucket}/may/*.bin", "--yes")
    listed(client, bucket, 3)
    client.text("rm", "-r", f"{bucket}/may", "--yes")
    listed(client, bucket, 2)
    assert "bucket is not empty" in client.refusal("rb", bucket)["message"]
    assert client.document("rb", bucket, "--force", "--yes")["bucket"] == bucket
    assert client.refusal("stat", bucket)["reason"] == "no-such-bucket"


def found(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }
