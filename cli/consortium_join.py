"""`shelian consortium invitation | join`: from an admitted agency to its running node.

on an inviting member's machine     invitation  -> newcomer.invitation.json, handed over in any way
on the newcomer's machine           join        -> DATA, ready for `shelian node`, which joins by state sync
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from cli.consortium_data import listening, make_data
from cli.consortium_files import load_enrolments, load_genesis_file, record_beside, write_new
from cli.consortium_governing import DEFAULT_NODE, NodeUrl, TokenFile, Yes, confirm, open_desk
from cli.consortium_membership import EnrolmentFile, member_of
from cli.consortium_options import KeysDirectory, PassphraseFile, passphrase_of
from cli.consortium_words import colons, genesis_text, in_words
from cli.layout import Layout
from cli.output import AsJson, result, say
from network.comet.home import CometPlace, CometSettings, load_node_key, load_settings, node_id
from network.comet.settings import split_peer
from network.consortium.ceremony import MAX_RECORD_BYTES, Record, decode_record, require_record_of
from network.consortium.governance import MembershipError
from network.consortium.invitation import (
    MAX_DAYS,
    MAX_FILE_BYTES,
    InvitationContent,
    InvitationError,
    check_invitation,
    decode_invitation,
    encode_invitation,
    make_invitation,
)
from network.consortium.keys import (
    KeyDirectory,
    load_agency,
    load_enrolment,
    load_node_keys,
    open_ca,
    read_bytes,
)
from network.consortium.statements import spoken

TRUST_BEHIND = 2
"""The trusted header lies so far below the tip: it and its commit are final and on every member's disk."""


def invitation(
    enrolment_file: EnrolmentFile,
    keys: KeysDirectory,
    data: Annotated[Path, typer.Option("--data", help="本机节点的数据目录 own node's data directory")],
    rpc: Annotated[
        list[str],
        typer.Option(help="成员的 CometBFT RPC, 至少两个 members' RPC, http://host:port, two or more"),
    ],
    out: Annotated[Path, typer.Option(help="邀请文件 invitation to hand over")],
    address: Annotated[
        str | None, typer.Option(help="host:port where others reach this node; default: as enrolled")
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=MAX_DAYS, help="有效天数 days it is good for")] = 7,
    node: NodeUrl = DEFAULT_NODE,
    passphrase_file: PassphraseFile = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Write the invitation of an agency that the members have admitted, signed by one's own CA key.

    `--rpc`: state sync needs two members whose CometBFT RPC the newcomer reaches (`rpc_for_members` in their
    settings.json).
    """
    layout = Layout(data.resolve())
    genesis = load_genesis_file(layout.genesis)
    desk = open_desk(node, token_file, data)
    governance = desk.look()
    (enrolment,) = load_enrolments([enrolment_file])
    organisation = member_of(governance, enrolment)
    height = governance.height - TRUST_BEHIND
    header = desk.node.request("shelian_getHeader", hex(height)) if height > 0 else None
    if header is None or header["hash"] is None:
        raise MembershipError(
            "membership.too_early", "链还太短，再等几个区块 wait for some more blocks", governance.height
        )
    directory = KeyDirectory(keys)
    agency = load_agency(directory)
    now = datetime.now(UTC)
    place = CometPlace(layout.comet)
    settings = load_settings(place)
    own = address or load_enrolment(directory).content.address
    allowed = {one.node_id.hex() for one in governance.peers}
    peers = (f"{node_id(load_node_key(place))}@{own}", *settings.bootstrap)
    content = InvitationContent(
        genesis=genesis,
        record=_record(layout),
        enrolment=enrolment.hash,
        organisation=organisation,
        peers=tuple(
            {split_peer(one)[0]: one for one in reversed(peers) if split_peer(one)[0] in allowed}.values()
        ),
        rpc_servers=tuple(rpc),
        trust_height=height,
        trust_hash=bytes.fromhex(header["hash"][2:]),
        inviter=agency.name,
        certificate=agency.certificate,
        valid_until=int((now + timedelta(days=days)).timestamp()),
        nonce=secrets.token_bytes(16),
    )
    ca = open_ca(directory, agency, passphrase_of(agency.purpose, passphrase_file))
    made = make_invitation(content, ca)
    write_new(out, encode_invitation(made))
    founder = any(one.name == agency.name for one in genesis.organisations)
    until = datetime.fromtimestamp(content.valid_until, UTC)
    text = [
        f"{out}: 邀请 invitation for {enrolment.who}，第 {organisation} 号成员 member no. {organisation}",
        f"  到 until {in_words(until)}",
        f"  信任区块 trusted header {height} 0x{content.trust_hash.hex()}",
        f"电话核对创世 genesis, to read out: {spoken(genesis.hash)}",
    ]
    if not founder:
        text.append(
            "本机构不在创世里，对方要用 the newcomer has to name: --inviter-ca "
            + colons(agency.certificate.fingerprint)
        )
    result(
        {
            "ok": True,
            "file": out,
            "hash": made.hash,
            "organisation": organisation,
            "peers": content.peers,
            "trust_height": height,
            "trust_hash": content.trust_hash,
            "valid_until": content.valid_until,
            "genesis_hash": genesis.hash,
        },
        as_json=as_json,
        text="\n".join(text),
    )


def join(
    invitation_file: Annotated[Path, typer.Option("--invitation", help="邀请文件 the invitation")],
    keys: KeysDirectory,
    data: Annotated[Path, typer.Option("--data", help="数据目录 data directory to make")],
    genesis_hash: Annotated[
        str | None, typer.Option(help="电话核对过的创世哈希 genesis hash that was compared; else it is asked")
    ] = None,
    inviter_ca: Annotated[
        str | None, typer.Option(help="电话核对过的邀请方 CA 指纹 fingerprint of an inviter not in genesis")
    ] = None,
    p2p: Annotated[
        str | None, typer.Option(help="ip:port to listen on for nodes; default 0.0.0.0 and the enrolled port")
    ] = None,
    rpc: Annotated[str, typer.Option(help="ip:port of CometBFT's RPC, loopback")] = "127.0.0.1:26657",
    metrics: Annotated[str, typer.Option(help="ip:port for Prometheus, loopback")] = "127.0.0.1:26660",
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Make a newcomer's data directory from an invitation: checks it, starts nothing.

    The node then joins by state sync. It signs no blocks until the members give it power; an auditor's
    observer never does.
    """
    directory = KeyDirectory(keys)
    own, node = load_enrolment(directory), load_node_keys(directory)
    found = decode_invitation(read_bytes(invitation_file, MAX_FILE_BYTES))
    content, genesis = found.content, found.content.genesis
    used = _used(directory)
    check_invitation(
        found,
        own,
        node,
        datetime.now(UTC),
        used=used,
        vouched=None if inviter_ca is None else _digest(inviter_ca),
    )
    if genesis_hash is not None:
        if _digest(genesis_hash) != genesis.hash:
            raise InvitationError(
                "invitation.genesis",
                "创世与电话核对的不同 this is not the genesis that was compared",
                genesis.hash,
                genesis_hash,
            )
    else:
        members = () if content.record is None else content.record.enrolments
        say(escape(genesis_text(genesis, members)))
        confirm("电话里核对过这八组数字了吗？ Have these figures been compared by voice?", yes=yes)
    hosts = [split_peer(peer)[1].rpartition(":")[0] for peer in content.peers]
    mine = own.content.address.rpartition(":")[0]
    settings = CometSettings(
        p2p_address=p2p or listening(own.content.address),
        rpc_address=rpc,
        metrics_address=metrics,
        bootstrap=content.peers,
        name=f"{own.content.kind}-{content.organisation}",
        one_machine=len({*hosts, mine}) <= len(hosts),
        state_sync=content.state_sync(),
    )
    layout = Layout(data.resolve())
    record = content.record
    make_data(
        layout,
        genesis,
        ((), ()) if record is None else (record.enrolments, record.signatures),
        {},
        node,
        settings,
    )
    _mark_used(directory, found.hash)
    result(
        {
            "ok": True,
            "data": layout.data,
            "chain_name": genesis.chain_name,
            "genesis_hash": genesis.hash,
            "organisation": content.organisation,
            "node_id": node.node_id,
            "peers": content.peers,
            "trust_height": content.trust_height,
        },
        as_json=as_json,
        text=f"{layout.data}: {genesis.chain_name}，第 {content.organisation} 号成员 member no. "
        f"{content.organisation}\n下一步 next: shelian node --data {layout.data}",
    )


def _record(layout: Layout) -> Record | None:
    path = record_beside(layout.genesis)
    if not path.exists():
        return None
    record = decode_record(read_bytes(path, MAX_RECORD_BYTES))
    require_record_of(load_genesis_file(layout.genesis), record)
    return record


def _used(directory: KeyDirectory) -> frozenset[bytes]:
    """Hashes of the invitations by which a node was made with these keys."""
    path = directory.path / "invitations.used"
    if not path.exists():
        return frozenset()
    return frozenset(_digest(line) for line in path.read_text().split())


def _mark_used(directory: KeyDirectory, hash: bytes) -> None:
    with (directory.path / "invitations.used").open("a") as handle:
        handle.write(f"0x{hash.hex()}\n")


def _digest(text: str) -> bytes:
    """32 bytes as hex, with or without 0x and colons. Raises InvitationError invitation.bad_value."""
    try:
        found = bytes.fromhex(text.removeprefix("0x").replace(":", ""))
    except ValueError:
        found = b""
    if len(found) != 32:
        raise InvitationError(
            "invitation.bad_value", "哈希或指纹 a hash or fingerprint", text, "32 bytes as hex"
        )
    return found
