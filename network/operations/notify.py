"""Tells systemd how the node is: ready, stopping, alive (sd_notify(3), one datagram each).

Without `NOTIFY_SOCKET` nothing is told. `WATCHDOG_USEC` is how often systemd wants to hear that the node is
alive; it is told twice as often, and only while the node is: see `network.runner`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

READY = "READY=1"
STOPPING = "STOPPING=1"
ALIVE = "WATCHDOG=1"


def notify(*states: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Send the states; whether somebody was there to hear them."""
    address = environment.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):  # a name that is no file
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        try:
            sender.sendto("\n".join(states).encode(), address)
        except OSError:
            return False
    return True


def watchdog_interval_s(environment: Mapping[str, str] = os.environ) -> float | None:
    """How often to tell that the node is alive; None: nobody waits for it."""
    wanted = environment.get("WATCHDOG_USEC", "")
    meant = environment.get("WATCHDOG_PID", "")
    if not wanted.isdecimal() or int(wanted) == 0 or (meant and meant != str(os.getpid())):
        return None
    return int(wanted) / 2_000_000
