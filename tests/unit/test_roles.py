"""What an actor's process offers is what the others expect behind its name.

Named ports are typed by nobody: a method that is missing would only show in a running network.
"""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import get_type_hints

import pytest

from greenray.actors import ports
from greenray.chain.ports import ChainClient
from greenray.storage.ports import JobStore

OFFERS = [
    ("chain", ChainClient),
    ("job_store", JobStore),
    ("p2p", ports.ApprovalSource),
    ("receiver", ports.ReceiverPort),
    ("signer", ports.SealerPort),
    ("signer", ports.SignerPort),
    ("task_node", ports.TaskWaker),
    ("uploader", ports.HotColumns),
    ("uploader", ports.RunningUploads),
]


@pytest.mark.parametrize(
    ("role", "port"), OFFERS, ids=lambda value: getattr(value, "__name__", value)
)
def test_a_role_has_every_method_of_its_ports(role: str, port: type) -> None:
    subject = get_type_hints(import_module(f"greenray.cluster.roles.{role}").build)["return"]
    wanted = dict(inspect.getmembers(port, inspect.iscoroutinefunction))
    assert wanted
    for name, method in wanted.items():
        offered = getattr(subject, name, None)
        assert inspect.iscoroutinefunction(offered), name
        assert list(inspect.signature(offered).parameters) == list(
            inspect.signature(method).parameters
        ), name
