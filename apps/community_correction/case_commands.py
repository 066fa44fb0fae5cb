"""Commands on cases, and what every command gives and checks. A case's particulars stay with its agencies;
the chain holds a commitment."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from apps.community_correction import words
from apps.community_correction.config import CorrectionConfig
from apps.community_correction.store import Store
from apps.community_correction.tables import Case, LocalCase
from apps.site.errors import SiteError, not_allowed, not_found
from apps.site.people import APPROVER, HANDLER, ROLE_NAMES, Person
from apps.site.text import Text
from contracts.bindings import correction_cases as cases
from identity.sealing import commitment_of
from node.chain.encoding import encode_canonical_json
from node.chain.transaction import Call

NOBODY = bytes(16)


@dataclass(frozen=True, slots=True)
class Prepared:
    """Calls to be signed in one touch, what the person is told they are for, and the page to show
    afterwards."""

    calls: tuple[Call, ...]
    purpose: Text
    next_url: str


@dataclass(frozen=True, slots=True)
class CaseForm:
    """A case to be opened. `state` 1 (an assessment is asked for) or 2 (decided); `deciding` 0 = an organ
    outside the network."""

    number: str
    person: str
    category: str
    deciding: int
    executing: int
    state: int
    legal_date: int


def require_role(config: CorrectionConfig, person: Person, role: int) -> None:
    """A command checks the role itself too, so that no page or endpoint can forget it. SiteError
    site.not_allowed."""
    if person.organisation != config.organisation or not person.holds(role):
        names = [text for bit, text in ROLE_NAMES.items() if role & bit]
        own = config.agency.name
        raise not_allowed(
            Text(
                f"{own.zh}的{'或'.join(text.zh for text in names)}",
                f"{' or '.join(text.en for text in names)} of {own.en}",
            )
        )


class CaseCommands:
    """Opening and advancing cases. `now` gives seconds since the epoch."""

    def __init__(self, config: CorrectionConfig, store: Store, now: Callable[[], int]) -> None:
        self._config = config
        self._store = store
        self._now = now

    def open_case(self, person: Person, form: CaseForm) -> tuple[str, Prepared]:
        """Open a case under a random id; its particulars stay here, the chain holds a salted commitment.
        Gives (case id, calls)."""
        require_role(self._config, person, HANDLER)
        if not form.person.strip() or not form.number.strip() or form.category not in words.CATEGORIES:
            raise SiteError(
                "correction.case_incomplete",
                Text("案件信息不完整。", "The case is incomplete."),
                Text("请填写案号、姓名和矫正类别。", "Give case number, name and category."),
                status=422,
            )
        case_id, salt = secrets.token_bytes(32), secrets.token_bytes(32)
        details = encode_canonical_json(
            {"number": form.number.strip(), "person": form.person.strip(), "category": form.category}
        )
        with self._store.writing() as session:
            session.add(
                LocalCase(
                    case_id=case_id.hex(),
                    number=form.number.strip(),
                    person=form.person.strip(),
                    category=form.category,
                    details=details.decode(),
                    salt=salt.hex(),
                    created_at=self._now(),
                )
            )
        call = cases.open(
            case_id,
            form.deciding,
            form.executing,
            form.state,
            form.legal_date,
            commitment_of(salt, hashlib.sha256(details).digest()),
            NOBODY,
        )
        purpose = Text("登记案件", "open a case")
        return case_id.hex(), Prepared((call,), purpose, f"/cases/{case_id.hex()}")

    def advance_case(self, person: Person, case_id: str, state: int, legal_date: int) -> Prepared:
        """Move a case to its next state."""
        require_role(self._config, person, HANDLER | APPROVER)
        with self._store.reading() as session:
            case = session.get(Case, case_id)
        if case is None:
            raise not_found(Text("案件", "The case"))
        if state not in words.CASE_NEXT.get(case.state, ()):
            now_text, wanted = words.CASE_STATES[case.state].text, words.CASE_STATES.get(state)
            following = [
                words.CASE_STATES[next_state].text for next_state in words.CASE_NEXT.get(case.state, ())
            ]
            raise SiteError(
                "correction.case_step",
                Text(
                    f"案件现为“{now_text.zh}”，不能直接转为“{wanted.text.zh if wanted else state}”。",
                    f"The case is “{now_text.en}” and cannot become “{wanted.text.en if wanted else state}”.",
                ),
                Text(
                    f"下一步可以是：{'、'.join(t.zh for t in following) or '无'}。",
                    f"Next may be: {', '.join(t.en for t in following) or 'nothing'}.",
                ),
                status=409,
                got=[case.state, state],
            )
        call = cases.advance(
            bytes.fromhex(case_id), state, legal_date, bytes.fromhex(case.commitment), NOBODY
        )
        purpose = Text(
            f"案件转为“{words.CASE_STATES[state].text.zh}”", f"case: {words.CASE_STATES[state].text.en}"
        )
        return Prepared((call,), purpose, f"/cases/{case_id}")
