"""How calls travel stands at the methods of the ports, and a port that does not say it is none."""

from __future__ import annotations

import inspect
from typing import Protocol

import pytest

from greenray.actors import names
from greenray.actors.ports import ReceiverPort
from greenray.seam.finder import PortName
from greenray.seam.travel import Travel, alone, grouped, travels_of, with_column


class Port(Protocol):
    @grouped
    async def quick(self) -> None: ...

    @with_column
    async def send(self, column: bytes) -> None: ...

    @alone
    async def wait(self) -> None: ...

    def plain(self) -> None: ...


class Wider(Port, Protocol):
    @alone
    async def more(self) -> None: ...


class Forgetful(Port, Protocol):
    async def forgotten(self) -> None: ...


def test_a_port_tells_how_each_of_its_methods_travels_also_those_it_inherits() -> None:
    expected = {"quick": Travel.GROUPED, "send": Travel.WITH_COLUMN, "wait": Travel.ALONE}
    assert travels_of(Port) == expected
    assert travels_of(Wider) == {**expected, "more": Travel.ALONE}


def test_a_port_with_a_method_that_does_not_tell_it_gets_no_name() -> None:
    with pytest.raises(TypeError, match=r"Forgetful does not say .* travel: forgotten"):
        PortName("somebody", Forgetful)


def test_calls_with_columns_end_in_the_column() -> None:
    with_columns = [n for n, how in travels_of(ReceiverPort).items() if how is Travel.WITH_COLUMN]
    assert with_columns == ["write_batch"]
    assert list(inspect.signature(ReceiverPort.write_batch).parameters)[-1] == "column"


@pytest.mark.parametrize(
    ("name", "in_groups"),
    [
        (
            names.CHAIN,
            "account balance head_bucket head_object head_object_by_id is_stream_active "
            "latest_height storage_params storage_providers transaction verify_permission",
        ),
        (
            names.JOB_STORE,
            "acknowledge_batch apply begin_upload claim_jobs count_waiting drop_group finish_group "
            "finish_upload get_integrity get_job get_transactions job_of mark_transaction "
            "next_due_in_s open_group release_job reserve_transaction wake_parked",
        ),
        (names.receiver(0), "hold_group"),
        (names.SIGNER, "sign_as_approver sign_as_operator"),
        (names.SEALER, ""),
        (names.APPROVALS, ""),
        (names.TASK_WAKER, ""),
        (names.uploader(0), "release_batch release_object"),
        (names.trace_of(names.SIGNER), ""),
    ],
    ids=lambda value: value.port.__name__ if isinstance(value, PortName) else "",
)
def test_what_is_answered_at_once_travels_in_groups(name: PortName[object], in_groups: str) -> None:
    travels = travels_of(name.port)
    assert sorted(n for n, how in travels.items() if how is Travel.GROUPED) == in_groups.split()
