"""Out of everybody's enrolments, one genesis: anyone merges, and everyone gets the same bytes.

The result depends on the set of enrolments and on three parameters (chain name, systems, time), on nothing
else: not on the order of the files, not on who merges, not on a clock. Rules, contracts and consensus
parameters are this release's. So every agency can merge again and compare, and does, before it signs.

Organisations are numbered from 1 by the number of their kind (police 1 … data bureau 7), then by name in the
order of its UTF-8 bytes. Validators, peers, registrars and relying parties follow their organisation's
number.

What cannot become a chain is refused with the names of those whom it concerns; what can, but should be
thought over, is a `Remark`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from contracts.genesis import PeerSpec, RegistrarSpec
from network.consortium.certificates import ENDING_SOON, check_validity, moment
from network.consortium.enrolment import (
    Enrolment,
    is_this_machine,
    public_keys,
    row_id,
)
from network.consortium.errors import CeremonyError
from network.consortium.fields import CHAIN_NAME
from network.consortium.genesis import Member, MemberValidator, Origin, Plan, plan_genesis
from network.consortium.relying_parties import specification
from node.chain.genesis import ORGANISATION_KINDS, SYSTEMS, Genesis

MAX_ORGANISATIONS: Final = 240
"""The Consortium contract's bound: a set of organisations fits one word."""
MAX_VALIDATORS: Final = 100
NEEDED_KINDS: Final = {
    "correction": ("police", "procuratorate", "court", "justice"),
    "sharing": ("community", "data_bureau"),
}
"""Kinds without which a system's documents or points go nowhere, or its rules could never be changed."""
SINGLE_KINDS: Final = ("community", "data_bureau")
"""Two love banks, or two offices that enrol residents, would let one person stand twice on one chain."""
FAULT_TOLERANT: Final = 4


@dataclass(frozen=True, slots=True)
class Remark:
    """Something to think over before signing; no refusal."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Merged:
    """A genesis and the enrolments that made it, in the order of their organisations' numbers."""

    genesis: Genesis
    enrolments: tuple[Enrolment, ...]
    remarks: tuple[Remark, ...]


def merge(
    enrolments: Iterable[Enrolment], *, chain_name: str, systems: Iterable[str], genesis_time_ns: int
) -> Merged:
    """The genesis of these members.

    Raises CeremonyError ceremony.chain_name, ceremony.systems, ceremony.nobody, ceremony.too_many,
    ceremony.other_chain, ceremony.other_purpose, ceremony.organisation_twice, ceremony.two_kinds,
    ceremony.key_twice, ceremony.registrar_twice, ceremony.address_twice, ceremony.kind_missing,
    ceremony.kind_twice, ceremony.no_validator, certificate.not_yet_valid, certificate.expired.
    """
    members = arrange(enrolments)
    wanted = set(systems)
    if not wanted or not wanted <= set(SYSTEMS):
        raise CeremonyError("ceremony.systems", "one or both of the systems", sorted(wanted), list(SYSTEMS))
    if not CHAIN_NAME.fullmatch(chain_name):
        raise CeremonyError(
            "ceremony.chain_name", "1 to 50 lower-case letters, digits and hyphens", chain_name
        )
    running = tuple(system for system in SYSTEMS if system in wanted)
    check_same_chain(members, chain_name)
    check_apart(members)
    _check_kinds(members, running)
    for one in members:
        check_validity(one.content.certificate, moment(genesis_time_ns))
    genesis = plan_genesis(_plan(members, chain_name, running, genesis_time_ns))
    return Merged(genesis, members, remarks(members, genesis_time_ns))


def arrange(enrolments: Iterable[Enrolment]) -> tuple[Enrolment, ...]:
    """In the order of their organisations' numbers: the first is organisation 1."""
    return tuple(
        sorted(
            enrolments,
            key=lambda one: (ORGANISATION_KINDS[one.content.kind], one.content.name.encode(), one.hash),
        )
    )


def remarks(members: Sequence[Enrolment], genesis_time_ns: int) -> tuple[Remark, ...]:
    """What the members should think over: powers, addresses, certificates that end soon."""
    found: list[Remark] = []
    powers = [(one, one.content.validator.power) for one in members if one.content.validator is not None]
    total = sum(power for _, power in powers)
    if len(powers) < FAULT_TOLERANT:
        found.append(
            Remark(
                "ceremony.few_validators",
                f"只有 {len(powers)} 个验证者，一个都不能出错；要容忍一个故障至少 {FAULT_TOLERANT} 个 "
                f"{len(powers)} validators tolerate no fault; {FAULT_TOLERANT} tolerate one",
            )
        )
    found += [
        Remark(
            "ceremony.third_of_power",
            f"{one.who} 有 {power}/{total} 的投票权：它停机，链就停 has a third of the power or more: "
            f"when it stands still, the chain does",
        )
        for one, power in powers
        if power * 3 >= total
    ]
    found += [
        Remark(
            "ceremony.address_of_this_machine",
            f"{one.who} 的地址 {one.content.address} 只指本机 its address means the reader's own machine",
        )
        for one in members
        if is_this_machine(one.content.address)
    ]
    found += [
        Remark(
            "ceremony.certificate_ends_soon",
            f"{one.who} 的 CA 证书到 {one.content.certificate.not_after:%Y-%m-%d} 为止 "
            "its CA certificate ends then",
        )
        for one in members
        if one.content.certificate.not_after - moment(genesis_time_ns) < ENDING_SOON
    ]
    return tuple(found)


def faults_tolerated(powers: Iterable[int]) -> int:
    """How many validators may fail, the strongest first, while more than two thirds of the power remain."""
    strongest_first = sorted(powers, reverse=True)
    total = sum(strongest_first)
    failed = 0
    for count, power in enumerate(strongest_first):
        failed += power
        if failed * 3 >= total:
            return count
    return len(strongest_first)


def check_same_chain(members: Sequence[Enrolment], chain_name: str) -> None:
    """All are for this chain, of one purpose, and some sign blocks. Raises CeremonyError as `merge`."""
    if not members:
        raise CeremonyError("ceremony.nobody", "no enrolment was given")
    if len(members) > MAX_ORGANISATIONS:
        raise CeremonyError("ceremony.too_many", "too many organisations", len(members), MAX_ORGANISATIONS)
    for one in members:
        if one.content.chain_name != chain_name:
            raise CeremonyError(
                "ceremony.other_chain",
                f"the enrolment of {one.who} is for another chain",
                one.content.chain_name,
                chain_name,
            )
    purposes = {one.content.purpose: one.who for one in members}
    if len(purposes) > 1:
        raise CeremonyError("ceremony.other_purpose", "demo and production do not mix", purposes)
    validators = sum(one.content.validator is not None for one in members)
    if not 1 <= validators <= MAX_VALIDATORS:
        raise CeremonyError(
            "ceremony.no_validator", "the chain needs validators", validators, f"1 to {MAX_VALIDATORS}"
        )


def check_apart(members: Sequence[Enrolment]) -> None:
    """Nobody twice: no organisation, key, registrar or address belongs to two enrolments."""
    kinds: dict[str, Enrolment] = {}
    authorities: dict[bytes, Enrolment] = {}
    keys: dict[bytes, Enrolment] = {}
    identities: dict[bytes, Enrolment] = {}
    addresses: dict[str, Enrolment] = {}
    for one in members:
        content = one.content
        for known in (kinds.get(content.name), authorities.get(content.certificate.public_key)):
            if known is None:
                continue
            if known.content.kind != content.kind:
                raise CeremonyError(
                    "ceremony.two_kinds",
                    f"{content.name} is enrolled as two kinds of organisation",
                    [known.content.kind, content.kind],
                    "one",
                )
            raise CeremonyError(
                "ceremony.organisation_twice",
                f"{one.who} is enrolled twice; take the newest file only",
                [known.hash, one.hash],
                "one enrolment each",
            )
        for key in public_keys(content):
            if key in keys:
                raise CeremonyError(
                    "ceremony.key_twice", f"{keys[key].who} and {one.who} give the same key", key
                )
        for registrar in content.registrars:
            if registrar.identity in identities:
                raise CeremonyError(
                    "ceremony.registrar_twice",
                    f"{identities[registrar.identity].who} and {one.who} name the same registrar",
                    registrar.identity,
                )
            identities[registrar.identity] = one
        if content.address in addresses:
            raise CeremonyError(
                "ceremony.address_twice",
                f"{addresses[content.address].who} and {one.who} give the same address",
                content.address,
            )
        kinds[content.name] = one
        authorities[content.certificate.public_key] = one
        keys |= dict.fromkeys(public_keys(content), one)
        addresses[content.address] = one


def _check_kinds(members: Sequence[Enrolment], systems: Sequence[str]) -> None:
    count = Counter(one.content.kind for one in members)
    for system in systems:
        missing = [kind for kind in NEEDED_KINDS[system] if not count[kind]]
        if missing:
            raise CeremonyError(
                "ceremony.kind_missing", f"the {system} system needs these members too", missing
            )
    for kind in SINGLE_KINDS:
        if count[kind] > 1:
            names = [one.content.name for one in members if one.content.kind == kind]
            raise CeremonyError("ceremony.kind_twice", f"a chain has one {kind}", names, "one")


def _plan(members: Sequence[Enrolment], chain_name: str, systems: tuple[str, ...], time_ns: int) -> Plan:
    numbered = [(id, one.content) for id, one in enumerate(members, start=1)]
    return Plan(
        chain_name=chain_name,
        purpose=members[0].content.purpose,
        genesis_time_ns=time_ns,
        systems=systems,
        members=tuple(
            Member(id, content.kind, content.name, content.encryption_key, content.certificate.pem)
            for id, content in numbered
        ),
        validators=tuple(
            MemberValidator(content.validator.public_key, content.validator.power, id, f"{content.kind}-{id}")
            for id, content in numbered
            if content.validator is not None
        ),
        peers=tuple(PeerSpec(content.node_id, id) for id, content in numbered),
        registrars=tuple(
            RegistrarSpec(one.identity, id, one.scheme, one.public_key, one.relying_party)
            for id, content in numbered
            for one in content.registrars
        ),
        origins=tuple(
            Origin(row.name, specification(row, row_id(content, row), id))
            for id, content in numbered
            for row in content.relying_parties
        ),
    )
