"""What one agency's process is told when it starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from apps.site.text import Text
from contracts.vocabulary import OrganisationKind


@dataclass(frozen=True, slots=True)
class Organisation:
    """A member of the consortium: its number on the chain, its kind and name."""

    id: int
    kind: OrganisationKind
    name: Text


@dataclass(frozen=True)
class CorrectionConfig:
    """One process of one agency.

    `peers` are the base URLs of the other agencies' processes by organisation; `signing_pages` maps kinds
    of credential to signing pages. `service_key` (secp256k1) signs what the process itself sends to the
    chain and to other agencies; `encryption_key` (X25519) opens what is sealed to the agency. Both are 32
    bytes and come from the keystore.
    """

    key: str
    organisation: int
    organisations: Mapping[int, Organisation]
    public_url: str
    purpose: str
    data_dir: Path
    node_url: str
    signing_pages: Mapping[str, str]
    peers: Mapping[int, str]
    service_key: bytes = field(repr=False)
    encryption_key: bytes = field(repr=False)
    node_websocket_url: str | None = None
    node_token: str | None = field(default=None, repr=False)
    vault_quota: int = 50 * 1024**3
    work_s: float = 1.0

    @property
    def agency(self) -> Organisation:
        return self.organisations[self.organisation]
