"""`shelian consortium`: several agencies make one genesis together, and no secret ever leaves a machine.

    on each agency's machine        keygen, relying-party, enrol   -> court.enrolment.json
    on each registrar's machine     registrar                      -> court-1.registrar.json
    anywhere                        merge                          -> genesis.json, genesis.ceremony.json
    on each agency's machine        sign                           -> court.signature.json
    anywhere, then and years later  show, check
    on each agency's machine        init                           -> DATA, ready for `shelian node`

The commands on an agency's or a registrar's own machine are here, the others in `cli.consortium_genesis`.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from cli.consortium_data import Addresses, listening, make_data, require_signed, settings_for
from cli.consortium_files import load_ceremony, load_genesis_file, require_absent, write_new
from cli.consortium_options import (
    Enrolments,
    KeysDirectory,
    PassphraseFile,
    Signatures,
    new_passphrase,
    passphrase_of,
)
from cli.consortium_words import (
    KINDS,
    colons,
    enrolment_summary,
    enrolment_text,
    registrar_text,
    relying_party_line,
)
from cli.layout import Layout
from cli.lazy import lazy_group
from cli.output import AsJson, result, say
from identity.keystore import load_key, load_key_file
from identity.signing import sign_hash
from network.consortium.ceremony import check_ceremony, require_own
from network.consortium.certificates import check_validity
from network.consortium.enrolment import EnrolmentContent, MemberKey, encode_enrolment, make_enrolment, row_id
from network.consortium.errors import CeremonyError
from network.consortium.keys import (
    KeyDirectory,
    create_keys,
    load_agency,
    load_enrolment,
    load_node_keys,
    node_signer,
    open_ca,
    read_bytes,
    require_node_keys,
    save_enrolment,
)
from network.consortium.registrars import (
    Registrar,
    RegistrarStatement,
    decode_registrar_statement,
    encode_registrar_statement,
    registrar_hash,
    verify_registrar,
)
from network.consortium.relying_parties import (
    RelyingParty,
    decode_relying_party,
    encode_relying_party,
    relying_party_id,
    resident_page,
    services,
    staff_page,
)

app = typer.Typer(
    cls=lazy_group(
        {
            "show": "cli.consortium_genesis:show",
            "merge": "cli.consortium_genesis:merge",
            "sign": "cli.consortium_genesis:sign",
            "check": "cli.consortium_genesis:check",
            "up": "cli.consortium_up:up",
            "proposals": "cli.consortium_votes:proposals",
            "proposal": "cli.consortium_votes:proposal",
            "vote": "cli.consortium_votes:vote",
            "execute": "cli.consortium_votes:execute",
            "appoint": "cli.consortium_votes:appoint",
            "invite": "cli.consortium_membership:invite",
            "invitation": "cli.consortium_join:invitation",
            "join": "cli.consortium_join:join",
            "leave": "cli.consortium_leaving:leave",
            "remove": "cli.consortium_leaving:remove",
            "resume": "cli.consortium_leaving:resume",
            "registrars": "cli.consortium_membership:registrars",
            "validator": "cli.consortium_membership:validator",
            "node": "cli.consortium_membership:node_app",
            "rotate": "cli.consortium_rotate:app",
            "graduate": "cli.consortium_graduate:app",
        }
    ),
    no_args_is_help=True,
    help="联盟 a consortium: made by several agencies without shared secrets, changed by their votes",
)

Kind = Annotated[str, typer.Option(help="机构类别: " + ", ".join(KINDS))]
Name = Annotated[str, typer.Option(help="机构全称 the agency's full name, everywhere the same")]
ChainName = Annotated[
    str, typer.Option(help="链名, 各家约定 agreed by all: lower-case letters, digits, hyphens")
]


@app.command("keygen")
def keygen(
    kind: Kind,
    name: Name,
    out: Annotated[Path, typer.Option(help="密钥目录 directory to make; must not be there yet")],
    domain: Annotated[
        list[str] | None,
        typer.Option(help="域名, 可多次 DNS domain that the CA may certify names below, repeatable"),
    ] = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Make this agency's keys on its own machine: node, validator, CA, sealing. Never a person's key.

    The node's and the validator's keys are plain files of mode 0600, because CometBFT reads no other form;
    the CA's and the sealing key lie under the passphrase.
    """
    directory = KeyDirectory(out)
    agency = create_keys(
        directory,
        kind=kind,
        name=name,
        passphrase=new_passphrase(passphrase_file),
        now=datetime.now(UTC),
        domains=domain or (),
    )
    node = load_node_keys(directory)
    say(
        "node_key.json 和 priv_validator_key.json 是明文（CometBFT 只认明文），权限 0600："
        "谁能读这台机器，谁就持有它们。先读 README.txt。\n"
        "node_key.json and priv_validator_key.json are PLAIN (CometBFT reads nothing else), mode 0600: "
        "whoever can read this machine holds them. Read README.txt first."
    )
    fingerprint = colons(agency.certificate.fingerprint)
    result(
        {
            "ok": True,
            "keys": out,
            "kind": kind,
            "name": name,
            "node_id": node.node_id,
            "validator": node.validator_public_key,
            "encryption_key": agency.encryption_key,
            "ca_fingerprint": agency.certificate.fingerprint,
            "ca_not_after": agency.certificate.not_after.isoformat(),
        },
        as_json=as_json,
        text=f"{out}: {name}，{KINDS[kind]}\n  节点 node id {node.node_id}\n  CA {fingerprint}\n"
        f"  到 until {agency.certificate.not_after:%Y-%m-%d}",
    )


@app.command("relying-party")
def relying_party(
    kind: Kind,
    out: Annotated[Path, typer.Option(help="file to write, for enrol and for the registrars")],
    page: Annotated[
        str | None,
        typer.Option(help="签名页地址 origin of the signing page, such as https://sign.court.example"),
    ] = None,
    domain: Annotated[
        str, typer.Option(help="staff 工作人员, sharing 居民 residents, service 程序 programs (no page)")
    ] = "staff",
    name: Annotated[str | None, typer.Option(help="what people call it")] = None,
    as_json: AsJson = False,
) -> None:
    """Describe where the agency's people sign, and what they may call from there. Nothing secret."""
    row = _row(kind, page, domain, name)
    write_new(out, encode_relying_party(row))
    line = relying_party_line(row)
    result({"ok": True, "file": out, "relying_party": line}, as_json=as_json, text=f"{out}: {line}")


@app.command("registrar")
def registrar(
    key: Annotated[Path, typer.Option(help="登记员自己的密钥文件 the registrar's own key file")],
    chain_name: ChainName,
    kind: Kind,
    name: Name,
    relying_party: Annotated[Path, typer.Option(help="签名页文件 the agency's file of `relying-party`")],
    out: Annotated[Path, typer.Option(help="声明 statement to hand to the agency's operator")],
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """On a registrar's own machine: agree to be registrar of this agency on this chain, with one's own key.

    The key file is one of `shelian accounts create`, or of the signer's directory. It is opened here and
    stays here; the statement holds the public key and a signature.
    """
    row = decode_relying_party(read_bytes(relying_party))
    file = load_key_file(key)
    own = load_key(key, passphrase_of(file.purpose, passphrase_file), chain_purpose="production")
    identity = secrets.token_bytes(16)
    party = relying_party_id(row, chain_name, kind, name)
    hash = registrar_hash(chain_name, "production", kind, name, identity, own.scheme, own.public_key, party)
    origin = row.origins[0] if row.origins else ""
    signature = sign_hash(own, hash, origin=origin, rp_id=row.rp_id)
    statement = RegistrarStatement(
        chain_name,
        "production",
        kind,
        name,
        Registrar(identity, own.scheme, own.public_key, party, signature),
    )
    verify_registrar(statement, row)
    write_new(out, encode_registrar_statement(statement))
    result(
        {"ok": True, "file": out, "identity": identity, "public_key": own.public_key, "scheme": own.scheme},
        as_json=as_json,
        text=f"{out}\n{registrar_text(statement)}",
    )


@app.command("enrol")
def enrol(
    keys: KeysDirectory,
    chain_name: ChainName,
    registrar: Annotated[list[Path], typer.Option(help="登记员声明, 至少两份 statements, two or more")],
    relying_party: Annotated[list[Path], typer.Option(help="签名页文件, 可多次 repeatable")],
    address: Annotated[str, typer.Option(help="host:port where the other nodes reach this one")],
    out: Annotated[Path, typer.Option(help="登记文件 enrolment to send to the others")],
    power: Annotated[int, typer.Option(help="投票权 voting power; 0: a node that signs no blocks")] = 10,
    replace_: Annotated[
        bool, typer.Option("--replace", help="this agency has enrolled before; the others get the new file")
    ] = False,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Write the one signed file that this agency sends to the others. Nothing in it is secret."""
    require_absent(out)
    now = datetime.now(UTC)
    directory = KeyDirectory(keys)
    agency = load_agency(directory)
    check_validity(agency.certificate, now)
    node = load_node_keys(directory)
    content = EnrolmentContent(
        chain_name=chain_name,
        purpose=agency.purpose,
        kind=agency.kind,
        name=agency.name,
        encryption_key=agency.encryption_key,
        certificate=agency.certificate,
        validator=MemberKey(node.validator_public_key, power) if power else None,
        node_key=node.node_public_key,
        address=address,
        registrars=tuple(
            sorted(
                (_statement(path, chain_name, agency.kind, agency.name) for path in registrar),
                key=lambda one: one.identity,
            )
        ),
        relying_parties=tuple(decode_relying_party(read_bytes(path)) for path in relying_party),
    )
    rows = sorted(content.relying_parties, key=lambda row: row_id(content, row))
    ca = open_ca(directory, agency, passphrase_of(agency.purpose, passphrase_file))
    enrolment = make_enrolment(
        replace(content, relying_parties=tuple(rows)),
        ca,
        node_signer(node.validator_key),
        node_signer(node.node_key),
    )
    # In force first: a file in the others' hands that the agency does not stand by would stop everybody.
    save_enrolment(directory, enrolment, replace=replace_)
    write_new(out, encode_enrolment(enrolment))
    result(
        {"ok": True, "file": out, "enrolment": enrolment_summary(enrolment)},
        as_json=as_json,
        text=f"{out}\n{enrolment_text(enrolment, now)}",
    )


@app.command("init")
def init(
    keys: KeysDirectory,
    genesis_file: Annotated[
        Path, typer.Option("--genesis", help="创世文件, 记录在旁 its record lies beside it")
    ],
    data: Annotated[Path, typer.Option("--data", help="数据目录 data directory to make")],
    enrolment: Enrolments = None,
    signature: Signatures = None,
    without: Annotated[
        list[str] | None,
        typer.Option(
            help="KIND=REASON 缺谁的签名、为什么 go on without this member's signature, and why; kept in DATA"
        ),
    ] = None,
    p2p: Annotated[
        str | None, typer.Option(help="ip:port to listen on for nodes; default 0.0.0.0 and the enrolled port")
    ] = None,
    rpc: Annotated[str, typer.Option(help="ip:port of CometBFT's RPC, loopback")] = "127.0.0.1:26657",
    metrics: Annotated[str, typer.Option(help="ip:port for Prometheus, loopback")] = "127.0.0.1:26660",
    as_json: AsJson = False,
) -> None:
    """Make this member's data directory from a genesis that everybody has signed. Nothing is started."""
    directory = KeyDirectory(keys)
    own = load_enrolment(directory)
    node, content = require_node_keys(directory, own), own.content
    genesis = load_genesis_file(genesis_file)
    members, signatures = load_ceremony(genesis_file, genesis, enrolment or (), signature or ())
    require_own(members, own)
    standing = check_ceremony(genesis, members, signatures)
    reasons = dict(_reason(one) for one in without or ())
    require_signed(standing, own, reasons)
    addresses = Addresses(p2p or listening(content.address), rpc, metrics)
    settings = settings_for(own, standing.members, addresses)
    layout = Layout(data.resolve())
    make_data(layout, genesis, (members, signatures), reasons, node, settings)
    say(
        "验证者密钥现在有两份（密钥目录和数据目录）；绝不要用它启动第二个节点。\n"
        "The validator key now lies in two places, the keys and the data directory: never start a second "
        "node with it."
    )
    result(
        {
            "ok": True,
            "data": layout.data,
            "chain_name": genesis.chain_name,
            "genesis_hash": genesis.hash,
            "node_id": node.node_id,
            "peers": list(settings.bootstrap),
            "without": reasons,
        },
        as_json=as_json,
        text=f"{layout.data}: {genesis.chain_name}，genesis 0x{genesis.hash.hex()}\n"
        f"下一步 next: shelian node --data {layout.data}",
    )


def _row(kind: str, page: str | None, domain: str, name: str | None) -> RelyingParty:
    if domain == "service":
        if page is not None:
            raise CeremonyError("ceremony.bad_value", "programs sign on no page", page)
        return services(name or "机构服务程序")
    if page is None:
        raise CeremonyError("ceremony.bad_value", "people need a page to sign on", None, "--page https://…")
    if domain == "sharing":
        return resident_page(page, name or "居民签名页")
    if domain != "staff":
        raise CeremonyError("ceremony.bad_value", "no such domain", domain, ["staff", "sharing", "service"])
    return staff_page(page, kind, name or "工作人员签名页")


def _statement(path: Path, chain_name: str, kind: str, name: str) -> Registrar:
    """A registrar's file, if it is for this agency and this chain."""
    statement = decode_registrar_statement(read_bytes(path))
    for what, got, expected in (
        ("chain", statement.chain_name, chain_name),
        ("kind", statement.kind, kind),
        ("agency", statement.organisation, name),
    ):
        if got != expected:
            raise CeremonyError(
                "ceremony.registrar_elsewhere", f"{path.name} is for another {what}", got, expected
            )
    return statement.registrar


def _reason(text: str) -> tuple[str, str]:
    who, separator, reason = text.partition("=")
    if not separator:
        raise CeremonyError("ceremony.reason", "who is missing, and why", text, "KIND=REASON")
    return who, reason
