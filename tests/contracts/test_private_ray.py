"""What is used of Ray's private parts is where it was. A test that fails names what a new Ray has
moved; what happens without it is tested beside.

Two uses need a running Ray: ``tests/actors/test_spill_count.py`` counts what was spilled, and
``tests/actors/test_what_crosses_ray.py`` looks where columns come to lie in the object store.
"""

from __future__ import annotations

import inspect
import os
import sys
from importlib import import_module
from pathlib import Path

import pytest
import ray

from greenray.cluster.on_ray import private
from greenray.protocol.errors import ComponentUnavailable

RAY = Path(ray.__file__).parent
RAYLET = RAY / "core" / "src" / "ray" / "raylet" / "raylet"
GCS_SERVER = RAY / "core" / "src" / "ray" / "gcs" / "gcs_server"


@pytest.fixture
def another_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """One without any of the private parts."""
    monkeypatch.setattr(private, "_private", lambda module, name: None)


# --- options -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def raylet() -> bytes:
    return RAYLET.read_bytes()


@pytest.mark.parametrize("name", private.SYSTEM_OPTIONS)
def test_rays_servers_know_the_option(raylet: bytes, name: str) -> None:
    assert name.encode() in raylet


def test_an_option_that_the_environment_has_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in private.SYSTEM_OPTIONS:
        monkeypatch.setenv(f"RAY_{name}", "of the user")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "of the user")
    private.set_system_options()
    assert {os.environ[f"RAY_{name}"] for name in private.SYSTEM_OPTIONS} == {"of the user"}


def test_ray_takes_another_directory_for_its_sockets() -> None:
    assert '"_temp_dir"' in inspect.getsource(ray.init)
    assert private.init_options("/tmp/ray") == {"_temp_dir": "/tmp/ray"}
    assert private.init_options(None) == {}


# --- servers -------------------------------------------------------------------------------------


def test_rays_node_starts_what_is_not_needed_by_these_methods() -> None:
    node = import_module("ray._private.node").Node
    before = {name: getattr(node, name) for name in private.UNNEEDED_SERVERS}
    with private.only_needed_servers():
        for name in private.UNNEEDED_SERVERS:
            assert getattr(node, name) is not before[name]
    assert {name: getattr(node, name) for name in private.UNNEEDED_SERVERS} == before


@pytest.mark.usefixtures("another_ray")
def test_another_ray_starts_all_its_servers() -> None:
    with private.only_needed_servers():
        assert import_module("ray._private.node").Node.start_monitor.__name__ == "start_monitor"


def test_rays_servers_are_known_by_where_they_are_installed() -> None:
    assert RAYLET.exists()
    assert GCS_SERVER.exists()
    assert private.is_rays_server([str(RAYLET), "--raylet_socket_name=x"])
    assert private.is_rays_server([sys.executable, str(RAY / "_private" / "workers" / "x.py")])
    assert not private.is_rays_server([sys.executable, "-m", "ray"])


# --- workers -------------------------------------------------------------------------------------


def search_path(monkeypatch: pytest.MonkeyPatch, own: list[str], added: list[str]) -> list[str]:
    """What workers are told when this process looks in ``own`` and Ray adds ``added``."""
    monkeypatch.setattr(sys, "path", own)
    config = private.job_config()
    config._py_driver_sys_path.extend(added)
    return list(config._get_proto_job_config().py_driver_sys_path)  # type: ignore[no-untyped-call]


def test_ray_adds_directories_where_they_are_looked_for() -> None:
    connect = inspect.getsource(import_module("ray._private.worker").connect)
    assert "job_config._py_driver_sys_path.extend(code_paths)" in connect


def test_workers_look_in_no_directory_that_their_driver_does_not_look_in(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    here = os.getcwd()
    assert search_path(monkeypatch, ["/opt/lib"], [here]) == []
    assert search_path(monkeypatch, ["/opt/lib", here], ["/srv/script", here]) == [here]
    assert search_path(monkeypatch, ["/opt/lib", ""], [here]) == [here]


def test_in_a_ray_that_keeps_them_elsewhere_nothing_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class AnotherJobConfig:
        pass

    monkeypatch.setattr(private, "JobConfig", AnotherJobConfig)
    assert vars(private.job_config()) == {}


# --- a running cluster ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "name", "parameters"),
    [
        (
            "ray._private.authentication.authentication_token_setup",
            "maybe_enable_token_auth_if_token_available",
            ["warn_if_disabled"],
        ),
        ("ray._private.services", "canonicalize_bootstrap_address", ["addr", "temp_dir"]),
        ("ray._private.internal_api", "get_state_from_address", ["address"]),
        ("ray._private.internal_api", "get_memory_info_reply", ["state"]),
    ],
)
def test_ray_has_the_function(module: str, name: str, parameters: list[str]) -> None:
    found = inspect.signature(getattr(import_module(module), name)).parameters
    assert list(found)[: len(parameters)] == parameters


@pytest.mark.usefixtures("another_ray")
def test_another_ray_is_left_to_look_for_token_and_address_itself() -> None:
    private.use_the_clusters_token()
    assert private.bootstrap_address("10.0.0.1:6379") == "10.0.0.1:6379"
    assert private.bootstrap_address("auto") == "auto"
    with pytest.raises(ValueError, match="nonsense"):
        private.bootstrap_address("nonsense")


@pytest.mark.usefixtures("another_ray")
def test_another_ray_is_not_believed_to_have_spilled_nothing() -> None:
    with pytest.raises(ComponentUnavailable, match="does not tell how much it has spilled"):
        private.spilled_bytes()
