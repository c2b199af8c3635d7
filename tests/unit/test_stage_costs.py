"""Costs per GB and per object, out of what processes spent."""

from __future__ import annotations

import pytest

from greenray.actors import names
from greenray.capacity.planning import Place
from greenray.capacity.stage_costs import ProcessUse, Spell, StageUse, spent, stage_costs, stage_of
from greenray.cluster.config.node_config import (
    HOME_ACTORS,
    host_of,
    host_title,
)
from greenray.protocol.errors import InvalidInput


@pytest.mark.parametrize(
    ("command", "name", "stage"),
    [
        (["ray::Uploader.call"], "ray::Uploader", "Uploader and Gateway"),
        (["ray::Receiver", ""], "ray::Receiver", "Receivers"),
        (["ray::IDLE"], "ray::IDLE", "encode tasks"),
        (["ray::encode_batch()"], "ray::encode", "encode tasks"),
        (["python", "workers/default_worker.py"], "python", "encode tasks"),
        (["ray::RuntimeEnvAgent"], "ray::RuntimeEnv", "Ray on each node"),
        (["raylet/raylet"], "raylet", "Ray on each node"),
        (["gcs/gcs_server"], "gcs_server", "Ray's control"),
        (["python", "-m", "greenray.chain.local"], "python", None),
    ],
)
def test_a_process_belongs_to_the_stage_that_its_name_tells(
    command: list[str], name: str, stage: str | None
) -> None:
    assert stage_of(command, name) == stage


@pytest.mark.parametrize(
    ("host", "stage"),
    [
        *((host_of(name), "home") for name in HOME_ACTORS),
        (host_of(names.uploader(1).actor), "Uploader and Gateway"),
        (host_of(names.receiver(1).actor), "Receivers"),
    ],
)
def test_every_host_of_a_network_is_known_by_its_title(host: str, stage: str) -> None:
    assert stage_of([f"ray::{host_title(host)}.call"], f"ray::{host_title(host)}") == stage


def test_the_busiest_threads_of_the_processes_of_a_stage_add_up() -> None:
    before = {
        1: ProcessUse("Receivers", 10.0, {11: 5.0, 12: 5.0}),
        2: ProcessUse("Receivers", 1.0, {21: 1.0}),
        3: ProcessUse("home", 1.0, {31: 1.0}),
    }
    after = {
        1: ProcessUse("Receivers", 13.0, {11: 5.5, 12: 7.0, 13: 0.5}),
        2: ProcessUse("Receivers", 2.0, {21: 2.0}),
        4: ProcessUse("encode tasks", 9.0, {41: 9.0}),
    }
    assert spent(before, after) == {"Receivers": StageUse(4.0, 3.0, 2)}


def test_costs_per_gb_and_per_object_are_told_apart_and_idle_time_is_taken_off() -> None:
    per_gb, per_object, idle_share = 2.0, 0.03, 0.1

    def spell(seconds: float, objects: int, payload_bytes: int) -> Spell:
        cpu_s = per_gb * payload_bytes / 1e9 + per_object * objects + idle_share * seconds
        return Spell(
            seconds, objects, payload_bytes, {"Receivers": StageUse(cpu_s, cpu_s / 2, processes=2)}
        )

    idle, large, small = spell(2, 0, 0), spell(3, 2, 10**9), spell(1, 20, 200_000)
    [cost] = stage_costs(idle, large, small)
    assert (cost.name, cost.place, cost.processes_per_node) == ("Receivers", Place.NODE, 2)
    assert cost.cpu_s_per_gb == pytest.approx(per_gb)
    assert cost.cpu_s_per_object == pytest.approx(per_object)
    assert cost.serial_s_per_gb == pytest.approx(per_gb / 2)
    assert cost.serial_s_per_object == pytest.approx(per_object / 2)


def test_noise_does_not_make_a_stage_cost_less_than_nothing() -> None:
    idle = Spell(1.0, 0, 0, {"home": StageUse(0.5, 0.5, 1)})
    large = Spell(1.0, 1, 10**9, {"home": StageUse(0.4, 0.4, 1)})
    small = Spell(1.0, 10, 1000, {"home": StageUse(0.4, 0.4, 1)})
    [cost] = stage_costs(idle, large, small)
    assert (cost.cpu_s_per_gb, cost.cpu_s_per_object) == (0.0, 0.0)


def test_objects_of_one_size_tell_nothing() -> None:
    spell = Spell(1.0, 1, 1000, {})
    with pytest.raises(InvalidInput):
        stage_costs(spell, spell, spell)
