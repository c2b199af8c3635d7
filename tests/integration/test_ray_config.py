"""The shipped cluster-launcher files, against what Ray itself checks before it reaches out."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray.autoscaler
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.scripts.scripts import start as ray_start

ROOT = Path(__file__).parents[2]
FILES = sorted(ROOT.glob("ray_config*.yaml"))
SCHEMA = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())
COMMANDS = (
    "initialization_commands",
    "setup_commands",
    "head_setup_commands",
    "head_start_ray_commands",
    "worker_start_ray_commands",
)
STARTS = ("head_start_ray_commands", "worker_start_ray_commands")

each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)


def load(path: Path) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load(path.read_text())
    return config


def commands(config: dict[str, Any]) -> list[str]:
    return [command for name in COMMANDS for command in config.get(name, [])]


def test_there_is_a_file_for_own_machines_and_one_for_aws() -> None:
    providers = {path.name: load(path)["provider"]["type"] for path in FILES}
    assert providers == {"ray_config.yaml": "local", "ray_config.aws.yaml": "aws"}


@each_file
def test_the_file_fits_the_schema_that_ray_ships(path: Path) -> None:
    jsonschema.validate(load(path), SCHEMA)


@each_file
def test_the_schema_would_refuse_a_misspelt_key(path: Path) -> None:
    with pytest.raises(jsonschema.ValidationError, match="setup_command"):
        jsonschema.validate({**load(path), "setup_command": []}, SCHEMA)


@each_file
def test_ray_can_prepare_and_validate_the_file_offline(path: Path) -> None:
    prepared = prepare_config(load(path))
    validate_config(prepared)
    head = prepared["available_node_types"][prepared["head_node_type"]]
    assert head["node_config"] is not None
    workers = sum(node["min_workers"] for node in prepared["available_node_types"].values())
    assert workers == prepared["max_workers"] == 2


@each_file
def test_every_command_is_valid_shell(path: Path) -> None:
    for command in commands(load(path)):
        checked = subprocess.run(["bash", "-n", "-c", command], capture_output=True, text=True)
        assert checked.returncode == 0, f"{command}: {checked.stderr}"


@each_file
def test_ray_start_knows_every_option_of_the_start_commands(path: Path) -> None:
    config = load(path)
    for name, resources in (
        ("head_start_ray_commands", {"job_store": 1, "gateway": 1}),
        ("worker_start_ray_commands", {"gateway": 1}),
    ):
        words = shlex.split(config[name][-1])
        options = words[words.index("start") + 1 :]
        context = ray_start.make_context("start", options)
        assert json.loads(context.params["resources"]) == resources
        assert context.params["object_store_memory"] == 4 << 30
        assert context.params["head"] is (name == "head_start_ray_commands")


@each_file
def test_every_node_asks_for_the_token_and_keeps_what_it_makes_to_itself(path: Path) -> None:
    config = load(path)
    for name in STARTS:
        assert "umask 077; RAY_AUTH_MODE=token " in config[name][-1]
    assert "chmod 600 ~/.ray/auth_token" in config["setup_commands"][0]
    assert "--temp-dir=$HOME/greenray/run/ray" in config[STARTS[0]][-1]


@pytest.mark.parametrize("name", STARTS)
def test_ray_refuses_to_start_without_a_token(name: str, tmp_path: Path) -> None:
    """The command as it stands, with an empty home."""
    (tmp_path / "greenray").mkdir()
    (tmp_path / "greenray" / "venv").symlink_to(sys.prefix)
    command = load(ROOT / "ray_config.yaml")[name][-1].replace("$RAY_HEAD_IP:6379", "127.0.0.1:1")
    environment = {n: v for n, v in os.environ.items() if not n.startswith("RAY_")}
    ran = subprocess.run(
        ["bash", "-c", command],
        env={**environment, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode != 0
    assert "no authentication token was found" in ran.stderr


@each_file
def test_the_locked_versions_and_the_wheel_are_what_gets_installed(path: Path) -> None:
    config = load(path)
    assert config["file_mounts"] == {
        "~/greenray/dist": "dist",
        "~/greenray/requirements.lock": "requirements.lock",
        "~/greenray/make-venv": "scripts/make-venv",
        "~/.ray/auth_token": "~/.ray/auth_token",
    }
    assert (ROOT / "requirements.lock").is_file()
    assert (ROOT / "scripts" / "make-venv").is_file()
    installing = [command for command in config["setup_commands"] if "/greenray/venv " in command]
    installing += [command for command in config["setup_commands"] if "pip install" in command]
    assert [command.split()[-1] for command in installing] == [
        "~/greenray/requirements.lock",
        "~/greenray/dist/greenray-*.whl",
    ]
