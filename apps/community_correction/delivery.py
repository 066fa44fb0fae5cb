"""The delivery worker: what an agency's service does by itself, round after round.

1. Push own submitted documents to each recipient's service until it holds them (`local_outbox`:
   attempts, error, next try with back-off).
2. Fetch, from any other party, documents that were submitted to this agency but have not arrived.
3. Tell the chain `deliver` for what is stored and checked here.
4. Send the reasons of returned documents, sealed, to their senders.
5. Record deadline breaches of replies owed to this agency.

What there is to do is derived from the read model each time, so a crash loses nothing and a restart goes on
where it was.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from nacl.public import PublicKey, SealedBox
from sqlalchemy import and_, or_, select

from apps.community_correction import projection
from apps.community_correction.chain_view import ChainView
from apps.community_correction.config import CorrectionConfig
from apps.community_correction.receiving import Receiving
from apps.community_correction.store import Store
from apps.community_correction.tables import Delivery, Document, LocalDocument, Outbox, ReturnReason
from apps.community_correction.transport import AgencyClient, Caller, chunks
from apps.community_correction.vault import Vault
from apps.node_client import NodeError, ServiceAccount
from contracts.bindings import correction_documents as documents
from identity.sealing import decode_envelope
from node.chain.errors import ShelianError
from node.chain.transaction import Call

LONGEST_PAUSE_S = 300
UNCONFIRMED_S = 600
"""A recipient that said "stored" but did not report delivery on the chain for so long is sent the document
again."""
FETCH_AFTER_S = 30
"""How long a document may be on its way before this agency asks other parties for it."""
_PER_ROUND = 50
_SERVICE_GAS = 500_000
"""More than delivering or recording a breach takes; the tests hold it against the contracts."""


@dataclass(frozen=True, slots=True)
class _Due:
    document: str
    organisation: int
    attempts: int


class DeliveryWorker:
    """One per process. `catch_up` waits until the read model holds a block, so that nothing is done twice.
    `round` does everything that can be done now; `start` repeats it in the background."""

    def __init__(
        self,
        config: CorrectionConfig,
        store: Store,
        vault: Vault,
        chain: ChainView,
        service: ServiceAccount,
        client: AgencyClient,
        receiving: Receiving,
        now: Callable[[], int],
        catch_up: Callable[[int], object],
    ) -> None:
        self._config = config
        self._own = config.organisation
        self._store = store
        self._vault = vault
        self._chain = chain
        self._service = service
        self._client = client
        self._receiving = receiving
        self._now = now
        self._catch_up = catch_up
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._log = structlog.get_logger("delivery").bind(organisation=self._own)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="delivery", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def wake(self) -> None:
        """There may be something to do: do not wait for the next round."""
        self._wake.set()

    def retry_now(self, document: str) -> None:
        """Forget the back-off of a document that could not be delivered."""
        with self._store.writing() as session:
            for row in session.scalars(
                select(Outbox).where(Outbox.document == document, Outbox.state == "failed")
            ):
                row.next_at = 0
        self.wake()

    def round(self) -> None:
        """Do what can be done now. Failures of one document do not hold up another."""
        for due in self._to_push():
            self._push(due)
        for document, parties in self._to_fetch():
            self._fetch(document, parties)
        self._send(
            "deliver",
            [
                documents.deliver(bytes.fromhex(document), bytes.fromhex(hash))
                for document, hash in self._to_report()
            ],
        )
        for document, sender in self._reasons():
            self._send_reason(document, sender)
        self._send(
            "breach",
            [documents.poke_deadline(bytes.fromhex(document), late) for document, late in self._breaches()],
        )

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            try:
                self.round()
            except Exception as error:
                # The worker must outlive anything; the message may hold data, so only the kind is logged.
                self._log.error("round failed", kind=type(error).__name__)
            self._wake.wait(self._config.work_s)

    # 1. Push

    def _to_push(self) -> list[_Due]:
        now = self._now()
        again = or_(
            Outbox.state.is_(None),
            and_(Outbox.state != "stored", Outbox.next_at <= now),
            and_(Outbox.state == "stored", Outbox.updated_at <= now - UNCONFIRMED_S),
        )
        query = (
            select(Delivery.document, Delivery.organisation, Outbox.attempts)
            .join(Document, Document.document == Delivery.document)
            .outerjoin(
                Outbox,
                and_(Outbox.document == Delivery.document, Outbox.organisation == Delivery.organisation),
            )
            .where(
                Document.organisation == self._own,
                Document.state == projection.SUBMITTED,
                Delivery.state == 0,
                Delivery.organisation.in_(list(self._config.peers)),
                again,
            )
            .order_by(Document.submitted_at)
            .limit(_PER_ROUND)
        )
        with self._store.reading() as session:
            return [_Due(row[0], row[1], row[2] or 0) for row in session.execute(query)]

    def _push(self, due: _Due) -> None:
        self._note(due, "sending", None)
        try:
            self._bring(due)
        except ShelianError as error:
            self._log.info("delivery failed", document=due.document, to=due.organisation, code=error.code)
            self._note(due, "failed", error.code)
        else:
            self._note(due, "stored", None)

    def _bring(self, due: _Due) -> None:
        with self._store.reading() as session:
            local = session.get_one(LocalDocument, due.document)
            raw = local.envelope
        base = f"{self._config.peers[due.organisation]}/agency/documents/{due.document}"
        missing = self._client.request("PUT", base, raw).json()["missing"]
        files = decode_envelope(raw).manifest.files
        for index in missing:
            ciphertext = files[index].ciphertext
            with self._vault.open(ciphertext.sha256) as source:
                self._client.request(
                    "PUT",
                    f"{base}/files/{index}",
                    chunks(source),
                    size=ciphertext.size,
                    sha256=ciphertext.sha256,
                )
        self._client.request("POST", f"{base}/complete")

    def _note(self, due: _Due, state: str, error: str | None) -> None:
        attempts = due.attempts + (state != "sending")
        pause = min(2**attempts, LONGEST_PAUSE_S) if state == "failed" else 0
        with self._store.writing() as session:
            session.merge(
                Outbox(
                    document=due.document,
                    organisation=due.organisation,
                    state=state,
                    attempts=attempts,
                    next_at=self._now() + pause,
                    error=error,
                    updated_at=self._now(),
                )
            )

    # 2. Fetch

    def _to_fetch(self) -> list[tuple[str, list[int]]]:
        query = (
            select(Delivery.document, Document.organisation)
            .join(Document, Document.document == Delivery.document)
            .outerjoin(LocalDocument, LocalDocument.document == Delivery.document)
            .where(
                Delivery.organisation == self._own,
                Delivery.state == 0,
                Document.organisation != self._own,
                Document.state == projection.SUBMITTED,
                Document.submitted_at <= self._now() - FETCH_AFTER_S,
                or_(LocalDocument.document.is_(None), LocalDocument.stored_at.is_(None)),
            )
            .limit(_PER_ROUND)
        )
        with self._store.reading() as session:
            waiting = [(row[0], row[1]) for row in session.execute(query)]
            found = []
            for document, sender in waiting:
                holders = select(Delivery.organisation).where(
                    Delivery.document == document, Delivery.state > 0, Delivery.organisation != self._own
                )
                found.append((document, [sender, *session.scalars(holders)]))
        return found

    def _fetch(self, document: str, parties: list[int]) -> None:
        for party in parties:
            if party not in self._config.peers:
                continue
            base = f"{self._config.peers[party]}/agency/documents/{document}"
            try:
                raw = self._client.request("GET", base).content
                for index in self._receiving.announce(Caller(party, b""), document, raw):
                    expected = self._receiving.file_expected(document, index)
                    with self._vault.writer() as writer:
                        writer.write(self._client.request("GET", f"{base}/files/{index}").content)
                        writer.finish(expected)
                self._receiving.complete(document)
                return
            except ShelianError as error:
                self._log.info("fetch failed", document=document, party=party, code=error.code)

    # 3. Report

    def _to_report(self) -> list[tuple[str, str]]:
        query = (
            select(Delivery.document, Document.manifest_hash)
            .join(Document, Document.document == Delivery.document)
            .join(LocalDocument, LocalDocument.document == Delivery.document)
            .where(
                Delivery.organisation == self._own,
                Delivery.state == 0,
                Document.state == projection.SUBMITTED,
                or_(LocalDocument.stored_at.is_not(None), Document.organisation == self._own),
            )
            .limit(_PER_ROUND)
        )
        with self._store.reading() as session:
            return [(row[0], row[1]) for row in session.execute(query)]

    def _send(self, what: str, calls: list[Call]) -> None:
        if not calls:
            return
        reached = 0
        try:
            for outcome in self._service.send_all(calls, _SERVICE_GAS):
                if isinstance(outcome, NodeError):
                    # What was done meanwhile is refused by the contract and gone from the next round's list.
                    self._log.info("refused", what=what, code=outcome.code, data=outcome.data.hex())
                else:
                    reached = max(reached, outcome.block)
        except NodeError as error:
            self._log.info("not sent", what=what, code=error.code)
        self._catch_up(reached)

    # 4. Reasons

    def _reasons(self) -> list[tuple[str, int]]:
        query = (
            select(ReturnReason.document, Document.organisation)
            .join(Document, Document.document == ReturnReason.document)
            .join(
                Delivery,
                and_(Delivery.document == ReturnReason.document, Delivery.organisation == self._own),
            )
            .where(
                ReturnReason.organisation == self._own,
                ReturnReason.sent_at.is_(None),
                Delivery.state == projection.RETURNED,
            )
            .limit(_PER_ROUND)
        )
        with self._store.reading() as session:
            return [(row[0], row[1]) for row in session.execute(query)]

    def _send_reason(self, document: str, sender: int) -> None:
        with self._store.reading() as session:
            row = session.get_one(ReturnReason, (document, self._own))
            plain = json.dumps({"reason": row.reason, "salt": row.salt}, ensure_ascii=False).encode()
        try:
            sealed = SealedBox(PublicKey(self._chain.encryption_key(sender))).encrypt(plain)
            if sender != self._own:
                url = f"{self._config.peers[sender]}/agency/documents/{document}/reason"
                self._client.request("PUT", url, sealed)
        except (ShelianError, KeyError) as error:
            self._log.info("reason not sent", document=document, kind=type(error).__name__)
            return
        with self._store.writing() as session:
            session.get_one(ReturnReason, (document, self._own)).sent_at = self._now()

    # 5. Deadlines

    def _breaches(self) -> list[tuple[str, int]]:
        query = (
            select(Delivery.document, Delivery.organisation)
            .join(Document, Document.document == Delivery.document)
            .where(
                Document.organisation == self._own,
                Document.state == projection.SUBMITTED,
                Delivery.state.in_((projection.DELIVERED, projection.SIGNED_FOR)),
                Delivery.reply_due < self._now(),
                Delivery.breached.is_(False),
            )
            .limit(_PER_ROUND)
        )
        with self._store.reading() as session:
            return [(row[0], row[1]) for row in session.execute(query)]
