"""What this process asks the contracts directly: when a read model that may be a moment old is not good
enough."""

from __future__ import annotations

from dataclasses import dataclass

from apps.node_client import NodeClient
from contracts.bindings import consortium, identity_registry
from contracts.bindings import correction_documents as documents

SERVICE_ROLE = 512


@dataclass(frozen=True, slots=True)
class Standing:
    """Who an account is now: identity (16 bytes), organisation, roles. Unpacked from
    IdentityRegistry.standing."""

    identity: bytes
    organisation: int
    roles: int


class ChainView:
    """Reads of the system contracts at the tip."""

    def __init__(self, client: NodeClient) -> None:
        self._client = client

    def encryption_key(self, organisation: int) -> bytes:
        """The X25519 public key that documents to an organisation are sealed to. NodeError."""
        answer = self._client.call(consortium.organisation(organisation))
        return consortium.decode_organisation(answer).encryption_key

    def document(self, document: bytes) -> documents.DocumentResult:
        return documents.decode_document(self._client.call(documents.document(document)))

    def delivery(self, document: bytes, organisation: int) -> documents.DeliveryResult:
        return documents.decode_delivery(self._client.call(documents.delivery(document, organisation)))

    def standing(self, account: bytes) -> Standing | None:
        """None if the account has no standing now."""
        packed = identity_registry.decode_standing(self._client.call(identity_registry.standing(account)))
        if packed == 0:
            return None
        return Standing(
            (packed & (1 << 128) - 1).to_bytes(16, "big"), packed >> 128 & 0xFFFF, packed >> 144 & 0xFFFFFFFF
        )
