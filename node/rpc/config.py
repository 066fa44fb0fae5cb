"""Configuration of the JSON-RPC server: where it listens, who may call, and how much.

Every limit is a field with its unit in the docstring; a combination that would expose a node is refused when
the configuration is made, so a running server never has to ask again.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from pathlib import Path

from node.chain.errors import ShelianError
from node.rpc.access import Token

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_ORIGIN = re.compile(r"https?://[a-z0-9.\-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?")


class RefusedConfiguration(ShelianError):
    """The server does not start with this configuration; `code` names the rule."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A token bucket: `per_second` calls refill it, at most `burst` are saved up."""

    per_second: float
    burst: float


@dataclass(frozen=True, slots=True)
class Limits:
    """What one caller can cost the node. Sizes in bytes, times in seconds."""

    body_bytes: int = 2 * 1024 * 1024
    """Largest HTTP body and largest WebSocket message."""
    response_bytes: int = 16 * 1024 * 1024
    """Largest answer, a batch taken together."""
    unsent_bytes: int = 64 * 1024 * 1024
    """Answers and notifications of all connections that wait for slow readers; a large answer beyond is
    refused as busy, a WebSocket's message beyond closes it.
    """
    send_seconds: float = 30.0
    """Time in which an HTTP answer must have been taken."""
    batch_calls: int = 1_000
    batch_seconds: float = 30.0
    """Time of the calls of one batch together; those after it are not begun."""
    nesting: int = 16
    """Deepest nesting of JSON arrays and objects, checked before the text is parsed."""
    call_seconds: float = 5.0
    """Time limit of a call that executes contract code or searches logs."""
    call_gas: int = 40_000_000
    """Gas that eth_call and eth_estimateGas may use, whatever they ask for."""
    workers: int = 2
    """Such calls that run at the same time, until they have used 10 ms of CPU time."""
    long_calls: int = 1
    """Calls that run on beyond that at the same time, beside the short ones."""
    long_calls_waiting: int = 2
    """Calls that have used 10 ms and wait for such a place; one more is refused as busy."""
    waiting_calls: int = 64
    """Calls that may wait for their turn; further ones are refused as busy."""
    waiting_calls_per_client: int = 32
    """Of one token, or of one address where there are no tokens."""
    receipt_wait_seconds: float = 60.0
    """Longest wait of shelian_sendRawTransactionSync."""
    receipt_waiters: int = 1_000
    logs: int = 10_000
    """Most logs in one answer."""
    log_blocks: int = 100_000
    """Most blocks one log query may span."""
    filters: int = 1_000
    filters_per_client: int = 50
    filter_idle_seconds: float = 300.0
    """A filter that is not polled for so long is forgotten."""
    connections: int = 500
    """Most connections at once, HTTP and WebSocket together."""
    subscriptions_per_connection: int = 32
    calls_per_connection: int = 16
    """Calls of one WebSocket connection that run at the same time."""
    queued_messages: int = 1_024
    """Messages waiting for a slow WebSocket reader; one more closes the connection."""
    ping_seconds: float = 20.0
    """A WebSocket that is silent for so long is pinged, and closed when no pong comes in the same time."""
    client_rate: Rate = field(default_factory=lambda: Rate(20_000, 60_000))
    """Per token, or per address of the caller where there are no tokens."""
    connection_rate: Rate = field(default_factory=lambda: Rate(20_000, 40_000))


@dataclass(frozen=True, slots=True)
class Tls:
    """Certificate of the server; with `client_ca` every caller must present a certificate of that authority
    (mTLS).
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class RpcConfig:
    """Where the server listens and whom it lets in. Raises `RefusedConfiguration`."""

    host: str = "127.0.0.1"
    port: int = 8545
    """0 lets the system choose."""
    allowed_hosts: frozenset[str] = LOOPBACK_NAMES
    """Names accepted in the Host header, without port: the answer to DNS rebinding."""
    allowed_origins: frozenset[str] = frozenset()
    """Web origins that may call from a browser; nobody else's page can."""
    tokens: tuple[Token, ...] = ()
    """When there is any, every caller needs one, on loopback too."""
    tls: Tls | None = None
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise RefusedConfiguration("rpc.config.port", "not a TCP port", self.port, "0..65535")
        for name, value in _numbers(self.limits):
            if value <= 0:
                raise RefusedConfiguration("rpc.config.limit", f"limit {name} must be positive", value, "> 0")
        if not self.allowed_hosts:
            raise RefusedConfiguration(
                "rpc.config.hosts", "no Host header would be accepted", "none", "a name"
            )
        for host in self.allowed_hosts:
            if "*" in host or host != host.lower() or not host:
                raise RefusedConfiguration(
                    "rpc.config.hosts", "a host is one exact lower-case name", host, "a name"
                )
        for origin in self.allowed_origins:
            if not _ORIGIN.fullmatch(origin):
                raise RefusedConfiguration(
                    "rpc.config.origin",
                    "an origin is scheme://host[:port], exact, lower case",
                    origin,
                    "no wildcard",
                )
        self._check_tokens()
        if self.tls is not None:
            for path in (self.tls.certificate, self.tls.key, self.tls.client_ca):
                if path is not None and not path.is_file():
                    raise RefusedConfiguration(
                        "rpc.config.tls_file", "file not found", str(path), "a PEM file"
                    )
        if not self.is_loopback:
            self._check_exposed()

    @property
    def is_loopback(self) -> bool:
        """Only programs on this machine can connect."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def _check_tokens(self) -> None:
        names = [token.name for token in self.tokens]
        digests = [token.sha256 for token in self.tokens]
        if len(set(names)) != len(names) or len(set(digests)) != len(digests):
            raise RefusedConfiguration(
                "rpc.config.token_twice", "two tokens share a name or a digest", names, "unique"
            )

    def _check_exposed(self) -> None:
        mutual = self.tls is not None and self.tls.client_ca is not None
        if not mutual and not self.tokens:
            raise RefusedConfiguration(
                "rpc.config.exposed",
                "an address others can reach needs tokens or client certificates",
                self.host,
                "tokens, tls.client_ca, or a loopback address",
            )
        if self.tls is None:
            raise RefusedConfiguration(
                "rpc.config.token_without_tls",
                "a token sent in clear over a network can be read and replayed",
                self.host,
                "tls, or a loopback address behind a proxy that ends TLS",
            )
        if self.allowed_hosts <= LOOPBACK_NAMES:
            raise RefusedConfiguration(
                "rpc.config.hosts",
                "callers from elsewhere use another name than localhost",
                sorted(self.allowed_hosts),
                "the server's public name in allowed_hosts",
            )


def _numbers(limits: Limits) -> list[tuple[str, float]]:
    numbers: list[tuple[str, float]] = []
    for name in Limits.__dataclass_fields__:
        value = getattr(limits, name)
        if isinstance(value, Rate):
            numbers += [(f"{name}.per_second", value.per_second), (f"{name}.burst", value.burst)]
        else:
            numbers.append((name, value))
    return numbers
