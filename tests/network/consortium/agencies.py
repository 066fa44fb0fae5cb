"""Agencies with real key directories, enrolments and people, for tests that change a running consortium.

Everybody's keys are demo keys, so that they open without being asked for a passphrase.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from nacl.signing import SigningKey
from typer.testing import CliRunner, Result

from cli.consortium import app
from identity.demo.cast import DEMO_PASSPHRASE
from identity.keys import ED25519, SM2, KeyPair, generate_key
from identity.keystore import DEMO, save_key
from identity.signing import sign_hash
from network.consortium.enrolment import (
    Enrolment,
    EnrolmentContent,
    MemberKey,
    encode_enrolment,
    make_enrolment,
    row_id,
)
from network.consortium.keys import (
    KeyDirectory,
    create_keys,
    load_agency,
    load_node_keys,
    node_signer,
    open_ca,
    save_enrolment,
)
from network.consortium.merge import merge
from network.consortium.registrars import (
    Registrar,
    RegistrarStatement,
    encode_registrar_statement,
    registrar_hash,
)
from network.consortium.relying_parties import (
    RelyingParty,
    encode_relying_party,
    relying_party_id,
    services,
    staff_page,
)
from node.chain.errors import ShelianError
from node.chain.genesis import Genesis

CHAIN = "district-rehearsal"
NAMES = {
    "police": "示例区公安分局",
    "procuratorate": "示例区人民检察院",
    "court": "示例区人民法院",
    "justice": "示例区司法局",
    "auditor": "示例审计中心",
}
"""Nobody real."""
runner = CliRunner()


@dataclass(frozen=True)
class Agency:
    """One agency's machine and its people. `number`: on the chain."""

    path: Path
    kind: str
    number: int
    enrolment: Enrolment
    page: RelyingParty
    people: tuple[KeyPair, ...]
    operator: KeyPair

    @property
    def keys(self) -> KeyDirectory:
        return KeyDirectory(self.path / "keys")

    @property
    def enrolment_file(self) -> Path:
        return self.path / "enrolment.json"

    @property
    def page_file(self) -> Path:
        return self.path / "staff.page.json"

    @property
    def operator_file(self) -> Path:
        return self.path / "operator.key.json"

    @property
    def validator_key(self) -> SigningKey:
        return SigningKey(load_node_keys(self.keys).validator_key)

    def registrar_file(self, number: int) -> Path:
        return self.path / f"registrar-{number}.key.json"

    def appoint(self, url: str) -> None:
        """Two registrars let the operator vote."""
        for number in (1, 2):
            done(
                "appoint", "0x" + self.operator.public_key.hex(), "--algorithm", self.operator.algorithm.name,
                "--key", self.registrar_file(number), "--node", url, "--yes",
            )  # fmt: skip


def make_agency(
    path: Path, kind: str, number: int, *, power: int = 10, address: str = "", now: datetime | None = None
) -> Agency:
    """keygen, relying-party, registrar and enrol, with keys that are cheap to open."""
    here = path / f"{kind}-{number}"
    here.mkdir(parents=True)
    at = (now or datetime.now(UTC)) - timedelta(hours=1)
    keys = KeyDirectory(here / "keys")
    agency = create_keys(
        keys, kind=kind, name=NAMES[kind], passphrase=DEMO_PASSPHRASE, now=at, purpose="demo", cost=DEMO
    )
    node = load_node_keys(keys)
    page = staff_page(f"https://sign.{kind}.example", kind, "工作人员签名页")
    people = (generate_key(ED25519), generate_key(SM2))
    content = EnrolmentContent(
        chain_name=CHAIN,
        purpose="demo",
        kind=kind,
        name=agency.name,
        encryption_key=agency.encryption_key,
        certificate=agency.certificate,
        validator=MemberKey(node.validator_public_key, power) if power else None,
        node_key=node.node_public_key,
        address=address or f"{kind}.example:26656",
        registrars=tuple(
            registrar(key, bytes([place]) + bytes.fromhex(node.node_id)[:15], page, kind)
            for place, key in enumerate(people, 1)
        ),
        relying_parties=(page, services("机构服务")),
    )
    rows = sorted(content.relying_parties, key=lambda row: row_id(content, row))
    enrolment = make_enrolment(
        replace(content, relying_parties=tuple(rows)),
        open_ca(keys, load_agency(keys), DEMO_PASSPHRASE),
        node_signer(node.validator_key),
        node_signer(node.node_key),
    )
    save_enrolment(keys, enrolment)
    made = Agency(here, kind, number, enrolment, page, people, generate_key(ED25519))
    made.enrolment_file.write_bytes(encode_enrolment(enrolment))
    made.page_file.write_bytes(encode_relying_party(page))
    for place, key in enumerate(people, 1):
        save_key(made.registrar_file(place), key, DEMO_PASSPHRASE, purpose="demo", label="r", cost=DEMO)
    save_key(made.operator_file, made.operator, DEMO_PASSPHRASE, purpose="demo", label="o", cost=DEMO)
    return made


def registrar(key: KeyPair, identity: bytes, page: RelyingParty, kind: str) -> Registrar:
    """A person's own statement, as part of an enrolment."""
    party = relying_party_id(page, CHAIN, kind, NAMES[kind])
    hash = registrar_hash(CHAIN, "demo", kind, NAMES[kind], identity, key.scheme, key.public_key, party)
    return Registrar(identity, key.scheme, key.public_key, party, sign_hash(key, hash, origin="", rp_id=""))


def statement_file(path: Path, key: KeyPair, identity: bytes, page: RelyingParty, kind: str) -> Path:
    """The file of `shelian consortium registrar`."""
    one = RegistrarStatement(CHAIN, "demo", kind, NAMES[kind], registrar(key, identity, page, kind))
    path.write_bytes(encode_registrar_statement(one))
    return path


def make_chain(agencies: list[Agency], now: datetime | None = None) -> Genesis:
    at = int((now or datetime.now(UTC)).timestamp())
    return merge(
        (one.enrolment for one in agencies),
        chain_name=CHAIN,
        systems=("correction",),
        genesis_time_ns=at * 1_000_000_000,
    ).genesis


def run(*arguments: object) -> Result:
    return runner.invoke(app, [str(argument) for argument in arguments])


def done(*arguments: object) -> dict[str, Any]:
    """The command's JSON; it must have succeeded."""
    outcome = run(*arguments, "--json")
    assert outcome.exit_code == 0, (outcome.output, repr(outcome.exception))
    found: dict[str, Any] = json.loads(outcome.stdout)
    return found


def refused(*arguments: object) -> ShelianError:
    """The typed error with which a command was refused."""
    outcome = run(*arguments)
    assert outcome.exit_code != 0, outcome.output
    assert isinstance(outcome.exception, ShelianError), (outcome.output, repr(outcome.exception))
    return outcome.exception
