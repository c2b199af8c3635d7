"""What an operator sets reaches the actor that takes it, and what messages advise to set exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from greenray.cluster.config.node_config import NodeConfig
from greenray.cluster.config.settings import Settings
from greenray.cluster.config.settings_loading import load_settings, settings_by_name, variable_of
from greenray.storage.file_location import FileLocation
from tests.support.sources import nodes_of, source_files

ROOT = Path(__file__).parents[2]
ROOMS = sorted(path.parent.name for path in (ROOT / "actors").glob("*/settings.py"))

NO_SETTINGS = {
    "uploader.hot_from_bytes": "what a column costs in the object space, by its host",
    "task_node.driver.hot_from_bytes": "the same",
    "in_cluster.whole_group_bytes": "the same",
    "gateway.take_over_bytes": "what parsing a body costs aiohttp",
    "gateway.read_bufsize_bytes": "the same",
    "receiver.wire_batch_bytes": "memory is bounded by threads; larger batches gain nothing",
    "scrubber.retry_s": "how soon a chain or a journal is back",
    "scrubber.save_interval_s": "what is done again after a crash, for a commit less",
    "signer.queue.batch_limit": "what one commit and one block take",
    "signer.queue.plan_rounds": "how often a node may lag behind itself",
    "signer.queue.cached_gas_up_to_size_bytes": "how the chain counts gas",
    "signer.watch.object_check_blocks": "costs one query for each object",
    "signer.watch.parallel_looks": "connections to one node",
    "in_cluster.restart_poll_s": "a question to this machine",
    "rpc.follow.lag_poll_s": "how fast blocks come",
    "http.chunk_bytes": "what a socket takes at a time",
}
"""Fields that are no settings, each with what it depends on instead."""


def config_of(settings: Settings) -> NodeConfig:
    return NodeConfig.of(
        settings,
        state_root=Path("/state"),
        chain_endpoint="http://127.0.0.1:26750",
        keys=None,
        hosted=("0xa", "0xb", "0xc"),
        pieces=FileLocation(Path("/pieces")),
    )


def values(told: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(name, value) of all fields of the actors' settings."""
    for field in fields(told):
        value = getattr(told, field.name)
        if is_dataclass(value) and not isinstance(value, FileLocation):
            yield from values(value, f"{prefix}{field.name}.")
        elif prefix:
            yield f"{prefix}{field.name}", value


def changed(name: str, default: Any) -> Any:
    """A value that the setting accepts and that is not its default."""
    match name, default:
        case "uploader.hash_threads", None:
            return 3
        case "collector.enabled", _:
            return not default
        case "gateway.cors_origins", _:
            return "https://app.example"
        case "budget.hot_columns_share", _:
            return 0.01
        case _, bool() | str() | None | dict() | Path():
            return default
        case _, int():
            return default + 2
        case _, float():
            return default * 0.95
    raise AssertionError(name)


def test_every_field_that_an_actor_takes_is_set_by_a_setting_or_says_what_it_depends_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = dict(values(config_of(load_settings())))
    for name, field in settings_by_name():
        value = changed(name, field.default)
        if value != field.default and not name.startswith("pieces."):
            monkeypatch.setenv(variable_of(name), str(value))
    after = dict(values(config_of(load_settings())))
    assert {name for name in before if after[name] == before[name]} == set(NO_SETTINGS)


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("replication.lease_s", {"uploader.lease_s", "task_node.lease_s"}),
        ("replication.http.idle_timeout_s", {"http.idle_timeout_s"}),
        ("gateway.idle_timeout_s", {"gateway.idle_timeout_s"}),
        ("chain.poll_interval_s", {"signer.watch.poll_interval_s"}),
        ("chain.patience.poll_interval_s", {"receiver.patience.poll_interval_s"}),
        ("chain.timeout_s", {"rpc.timeout_s"}),
        ("replication.batch_timeout_s", {"task_node.driver.replication.batch_timeout_s"}),
    ],
)
def test_a_setting_reaches_those_it_is_for_and_nobody_else(
    setting: str, told: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = dict(values(config_of(load_settings())))
    monkeypatch.setenv(variable_of(setting), "1.5")
    after = dict(values(config_of(load_settings())))
    assert {name for name in before if after[name] != before[name]} == told


@pytest.mark.parametrize("room", ROOMS)
def test_every_settings_class_of_an_actor_is_in_the_configuration(room: str) -> None:
    def classes(value: Any) -> Iterator[type[Any]]:
        yield type(value)
        for field in fields(value):
            inner = getattr(value, field.name)
            if is_dataclass(inner):
                yield from classes(inner)

    module = import_module(f"greenray.actors.{room}.settings")
    own = {
        cls for cls in vars(module).values() if getattr(cls, "__module__", "") == module.__name__
    }
    assert own
    assert own <= set(classes(config_of(Settings())))


def test_every_setting_has_a_text() -> None:
    assert [name for name, field in settings_by_name() if not field.description] == []


def _sentences(path: Path) -> Iterator[str]:
    """What is said to people: strings with a space in them that are no docstrings."""
    docstrings = {id(node.value) for node in nodes_of(path, ast.Expr)}
    for node in nodes_of(path, ast.Constant):
        match node:
            case ast.Constant(value=str(text)) if " " in text and id(node) not in docstrings:
                yield text


def test_every_setting_that_a_message_or_a_document_advises_exists() -> None:
    known = {name for name, _ in settings_by_name()}
    sections = "|".join(sorted({name.split(".")[0] for name in known if "." in name}))
    setting = rf"(?<![\w./-])(?:{sections})(?:\.[a-z_0-9]+)+"
    advised = {
        found
        for path in source_files()
        for sentence in _sentences(path)
        for found in re.findall(setting, sentence)
    }
    documents = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    documented = {
        found
        for path in documents
        for found in re.findall(f"`({setting})(?:: [^`]*)?`", path.read_text(encoding="utf-8"))
    }
    assert {"budget.memory_bytes", "receiver.max_open_groups"} <= advised
    no_settings = {"chain.chain_id", "chain.log"}  # a field of key files, a file
    assert (advised | documented) - known == no_settings
