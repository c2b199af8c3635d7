"""Refusals of Greenfield's own modules, as a v0.2.0 node words them (04 §11)."""

from __future__ import annotations

from greenray.chain.addresses import InvalidAddress, parse_address
from greenray.chain.local.ledger.faults import ChainFault, panic, wrapped

_ROOT_TEXTS: dict[tuple[str, int], str] = {
    ("greenfiled", 1000): "Invalid bucket name",
    ("greenfiled", 1001): "Invalid object name",
    ("greenfiled", 1002): "Invalid group name",
    ("greenfiled", 1003): "Invalid checksum",
    ("greenfiled", 1004): "Invalid content type",
    ("greenfiled", 1005): "Invalid sp signature",
    ("greenfiled", 1006): "Invalid sp address",
    ("greenfiled", 1007): "Invalid principal",
    ("greenfiled", 1008): "Not a standard greenfield resource name format",
    ("greenfiled", 1009): "Invalid parameter",
    ("permission", 1100): "Invalid principal",
    ("permission", 1102): "Num limit exceeded",
    ("permission", 1103): "Permission expired",
    ("storage", 1100): "No such bucket",
    ("storage", 1101): "No such object",
    ("storage", 1102): "No such group",
    ("storage", 1103): "No such group member",
    ("storage", 1104): "Bucket already exists",
    ("storage", 1105): "Object already exists",
    ("storage", 1106): "Group already exists",
    ("storage", 1107): "Access denied",
    ("storage", 1108): "Object already sealed",
    ("storage", 1109): "Bucket is not empty",
    ("storage", 1110): "Group member already exists",
    ("storage", 1111): "No such storage provider",
    ("storage", 1112): "Object not created",
    ("storage", 1113): "Object not sealed",
    ("storage", 1114): "Object source type mismatch",
    ("storage", 1115): "Object payload size is too large",
    ("storage", 1116): "Invalid approval of sp",
    ("storage", 1117): "charge failed error",
    ("storage", 1118): "Invalid type of visibility",
    ("storage", 1120): "No such Policy",
    ("storage", 1121): "Invalid parameter",
    ("storage", 3001): "resource is already mirrored",
    ("storage", 3101): "object ids are invalid",
    ("storage", 3103): "no more discontinue requests",
    ("storage", 3104): "the bucket is discontinued",
    ("storage", 3106): "invalid bucket status",
    # Both print the same; 2 means "not in service".
    ("sp", 1): "StorageProvider does not exist",
    ("sp", 2): "StorageProvider does not exist",
    ("sp", 12): "StorageProvider not changed",
    ("payment", 1200): "reach payment account count limit",
    ("payment", 1202): "payment account not found",
    ("payment", 1203): "stream record not found",
    ("payment", 1204): "not payment account owner",
    ("payment", 1205): "payment account has already be set as non-refundable",
    ("payment", 1206): "insufficient balance",
    ("payment", 1207): "receive account not exist",
}


def fault(codespace: str, code: int, text: str = "") -> ChainFault:
    """The registered error ``codespace/code``, wrapped by ``text`` as the Go code wraps it."""
    return wrapped(codespace, code, root_text(codespace, code), text)


def storage(code: int, text: str = "") -> ChainFault:
    """An error of codespace ``storage``."""
    return fault("storage", code, text)


def greenfiled(code: int, text: str = "") -> ChainFault:
    """An error of codespace ``greenfiled`` (spelt so in v0.2.0)."""
    return fault("greenfiled", code, text)


def unregistered(text: str) -> ChainFault:
    """An error that the Go code never gave a code."""
    return ChainFault("undefined", 1, text)


def must_be_address(text: str) -> bytes:
    """The address in a field that nothing has checked. Raises ChainFault: the node panics."""
    try:
        return parse_address(text)
    except InvalidAddress as error:
        raise panic(f"recovered: {error}\nstack:\n") from error


def root_text(codespace: str, code: int) -> str:
    """The registered text of an error."""
    return _ROOT_TEXTS[codespace, code]
