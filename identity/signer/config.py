"""What `shelian signer` is told at its start."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from identity.web.config import AppOrigin


@dataclass(frozen=True, slots=True)
class SignerConfig:
    """Keys, chain, and the apps known from the start."""

    public_url: str
    """`http://localhost:<port>`: the signer listens on the loopback only."""
    rp_id: str
    """Relying party of software authenticators (scheme 1), used by demo keys only."""
    keys_directory: Path
    state_directory: Path
    """Holds `token` (pairing token, mode 0600) and `origins.json` (sites the person admitted)."""
    chain_id: int
    purpose: str
    """`demo` or `production`, as the genesis says."""
    apps: tuple[AppOrigin, ...]
    organisations: Mapping[int, str]
    idle_seconds: int = 300
    """An unlocked key is forgotten after this long without a signature."""
    demo_passphrase: str = ""
    """Shown and filled in on the page; only with `purpose` demo."""
