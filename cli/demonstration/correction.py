"""The exchange of a judgment: draft, approval, seal, delivery, signatures, receipt; and what is refused."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from apps.site.errors import SiteError
from apps.site.person_client import PersonClient
from cli.demo_signer import DemoSigner
from cli.demonstration.network import Network
from cli.demonstration.run import Done, Run, StepFailed
from cli.system import AGENCIES, url_of
from contracts.bindings import correction_documents as documents

PART: Final = "文书 documents"
COURT, PROCURATORATE, POLICE, JUSTICE, COMMUNITY = 1, 2, 3, 4, 5
BATCH: Final = 20
_DAY_S: Final = 86_400
_DELIVERY_S: Final = 120.0
"""A recipient whose node was down when the document came is asked again after growing pauses."""
_NOBODY: Final = bytes(16)


@dataclass(frozen=True, slots=True)
class Exchanged:
    """What the verification needs: the document's id, its manifest hash, the steps' transactions in order."""

    document: str
    manifest_hash: str
    receipt: str
    transactions: tuple[str, ...]


class Offices:
    """Everybody of the four agencies who takes part, at their own agency's process."""

    def __init__(self, port_base: int, signer: DemoSigner) -> None:
        self._people = {
            f"{agency}-{role}": PersonClient(url_of(agency, port_base), f"{agency}-{role}", signer.sign)
            for agency in AGENCIES
            for role in ("handler", "approver", "sealer")
        }

    def __getitem__(self, person: str) -> PersonClient:
        return self._people[person]

    def close(self) -> None:
        for person in self._people.values():
            person.close()


def exchange_judgment(
    run: Run, offices: Offices, network: Network, now: float, interlude: Callable[[], None] = lambda: None
) -> Exchanged:
    """The main job on one judgment, with the refusals on the way. Raises StepFailed.

    `interlude` happens in the middle of the court's own steps; the police act last of all.
    """
    clerk, approver, sealer = (offices[f"court-{role}"] for role in ("handler", "approver", "sealer"))
    serial = secrets.randbelow(900) + 100
    today = datetime.fromtimestamp(now, UTC)
    number = f"（{today.year}）示0101刑初{serial}号"
    effective = int(now) - _DAY_S
    opened = clerk.call(
        "POST",
        "/api/cases",
        {
            "number": number,
            "person": f"示范对象{serial}",
            "category": "probation",
            "deciding": COURT,
            "executing": JUSTICE,
            "legal_date": effective,
        },
    )
    steps = [run.step(PART, "登记案件 open the case", clerk.name, lambda: clerk.finish(opened["signing"]))]
    pdf = _printed(f"示范对象{serial}", number, (today - timedelta(days=1)).date(), serial)
    document = _prepare(clerk, "D07", f"刑事判决书 {number}", opened["case"], effective, pdf)
    steps.append(_act(run, clerk, "起草判决书 D07 draft", "draft", document))
    manifest = clerk.call("GET", f"/api/documents/{document}")["manifest_hash"]
    _refusals_before_approval(run, offices, network, document, manifest, opened["case"], effective, pdf)
    interlude()
    steps.append(_act(run, approver, "审批 approve", "approve", document))
    steps.append(_act(run, sealer, "用印 seal", "seal", document))
    steps.append(_act(run, clerk, "提交 submit", "submit", document))
    for agency in ("justice", "procuratorate", "police"):
        _receive(run, offices[f"{agency}-handler"], clerk, document, pdf, steps)
    receipt = _return_receipt(run, offices, document, steps)
    return Exchanged(document, manifest, receipt, tuple(step.transaction for step in steps))


def sign_twenty(run: Run, offices: Offices, now: float) -> tuple[Done, ...]:
    """Twenty notices, each step of all of them one touch."""
    clerk, approver, sealer = (offices[f"court-{role}"] for role in ("handler", "approver", "sealer"))
    day = datetime.fromtimestamp(now, UTC).date()
    pdf = _printed("示范对象", f"（{day.year}）示0101刑初1号", day, 1)
    prepared = [
        _prepare(clerk, "D06", f"决定通知 {number}", None, int(now) - _DAY_S, pdf)
        for number in range(1, BATCH + 1)
    ]
    return tuple(
        run.step(
            PART,
            f"{BATCH} 份一次{zh} {action} {BATCH} in one touch",
            person.name,
            lambda person=person, action=action: person.do(  # type: ignore[misc]
                f"/api/documents/{action}", {"documents": prepared}
            ),
        )
        for person, action, zh in (
            (clerk, "draft", "起草"),
            (approver, "approve", "审批"),
            (sealer, "seal", "用印"),
            (clerk, "submit", "提交"),
        )
    )


def _printed(person: str, number: str, day: date, serial: int) -> bytes:
    # Imported here: the PDF library takes half a second, which every program of `up` would pay.
    from cli.demonstration.judgment import make_judgment

    return make_judgment(person, number, day, serial)


def _judgment_file(pdf: bytes) -> tuple[str, bytes, str]:
    return "判决书.pdf", pdf, "application/pdf"


def _prepare(clerk: PersonClient, code: str, title: str, case: str | None, effective: int, pdf: bytes) -> str:
    fields: dict[str, object] = {"code": code, "title": title, "to": [JUSTICE], "legal_date": effective}
    if case is not None:
        fields["case"] = case
    if code == "D07":
        fields["copies"] = [PROCURATORATE, POLICE]
    return str(clerk.upload("/api/documents", fields, [_judgment_file(pdf)])["document"])


def _act(run: Run, person: PersonClient, what: str, action: str, document: str) -> Done:
    return run.step(
        PART, what, person.name, lambda: person.do(f"/api/documents/{action}", {"documents": [document]})
    )


def _refusals_before_approval(
    run: Run,
    offices: Offices,
    network: Network,
    document: str,
    manifest: str,
    case: str,
    effective: int,
    pdf: bytes,
) -> None:
    """Each is refused twice: by the application early, and by the chain when the application is passed by."""
    clerk, sealer = offices["court-handler"], offices["court-sealer"]
    id_, hash_ = bytes.fromhex(document), bytes.fromhex(manifest.removeprefix("0x"))
    run.refused(
        PART,
        "越序用印 seal before approval (app)",
        sealer.name,
        "correction.wrong_step",
        lambda: sealer.call("POST", "/api/documents/seal", {"documents": [document]}),
    )
    run.refused(
        PART,
        "越序用印 seal before approval (chain)",
        sealer.name,
        "contract.DocumentState",
        lambda: network.send(sealer.id, [documents.seal(id_, hash_, _NOBODY)]),
    )
    run.refused(
        PART,
        "自批 approve one's own draft (app)",
        clerk.name,
        "site.not_allowed",
        lambda: clerk.call("POST", "/api/documents/approve", {"documents": [document]}),
    )
    run.refused(
        PART,
        "自批 approve one's own draft (chain)",
        clerk.name,
        "contract.RoleMissing",
        lambda: network.send(clerk.id, [documents.approve(id_, hash_, _NOBODY)]),
    )
    run.refused(
        PART,
        "错收件人 wrong recipient (app)",
        clerk.name,
        "correction.wrong_recipient",
        lambda: clerk.upload(
            "/api/documents",
            {"code": "D07", "title": "判决书", "case": case, "to": [POLICE], "legal_date": effective},
            [_judgment_file(pdf)],
        ),
    )
    run.refused(
        PART,
        "错收件人 wrong recipient (chain)",
        clerk.name,
        "contract.RecipientNotAllowed",
        lambda: network.send(
            clerk.id,
            [
                documents.draft(
                    secrets.token_bytes(32),
                    bytes.fromhex(case),
                    7,
                    hash_,
                    (COMMUNITY,),
                    (),
                    bytes(32),
                    _NOBODY,
                )
            ],
        ),
    )


def _receive(
    run: Run, person: PersonClient, clerk: PersonClient, document: str, pdf: bytes, steps: list[Done]
) -> None:
    """The recipient's process stores, checks and reports delivery; a person reads it and signs for it."""

    def delivered() -> bool | None:
        view = person.call("GET", f"/api/documents/{document}")
        return True if view["held"] and "sign-for" in view["actions"] else None

    run.until(PART, "收文、核对、报告送达 delivered", person.name, lambda: _quietly(delivered), _DELIVERY_S)
    received = person.call("GET", f"/api/documents/{document}")
    judgment = next(file for file in received["files"] if file["media_type"] == "application/pdf")

    def read() -> Done:
        if person.download(f"/documents/{document}/files/{judgment['index']}?download=true") != pdf:
            raise StepFailed("demo.step_failed", "the opened file is another one", document)
        return Done()

    run.step(PART, "打开判决书 the file opens unaltered", person.name, read)
    steps.append(_act(run, person, "签收 sign for it", "sign-for", document))


def _return_receipt(run: Run, offices: Offices, document: str, steps: list[Done]) -> str:
    """Justice sends the receipt D08 back; the court signs for it."""
    handler, approver, sealer = (offices[f"justice-{role}"] for role in ("handler", "approver", "sealer"))
    receipt = str(handler.call("POST", f"/api/documents/{document}/receipt")["document"])
    for person, what, action in (
        (handler, "回执 D08 起草 receipt", "draft"),
        (approver, "回执审批 approve", "approve"),
        (sealer, "回执用印 seal", "seal"),
        (handler, "回执提交 submit", "submit"),
    ):
        steps.append(_act(run, person, what, action, receipt))
    clerk = offices["court-handler"]

    def arrived() -> bool | None:
        return True if "sign-for" in clerk.call("GET", f"/api/documents/{receipt}")["actions"] else None

    run.until(PART, "回执送达法院 receipt delivered", clerk.name, lambda: _quietly(arrived))
    steps.append(_act(run, clerk, "法院签收回执 sign for it", "sign-for", receipt))
    return receipt


def _quietly(look: Callable[[], bool | None]) -> bool | None:
    """What has not arrived yet is unknown to the recipient; that is no failure while we wait."""
    try:
        return look()
    except SiteError:
        return None
