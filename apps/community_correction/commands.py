"""The only write path of an agency: each command checks what can be said early, writes what belongs to the
agency (draft, vault, reason), and gives the contract calls that a person then signs. The contract is the
final judge of every step."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO

import nacl.utils
from sqlalchemy.orm import Session

from apps.community_correction import projection, rules, words
from apps.community_correction.case_commands import NOBODY, Prepared, require_role
from apps.community_correction.chain_view import ChainView
from apps.community_correction.config import CorrectionConfig, Organisation
from apps.community_correction.cover import Cover, CoverCase
from apps.community_correction.files import MAX_FILES, CheckedFile, Upload, check_upload
from apps.community_correction.sealed_files import seal_into_vault
from apps.community_correction.store import Store
from apps.community_correction.tables import Delivery, Document, LocalCase, LocalDocument, ReturnReason
from apps.community_correction.vault import Vault
from apps.site.errors import SiteError, not_found
from apps.site.formats import moment
from apps.site.people import APPROVER, HANDLER, SEALER, Person
from apps.site.text import Text
from contracts.bindings import correction_documents as documents
from identity.sealing import RecipientKey, commitment_of, decode_envelope, encode_envelope

NO_CASE = bytes(32)
X25519 = 1


@dataclass(frozen=True, slots=True)
class DraftForm:
    """A document to be drafted. `legal_date` is seconds since the epoch, 0 where the document has no limit;
    ids are hex."""

    code: str
    title: str
    case_id: str | None
    to: tuple[int, ...]
    copies: tuple[int, ...]
    files: tuple[Upload, ...]
    legal_date: int = 0
    in_reply_to: str | None = None
    replaces: str | None = None


class Commands:
    """The commands of one agency. `now` gives seconds since the epoch."""

    def __init__(
        self, config: CorrectionConfig, store: Store, vault: Vault, chain: ChainView, now: Callable[[], int]
    ) -> None:
        self._config = config
        self._store = store
        self._vault = vault
        self._chain = chain
        self._now = now
        self._catalogue = rules.catalogue()

    # Documents: the sender's side

    def prepare_document(self, person: Person, form: DraftForm) -> str:
        """Check a draft, seal its files into the vault, keep it. Gives its id; `sign_drafts` puts it on the
        chain.

        Raises SiteError of rules.check_draft and files.check_upload, correction.case_unknown,
        .reply_not_allowed, VaultError.
        """
        require_role(self._config, person, HANDLER)
        rule = self._rule(form.code)
        rules.check_draft(
            rule,
            sender=self._config.agency.kind,
            recipients=[self._organisation(id).kind for id in form.to],
            copies=[self._organisation(id).kind for id in form.copies],
            file_count=len(form.files),
            legal_date=form.legal_date,
        )
        self._check_counts(form)
        uploads = tuple(check_upload(upload) for upload in form.files)
        with self._store.reading() as session:
            case = self._known_case(session, form.case_id)
            self._check_reply(session, rule, form.in_reply_to)
            replaced = self._replaced(session, form)
        return self._seal_and_keep(person, rule, form, uploads, case, replaced)

    def sign_drafts(self, person: Person, ids: Sequence[str]) -> Prepared:
        """Up to 100 prepared documents onto the chain: signing this is the 承办人's signature on each
        manifest."""
        require_role(self._config, person, HANDLER)
        calls = []
        with self._store.reading() as session:
            for id in ids:
                local = self._own(session, id)
                on_chain = session.get(Document, id)
                if on_chain is not None:
                    raise _wrong_step(local.title, on_chain.state, "拟稿签名", "be drafted")
                rule = self._rule(local.code)
                calls.append(
                    documents.draft(
                        bytes.fromhex(id),
                        bytes.fromhex(local.case_id) if local.case_id else NO_CASE,
                        0 if rule.restricted else rule.number,
                        bytes.fromhex(local.manifest_hash),
                        organisation_ids(local.to),
                        organisation_ids(local.copies),
                        bytes.fromhex(local.in_reply_to) if local.in_reply_to else NO_CASE,
                        NOBODY,
                    )
                )
        return Prepared(tuple(calls), _several("拟稿签名", "sign drafts", len(calls)), _after(ids))

    def discard_draft(self, person: Person, id: str) -> None:
        """Forget a draft that nobody signed, and its ciphertexts."""
        require_role(self._config, person, HANDLER)
        with self._store.writing() as session:
            local = self._own(session, id)
            if session.get(Document, id) is not None:
                raise SiteError(
                    "correction.not_a_draft",
                    Text("此文书已上链，不能删除。", "This document is on the chain and cannot be deleted."),
                    Text("如有错误，请拟一份新的替换它。", "If it is wrong, draft another to supersede it."),
                    status=409,
                )
            envelope = decode_envelope(local.envelope)
            session.delete(local)
        for file in envelope.manifest.files:
            self._vault.remove(file.ciphertext.sha256)

    def approve(self, person: Person, ids: Sequence[str]) -> Prepared:
        """Approve documents that somebody else drafted."""
        require_role(self._config, person, APPROVER)
        calls = []
        with self._store.reading() as session:
            for id in ids:
                local, row = self._own_on_chain(session, id, projection.DRAFTED, "审批", "be approved")
                if row.drafter == person.identity.hex() or row.drafted_for == person.identity.hex():
                    raise SiteError(
                        "correction.own_draft",
                        Text(
                            f"“{local.title}”是您自己拟的稿，不能自己审批。",
                            f"You drafted “{local.title}” yourself.",
                        ),
                        Text("请由另一位审批人审批。", "Another approver has to approve it."),
                        status=403,
                    )
                calls.append(documents.approve(bytes.fromhex(id), bytes.fromhex(row.manifest_hash), NOBODY))
        return Prepared(tuple(calls), _several("审批", "approve", len(calls)), _after(ids))

    def seal(self, person: Person, ids: Sequence[str]) -> Prepared:
        """Put the agency's seal on approved documents."""
        require_role(self._config, person, SEALER)
        calls = []
        with self._store.reading() as session:
            for id in ids:
                _, row = self._own_on_chain(session, id, projection.APPROVED, "用印", "be sealed")
                calls.append(documents.seal(bytes.fromhex(id), bytes.fromhex(row.manifest_hash), NOBODY))
        return Prepared(tuple(calls), _several("用印", "seal", len(calls)), _after(ids))

    def submit(self, person: Person, ids: Sequence[str]) -> Prepared:
        """Send sealed documents; once this is in a block, the delivery worker pushes them to the
        recipients."""
        require_role(self._config, person, HANDLER)
        calls = []
        with self._store.reading() as session:
            for id in ids:
                local, _ = self._own_on_chain(session, id, projection.SEALED, "发送", "be sent")
                calls.append(documents.submit(bytes.fromhex(id), local.legal_date, NOBODY))
        return Prepared(tuple(calls), _several("发送", "send", len(calls)), _after(ids))

    def supersede(self, person: Person, id: str, successor: str) -> Prepared:
        """Mark a sent document as replaced by another sent one of the same code."""
        require_role(self._config, person, HANDLER)
        with self._store.reading() as session:
            self._own_on_chain(session, id, projection.SUBMITTED, "替换", "be superseded")
            self._own_on_chain(session, successor, projection.SUBMITTED, "作为替换件", "supersede another")
        call = documents.supersede(bytes.fromhex(id), bytes.fromhex(successor), NOBODY)
        return Prepared((call,), Text("以新文书替换", "supersede"), f"/documents/{id}")

    # Documents: the recipient's side

    def sign_for(self, person: Person, ids: Sequence[str]) -> Prepared:
        """签收: sign for documents that were delivered to this agency."""
        require_role(self._config, person, HANDLER)
        with self._store.reading() as session:
            for id in ids:
                self._delivered_here(session, id, (projection.DELIVERED,), "签收", "be signed for")
        calls = tuple(documents.sign_for(bytes.fromhex(id), NOBODY) for id in ids)
        return Prepared(calls, _several("签收", "sign for", len(calls)), _after(ids))

    def return_for_correction(self, person: Person, id: str, reason: str) -> Prepared:
        """退回补正: return a document. The reason goes to the sender sealed; the chain holds a salted
        commitment to it."""
        require_role(self._config, person, HANDLER)
        if not reason.strip() or len(reason) > 2_000:
            raise SiteError(
                "correction.reason_missing",
                Text(
                    "请写明退回的原因（不超过 2000 字）。", "Say why it is returned (up to 2,000 characters)."
                ),
                Text("对方会看到这段话，并据此补正。", "The sender will read it and correct the document."),
                status=422,
            )
        salt = secrets.token_bytes(32)
        with self._store.writing() as session:
            self._delivered_here(
                session, id, (projection.DELIVERED, projection.SIGNED_FOR), "退回", "be returned"
            )
            session.merge(
                ReturnReason(
                    document=id,
                    organisation=self._config.organisation,
                    reason=reason.strip(),
                    salt=salt.hex(),
                )
            )
        commitment = commitment_of(salt, hashlib.sha256(reason.strip().encode()).digest())
        call = documents.return_for_correction(bytes.fromhex(id), commitment, NOBODY)
        return Prepared((call,), Text("退回补正", "return for correction"), f"/documents/{id}")

    def prepare_receipt(self, person: Person, id: str) -> str:
        """Draft the receipt D08 for a document that was signed for; it goes the way of every document."""
        with self._store.reading() as session:
            local, delivery = self._delivered_here(
                session, id, (projection.SIGNED_FOR,), "回执", "be answered"
            )
            sender = session.get_one(Document, id).organisation
        text = "\n".join(
            (
                "送达回执",
                "",
                f"文书：{local.title}（{local.code}）",
                f"文书编号：{id}",
                f"发送单位：{self._organisation(sender).name.zh}",
                f"接收单位：{self._config.agency.name.zh}",
                f"送达时间：{moment(delivery.delivered_at)}",
                f"签收时间：{moment(delivery.signed_at)}",
                "",
                "上列文书已收悉。",
                f"承办人：{person.name}",
                "",
            )
        )
        form = DraftForm(
            code="D08",
            title=f"送达回执：{local.title}"[:200],
            case_id=local.case_id,
            to=(sender,),
            copies=(),
            files=(Upload("送达回执.txt", BytesIO(text.encode())),),
            legal_date=delivery.delivered_at or 0,
            in_reply_to=id,
        )
        return self.prepare_document(person, form)

    # What the commands share

    def _seal_and_keep(
        self,
        person: Person,
        rule: rules.DocumentRule,
        form: DraftForm,
        uploads: tuple[CheckedFile, ...],
        case: LocalCase | None,
        replaced: LocalDocument | None,
    ) -> str:
        manifest = decode_envelope(replaced.envelope).manifest if replaced is not None else None
        cover_case = (
            CoverCase(case.number, case.person, case.category, case.details, case.salt)
            if case is not None
            else None
        )
        sealed = seal_into_vault(
            self._vault,
            code=rule.code,
            case=bytes.fromhex(form.case_id) if form.case_id else NO_CASE,
            sender=self._recipient_key(self._config.organisation),
            recipients=[self._recipient_key(id) for id in sorted({*form.to, *form.copies})],
            files=uploads,
            cover=Cover(form.title.strip(), cover_case),
            version=manifest.version + 1 if manifest is not None else 1,
            supersedes=bytes.fromhex(replaced.manifest_hash) if replaced is not None else b"",
        )
        id = nacl.utils.random(32).hex()
        due = rules.due_time(rule.limit, form.legal_date, rules.work_calendar()) if rule.limit else None
        with self._store.writing() as session:
            session.add(
                LocalDocument(
                    document=id,
                    case_id=form.case_id,
                    code=rule.code,
                    title=form.title.strip()[:200] or rule.name.zh,
                    received=False,
                    envelope=encode_envelope(sealed.envelope),
                    manifest_hash=sealed.hash.hex(),
                    to=_joined(form.to),
                    copies=_joined(form.copies),
                    in_reply_to=form.in_reply_to,
                    legal_date=form.legal_date if rule.limit else 0,
                    due=due,
                    created_by=person.id,
                    created_at=self._now(),
                    stored_at=None,
                )
            )
        return id

    def _rule(self, code: str) -> rules.DocumentRule:
        rule = self._catalogue.get(code)
        if rule is None:
            raise SiteError(
                "correction.code_unknown",
                Text(f"没有代码为 {code[:8]} 的文书。", f"There is no document with the code {code[:8]}."),
                Text("请从文书目录中选择。", "Choose one from the catalogue."),
                status=422,
                got=code[:8],
            )
        return rule

    def _organisation(self, id: int) -> Organisation:
        organisation = self._config.organisations.get(id)
        if organisation is None:
            raise not_found(Text(f"编号为 {id} 的单位", f"An organisation with the number {id}"))
        return organisation

    def _recipient_key(self, organisation: int) -> RecipientKey:
        return RecipientKey(organisation, X25519, self._chain.encryption_key(organisation))

    @staticmethod
    def _check_counts(form: DraftForm) -> None:
        both = {*form.to} & {*form.copies}
        if len(form.files) > MAX_FILES or both or len(form.to) > 8 or len(form.copies) > 8:
            raise SiteError(
                "correction.too_many",
                Text(
                    f"附件不超过 {MAX_FILES} 个；主送、抄送各不超过 8 个单位，且不能重复。",
                    f"At most {MAX_FILES} files; at most 8 recipients and 8 copies, none of them twice.",
                ),
                Text("请减少后再提交。", "Choose fewer."),
                status=422,
            )

    @staticmethod
    def _known_case(session: Session, case_id: str | None) -> LocalCase | None:
        if case_id is None:
            return None
        case = session.get(LocalCase, case_id)
        if case is None:
            raise not_found(Text("案件", "The case"))
        return case

    def _check_reply(self, session: Session, rule: rules.DocumentRule, in_reply_to: str | None) -> None:
        if in_reply_to is None:
            return
        answered = session.get(LocalDocument, in_reply_to)
        if answered is None:
            raise not_found(Text("所回复的文书", "The document to be answered"))
        expected = self._rule(answered.code).replies
        if rule.code not in expected:
            raise SiteError(
                "correction.reply_not_allowed",
                Text(
                    f"“{rule.name.zh}”不能用来回复“{answered.title}”。",
                    f"“{rule.name.en}” does not answer that.",
                ),
                Text(
                    f"可以回复的文书：{'、'.join(expected) or '无'}。",
                    f"Allowed: {', '.join(expected) or 'none'}.",
                ),
                status=409,
            )

    def _replaced(self, session: Session, form: DraftForm) -> LocalDocument | None:
        if form.replaces is None:
            return None
        replaced = self._own(session, form.replaces)
        if replaced.code != form.code:
            raise SiteError(
                "correction.other_code",
                Text("替换件必须是同一种文书。", "A document is superseded by one of the same code."),
                Text(f"请选择 {replaced.code}。", f"Choose {replaced.code}."),
                status=409,
            )
        return replaced

    @staticmethod
    def _own(session: Session, id: str) -> LocalDocument:
        local = session.get(LocalDocument, id)
        if local is None or local.received:
            raise not_found(Text("本单位的文书", "A document of this agency"))
        return local

    def _own_on_chain(
        self, session: Session, id: str, expected: int, zh: str, en: str
    ) -> tuple[LocalDocument, Document]:
        local = self._own(session, id)
        row = session.get(Document, id)
        state = row.state if row is not None else 0
        if row is None or state != expected:
            raise _wrong_step(local.title, state, zh, en)
        return local, row

    def _delivered_here(
        self, session: Session, id: str, expected: tuple[int, ...], zh: str, en: str
    ) -> tuple[LocalDocument, Delivery]:
        delivery = session.get(Delivery, (id, self._config.organisation))
        local = session.get(LocalDocument, id)
        if delivery is None or local is None:
            raise SiteError(
                "correction.not_recipient",
                Text("本单位没有收到这份文书。", "This agency has not received this document."),
                Text(
                    "请检查编号；文书到达后会出现在收件箱。",
                    "Check the number; it appears in the inbox once it arrives.",
                ),
                status=404,
            )
        if delivery.state not in expected:
            state = words.DELIVERY_STATES[delivery.state].text
            raise SiteError(
                "correction.wrong_step",
                Text(
                    f"“{local.title}”现为“{state.zh}”，不能{zh}。",
                    f"“{local.title}” is “{state.en}” and cannot {en}.",
                ),
                Text(
                    "请刷新页面，看是否已由同事办理。",
                    "Refresh and see whether a colleague has dealt with it.",
                ),
                status=409,
                got=delivery.state,
                expected=list(expected),
            )
        return local, delivery


def _wrong_step(title: str, state: int, zh: str, en: str) -> SiteError:
    text = words.DOCUMENT_STATES[state].text
    return SiteError(
        "correction.wrong_step",
        Text(f"“{title}”现为“{text.zh}”，不能{zh}。", f"“{title}” is “{text.en}” and cannot {en}."),
        Text("请按顺序办理：拟稿、审批、用印、发送。", "The order is: draft, approve, seal, send."),
        status=409,
        got=state,
    )


def _several(zh: str, en: str, count: int) -> Text:
    return Text(f"{zh} {count} 份文书", f"{en}: {count} document{'s' if count != 1 else ''}")


def _after(ids: Sequence[str]) -> str:
    return f"/documents/{ids[0]}" if len(ids) == 1 else "/"


def _joined(ids: Sequence[int]) -> str:
    return ",".join(str(id) for id in ids)


def organisation_ids(joined: str) -> tuple[int, ...]:
    return tuple(int(id) for id in joined.split(",") if id)
