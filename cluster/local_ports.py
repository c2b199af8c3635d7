"""TCP ports of this machine: which are free, and which a network takes."""

from __future__ import annotations

import socket

from greenray.protocol.errors import PortInUse

HOST = "127.0.0.1"


def is_free(port: int) -> bool:
    """Whether one can listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """Ports that are free now; all are held open together so that they differ."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind((HOST, 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def gateway_ports(first: int, count: int) -> list[int]:
    """``count`` ports from ``first`` on, or free ones when it is 0. Raises PortInUse."""
    if first == 0:
        return free_ports(count)
    ports = list(range(first, first + count))
    taken = [port for port in ports if not is_free(port)]
    if taken:
        raise port_in_use(taken[0], "gateway.port")
    return ports


def port_in_use(port: int, setting: str) -> PortInUse:
    """``setting``: what names the port."""
    return PortInUse(
        f"port {port} is in use", HOST, f"Free it, or set {setting} to another (0: any free one)"
    )
