"""Other users of the machine: what they could read, replace or borrow."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from greenray.cluster.config.private_files import check_keys, make_private_directory
from greenray.cluster.config.state_dir import StateDir
from greenray.cluster.on_ray import private
from greenray.cluster.on_ray.auth_token import make_token, token_path
from greenray.cluster.on_ray.runtime import attach_ray
from greenray.cluster.on_ray.session_root import session_root
from greenray.protocol.errors import InvalidSetting, OpenCluster
from tests.support.cli import SMALL_NETWORK, Surroundings

NOBODY = 65534
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# --- directories ----------------------------------------------------------------------------------


def test_a_state_directory_is_closed_to_others(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir(mode=0o755)
    (tmp_path / "old").chmod(0o777)
    for name in ("new", "old"):
        state = StateDir(tmp_path / name)
        state.lock()
        state.unlock()
        assert mode(tmp_path / name) == 0o700


@only_root
def test_a_directory_of_somebody_else_that_others_may_write_is_refused(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    theirs.chmod(0o777)
    os.chown(theirs, NOBODY, NOBODY)
    with pytest.raises(InvalidSetting, match="others may write it"):
        StateDir(theirs).lock()
    assert os.listdir(theirs) == []
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    os.chown(link, NOBODY, NOBODY, follow_symlinks=False)
    with pytest.raises(InvalidSetting):
        make_private_directory(link)


def test_keys_that_others_could_exchange_are_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text("{}")
    keys.chmod(0o600)
    check_keys(keys)
    assert caplog.text == ""
    keys.chmod(0o644)
    check_keys(keys)
    assert "can be read by other users" in caplog.text
    keys.chmod(0o664)
    with pytest.raises(InvalidSetting, match="other users may write these keys"):
        check_keys(keys)
    with pytest.raises(InvalidSetting, match="other users may write these keys"):
        check_keys(tmp_path)


def test_rays_sockets_lie_in_a_directory_of_one_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    long = session_root(Path("/" + "x" * 33))
    assert long is not None
    assert long.parent == Path(f"/tmp/greenray-{os.geteuid()}")
    assert mode(long.parent) == 0o700
    assert len(os.fsencode(long)) <= 36
    assert session_root(Path("/" + "x" * 33)) == long
    assert session_root(Path("/" + "y" * 33)) != long
    monkeypatch.setenv("RAY_TMPDIR", "/somewhere")
    assert session_root(Path("/tmp")) is None


def test_of_former_sessions_the_last_one_stays(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setattr("greenray.cluster.on_ray.session_root._MAX_BYTES", 200)
    near = tmp_path_factory.mktemp("s")
    root = session_root(near)
    assert root == near / "ray"
    for day in (1, 2, 3):
        (root / f"session_2026-11-0{day}").mkdir()
    session_root(near)
    assert os.listdir(root) == ["session_2026-11-03"]


# --- Ray's token ----------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_the_token_is_made_for_its_user_alone(home: Path) -> None:
    os.umask(os.umask(0o022))
    make_token()
    token = token_path()
    assert token == home / ".ray" / "auth_token"
    assert (mode(token), mode(token.parent)) == (0o600, 0o700)
    assert len(token.read_text()) == 64
    before = token.read_text()
    make_token()
    assert token.read_text() == before


def test_a_token_that_others_can_read_is_closed_to_them(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (home / ".ray").mkdir()
    token = home / ".ray" / "auth_token"
    token.write_text("secret")
    token.chmod(0o644)
    make_token()
    assert (mode(token), token.read_text()) == (0o600, "secret")
    assert "could be read by other users" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize("name", ["RAY_AUTH_TOKEN", "RAY_AUTH_MODE"])
def test_no_token_is_made_where_ray_has_it_or_wants_none(
    name: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "disabled")
    make_token()
    assert os.listdir(home) == []


@contextmanager
def gcs_that(answer: Callable[[Any], bytes]) -> Iterator[str]:
    """The address of what answers a GCS's calls so."""

    handler = grpc.unary_unary_rpc_method_handler(lambda request, context: answer(context))
    service = grpc.method_handlers_generic_handler(
        "ray.rpc.NodeInfoGcsService", {"CheckAlive": handler}
    )
    server = grpc.server(ThreadPoolExecutor(1), handlers=[service])
    port = server.add_insecure_port("0.0.0.0:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def refuses(context: Any) -> bytes:
    context.abort(grpc.StatusCode.UNAUTHENTICATED, "InvalidAuthToken")
    raise AssertionError("abort raises")


def test_a_cluster_that_asks_for_no_token_is_told_from_one_that_does() -> None:
    with gcs_that(lambda context: b"") as address:
        assert private.asks_for_a_token(address) is False
    with gcs_that(refuses) as address:
        assert private.asks_for_a_token(address) is True


def test_nothing_is_attached_to_an_open_cluster_unless_told_so() -> None:
    with gcs_that(lambda context: b"") as address:
        with pytest.raises(OpenCluster, match="--allow-open-cluster") as raised:
            attach_ray(address, namespace="test")
        assert raised.value.where.rpartition(":")[2] == address.rpartition(":")[2]


# --- secrets of the environment -------------------------------------------------------------------

READ_SECRETS = """
import os, subprocess
from greenray.chain.secrets import environment_without_secrets, secrets_for_children, taken_secrets

def of_a_child():
    return subprocess.run(["env"], capture_output=True, text=True).stdout

print(sorted(taken_secrets().items()))
print(sorted(taken_secrets().items()))
print("hush" in str(dict(os.environ)), "hush" in of_a_child())
print("hush" in open("/proc/self/environ").read())
with secrets_for_children():
    print("hush" in of_a_child(), "hush" in str(environment_without_secrets()))
print("hush" in of_a_child(), taken_secrets()["GREENRAY_KEY_PASSWORD"])
print("hush" in open("/proc/self/environ").read())
"""


def test_secrets_leave_the_environment_once_they_are_read() -> None:
    secrets = {"GREENRAY_KEY_PASSWORD": "hush-1", "GREENRAY_KEY_SP_0_SEAL": "hush-2"}
    ran = subprocess.run(
        [sys.executable, "-c", READ_SECRETS],
        env={**os.environ, **secrets},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.splitlines() == [
        str(sorted(secrets.items())),
        str(sorted(secrets.items())),
        "False False",
        "False",
        "True False",
        "False hush-1",
        "False",
    ]


def rays_sockets(surroundings: Surroundings) -> Iterator[Path]:
    """Of the object store and of the raylet, as its command line has them."""
    for process in surroundings.processes():
        for argument in process.cmdline():
            name, _, value = argument.partition("=")
            if name in ("--store_socket_name", "--raylet_socket_name"):
                yield Path(value)


def is_closed_to_others(path: Path) -> bool:
    return any(mode(parent) == 0o700 for parent in path.parents)


# --- a network ------------------------------------------------------------------------------------


def test_a_network_leaves_nothing_that_others_can_enter_or_read(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    surroundings = Surroundings(tmp_path_factory.mktemp("n"), SMALL_NETWORK)
    surroundings.folder.chmod(0o755)
    # Beside a folder with the name of one of ours, which was once executed in its place.
    (surroundings.folder / "chain").mkdir()
    (surroundings.folder / "chain" / "__init__.py").write_text("raise SystemExit('taken over')\n")
    (surroundings.folder / "one").write_bytes(b"payload")
    try:
        up = surroundings.run("up", "--detach", "--json", GREENRAY_KEY_UNUSED="ab" * 32)
        assert up.exit_code == 0, up.stderr
        put = surroundings.run("put", "one", "photos/one", "--json")
        assert json.loads(put.stdout)["state"] == "SEAL_OBJECT_DONE"
        assert mode(surroundings.state_dir) == 0o700
        files = [path for path in surroundings.state_dir.rglob("*") if path.is_file()]
        rays = surroundings.state_dir / "ray"
        ours = [path for path in files if not path.is_relative_to(rays)]
        assert {path.name for path in ours} >= {"jobs.sqlite", "keys.json", "network.json"}
        assert {oct(mode(path)) for path in ours} == {"0o600"}
        sockets = list(rays_sockets(surroundings))
        assert sockets
        assert all(is_closed_to_others(path) for path in sockets)
    finally:
        surroundings.run("down")
        surroundings.kill_everything()
