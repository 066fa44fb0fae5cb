"""What other agencies' services may do here: announce a document, bring its files, have it checked, fetch
what they are a party to.

1. `announce`: the envelope of a document that the chain says was submitted to this agency; answered with
   the files still missing.
2. `file_expected`: which ciphertext belongs in a place; the vault takes exactly that.
3. `complete`: every file is opened and compared with the manifest, the cover is read; from then on the
   document is "stored", and the delivery worker tells the chain.

Each step can be repeated, so a sender that lost the line starts again and only brings what is missing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, SealedBox
from sqlalchemy import select
from sqlalchemy.orm import Session

from apps.community_correction import projection, rules
from apps.community_correction.chain_view import ChainView
from apps.community_correction.config import CorrectionConfig
from apps.community_correction.cover import Cover
from apps.community_correction.sealed_files import open_cover, open_from_vault
from apps.community_correction.store import Store
from apps.community_correction.tables import Case, LocalCase, LocalDocument, ReturnReason, Step
from apps.community_correction.transport import Caller, TransportError
from apps.community_correction.vault import Vault
from contracts.bindings.correction_documents import DocumentResult
from identity.sealing import (
    Envelope,
    commitment_of,
    decode_envelope,
    encode_envelope,
    manifest_hash,
    open_secret,
)
from identity.sealing.stream import Digest


class Receiving:
    """The receiving side of one agency's service."""

    def __init__(
        self, config: CorrectionConfig, store: Store, vault: Vault, chain: ChainView, now: Callable[[], int]
    ) -> None:
        self._config = config
        self._store = store
        self._vault = vault
        self._chain = chain
        self._now = now

    def announce(self, caller: Caller, document: str, raw: bytes) -> list[int]:
        """Take an envelope; the places in its manifest whose ciphertexts are still missing here.

        TransportError transport.not_submitted, .manifest_mismatch, .not_for_us, .not_a_party; SealError for
        a damaged envelope.
        """
        envelope = decode_envelope(raw)
        on_chain = self._submitted(document)
        parties = self._parties(on_chain)
        if caller.organisation not in parties:
            raise _not_a_party(caller)
        if self._config.organisation not in parties:
            raise TransportError("transport.not_for_us", "this agency is no recipient of the document")
        if manifest_hash(envelope.manifest) != on_chain.manifest_hash:
            raise TransportError(
                "transport.manifest_mismatch",
                "not the manifest that stands on the chain",
                got=manifest_hash(envelope.manifest),
                expected=on_chain.manifest_hash,
            )
        _check_manifest(envelope, on_chain)
        open_secret(envelope, self._config.organisation, self._config.encryption_key)
        self._keep_envelope(document, envelope, on_chain)
        return self._missing(envelope)

    def file_expected(self, document: str, index: int) -> Digest:
        """The ciphertext that belongs in a place of an announced document. TransportError
        transport.not_announced."""
        envelope = self._envelope(document)
        if not 0 <= index < len(envelope.manifest.files):
            raise TransportError("transport.not_announced", "the document has no such file", got=index)
        return envelope.manifest.files[index].ciphertext

    def complete(self, document: str) -> None:
        """Check everything and mark the document stored.

        TransportError transport.files_missing; SealError if a file is not what the manifest says; CoverError.
        """
        envelope = self._envelope(document)
        missing = self._missing(envelope)
        if missing:
            raise TransportError("transport.files_missing", "not every file has arrived", got=missing)
        own, key = self._config.organisation, self._config.encryption_key
        for index in range(len(envelope.manifest.files)):
            open_from_vault(self._vault, envelope, own, key, index).close()
        cover = open_cover(self._vault, envelope, own, key)
        with self._store.writing() as session:
            local = session.get_one(LocalDocument, document)
            local.title = cover.title
            local.stored_at = local.stored_at or self._now()
            self._keep_case(session, envelope, cover)

    def envelope_for(self, caller: Caller, document: str) -> bytes:
        """The envelope, for another party of the document. TransportError transport.not_a_party,
        .not_announced."""
        self._require_party(caller, document)
        return encode_envelope(self._envelope(document))

    def file_for(self, caller: Caller, document: str, index: int) -> Digest:
        """The ciphertext in a place, for another party of the document. TransportError as above."""
        self._require_party(caller, document)
        return self.file_expected(document, index)

    def take_reason(self, caller: Caller, document: str, sealed: bytes) -> None:
        """The reason for which the caller returned a document of this agency, if it is the one the chain
        commits to.

        TransportError transport.reason_mismatch, transport.reason_unreadable.
        """
        try:
            data = json.loads(SealedBox(PrivateKey(self._config.encryption_key)).decrypt(sealed))
            reason, salt = str(data["reason"])[:2_000], bytes.fromhex(data["salt"])
        except (CryptoError, ValueError, KeyError, TypeError):
            raise TransportError("transport.reason_unreadable", "the reason does not open") from None
        commitment = commitment_of(salt, hashlib.sha256(reason.encode()).digest()).hex()
        returned = select(Step).where(
            Step.document == document,
            Step.kind == "returned",
            Step.organisation == caller.organisation,
            Step.related == commitment,
        )
        with self._store.writing() as session:
            if session.scalar(returned.limit(1)) is None:
                raise TransportError(
                    "transport.reason_mismatch",
                    "no return on the chain (as read so far) commits to this reason",
                )
            session.merge(
                ReturnReason(
                    document=document,
                    organisation=caller.organisation,
                    reason=reason,
                    salt=salt.hex(),
                    sent_at=self._now(),
                )
            )

    def _submitted(self, document: str) -> DocumentResult:
        on_chain = self._chain.document(bytes.fromhex(document))
        if on_chain.state not in (projection.SUBMITTED, projection.SUPERSEDED):
            raise TransportError(
                "transport.not_submitted", "the chain knows no such submitted document", got=on_chain.state
            )
        return on_chain

    @staticmethod
    def _parties(on_chain: DocumentResult) -> set[int]:
        to, copies = projection.lanes(on_chain.recipients)
        return {on_chain.organisation, *to, *copies}

    def _require_party(self, caller: Caller, document: str) -> None:
        if caller.organisation not in self._parties(self._submitted(document)):
            raise _not_a_party(caller)

    def _envelope(self, document: str) -> Envelope:
        with self._store.reading() as session:
            local = session.get(LocalDocument, document)
            if local is None:
                raise TransportError("transport.not_announced", "the document is not held here", got=document)
            return decode_envelope(local.envelope)

    def _missing(self, envelope: Envelope) -> list[int]:
        files = envelope.manifest.files
        return [index for index, file in enumerate(files) if not self._vault.has(file.ciphertext.sha256)]

    def _keep_envelope(self, document: str, envelope: Envelope, on_chain: DocumentResult) -> None:
        to, copies = projection.lanes(on_chain.recipients)
        with self._store.writing() as session:
            if session.get(LocalDocument, document) is not None:
                return
            session.add(
                LocalDocument(
                    document=document,
                    case_id=envelope.manifest.case.hex() if any(envelope.manifest.case) else None,
                    code=envelope.manifest.code,
                    title=envelope.manifest.code,
                    received=True,
                    envelope=encode_envelope(envelope),
                    manifest_hash=on_chain.manifest_hash.hex(),
                    to=",".join(map(str, to)),
                    copies=",".join(map(str, copies)),
                    in_reply_to=on_chain.in_reply_to.hex() if any(on_chain.in_reply_to) else None,
                    legal_date=on_chain.legal_date,
                    due=on_chain.due or None,
                    created_by=None,
                    created_at=self._now(),
                    stored_at=None,
                )
            )

    def _keep_case(self, session: Session, envelope: Envelope, cover: Cover) -> None:
        """Learn what the case is about, if the cover's particulars are those the chain commits to."""
        case_id = envelope.manifest.case.hex()
        if cover.case is None or session.get(LocalCase, case_id) is not None:
            return
        try:
            salt = bytes.fromhex(cover.case.salt)
        except ValueError:
            return
        commitment = commitment_of(salt, hashlib.sha256(cover.case.details.encode()).digest()).hex()
        known = session.get(Case, case_id)
        if known is not None and known.commitment != commitment:
            return
        session.add(
            LocalCase(
                case_id=case_id,
                number=cover.case.number[:64],
                person=cover.case.person[:64],
                category=cover.case.category[:32],
                details=cover.case.details,
                salt=cover.case.salt,
                created_at=self._now(),
            )
        )


def _check_manifest(envelope: Envelope, on_chain: DocumentResult) -> None:
    """The manifest says the same as the chain: sender, recipients, and the code (for the restricted class:
    some restricted code)."""
    manifest = envelope.manifest
    rule = rules.catalogue().get(manifest.code)
    to, copies = projection.lanes(on_chain.recipients)
    recipients = {*to, *copies}
    named = {*manifest.recipients}
    code_fits = rule is not None and (rule.restricted if on_chain.code == 0 else rule.number == on_chain.code)
    if manifest.sender != on_chain.organisation or named != recipients or not code_fits:
        raise TransportError(
            "transport.manifest_mismatch",
            "the manifest and the chain disagree about sender, recipients or code",
            got=[manifest.sender, sorted(named), manifest.code],
            expected=[on_chain.organisation, sorted(recipients), on_chain.code],
        )


def _not_a_party(caller: Caller) -> TransportError:
    return TransportError(
        "transport.not_a_party", "the caller is neither sender nor recipient", got=caller.organisation
    )
