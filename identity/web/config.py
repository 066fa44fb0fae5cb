"""What `shelian identity` is told at its start."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class AppOrigin:
    """An app that may ask for signatures: its origin, and the name the signing page shows for it."""

    origin: str
    name: str


@dataclass(frozen=True, slots=True)
class IdentityConfig:
    """The signing origin, the chain it signs for, and where its own data stands."""

    public_url: str
    """The one address people reach this process at, such as `http://localhost:8600`."""
    rp_id: str
    """WebAuthn relying party id: the host of `public_url`, or a domain above it."""
    data_directory: Path
    """Holds `credentials.sqlite`."""
    node_url: str
    chain_id: int
    purpose: str
    """`demo` or `production`, as the genesis says."""
    apps: tuple[AppOrigin, ...]
    """Where a signed transaction may be handed back to; nothing else is."""
    organisations: Mapping[int, str]
    """Names by number, for the page."""
    signer_page: str = ""
    """The signing page of `shelian signer` on the person's machine; empty = none is offered."""
    demo_directory: Path | None = None
    """The demo's people and keys; used only when `purpose` is `demo`."""
    node_token: str = ""
