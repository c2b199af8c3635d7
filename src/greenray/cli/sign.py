"""``greenray sign``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from greenray.cli.options import DEFAULT_STATE_DIR, KeyOption, StateDirOption
from greenray.cli.output import Json, command_app, print_result, reporting_errors

app = command_app()


@app.command()
def sign(
    method: Annotated[str, typer.Argument(help="GET, HEAD, PUT or POST.")],
    url: Annotated[str, typer.Argument(help="http://GATEWAY/BUCKET/OBJECT, with its query.")],
    header: Annotated[
        list[str] | None,
        typer.Option("--header", "-H", help="'NAME: VALUE' that is sent as well; repeatable."),
    ] = None,
    state_dir: StateDirOption = DEFAULT_STATE_DIR,
    key: KeyOption = None,
    as_json: Json = False,
) -> None:
    """Print the headers of a signed request, for other HTTP clients.

    greenray sign GET "$GATEWAY/photos/one" | curl -H @- "$GATEWAY/photos/one"
    """
    with reporting_errors(as_json):
        headers = _signed(method, url, header or [], state_dir, key)
        print_result(
            headers, "\n".join(f"{name}: {value}" for name, value in headers.items()), as_json
        )


def _signed(
    method: str, url: str, extra: list[str], state_dir: Path, key: Path | None
) -> dict[str, str]:
    from greenray.client.network_file import read_network
    from greenray.client.request_signing import headers_of, signed_headers
    from greenray.client.user import user_key

    return signed_headers(
        user_key(read_network(state_dir), key), method.upper(), url, headers_of(extra)
    )
