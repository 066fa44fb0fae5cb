"""`shelian consortium rotate …`: new keys for a validator, a node, the agency's CA, the sealing of documents.

validator     rotate validator -> votes -> stop the node -> rotate switch -> start
node          rotate node -> votes -> stop the node -> rotate switch -> start -> rotate node --finish
certificate   rotate certificate --keys … -> two registrars: rotate certificate --value … -> rotate switch
sealing       likewise
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

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
    confirm,
    open_actor,
    open_desk,
    put_to_vote,
)
from cli.consortium_options import KeysDirectory, PassphraseFile, passphrase_of
from cli.consortium_words import colons
from cli.layout import Layout
from cli.output import AsJson, result
from contracts.bindings import consortium
from network.comet.home import CometPlace, load_validator_key
from network.comet.keyfiles import load_public_key, replace_file
from network.consortium.acting import require_registrar, send
from network.consortium.governance import MembershipError
from network.consortium.keys import KeyDirectory, load_agency, load_node_keys
from network.consortium.rotation import (
    NextKeys,
    keep_aside,
    next_certificate,
    next_node_id,
    next_sealing_key,
    next_validator_key,
    require_validator_switch,
    switch,
)
from node.chain.rules import CONSORTIUM, peer_slot
from node.chain.transaction import Call
from node.chain.validators import Validator, validator_address
from node.ledger import Ledger

app = typer.Typer(no_args_is_help=True, help="更换密钥 new keys: validator, node, certificate, sealing")

OptionalKeys = Annotated[
    Path | None, typer.Option("--keys", help="密钥目录 the agency's directory of `keygen`")
]
Value = Annotated[
    str | None, typer.Option(help="新值 the new value, 0x and 64 digits, as the agency's machine printed it")
]


@app.command("validator")
def validator(
    keys: KeysDirectory,
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
    """Put a new key for one's own validator to the vote. The key is made beside the old one.

    When the vote was carried out: wait two blocks, stop the node, `rotate switch`, start it.
    """
    directory = KeyDirectory(keys)
    desk = open_desk(node, token_file, data)
    governance = desk.look()
    old = load_node_keys(directory).validator_public_key
    if governance.seat(old) is None:
        raise MembershipError(
            "membership.no_validator",
            "本机构的验证者公钥不在表里 our validator's key is not in the table",
            old,
            ["0x" + one.public_key.hex() for one in governance.validators],
        )
    new = next_validator_key(directory)
    put_to_vote(
        desk, (consortium.rotate_validator_key(old, new),), key, passphrase_file,
        yes=yes, dry=dry, despite=despite, as_json=as_json, more={"old": old, "new": new},
    )  # fmt: skip


@app.command("node")
def node_(
    keys: KeysDirectory,
    finish: Annotated[
        bool,
        typer.Option("--finish", help="新密钥已在用：除名旧的 the new key is in use: strike the old one off"),
    ] = False,
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
    """Put a new key for one's own node to the vote: first the new id is let in, after the switch the old one
    is struck off (`--finish`). So the node is never a stranger."""
    directory = KeyDirectory(keys)
    desk = open_desk(node, token_file, data)
    governance = desk.look()
    current = validator_address(load_node_keys(directory).node_public_key)
    owner = next((one.organisation for one in governance.peers if one.node_id == current), None)
    if owner is None:
        raise MembershipError(
            "membership.unknown_node", "本机构的节点不在名单上 our node is not on the list", current
        )
    if finish:
        if NextKeys(directory).node_key.exists():
            raise MembershipError(
                "rotation.not_switched",
                "新节点密钥还没有换上 the new node key is not in use yet",
                str(NextKeys(directory).node_key),
                "rotate switch",
            )
        old = _old_node_ids(directory)
        calls: tuple[Call, ...] = tuple(
            consortium.set_peer(one.node_id, owner, False)
            for one in governance.peers_of(owner)
            if one.node_id in old and one.node_id != current
        )
        if not calls:
            raise MembershipError("rotation.nothing_left", "旧节点已除名 the old node is struck off already")
    else:
        calls = (consortium.set_peer(next_node_id(directory), owner, True),)
    put_to_vote(
        desk, calls, key, passphrase_file,
        yes=yes, dry=dry, despite=despite, as_json=as_json, more={"node_id": current},
    )  # fmt: skip


@app.command("certificate")
def certificate(
    keys: OptionalKeys = None,
    value: Value = None,
    key: OptionalKey = None,
    node: NodeUrl = DEFAULT_NODE,
    yes: Yes = False,
    passphrase_file: PassphraseFile = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """A new CA. On the agency's machine (`--keys`): make it. On two registrars' own machines (`--value`,
    `--key`): put its fingerprint into the chain; no vote is needed."""
    if keys is not None:
        directory = KeyDirectory(keys)
        agency = load_agency(directory)
        passphrase = passphrase_of(agency.purpose, passphrase_file)
        made = next_certificate(directory, agency, passphrase, datetime.now(UTC))
        _made("certificate", made.fingerprint, NextKeys(directory).certificate, as_json)
        return
    fingerprint = _value(value)
    _own_act(
        open_desk(node, token_file), consortium.rotate_certificate(fingerprint), "certificate", fingerprint,
        key, passphrase_file, yes=yes, as_json=as_json,
    )  # fmt: skip


@app.command("sealing")
def sealing(
    keys: OptionalKeys = None,
    value: Value = None,
    key: OptionalKey = None,
    node: NodeUrl = DEFAULT_NODE,
    yes: Yes = False,
    passphrase_file: PassphraseFile = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """A new key that documents are sealed to. As `certificate`: made on the agency's machine, put into the
    chain by two registrars. Keep the old key for ever: it opens the documents that were sealed to it."""
    if keys is not None:
        directory = KeyDirectory(keys)
        agency = load_agency(directory)
        made = next_sealing_key(directory, agency, passphrase_of(agency.purpose, passphrase_file))
        _made("sealing", made, NextKeys(directory).sealing_key, as_json)
        return
    public_key = _value(value)
    _own_act(
        open_desk(node, token_file), consortium.rotate_encryption_key(public_key), "sealing", public_key,
        key, passphrase_file, yes=yes, as_json=as_json,
    )  # fmt: skip


@app.command("switch")
def switch_(
    keys: KeysDirectory,
    data: OwnData = None,
    node: NodeUrl = DEFAULT_NODE,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Put new keys in the old ones' place, as far as the chain has them. The old ones are kept.

    Validator and node keys (`--data`): the node must be stopped; its own ledger says whether the new key
    counts. Certificate and sealing key: `--node` says whether the registrars' act is done.
    """
    directory, now = KeyDirectory(keys), datetime.now(UTC)
    names = NextKeys(directory)
    done: dict[str, Any] = {}
    if data is not None:
        done |= _switch_node(directory, Layout(data.resolve()), now)
    if names.certificate.exists() or names.sealing_key.exists():
        done |= _switch_agency(directory, open_desk(node, token_file), now)
    if not done:
        raise MembershipError(
            "rotation.no_next_key",
            "没有新的密钥可换 there is no new key to put in place",
            str(directory.path),
        )
    text = "\n".join(f"{what}：旧的存为 the old one is kept as {kept}" for what, kept in done.items())
    if data is not None:
        text += f"\n下一步 next: shelian node --data {data}"
    result({"ok": True, "kept": done}, as_json=as_json, text=text)


def _switch_node(directory: KeyDirectory, layout: Layout, now: datetime) -> dict[str, Path]:
    """The stopped node's own keys. The ledger's lock tells that it is stopped."""
    names, place, done = NextKeys(directory), CometPlace(layout.comet), {}
    if not names.validator_key.exists() and not names.node_key.exists():
        return {}
    ledger = Ledger.open(layout.ledger)
    try:
        tip = ledger.tip
        next_validators = [Validator(one.public_key, one.power) for one in tip.validators]
        if names.validator_key.exists():
            in_use = load_validator_key(place)
            new = require_validator_switch(
                directory, in_use, tip.height, next_validators, place.validator_state_file
            )
            if in_use != load_node_keys(directory).validator_public_key and in_use != new:
                keep_aside(directory.validator_key, place.validator_key_file.read_bytes(), now)
            replace_file(place.validator_key_file, names.validator_key.read_bytes())
            done["validator"] = switch(directory.validator_key, names.validator_key, now)
        if names.node_key.exists():
            _require_listed(ledger, next_node_id(directory))
            replace_file(place.node_key_file, names.node_key.read_bytes())
            done["node"] = switch(directory.node_key, names.node_key, now)
    finally:
        ledger.close()
    return done


def _switch_agency(directory: KeyDirectory, desk: Desk, now: datetime) -> dict[str, Path]:
    names, agency, done = NextKeys(directory), load_agency(directory), {}
    governance = desk.look()
    if names.certificate.exists():
        new = next_certificate(directory, agency, "", now).fingerprint
        if all(one.certificate != new for one in governance.members):
            raise _not_yet("certificate", new)
        done["ca key"] = switch(directory.ca_key, names.ca_key, now)
        done["certificate"] = switch(directory.certificate, names.certificate, now)
    if names.sealing_key.exists():
        key = next_sealing_key(directory, agency, "")
        if all(one.encryption_key != key for one in governance.members):
            raise _not_yet("sealing", key)
        done["sealing"] = switch(directory.sealing_key, names.sealing_key, now)
    return done


def _require_listed(ledger: Ledger, node_id: bytes) -> None:
    """Raises MembershipError rotation.not_listed."""
    with ledger.snapshot() as snapshot:
        listed = snapshot.state().storage(CONSORTIUM, peer_slot(node_id))
    if not listed:
        raise MembershipError(
            "rotation.not_listed",
            "新节点密钥还不在名单上：等表决执行 the new node key is not on the list yet: wait for its vote",
            node_id,
            "a motion of `rotate node` that was carried out",
        )


def _old_node_ids(directory: KeyDirectory) -> frozenset[bytes]:
    """Of the node keys that were in use once."""
    return frozenset(
        validator_address(load_public_key(path)) for path in directory.path.glob("node_key.2*.json")
    )


def _made(what: str, value: bytes, file: Path, as_json: bool) -> None:
    shown = f"0x{value.hex()}" + (f"\n  {colons(value)}" if what == "certificate" else "")
    result(
        {"ok": True, "value": value, "file": file},
        as_json=as_json,
        text=f"{file}\n  {shown}\n两名登记员各自运行 two registrars give each:\n"
        f"  shelian consortium rotate {what} --value 0x{value.hex()} --key …\n"
        "然后在本机 then here: shelian consortium rotate switch --keys …",
    )


def _own_act(
    desk: Desk,
    call: Call,
    what: str,
    value: bytes,
    key: Path | None,
    passphrase_file: Path | None,
    *,
    yes: bool,
    as_json: bool,
) -> None:
    """What two registrars of an agency do without a vote: the first asks, the second carries it out."""
    if key is None:
        raise MembershipError(
            "membership.key_missing", "要有登记员的密钥文件 a registrar's key", None, "--key"
        )
    actor = open_actor(desk, desk.look(), key, passphrase_file)
    require_registrar(actor)
    own = actor.standing.organisation
    confirm(
        f"第 {own} 号成员换用 {what} 0x{value.hex()}？ Put it into the chain for member no. {own}?", yes=yes
    )
    receipt = send(desk.node, actor, [call])
    member = desk.look().member(own)
    done = member is not None and value in (member.certificate, member.encryption_key)
    said = (
        f"已生效 in force，区块 block {receipt.block}"
        if done
        else "已登记请求；另一名登记员七天内运行同一条命令 asked for; another registrar gives the same "
        "command within seven days"
    )
    result({"ok": True, "height": receipt.block, "in_force": done}, as_json=as_json, text=said)


def _not_yet(what: str, value: bytes) -> MembershipError:
    return MembershipError(
        "rotation.not_in_force",
        "链上还不是新值：两名登记员都要办 the chain does not have the new value yet",
        {what: value},
        f"rotate {what} --value … by two registrars",
    )


def _value(text: str | None) -> bytes:
    try:
        found = bytes.fromhex((text or "").removeprefix("0x").replace(":", ""))
    except ValueError:
        found = b""
    if len(found) != 32:
        raise MembershipError(
            "membership.bad_value", "新值 the new value", text, "--value, 0x and 64 hex digits"
        )
    return found
