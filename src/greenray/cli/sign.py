"""``greenray sign``."""

from __future__ import annotations

from typing import Annotated

import typer

from greenray.cli.options import with_access
from greenray.cli.output import Json, command_app, print_result, reporting_errors
from greenray.client.access import Access

app = command_app()


@app.command()
@with_access
def sign(
    method: Annotated[str, typer.Argument(help="GET, HEAD, PUT or POST.")],
    url: Annotated[str, typer.Argument(help="http://GATEWAY/BUCKET/OBJECT, with its query.")],
    header: Annotated[
        list[str] | None,
        typer.Option("--header", "-H", help="'NAME: VALUE' that is sent as well; repeatable."),
    ] = None,
    *,
    access: Access,
    as_json: Json = False,
) -> None:
    """Print the headers of a signed request, for other HTTP clients.

    greenray sign GET "$GATEWAY/photos/one" | curl -H @- "$GATEWAY/photos/one"
    """
    with reporting_errors(as_json):
        headers = _signed(method, url, header or [], access)
        print_result(
            headers, "\n".join(f"{name}: {value}" for name, value in headers.items()), as_json
        )


def _signed(method: str, url: str, extra: list[str], access: Access) -> dict[str, str]:
    from greenray.client.request_signing import headers_of, signed_headers
    from greenray.client.user import access_key

    return signed_headers(access_key(access), method.upper(), url, headers_of(extra))
