"""Enrolment in a demo: the made-up people, and passkeys that two demo registrars enrol for them."""

import threading
from collections.abc import Callable
from pathlib import Path

from contracts.bindings import identity_registry
from identity.demo.cast import RELYING_PARTIES, DemoCast, DemoIdentity
from identity.demo.enrolment import Batch, countersign, registrars_of
from identity.errors import EnrolmentError
from identity.keys import WEBAUTHN_P256, address_of
from identity.node import NodeClient, Receipt
from identity.web.directory import PASSKEY, SIGNER, Credential, Directory
from node.chain.signing import WEBAUTHN_ES256, check_public_key


class DemoEnrolment:
    """The demo's people with their credentials in the directory. One enrolment at a time."""

    def __init__(
        self,
        cast: DemoCast,
        keys: Path,
        directory: Directory,
        node: NodeClient,
        *,
        chain_purpose: str,
        origin: str,
        clock: Callable[[], float],
    ) -> None:
        self._cast = cast
        self._keys = keys
        self._directory = directory
        self._node = node
        self._chain_purpose = chain_purpose
        self._origin = origin
        self._clock = clock
        # The registrars' nonces: a second enrolment would take the same ones.
        self._lock = threading.Lock()
        self._add_software_keys()

    @property
    def people(self) -> tuple[DemoIdentity, ...]:
        return self._cast.people

    def enrol_passkey(
        self, person_id: str, public_key: bytes, credential_id: bytes
    ) -> tuple[Credential, tuple[Receipt, ...]]:
        """Add a passkey to a person: both registrars of the organisation sign, then it stands in the
        directory.

        Raises EnrolmentError `enrolment.unknown_person`, `enrolment.key_known`, `enrolment.failed`,
        SignatureRefused for a key that is none, NodeError.
        """
        person = next((one for one in self._cast.people if one.id == person_id), None)
        if person is None:
            raise EnrolmentError("enrolment.unknown_person", "no such demo person", got=person_id)
        check_public_key(WEBAUTHN_ES256, public_key)
        address = address_of(WEBAUTHN_P256, public_key)
        call = identity_registry.add_credential(
            person.identity, WEBAUTHN_ES256, public_key, RELYING_PARTIES[person.relying_party].id, 0
        )
        batch = Batch(person.organisation, registrars_of(self._cast, person.organisation), (call,))
        with self._lock:
            if self._directory.find(address) is not None:
                raise EnrolmentError("enrolment.key_known", "this key is enrolled already", got=address)
            receipts = countersign(
                batch,
                self._keys,
                self._node,
                chain_purpose=self._chain_purpose,
                origin=self._origin,
                now=self._clock,
            )
            credential = self._credential(person, address, public_key, credential_id, PASSKEY)
            self._directory.add(credential)
        return credential, receipts

    def _add_software_keys(self) -> None:
        self._directory.add(
            *(
                self._credential(person, person.address, person.public_key, person.credential_id, SIGNER)
                for person in self._cast.people
                if self._directory.find(person.address) is None
            )
        )

    def _credential(
        self, person: DemoIdentity, address: bytes, public_key: bytes, credential_id: bytes, kind: str
    ) -> Credential:
        added_at = int(self._clock())
        return Credential(address, WEBAUTHN_ES256, public_key, credential_id, kind, person.identity, added_at)
