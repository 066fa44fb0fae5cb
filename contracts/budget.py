"""What each function costs: `python -m contracts.budget [--check]` writes the table into docs/CONTRACTS.md.

Every opcode costs time in a node, so the count is published and watched. The functions are run on the node's
own EVM in typical lives of a document, a case, an order, an identity and a vote; gas is without the intrinsic
part (base, signature, bytes). The counts are exact: the same sources give the same table.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Final

from contracts.bindings import (
    anchors,
    consortium,
    correction_cases,
    correction_documents,
    identity_registry,
    love_bank,
    sharing_orders,
)
from contracts.district import (
    CLERKS,
    COMMUNITY,
    COURT,
    DATA_BUREAU,
    FUND_APPROVERS,
    JUSTICE,
    NOW,
    POLICE,
    PROCURATORATE,
    RESIDENTS,
    SHARING_PARTY,
    STAFF_PARTY,
    SUPERVISOR,
    WEBAUTHN,
    Person,
    approver,
    district,
    handler,
    registrar,
    resident,
    sealer,
    service,
    staff,
)
from contracts.genesis import catalogue_rules
from contracts.sandbox import Cost, Sandbox
from contracts.system import CONTRACTS_DIR, SYSTEM, SYSTEM_CONTRACTS
from contracts.vocabulary import Domain, Role, outside_party
from contracts.vocabulary import OrganisationKind as Kind
from node.chain.encoding import keccak256, sha256
from node.chain.transaction import Call

DOCUMENT: Final = CONTRACTS_DIR.parent / "docs" / "CONTRACTS.md"
START: Final = "<!-- budget: written by python -m contracts.budget -->"
END: Final = "<!-- end of budget -->"

_ZERO16: Final = bytes(16)
_ZERO32: Final = bytes(32)
_DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class Entry:
    """One measured call. `note` says which case of the function it was, where there are several."""

    contract: str
    function: str
    note: str
    cost: Cost


class _Run:
    """Sends calls one after the other and notes what each took."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.entries: list[Entry] = []
        self._names = {contract.address: contract.name for contract in SYSTEM_CONTRACTS}
        self._decoders = {
            binding.ADDRESS: binding.decode_call
            for binding in (
                consortium,
                identity_registry,
                correction_cases,
                correction_documents,
                love_bank,
                sharing_orders,
                anchors,
            )
        }

    def __call__(self, sender: Person | bytes, call: Call, note: str = "") -> None:
        account = sender if isinstance(sender, bytes) else sender.account
        function = self._decoders[call.to](call.data)[0]
        cost = self.sandbox.measure(account, call)
        self.entries.append(Entry(self._names[call.to], function, note, cost))
        self.sandbox.send(account, call)


def _ids() -> Iterator[bytes]:
    return (sha256(b"budget" + bytes([number])) for number in count())


def measure() -> list[Entry]:
    """Every function in its typical cases, in the order of the contracts' addresses and of the lives."""
    run = _Run(district())
    for part in (_documents, _cases, _points, _identities, _votes, _tables, _network):
        part(run)
    order = {contract.name: index for index, contract in enumerate(SYSTEM_CONTRACTS)}
    return sorted(run.entries, key=lambda entry: order[entry.contract])


def _documents(run: _Run) -> None:
    judgment, receipt, better, plan, manifest, case = islice(_ids(), 6)
    d = correction_documents
    run(
        handler(COURT),
        d.draft(judgment, case, 7, manifest, (JUSTICE,), (PROCURATORATE, POLICE), _ZERO32, _ZERO16),
        "one recipient, two copies",
    )
    run(approver(COURT), d.approve(judgment, manifest, _ZERO16))
    run(sealer(COURT), d.seal(judgment, manifest, _ZERO16))
    run(handler(COURT), d.submit(judgment, NOW - _DAY, _ZERO16), "in time")
    run(service(JUSTICE), d.deliver(judgment, manifest), "a reply is expected")
    run(service(POLICE), d.deliver(judgment, manifest), "a copy")
    run(handler(JUSTICE), d.sign_for(judgment, _ZERO16))
    run(handler(JUSTICE), d.draft(receipt, case, 8, manifest, (COURT,), (), judgment, _ZERO16), "a reply")
    run(approver(JUSTICE), d.approve(receipt, manifest, _ZERO16))
    run(sealer(JUSTICE), d.seal(receipt, manifest, _ZERO16))
    run(handler(JUSTICE), d.submit(receipt, NOW, _ZERO16), "a reply")
    run(handler(POLICE), d.return_for_correction(judgment, manifest, _ZERO16))
    _send_whole(run, better, 7, COURT, JUSTICE)
    run(handler(COURT), d.supersede(judgment, better, _ZERO16))
    subject = outside_party(Kind.SUBJECT)
    _send_whole(run, plan, 16, JUSTICE, subject)
    run(handler(JUSTICE), d.record_handover(plan, subject, manifest, _ZERO16))
    run.sandbox.now += 30 * _DAY
    run(SUPERVISOR, d.poke_deadline(better, 0))


def _send_whole(run: _Run, document: bytes, code: int, sender: int, recipient: int) -> None:
    d, manifest = correction_documents, sha256(b"manifest")
    run.sandbox.send(
        handler(sender).account,
        d.draft(document, _ZERO32, code, manifest, (recipient,), (), _ZERO32, _ZERO16),
    )
    run.sandbox.send(approver(sender).account, d.approve(document, manifest, _ZERO16))
    run.sandbox.send(sealer(sender).account, d.seal(document, manifest, _ZERO16))
    run.sandbox.send(handler(sender).account, d.submit(document, run.sandbox.now, _ZERO16))


def _cases(run: _Run) -> None:
    case, commitment = (sha256(name) for name in (b"case", b"commitment"))
    run(handler(COURT), correction_cases.open(case, COURT, JUSTICE, 2, NOW, commitment, _ZERO16))
    run(handler(COURT), correction_cases.advance(case, 3, NOW, commitment, _ZERO16))
    run(service(JUSTICE), anchors.anchor(1, 1, commitment))


def _points(run: _Run) -> None:
    needs, serves = RESIDENTS[0], RESIDENTS[1]
    ids = _ids()
    order, ref = next(ids), next(ids)
    b, o = love_bank, sharing_orders
    run(CLERKS[0], b.issue(needs.identity, 500, ref), "first clerk")
    run(CLERKS[1], b.issue(needs.identity, 500, ref), "second clerk")
    run(CLERKS[0], b.issue_to_fund(500, ref), "first clerk")
    run(CLERKS[1], b.issue_to_fund(500, ref), "second clerk")
    run(needs, o.publish(order, False, 21, 8, run.sandbox.now, ref))
    run(serves, o.accept(order))
    run(needs, o.confirm(order))
    run(needs, o.check_in(order, ref), "first side")
    run(serves, o.check_in(order, ref), "second side")
    run(serves, o.finish(order))
    run(needs, o.complete(order))
    run(needs, o.rate(order, 5, ref))
    for step in ("cancel", "noShow", "dispute", "poke"):
        _another_order(run, next(ids), step)
    run(serves, b.donate(3, ref))
    run(serves, b.redeem(2, ref))
    for first, person in enumerate(FUND_APPROVERS):
        run(person, b.grant(serves.identity, 20, ref), ("first approver", "second approver")[first])
    for first, person in enumerate(CLERKS):
        note = ("first clerk", "second clerk")[first]
        run(person, b.burn_from_fund(10, ref), note)
        run(
            person,
            b.reverse_entry(order, b"\0" * 4 + needs.identity, b"\0" * 4 + serves.identity, 10, 4),
            note,
        )
    run(CLERKS[0], b.freeze(serves.identity, ref))
    run(CLERKS[0], b.unfreeze(serves.identity, ref), "first clerk")
    run(CLERKS[1], b.unfreeze(serves.identity, ref), "second clerk")


def _another_order(run: _Run, order: bytes, end: str) -> None:
    needs, serves, o, note = RESIDENTS[0], RESIDENTS[1], sharing_orders, sha256(b"note")
    send = run.sandbox.send
    send(needs.account, o.publish(order, False, 21, 8, run.sandbox.now, note))
    send(serves.account, o.accept(order))
    send(needs.account, o.confirm(order))
    send(serves.account, o.check_in(order, note))
    if end == "cancel":
        run(needs, o.cancel(order), "points in escrow")
    elif end == "noShow":
        run.sandbox.now += _DAY
        run(serves, o.no_show(order))
    elif end == "dispute":
        run(serves, o.dispute(order, note))
        run(CLERKS[0], o.arbitrate(order, 40, note))
    else:
        send(needs.account, o.check_in(order, note))
        send(serves.account, o.finish(order))
        run.sandbox.now += 4 * _DAY
        run(service(COMMUNITY), o.poke(order))


def _identities(run: _Run) -> None:
    pair = (registrar(COURT, 1), registrar(COURT, 2))
    bureau = (registrar(DATA_BUREAU, 1), registrar(DATA_BUREAU, 2))
    notes = ("first registrar", "second registrar")
    r = identity_registry
    newcomer, neighbour = staff("newcomer", COURT, Role.HANDLER), resident("neighbour")
    device, lost = staff("second device", COURT, Role.HANDLER), staff("third device", COURT, Role.HANDLER)
    until = run.sandbox.now + 365 * _DAY
    enrolment = r.enrol(
        newcomer.identity, Domain.STAFF, 4, newcomer.roles, WEBAUTHN, newcomer.public_key, STAFF_PARTY, until
    )
    for person, note in zip(pair, notes, strict=True):
        run(person, enrolment, f"staff, {note}")
    run(
        bureau[0],
        r.enrol(
            neighbour.identity,
            Domain.SHARING,
            2,
            Role.RESIDENT,
            WEBAUTHN,
            neighbour.public_key,
            SHARING_PARTY,
            until,
        ),
        "resident, level 2",
    )
    for person, note in zip(bureau, notes, strict=True):
        run(person, r.set_level(neighbour.identity, 3), note)
    for person, note in zip(pair, notes, strict=True):
        run(person, r.set_roles(newcomer.identity, Role.HANDLER | Role.APPROVER), note)
    for person, note in zip(pair, notes, strict=True):
        run(
            person, r.add_credential(newcomer.identity, WEBAUTHN, device.public_key, STAFF_PARTY, until), note
        )
    for person, note in zip(pair, notes, strict=True):
        run(person, r.set_deputy(newcomer.identity, handler(COURT).identity, Role.APPROVER, until), note)
    run(pair[0], r.revoke_credential(device.account))
    run(pair[0], r.suspend(newcomer.identity))
    for person, note in zip(pair, notes, strict=True):
        run(person, r.resume(newcomer.identity), note)
    for person, note in zip(pair, notes, strict=True):
        run(person, r.revoke(newcomer.identity), note)
    withdrawn = r.set_roles(handler(COURT).identity, Role.APPROVER)
    run.sandbox.send(pair[0].account, withdrawn)
    run(pair[0], r.withdraw_request(keccak256(withdrawn.data)))
    for person, note in zip(pair, notes, strict=True):
        run(person, consortium.rotate_encryption_key(sha256(lost.public_key)), note)
    for person, note in zip(pair, notes, strict=True):
        run(person, consortium.rotate_certificate(sha256(lost.public_key)), note)


def _votes(run: _Run) -> None:
    c, ids = consortium, _ids()
    proposal = next(ids)
    call = c.set_deployer(bytes([1]) * 20, True)
    run(approver(COURT), c.propose(proposal, call.to, call.data))
    run(approver(COURT), c.vote(proposal, True))
    for organisation in (PROCURATORATE, POLICE, JUSTICE):
        run.sandbox.send(approver(organisation).account, c.vote(proposal, True))
    run(approver(COURT), c.execute(proposal, call.to, call.data), "setDeployer, 7 members")


def _network(run: _Run) -> None:
    c, (key, other) = consortium, islice(_ids(), 2)
    run(consortium.ADDRESS, c.set_peer(key[:20], COURT, True), "the fifth node")
    run(consortium.ADDRESS, c.change_validators((key,), (10,), (COURT,)), "the fifth validator")
    run.sandbox.number += 2
    run(consortium.ADDRESS, c.rotate_validator_key(key, other), "one of five")
    run(consortium.ADDRESS, c.suspend_organisation(POLICE), "7 members, 5 nodes, 5 validators")


def _tables(run: _Run) -> None:
    run(SYSTEM, correction_documents.set_rule(7, catalogue_rules()[7]))
    run(SYSTEM, correction_documents.set_holidays(80, 1))
    run(SYSTEM, sharing_orders.set_kind_weight(21, 130))


def table(entries: list[Entry]) -> str:
    """The Markdown table of the entries."""
    lines = ["| contract | function | case | opcodes | gas |", "|---|---|---|---:|---:|"]
    lines += [
        f"| {entry.contract} | `{entry.function}` | {entry.note} "
        f"| {entry.cost.opcodes:,} | {entry.cost.gas:,} |"
        for entry in entries
    ]
    return "\n".join(lines)


def updated(text: str, entries: list[Entry]) -> str:
    """The document with the table between its markers; ValueError if a marker is missing."""
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise ValueError(f"{DOCUMENT.name} has no place for the budget")
    return f"{before}{START}\n\n{table(entries)}\n\n{END}{after}"


def main(arguments: list[str] | None = None, document: Path = DOCUMENT) -> int:
    parser = argparse.ArgumentParser(prog="python -m contracts.budget", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the document, write nothing")
    options = parser.parse_args(arguments)
    old = document.read_text(encoding="utf-8")
    new = updated(old, measure())
    if options.check and new != old:
        print(f"the budget in {document.name} is not fresh: run python -m contracts.budget", file=sys.stderr)
        return 1
    if new != old:
        document.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
