"""Who may call what: Host, Origin, bearer tokens and their scopes.

A caller passes, in this order: Host is one of ours (DNS rebinding), Origin is absent or listed (other
people's pages), the token is known. What the token's scope allows is asked per call. Nothing here knows HTTP:
headers come in as a mapping of lower-case names, refusals go out as `AccessRefused` with the HTTP status to
answer.
"""

from __future__ import annotations

import fnmatch
import hashlib
import hmac
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import orjson

from node.chain.errors import ShelianError

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9.\-]+)(?::[0-9]{1,5})?")
_METHOD_GLOB = re.compile(r"[A-Za-z0-9_*?]+")
_NAME = re.compile(r"[A-Za-z0-9._\-]{1,64}")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_DIGEST = re.compile(r"(0x)?[0-9a-f]{64}")


class AccessRefused(ShelianError):
    """The caller is not let in. `status` is the HTTP status (401 or 403)."""

    def __init__(self, status: int, code: str, message: str, got: object, expected: object) -> None:
        super().__init__(code, message, got, expected)
        self.status = status


class TokenFileRefused(ShelianError):
    """The token file cannot be used as it is."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a caller may do. `contracts` None: any; else calls, sends and log searches keep to these."""

    methods: tuple[str, ...] = ("*",)
    contracts: frozenset[bytes] | None = None

    def allows_method(self, method: str) -> bool:
        return _matches(self.methods, method)


EVERYTHING = Scope()


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token, known by its sha256 only, and what it opens."""

    name: str
    sha256: bytes
    scope: Scope = EVERYTHING


@dataclass(frozen=True, slots=True)
class Admission:
    """Who calls: the token's name, or the address where there are no tokens, and their scope."""

    name: str
    scope: Scope


@lru_cache(maxsize=4_096)
def _matches(patterns: tuple[str, ...], method: str) -> bool:
    return any(fnmatch.fnmatchcase(method, pattern) for pattern in patterns)


def load_tokens(path: Path) -> tuple[Token, ...]:
    """Tokens of a JSON file: `[{"name": …, "sha256": "<64 hex>", "methods": ["eth_*"], "contracts":
    ["0x…"]}]`.

    `methods` are globs and must be there; without `contracts` every contract is open. Raises
    TokenFileRefused.
    """
    try:
        rows = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise TokenFileRefused(
            "rpc.config.token_file", f"cannot read tokens: {error}", str(path), "JSON"
        ) from error
    if not isinstance(rows, list) or not rows:
        raise TokenFileRefused("rpc.config.token_file", "no tokens in it", str(path), "a list of tokens")
    return tuple(_parse_token(row) for row in rows)


def _parse_token(row: object) -> Token:
    if not isinstance(row, dict) or not {"name", "sha256", "methods"} <= set(row) <= {
        "name",
        "sha256",
        "methods",
        "contracts",
    }:
        raise TokenFileRefused(
            "rpc.config.token",
            "a token has name, sha256, methods and perhaps contracts",
            row,
            "these fields only",
        )
    name, digest, methods = row["name"], row["sha256"], row["methods"]
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise TokenFileRefused(
            "rpc.config.token", "a token's name is 1-64 of A-Z a-z 0-9 . _ -", name, _NAME.pattern
        )
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise TokenFileRefused(
            "rpc.config.token", f"token {name}: sha256 is 64 hex digits", "other", "64 hex digits"
        )
    if (
        not isinstance(methods, list)
        or not methods
        or not all(isinstance(glob, str) and _METHOD_GLOB.fullmatch(glob) for glob in methods)
    ):
        raise TokenFileRefused(
            "rpc.config.token", f"token {name}: methods are globs", methods, "['eth_*', …]"
        )
    contracts = row.get("contracts")
    if contracts is not None and (
        not isinstance(contracts, list)
        or not all(isinstance(one, str) and _ADDRESS.fullmatch(one) for one in contracts)
    ):
        raise TokenFileRefused(
            "rpc.config.token", f"token {name}: contracts are addresses", contracts, "['0x…', …]"
        )
    return Token(
        name,
        bytes.fromhex(digest.removeprefix("0x")),
        Scope(
            tuple(methods),
            None if contracts is None else frozenset(bytes.fromhex(one[2:]) for one in contracts),
        ),
    )


def check_host(host: str | None, allowed: Collection[str]) -> None:
    """Raises AccessRefused unless the Host header names one of `allowed` (the port does not matter)."""
    match = _HOST.fullmatch(host.lower()) if host is not None else None
    if match is None or match[1].strip("[]") not in allowed:
        raise AccessRefused(
            403, "rpc.host", "this server does not answer for that host", host, sorted(allowed)
        )


def check_origin(origin: str | None, allowed: Collection[str]) -> None:
    """Raises AccessRefused if a page of an origin that is not listed calls."""
    if origin is not None and origin not in allowed:
        raise AccessRefused(403, "rpc.origin", "pages of this origin may not call", origin, sorted(allowed))


def check_token(authorization: str | None, tokens: tuple[Token, ...], address: str) -> Admission:
    """Admission of the bearer of a known token; of anybody, named by `address`, where there are no tokens.

    Every token is compared, each in constant time, so the time says nothing about which one nearly matched.
    """
    if not tokens:
        return Admission(address, EVERYTHING)
    scheme, _, secret = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not secret:
        raise AccessRefused(
            401, "rpc.token_missing", "a bearer token is needed", None, "Authorization: Bearer …"
        )
    digest = hashlib.sha256(secret.strip().encode()).digest()
    found: Token | None = None
    for token in tokens:
        if hmac.compare_digest(token.sha256, digest):
            found = token
    if found is None:
        raise AccessRefused(
            401, "rpc.token_unknown", "this token is not known", "an unknown token", "a known one"
        )
    return Admission(found.name, found.scope)


def admit(
    headers: Mapping[str, str],
    *,
    address: str,
    hosts: Collection[str],
    origins: Collection[str],
    tokens: tuple[Token, ...],
) -> Admission:
    """All of the checks above in their order. Raises AccessRefused."""
    check_host(headers.get("host"), hosts)
    check_origin(headers.get("origin"), origins)
    return check_token(headers.get("authorization"), tokens, address)
