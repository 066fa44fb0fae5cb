"""The people who use a page, and where a page learns about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from apps.site.text import Text

HANDLER, APPROVER, SEALER, SUPERVISOR = 1, 2, 4, 8
GRID_WORKER, AUDITOR, OPERATOR, COMMUNITY_CLERK = 16, 32, 64, 128
REGISTRAR, SERVICE, RESIDENT = 256, 512, 1024

ROLE_NAMES: dict[int, Text] = {
    HANDLER: Text("承办人", "handler"),
    APPROVER: Text("审批人", "approver"),
    SEALER: Text("用印人", "seal keeper"),
    SUPERVISOR: Text("法律监督", "supervisor"),
    GRID_WORKER: Text("网格员", "grid worker"),
    AUDITOR: Text("审计", "auditor"),
    OPERATOR: Text("运维", "operator"),
    COMMUNITY_CLERK: Text("社区管理员", "community clerk"),
    REGISTRAR: Text("登记员", "registrar"),
    SERVICE: Text("系统服务", "service"),
    RESIDENT: Text("居民", "resident"),
}

PASSKEY, SIGNER = "passkey", "signer"


@dataclass(frozen=True, slots=True)
class Credential:
    """A public key a person signs transactions with: its scheme number, key bytes, chain address (20 bytes),
    and, for a passkey, the authenticator's credential id in base64url (else empty). `kind` says where the key
    stands: PASSKEY or SIGNER."""

    scheme: int
    public_key: bytes
    address: bytes
    credential_id: str = ""
    kind: str = PASSKEY


@dataclass(frozen=True, slots=True)
class Person:
    """Someone who can sign in here. `id` is the name of the account, `identity` the 16 random bytes on the
    chain, `roles` a bit mask."""

    id: str
    name: str
    organisation: int
    organisation_name: str
    identity: bytes
    roles: int
    credentials: tuple[Credential, ...]

    def holds(self, role: int) -> bool:
        """Whether the person holds at least one of the roles in the mask."""
        return bool(self.roles & role)

    @property
    def role_text(self) -> Text:
        held = [text for bit, text in ROLE_NAMES.items() if self.roles & bit]
        return Text("、".join(text.zh for text in held), ", ".join(text.en for text in held))


class Directory(Protocol):
    """Where a page learns who exists."""

    def people(self) -> Sequence[Person]:
        """Everyone who may sign in at this process, in a stable order."""

    def person(self, person_id: str) -> Person | None:
        """One of them, or None."""

    def name_of(self, identity: bytes) -> str | None:
        """The name to show beside an identity found on the chain, when this process may know it."""
