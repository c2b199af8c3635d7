"""Many objects as one act, by the command and in Python, on a network in this process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import greenray
from greenray.chain.rpc.client import RpcChainClient
from greenray.client.put_outcome import PutStatus
from greenray.protocol.errors import InvalidInput
from tests.support.cli import COMMAND

CHAIN = {"block_interval_s": 0.1, "genesis_params": {"max_segment_size": 65536}}

FILES = 12

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def net() -> Iterator[greenray.Network]:
    with greenray.local_network(ray=False, chain=CHAIN) as network:
        yield network


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Small files, some in a directory below."""
    root = tmp_path / "tree"
    (root / "below").mkdir(parents=True)
    for number in range(FILES):
        folder = root / "below" if number % 3 else root
        (folder / f"{number}.bin").write_bytes(os.urandom(1000 + number))
    return root


def put(net: greenray.Network, *arguments: object, stdin: str = "") -> tuple[int, list[str], str]:
    """(exit code, lines on stdout, stderr)."""
    command = [*COMMAND, "put", *map(str, arguments), "--state-dir", str(net.state_dir)]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines(), done.stderr


def seals(net: greenray.Network) -> Counter[int]:
    """How often each object was sealed, by all blocks of the chain."""

    async def ask() -> Counter[int]:
        chain = RpcChainClient(net.chain_endpoint)
        found: Counter[int] = Counter()
        for height in range(1, await chain.latest_height() + 1):
            news = await chain.block_news(height)
            found.update(news.sealed_ids if news else ())
        await chain.close()
        return found

    return asyncio.run(ask())


# --- the command ---------------------------------------------------------------------------------


def test_a_tree_is_put_with_a_line_for_each(net: greenray.Network, tree: Path) -> None:
    code, lines, errors = put(net, "--recursive", tree, "photos/tree", "--json")
    assert (code, errors) == (0, "")
    *outcomes, last = map(json.loads, lines)
    assert {one["status"] for one in outcomes} == {"sealed"}
    assert {one["name"] for one in outcomes} == {
        f"photos/tree/{path.relative_to(tree)}" for path in tree.rglob("*.bin")
    }
    assert last["summary"]["sealed"] == FILES
    assert net.get("photos/tree/below/1.bin") == (tree / "below" / "1.bin").read_bytes()


def test_what_fails_is_named_at_the_end_and_the_rest_is_done(
    net: greenray.Network, tree: Path
) -> None:
    (tree / "empty").touch()
    (tree / "loop").symlink_to(tree)
    code, lines, errors = put(net, tree / "0.bin", tree / "empty", "nowhere", "photos/some")
    assert code == 1
    assert lines[-1].startswith("2 sealed, 1 failed; ")
    failed = {line.split(": ")[1]: line.split(": ")[2] for line in errors.splitlines()}
    assert failed == {"photos/some/nowhere": "unreadable-file"}
    assert net.get("photos/some/empty") == b""


def test_patterns_and_lists_name_files(net: greenray.Network, tree: Path) -> None:
    code, lines, _ = put(net, tree / "**" / "1*.bin", "photos/pattern")
    assert (code, lines[-1][:10]) == (0, "3 sealed; ")
    assert net.get("photos/pattern/below/10.bin") == (tree / "below" / "10.bin").read_bytes()
    listed = f"{tree}/3.bin\n{tree}/6.bin\n"
    code, lines, _ = put(net, "--from-list", "-", "photos/listed", stdin=listed)
    assert (code, lines[-1][:9]) == (0, "2 sealed;")
    assert net.get(f"photos/listed{tree}/6.bin") == (tree / "6.bin").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("photos/x",), "name a file"),
        (("--recursive", "--wait", "never", ".", "photos"), "neither 'sealed' nor"),
    ],
)
def test_wrong_usage_says_so(
    net: greenray.Network, arguments: tuple[str, ...], message: str
) -> None:
    code, lines, errors = put(net, *arguments)
    assert (code, lines) == (2, [])
    assert message in errors


def test_a_bucket_that_cannot_be_is_told_before_anything_is_put(
    net: greenray.Network, tree: Path
) -> None:
    code, lines, errors = put(net, "--recursive", tree, "No Bucket", "--json")
    assert code == 1
    assert json.loads(lines[-1])["error"]["reason"] == "invalid-name"
    assert "Bucket name contains invalid characters" in errors


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_one_that_is_stopped_in_the_middle_is_run_again_and_nothing_is_sealed_twice(
    net: greenray.Network, tree: Path, tmp_path: Path, end: signal.Signals
) -> None:
    bucket = f"stopped-{end.name.lower()}"
    arguments = ["--recursive", str(tree), bucket, "--json"]
    arguments += ["--manifest", str(tmp_path / "manifest"), "--state-dir", str(net.state_dir)]
    running = subprocess.Popen(
        [*COMMAND, "put", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    first = json.loads(running.stdout.readline())  # some are done, and some are not
    running.send_signal(end)
    _, errors = running.communicate()
    assert running.returncode == (130 if end is signal.SIGINT else -signal.SIGKILL)
    assert ("until now: " in errors) == (end is signal.SIGINT)

    code, lines, errors = put(net, *arguments)
    assert (code, errors) == (0, "")
    *outcomes, last = map(json.loads, lines)
    assert len(outcomes) == FILES
    assert last["summary"]["failed"] == 0
    assert first["name"] in {one["name"] for one in outcomes if one["status"] == "was-sealed"}
    ids = {net.status(one["name"]).object_id for one in outcomes}
    found = seals(net)
    assert [found[object_id] for object_id in ids] == [1] * FILES


def test_two_processes_of_one_user_at_once(net: greenray.Network, tree: Path) -> None:
    with ThreadPoolExecutor() as pool:
        both = [
            pool.submit(put, net, "--recursive", tree, f"photos/process-{number}", "--json")
            for number in range(2)
        ]
    for running in both:
        code, lines, errors = running.result()
        assert (code, errors) == (0, "")
        assert json.loads(lines[-1])["summary"]["sealed"] == FILES


# --- in Python -----------------------------------------------------------------------------------


def test_outcomes_come_in_a_loop(net: greenray.Network, tree: Path) -> None:
    entries: list[tuple[bytes | Path, str]] = [
        (b"bytes", "photos/python/bytes"),
        (b"", "photos/python/empty"),
    ]
    entries += [(path, f"photos/python/{path.name}") for path in tree.rglob("*.bin")]
    outcomes = list(net.put_many(entries))
    assert len(outcomes) == FILES + 2
    assert [o.name for o in outcomes if not o.ok] == []
    assert net.get("photos/python/empty") == b""
    assert net.get("photos/python/bytes") == b"bytes"


async def test_outcomes_come_in_a_loop_of_a_coroutine(net: greenray.Network) -> None:
    entries = [(bytes([number]), f"photos/async/{number}") for number in range(5)]
    statuses = [outcome.status async for outcome in net.put_many(iter(entries))]
    assert statuses == [PutStatus.SEALED] * 5
    again = [outcome.status async for outcome in net.put_many(entries)]
    assert again == [PutStatus.WAS_SEALED] * 5


def test_who_leaves_the_loop_leaves_the_rest(net: greenray.Network) -> None:
    entries = [(bytes([number]), f"photos/left/{number}") for number in range(8)]
    with net.put_many(entries, in_the_air=2) as outcomes:
        for outcome in outcomes:
            assert outcome.ok
            break
    assert list(outcomes) == []
    assert all(outcome.ok for outcome in net.put_many(entries))


def test_what_is_not_possible_is_told_at_once(net: greenray.Network) -> None:
    with pytest.raises(InvalidInput, match="neither 'sealed' nor"):
        net.put_many([], wait="never")
    with pytest.raises(InvalidInput, match="not positive"):
        net.put_many([], in_the_air=0)
    assert list(net.put_many([])) == []


def test_eight_threads_put_one_object_each_after_the_other(net: greenray.Network) -> None:
    def put_two(thread: int) -> list[bool]:
        return [net.put(b"x", f"photos/thread/{thread}-{n}").status.sealed for n in range(2)]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(put_two, range(8))) == [[True] * 2] * 8
