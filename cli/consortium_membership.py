"""`shelian consortium invite | validator | node | registrars`: what is put to the vote about members."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from cli.consortium_files import load_enrolments
from cli.consortium_governing import (
    DEFAULT_NODE,
    Desk,
    Despite,
    DryRun,
    NodeUrl,
    OptionalKey,
    OwnData,
    TokenFile,
    Yes,
    open_desk,
    put_to_vote,
)
from cli.consortium_options import PassphraseFile
from cli.consortium_words import enrolment_text
from cli.output import AsJson, say
from contracts.bindings import consortium
from network.consortium.certificates import check_validity
from network.consortium.enrolment import Enrolment
from network.consortium.governance import Governance, MembershipError
from network.consortium.keys import read_bytes
from network.consortium.merge import SINGLE_KINDS
from network.consortium.motions import admit, replace_registrars, set_power
from network.consortium.registrars import (
    RegistrarStatement,
    decode_registrar_statement,
    verify_registrar,
)
from network.consortium.relying_parties import RelyingParty, decode_relying_party, relying_party_id
from node.chain.genesis import ORGANISATION_KINDS

validator = typer.Typer(no_args_is_help=True, help="验证者的票权 voting power, each change a vote of its own")

node_app = typer.Typer(no_args_is_help=True, help="节点名单 which nodes may connect")

EnrolmentFile = Annotated[Path, typer.Argument(help="登记文件 the agency's file of `enrol`")]
OrganisationId = Annotated[int, typer.Argument(metavar="ORGANISATION", help="成员编号 the member's number")]


def invite(
    enrolment_file: EnrolmentFile,
    key: OptionalKey = None,
    node: NodeUrl = DEFAULT_NODE,
    data: OwnData = None,
    yes: Yes = False,
    dry: DryRun = False,
    despite: Despite = None,
    passphrase_file: PassphraseFile = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Put a newcomer to the vote: organisation, signing pages, registrars and node, as one motion.

    Voting power is a vote of its own, when the newcomer's node is in step (`validator add`); an auditor's
    observer gets none. When the motion has passed, `invitation` writes the file to hand over.
    """
    desk = open_desk(node, token_file, data, [enrolment_file])
    (enrolment,) = load_enrolments([enrolment_file])
    governance = desk.look()
    require_newcomer(governance, enrolment)
    now = datetime.now(UTC)
    check_validity(enrolment.content.certificate, now)
    say(escape(enrolment_text(enrolment, now)))
    calls = admit(enrolment.content, governance.free_number())
    put_to_vote(
        desk,
        calls,
        key,
        passphrase_file,
        yes=yes,
        dry=dry,
        despite=despite,
        as_json=as_json,
        more={"organisation": governance.free_number(), "enrolment": enrolment.hash},
    )


@validator.command("add")
def validator_add(
    enrolment_file: EnrolmentFile,
    power: Annotated[int | None, typer.Option(min=1, help="票权 power; default: the enrolment's")] = None,
    key: OptionalKey = None,
    node: NodeUrl = DEFAULT_NODE,
    data: OwnData = None,
    yes: Yes = False,
    dry: DryRun = False,
    despite: Despite = None,
    passphrase_file: PassphraseFile = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Put voting power for a member's node to the vote, once the node is in step. `--data`: looks whether it
    is."""
    desk = open_desk(node, token_file, data, [enrolment_file])
    (enrolment,) = load_enrolments([enrolment_file])
    governance = desk.look()
    member = member_of(governance, enrolment)
    seat = enrolment.content.validator
    if seat is None:
        raise MembershipError(
            "membership.observer",
            "登记的是观察节点，没有验证者 the enrolment is an observer's: it names no validator",
            enrolment.who,
            "an enrolment with power",
        )
    put_to_vote(
        desk,
        set_power(seat.public_key, power or seat.power, member),
        key,
        passphrase_file,
        yes=yes,
        dry=dry,
        despite=despite,
        as_json=as_json,
    )


@validator.command("set")
def validator_set(
    public_key: Annotated[str, typer.Argument(help="验证者公钥 the validator's key, 0x and 64 digits")],
    power: Annotated[int, typer.Argument(min=0, help="票权 power; 0 takes it away")],
    key: OptionalKey = None,
    node: NodeUrl = DEFAULT_NODE,
    data: OwnData = None,
    yes: Yes = False,
    dry: DryRun = False,
    despite: Despite = None,
    passphrase_file: PassphraseFile = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Put another power for one of the validators to the vote."""
    desk = open_desk(node, token_file, data)
    governance = desk.look()
    seat = governance.seat(_key(public_key))
    if seat is None:
        raise MembershipError(
            "membership.no_validator",
            "没有这个验证者 no validator has this key",
            public_key,
            ["0x" + one.public_key.hex() for one in governance.validators],
        )
    put_to_vote(
        desk,
        set_power(seat.public_key, power, seat.organisation),
        key,
        passphrase_file,
        yes=yes,
        dry=dry,
        despite=despite,
        as_json=as_json,
    )


@node_app.command("add")
def node_add(
    node_id: Annotated[str, typer.Argument(help="节点编号 node id, 40 digits")],
    organisation: OrganisationId,
    key: OptionalKey = None,
    node: NodeUrl = DEFAULT_NODE,
    data: OwnData = None,
    yes: Yes = False,
    dry: DryRun = False,
    despite: Despite = None,
    passphrase_file: PassphraseFile = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Put another node of a member to the vote: a second one, or one that was struck off."""
    put_to_vote(
        open_desk(node, token_file, data), (consortium.set_peer(_node_id(node_id), organisation, True),),
        key, passphrase_file, yes=yes, dry=dry, despite=despite, as_json=as_json,
    )  # fmt: skip


@node_app.command("strike")
def node_strike(
    node_id: Annotated[str, typer.Argument(help="节点编号 node id, 40 digits")],
    key: OptionalKey = None,
    node: NodeUrl = DEFAULT_NODE,
    data: OwnData = None,
    yes: Yes = False,
    dry: DryRun = False,
    despite: Despite = None,
    passphrase_file: PassphraseFile = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Put to the vote that a node may connect no longer; when the vote is carried out it is cut off."""
    desk = open_desk(node, token_file, data)
    id = _node_id(node_id)
    row = next((one for one in desk.look().peers if one.node_id == id), None)
    if row is None:
        raise MembershipError("membership.unknown_node", "名单上没有这台节点 no such node on the list", id)
    put_to_vote(
        desk, (consortium.set_peer(id, row.organisation, False),), key, passphrase_file,
        yes=yes, dry=dry, despite=despite, as_json=as_json,
    )  # fmt: skip


def registrars(
    organisation: OrganisationId,
    registrar: Annotated[
        list[Path], typer.Option(help="新登记员的声明, 至少两份 statements of `registrar`, two or more")
    ],
    relying_party: Annotated[
        list[Path], typer.Option(help="他们的签名页文件 the files of `relying-party` they named, repeatable")
    ],
    revoke: Annotated[
        list[str] | None,
        typer.Option(help="永久撤销的身份 identity of an old one to revoke for ever, repeatable"),
    ] = None,
    key: OptionalKey = None,
    node: NodeUrl = DEFAULT_NODE,
    data: OwnData = None,
    yes: Yes = False,
    dry: DryRun = False,
    despite: Despite = None,
    passphrase_file: PassphraseFile = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Give an agency new registrars by vote of the others: when all of its own are lost, or their keys are in
    the wrong hands (`--revoke`)."""
    desk = open_desk(node, token_file, data)
    governance = desk.look()
    member = governance.member(organisation)
    if member is None:
        raise MembershipError("membership.unknown_member", "没有这个成员 no such member", organisation)
    rows = [decode_relying_party(read_bytes(path)) for path in relying_party]
    statements = [decode_registrar_statement(read_bytes(path)) for path in registrar]
    placed = [(_place(one, rows, governance, member.kind), one.registrar) for one in statements]
    missing = {id: row for (id, row), _ in placed if not _is_open(desk, id)}
    calls = replace_registrars(
        organisation,
        tuple(missing.items()),
        tuple(one for _, one in placed),
        tuple(bytes.fromhex(one.removeprefix("0x")) for one in revoke or ()),
    )
    put_to_vote(
        desk,
        calls,
        key,
        passphrase_file,
        yes=yes,
        dry=dry,
        despite=despite,
        as_json=as_json,
        more={"organisation": organisation},
    )


def require_newcomer(governance: Governance, enrolment: Enrolment) -> None:
    """Nobody who is a member, or uses a member's keys, is invited.

    Raises MembershipError membership.other_chain, membership.already_member, membership.key_in_use,
    membership.kind_twice.
    """
    content = enrolment.content
    if (content.chain_name, content.purpose) != (governance.chain_name, governance.purpose):
        raise MembershipError(
            "membership.other_chain",
            "登记写的是另一条链 the enrolment is for another chain",
            [content.chain_name, content.purpose],
            [governance.chain_name, governance.purpose],
        )
    for member in governance.members:
        same = content.certificate.fingerprint == member.certificate
        if same or content.encryption_key == member.encryption_key:
            raise MembershipError(
                "membership.already_member",
                f"{content.name} 已是成员 is a member already; one that was suspended is resumed by `resume`",
                member.id,
                "an agency that is no member",
            )
    names = {name for id, name in governance.names.items() if governance.member(id) is not None}
    if content.name in names:
        raise MembershipError(
            "membership.already_member", "已有同名成员 a member has this name", content.name
        )
    if content.node_id in {one.node_id for one in governance.peers}:
        raise MembershipError(
            "membership.key_in_use", "节点密钥已在名单上 the node key is on the list", content.node_id
        )
    if content.validator is not None and governance.seat(content.validator.public_key) is not None:
        raise MembershipError(
            "membership.key_in_use",
            "验证者公钥已在用 the validator key is in use",
            content.validator.public_key,
        )
    kind = ORGANISATION_KINDS[content.kind]
    if content.kind in SINGLE_KINDS and any(one.kind == kind for one in governance.members):
        raise MembershipError(
            "membership.kind_twice",
            "每条链只能有一个这类机构 a chain has one of this kind",
            content.kind,
            "one",
        )


def member_of(governance: Governance, enrolment: Enrolment) -> int:
    """The number under which an enrolled agency was admitted.

    Raises MembershipError membership.not_admitted.
    """
    content = enrolment.content
    for member in governance.active:
        if (
            member.certificate == content.certificate.fingerprint
            and member.encryption_key == content.encryption_key
            and any(one.node_id == content.node_id for one in governance.peers_of(member.id))
        ):
            return member.id
    raise MembershipError(
        "membership.not_admitted",
        "表决还没有接纳这家机构和它的节点 no vote has admitted this agency with this node",
        enrolment.who,
        "a motion of `invite` that was carried out",
    )


def _place(
    statement: RegistrarStatement, rows: list[RelyingParty], governance: Governance, kind: int
) -> tuple[bytes, RelyingParty]:
    """The row under which a new registrar signs, verified."""
    if (statement.chain_name, statement.purpose) != (governance.chain_name, governance.purpose):
        raise MembershipError(
            "membership.other_chain",
            "登记员声明写的是另一条链 the statement is for another chain",
            statement.chain_name,
            governance.chain_name,
        )
    if ORGANISATION_KINDS[statement.kind] != kind:
        raise MembershipError(
            "membership.other_member",
            "登记员声明写的是另一类机构 the statement is for an agency of another kind",
            statement.kind,
            kind,
        )
    for row in rows:
        id = relying_party_id(row, statement.chain_name, statement.kind, statement.organisation)
        if id == statement.registrar.relying_party:
            verify_registrar(statement, row)
            return id, row
    raise MembershipError(
        "membership.page_missing",
        "缺少登记员声明里的签名页文件 the file of the page that a registrar signed for is missing",
        statement.registrar.relying_party,
        "--relying-party",
    )


def _is_open(desk: Desk, relying_party: bytes) -> bool:
    row = consortium.decode_relying_party(desk.node.call(consortium.relying_party(relying_party)))
    return any(row.rp_id_hash)


def _node_id(text: str) -> bytes:
    try:
        id = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        id = b""
    if len(id) != 20:
        raise MembershipError("membership.bad_value", "节点编号 a node id has 40 digits", text)
    return id


def _key(text: str) -> bytes:
    try:
        key = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        key = b""
    if len(key) != 32:
        raise MembershipError("membership.bad_value", "公钥 a key has 32 bytes", text, "0x and 64 hex digits")
    return key
