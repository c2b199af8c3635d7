"""What the type checker refuses at the seam between actors: real modules, changed in one place.

Each changed module is checked beside an unchanged copy of itself, which must pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from mypy import api

REPOSITORY = Path(__file__).parents[2]
SOURCE = REPOSITORY / "src" / "greenray"

pytestmark = pytest.mark.timeout(600)


def source_of(module: str) -> str:
    return (SOURCE / f"{module}.py").read_text()


def changed(text: str, old: str, new: str) -> str:
    assert old in text, old
    return text.replace(old, new)


def role_of(role: str, actor: str, module: str) -> str:
    """A role that builds the actor of ``module``, a copy of the real one."""
    real = f"from greenray.actors.{actor}.actor import"
    return changed(source_of(f"cluster/roles/{role}"), real, f"from {module} import")


def snippets() -> Mapping[str, str]:
    receiver, p2p = source_of("cluster/roles/receiver"), source_of("actors/p2p/actor")
    signer = "signer=host.finder.find(names.SIGNER)"
    wake = "waker=find(names.TASK_WAKER)"
    uploader = source_of("cluster/roles/uploader")
    approvals = "async def get_secondary_approvals("
    in_step = "object_info: ObjectInfo, sp_address: str, needed: int, timeout_s: float"
    return {
        "right_binding": receiver,
        "another_actor": changed(receiver, signer, "signer=host.finder.find(names.APPROVALS)"),
        "another_port_of_the_actor": changed(
            receiver, signer, "signer=host.finder.find(names.SEALER)"
        ),
        "another_waker": changed(uploader, wake, "waker=find(names.JOB_STORE)"),
        "right_p2p": p2p,
        "right_role": role_of("p2p", "p2p", "right_p2p"),
        "renamed_p2p": changed(p2p, approvals, "async def collect_approvals("),
        "role_of_the_renamed": role_of("p2p", "p2p", "renamed_p2p"),
        "reordered_p2p": changed(
            p2p, in_step, "sp_address: str, object_info: ObjectInfo, needed: int, timeout_s: float"
        ),
        "role_of_the_reordered": role_of("p2p", "p2p", "reordered_p2p"),
    }


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, list[str]]:
    """What mypy says about each snippet, by its name, from one run over all of them."""
    folder = tmp_path_factory.mktemp("snippets")
    names = snippets()
    for name, text in names.items():
        (folder / f"{name}.py").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(REPOSITORY)
        patch.setenv("MYPYPATH", f"{SOURCE.parent}:{folder}")
        files = [str(folder / f"{name}.py") for name in names]
        said, failed, _ = api.run(
            [
                "--config-file",
                "pyproject.toml",
                "--no-error-summary",
                "--hide-error-context",
                *files,
            ]
        )
    assert not failed, failed
    lines = [line for line in said.splitlines() if "error:" in line]
    return {name: [line for line in lines if f"/{name}.py:" in line] for name in names}


@pytest.mark.parametrize("name", ["right_binding", "right_p2p", "right_role"])
def test_what_is_right_passes(complaints: Mapping[str, list[str]], name: str) -> None:
    assert complaints[name] == []


@pytest.mark.parametrize(
    ("name", "found", "expected"),
    [
        ("another_actor", "ApprovalSource", "SignerPort"),
        ("another_port_of_the_actor", "SealerPort", "SignerPort"),
        ("another_waker", "JobStore", "TaskWaker"),
    ],
)
def test_an_actor_bound_where_another_belongs_is_a_type_error(
    complaints: Mapping[str, list[str]], name: str, found: str, expected: str
) -> None:
    [complaint] = complaints[name]
    assert f'incompatible type "{found}"; expected "{expected}"' in complaint


@pytest.mark.parametrize("name", ["role_of_the_renamed", "role_of_the_reordered"])
def test_an_actor_that_does_not_fit_its_port_any_more_is_a_type_error_of_its_role(
    complaints: Mapping[str, list[str]], name: str
) -> None:
    [complaint] = complaints[name]
    assert 'expected "Callable[..., ApprovalSource]"' in complaint
