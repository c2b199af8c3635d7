"""Where a gateway cannot listen it says what to set."""

from __future__ import annotations

from pathlib import Path

import pytest

from greenray.actors.gateway.server import Binding, Gateway
from greenray.chain.dialects import get_dialect
from greenray.protocol.errors import InvalidSetting
from tests.support.gateway_rig import GatewayRig
from tests.support.sps import KeySigner

_NOBODYS_ADDRESS = "203.0.113.9"  # of RFC 5737, for documentation


async def test_an_address_of_another_machine_is_refused_and_nothing_is_left_open(
    tmp_path: Path,
) -> None:
    rig = await GatewayRig.create(tmp_path)
    gateway = Gateway(
        bindings=[Binding(rig.sp.address), Binding(rig.other_sp.address, host=_NOBODYS_ADDRESS)],
        chain=rig.chain,
        uploader=rig.uploader,
        downloader=rig.downloader,
        job_store=rig.job_store,
        ledger=rig.job_store,
        user_keys=rig.job_store,
        signer=KeySigner([rig.sp, rig.other_sp]),
        dialect=get_dialect(),
    )
    try:
        with pytest.raises(InvalidSetting, match=f"{_NOBODYS_ADDRESS}.*nothing can listen there"):
            await gateway.start()
        with pytest.raises(OSError, match="onnect"):
            await rig.http.get(f"http://127.0.0.1:{gateway.port(rig.sp.address)}/")
    finally:
        await gateway.close()
        await rig.close()
