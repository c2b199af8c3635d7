"""The names in a request, looked at before anything else."""

from __future__ import annotations

from greenray.actors.gateway.errors import GatewayCode, Refusal
from greenray.actors.gateway.routes import Match
from greenray.protocol.errors import InvalidName
from greenray.protocol.names import check_bucket_name, check_object_name


def check_bucket_of(match: Match) -> None:
    """Raises Refusal."""
    try:
        check_bucket_name(match.bucket_name)
    except InvalidName as error:
        raise Refusal(GatewayCode.INVALID_BUCKET_NAME, error) from error


def check_names(match: Match) -> None:
    """Of a bucket and an object. Raises Refusal."""
    check_bucket_of(match)
    try:
        check_object_name(match.object_name)
    except InvalidName as error:
        raise Refusal(GatewayCode.INVALID_KEY, error) from error
