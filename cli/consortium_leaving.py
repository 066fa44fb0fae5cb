"""`shelian consortium leave | remove | resume`: how a member ceases to be one, step by step, and comes back.

A member's power goes first, by a vote of its own. Only when blocks are decided without it do its nodes come
off the list and its standing ends: a machine that stops earlier would be a silent validator.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from cli.consortium_governing import (
    DEFAULT_NODE,
    PATIENCE_S,
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
from cli.consortium_membership import OrganisationId
from cli.consortium_options import PassphraseFile
from cli.output import AsJson, result, say
from contracts.bindings import consortium
from identity.keystore import load_key_file
from network.consortium.governance import Governance, MembershipError
from network.consortium.motions import part, take_power
from network.consortium.plain_words import organisation_words
from network.consortium.reading import Standing, read_standing


def leave(
    key: Annotated[Path, typer.Option("--key", help="本机构投票人的密钥文件 key file of one of our voters")],
    node: NodeUrl = DEFAULT_NODE,
    data: OwnData = None,
    stay: Annotated[
        bool, typer.Option("--keep-node", help="只交出票权，节点继续观察 give up the power, keep the node")
    ] = False,
    yes: Yes = False,
    dry: DryRun = False,
    despite: Despite = None,
    passphrase_file: PassphraseFile = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Leave, step by step; give the command again after each vote, it goes on where things stand.

    1. The vote that takes our voting power away. 2. Waits until blocks are signed without us. 3. The vote
    that strikes our nodes off and ends our standing; from then on the machine may be stopped.
    """
    desk = open_desk(node, token_file, data)
    standing = _standing(desk, key)
    _depart(
        desk, standing.organisation, key, passphrase_file,
        stay=stay, yes=yes, dry=dry, despite=despite, as_json=as_json,
    )  # fmt: skip


def remove(
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
    """Remove another member, such as one whose validator signed two blocks of one height: first its power,
    then, when blocks are signed without it, its nodes and its standing. Its history stays."""
    desk = open_desk(node, token_file, data)
    _depart(
        desk, organisation, key, passphrase_file,
        stay=False, yes=yes, dry=dry, despite=despite, as_json=as_json,
    )  # fmt: skip


def resume(
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
    """Let a member that left or was removed stand again: its people, its vote, the nodes still listed."""
    desk = open_desk(node, token_file, data)
    put_to_vote(
        desk,
        (consortium.resume_organisation(organisation),),
        key,
        passphrase_file,
        yes=yes,
        dry=dry,
        despite=despite,
        as_json=as_json,
    )


def _depart(
    desk: Desk,
    organisation: int,
    key: Path | None,
    passphrase_file: Path | None,
    *,
    stay: bool,
    yes: bool,
    dry: bool,
    despite: str | None,
    as_json: bool,
) -> None:
    """The next step of a member's leaving."""
    governance = desk.look()
    if governance.member(organisation) is None:
        raise MembershipError("membership.unknown_member", "没有这个成员 no such member", organisation)
    if governance.seats_of(organisation):
        put_to_vote(
            desk, take_power(governance, organisation), key, passphrase_file,
            yes=yes, dry=dry, despite=despite, as_json=as_json,
            more={"step": "power", "machine_may_stop": False},
        )  # fmt: skip
        return
    if not dry:
        governance = _wait_without(desk, governance)
    if stay or not (governance.peers_of(organisation) or _is_active(governance, organisation)):
        who = organisation_words(governance, organisation)
        result(
            {"ok": True, "step": "done", "machine_may_stop": True, "height": governance.height},
            as_json=as_json,
            text=f"{who}：区块已不需要它的签名，机器可以停 blocks are signed without it; "
            "the machine may be stopped",
        )
        return
    say("区块已不需要它的签名；下一步除名节点 blocks are signed without it; next come its nodes and standing")
    put_to_vote(
        desk, part(governance, organisation), key, passphrase_file,
        yes=yes, dry=dry, despite=despite, as_json=as_json,
        more={"step": "part", "machine_may_stop": True},
    )  # fmt: skip


def _wait_without(desk: Desk, governance: Governance) -> Governance:
    """Until the table is in force and the first block signed by its validators alone is decided."""
    deadline = time.monotonic() + PATIENCE_S
    settled: int | None = None
    while True:
        if governance.is_settled and settled is None:
            settled = governance.height
            if not _changed_lately(desk, governance):
                return governance
        if settled is not None and governance.height > settled:
            return governance
        if time.monotonic() > deadline:
            raise MembershipError(
                "membership.no_blocks",
                "没有新区块；机器不要停 no new block came: do not stop the machine",
                governance.height,
                "a block signed by the others alone",
            )
        say(f"区块 block {governance.height}：等其他成员签出下一块 waiting for a block of the others")
        time.sleep(1)
        governance = desk.look()


def _changed_lately(desk: Desk, governance: Governance) -> bool:
    """The validators of the newest block were not those of the next one."""
    newest = desk.node.request("shelian_getValidators", hex(governance.height))
    return {bytes.fromhex(one["publicKey"][2:]) for one in newest} != {
        one.public_key for one in governance.in_force
    }


def _is_active(governance: Governance, organisation: int) -> bool:
    member = governance.member(organisation)
    return member is not None and member.is_active


def _standing(desk: Desk, key: Path) -> Standing:
    address = load_key_file(key).address
    found = read_standing(desk.node, address)
    if found is None:
        raise MembershipError(
            "membership.no_standing",
            "链上没有这把密钥，或它的机构已暂停 the chain does not know this key, or its organisation is "
            "suspended",
            address,
        )
    return found
