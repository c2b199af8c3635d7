"""Every name that an actor can be found by is offered by the role that is built under it. That the
role fits the port is for the type checker (``tests/contracts/test_typed_seam.py``).
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from greenray.actors import names
from greenray.cluster.config.node_config import HOME_ACTORS
from greenray.cluster.roles import launch_names
from greenray.seam.finder import PortName

ROLES = (*HOME_ACTORS, "receiver", "scrubber", "uploader")


def test_what_roles_offer_is_what_there_are_names_for() -> None:
    named: set[PortName[Any]] = {
        value
        for module in (names, launch_names)
        for value in vars(module).values()
        if isinstance(value, PortName)
    }
    named |= {names.receiver(0), names.scrubber(0), names.uploader(0)}
    named |= set(names.trace_sources(1, 1))
    named |= {
        launch_names.sweeper(0),
        launch_names.scrub_runner(0),
        launch_names.gateways(0),
        launch_names.payloads("uploader-0"),
    }
    offers = {role: import_module(f"greenray.cluster.roles.{role}").OFFERS for role in ROLES}
    assert {name for of_role in offers.values() for name in of_role} == named
    for role, of_role in offers.items():
        assert {name.actor.partition("-")[0] for name in of_role} == {role}
