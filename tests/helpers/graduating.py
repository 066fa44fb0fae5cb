"""A one-machine production ledger with real contracts and real files, and the agencies that take it over.

old = make_old_machine(tmp_path, ("police", "court"))
old.add_block(old.members[0].call(0, ..., chain_id))
member.enrol("district-two", address)        # keygen was done: the agency's enrolment for the new chain
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cli.layout import Layout
from contracts.genesis import RegistrarSpec
from identity.keys import ED25519, KeyPair, generate_key
from identity.keystore import DEMO, Cost, save_key
from identity.signing import sign_hash, sign_imi
from network.consortium.enrolment import (
    Enrolment,
    EnrolmentContent,
    MemberKey,
    encode_enrolment,
    make_enrolment,
    row_id,
)
from network.consortium.genesis import Member as PlannedMember
from network.consortium.genesis import MemberValidator, Origin, Plan, plan_genesis
from network.consortium.keys import (
    Agency,
    KeyDirectory,
    create_keys,
    load_node_keys,
    node_signer,
    open_ca,
    save_enrolment,
)
from network.consortium.registrars import Registrar, registrar_hash
from network.consortium.relying_parties import (
    RelyingParty,
    relying_party_id,
    services,
    specification,
    staff_page,
)
from network.embedded import EmbeddedEngine, ValidatorKey
from node.chain.genesis import ORGANISATION_KINDS, Genesis, encode_genesis
from node.chain.transaction import Call, build_imi
from node.ledger import Admitted, FinalizedBlock, Ledger

PASSPHRASE = "correct horse battery"
_CHEAP = Cost(operations=2, memory=64 << 20)
"""The least that a production key may cost to open."""
OLD_CHAIN = "district-one"
NEW_CHAIN = "district-two"
NAMES = {
    "police": "示例区公安分局",
    "procuratorate": "示例区人民检察院",
    "court": "示例区人民法院",
    "justice": "示例区司法局",
}


@dataclass
class Member:
    """An agency: its directory of keys, its number, its registrars, who are people elsewhere."""

    keys: KeyDirectory
    agency: Agency
    id: int
    registrars: tuple[KeyPair, ...]

    @property
    def kind(self) -> str:
        return self.agency.kind

    @property
    def page(self) -> RelyingParty:
        return staff_page(f"https://sign.{self.kind}.example", self.kind, "工作人员签名页")

    def party(self, chain_name: str) -> bytes:
        return relying_party_id(self.page, chain_name, self.kind, self.agency.name)

    def identity(self, number: int) -> bytes:
        return bytes([self.id, number]) * 8

    def call(self, nonce: int, calls: Sequence[Call], chain_id: int, registrar: int = 0) -> bytes:
        """A transaction of a registrar."""
        return transaction(self.registrars[registrar], nonce, calls, chain_id)

    def enrol(self, chain_name: str, address: str, power: int = 10, **changes: object) -> Enrolment:
        """This agency's enrolment, in force; two of its registrars stand for it."""
        node = load_node_keys(self.keys)
        people = changes.pop("registrars", self.registrars)
        assert isinstance(people, tuple)
        fingerprint = self.agency.certificate.fingerprint
        party = self.party(chain_name)
        content = EnrolmentContent(
            chain_name=chain_name,
            purpose=self.agency.purpose,
            kind=self.kind,
            name=self.agency.name,
            encryption_key=self.agency.encryption_key,
            certificate=self.agency.certificate,
            validator=MemberKey(node.validator_public_key, power) if power else None,
            node_key=node.node_public_key,
            address=address,
            registrars=tuple(
                _statement(key, fingerprint[:15] + bytes([number]), party, chain_name, self)
                for number, key in enumerate(people)
            ),
            relying_parties=(self.page, services("机构服务")),
        )
        rows = tuple(sorted(content.relying_parties, key=lambda row: row_id(content, row)))
        validator = changes.pop("validator_signer", node_signer(node.validator_key))
        content = replace(content, relying_parties=rows, **changes)  # type: ignore[arg-type]
        ca = open_ca(self.keys, self.agency, PASSPHRASE)
        enrolment = make_enrolment(content, ca, validator, node_signer(node.node_key))  # type: ignore[arg-type]
        save_enrolment(self.keys, enrolment, replace=True)
        return enrolment

    def enrolment_file(self, path: Path, chain_name: str, address: str, **changes: object) -> Path:
        file = path / f"{self.kind}.enrolment.json"
        file.write_bytes(encode_enrolment(self.enrol(chain_name, address, **changes)))  # type: ignore[arg-type]
        return file


def transaction(key: KeyPair, nonce: int, calls: Sequence[Call], chain_id: int) -> bytes:
    unsigned = build_imi(
        chain_id=chain_id,
        nonce=nonce,
        valid_until=int(time.time()) + 3_600,
        gas_limit=2_000_000,
        calls=calls,
        scheme=key.scheme,
        public_key=key.public_key,
    )
    return sign_imi(key, unsigned, origin="", rp_id="").raw


def _statement(key: KeyPair, identity: bytes, party: bytes, chain_name: str, of: Member) -> Registrar:
    hash = registrar_hash(
        chain_name, "production", of.kind, of.agency.name, identity, key.scheme, key.public_key, party
    )
    return Registrar(identity, key.scheme, key.public_key, party, sign_hash(key, hash, origin="", rp_id=""))


@dataclass
class _Queue:
    """Candidates: what was submitted, in order."""

    waiting: list[Admitted] = field(default_factory=list)

    def ready(self, max_gas: int, max_bytes: int) -> Iterable[Admitted]:
        return tuple(self.waiting)

    def committed(self, finalized: FinalizedBlock) -> None:
        self.waiting.clear()

    def has_ready(self) -> bool:
        return bool(self.waiting)


@dataclass
class OldMachine:
    """Its data directory as `shelian node` finds it, stopped."""

    layout: Layout
    genesis: Genesis
    key: KeyPair
    members: tuple[Member, ...]

    def signer(self) -> ValidatorKey:
        return ValidatorKey(self.key.public_key, node_signer(self.key.secret))

    def add_blocks(self, *blocks: Sequence[bytes]) -> None:
        """Each with these transactions."""
        with Ledger.open(self.layout.ledger, self.genesis) as ledger:
            queue = _Queue()
            engine = EmbeddedEngine(ledger, queue, self.signer(), time.time_ns)
            for transactions in blocks:
                queue.waiting += [ledger.check(raw, time.time_ns()) for raw in transactions]
                engine.make_block()

    def height(self) -> int:
        with Ledger.open(self.layout.ledger) as ledger:
            return ledger.tip.height


def make_old_machine(path: Path, kinds: Sequence[str], purpose: str = "production") -> OldMachine:
    """Members are numbered by their place in `kinds`; the last one's machine is the validator."""
    now = datetime.now(UTC) - timedelta(hours=2)
    cost = DEMO if purpose == "demo" else _CHEAP
    members = []
    for id, kind in enumerate(kinds, 1):
        keys = KeyDirectory(path / kind / "keys")
        agency = create_keys(
            keys, kind=kind, name=NAMES[kind], passphrase=PASSPHRASE, now=now, purpose=purpose, cost=cost
        )
        members.append(Member(keys, agency, id, tuple(generate_key(ED25519) for _ in range(2))))
    layout, key = Layout(path / "old"), generate_key(ED25519)
    layout.node.mkdir(parents=True)
    save_key(layout.validator_key, key, PASSPHRASE, purpose=purpose, label="validator", cost=cost)
    genesis = plan_genesis(
        Plan(
            chain_name=OLD_CHAIN,
            purpose=purpose,
            genesis_time_ns=(int(time.time()) - 3_600) * 1_000_000_000,
            members=tuple(
                PlannedMember(
                    one.id, one.kind, one.agency.name, one.agency.encryption_key, one.agency.certificate.pem
                )
                for one in members
            ),
            validators=(MemberValidator(key.public_key, 10, len(members), "embedded"),),
            registrars=tuple(
                RegistrarSpec(
                    one.identity(number), one.id, person.scheme, person.public_key, one.party(OLD_CHAIN)
                )
                for one in members
                for number, person in enumerate(one.registrars)
            ),
            origins=tuple(
                Origin(one.page.name, specification(one.page, one.party(OLD_CHAIN), one.id))
                for one in members
            ),
            systems=("correction",),
        )
    )
    assert all(one.kind in ORGANISATION_KINDS for one in members)
    Ledger.create(layout.ledger, genesis).close()
    layout.genesis.write_bytes(encode_genesis(genesis))
    return OldMachine(layout, genesis, key, tuple(members))
