"""What the commands that change a running consortium have in common: options, looking before acting, putting
to the vote, carrying out, and the texts of all that."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.markup import escape

from cli.consortium_files import load_enrolments, load_genesis_file
from cli.consortium_options import PassphraseFile, passphrase_of
from cli.consortium_words import in_words
from cli.layout import Layout
from cli.output import result, say
from contracts.bindings import consortium
from identity.errors import NodeError
from identity.keystore import load_key, load_key_file
from identity.node import NodeClient
from network.comet.home import CometPlace, load_node_key, load_settings
from network.consortium.acting import Actor, recognise, require_voter, send
from network.consortium.enrolment import Enrolment
from network.consortium.findings import UNSEEN, Finding, Level, Sight
from network.consortium.governance import Governance, MembershipError
from network.consortium.motions import Motion, admit, gather, propose
from network.consortium.plain_words import (
    STATES,
    State,
    calls_words,
    missing_voters,
    organisation_words,
    state_of,
    tallies,
)
from network.consortium.preflight import Preflight, Tables, preflight, require_passable
from network.consortium.reading import dry_run, read_governance, read_proposals, read_sight
from node.chain.genesis import Genesis
from node.chain.transaction import Call
from node.chain.validators import validator_address

DEFAULT_NODE: Final = "http://127.0.0.1:8545"
SHORT: Final = 12
"""Hex digits by which a motion is called."""
PATIENCE_S: Final = 180
"""How long a command waits for blocks that must come soon."""

NodeUrl = Annotated[str, typer.Option("--node", help="节点 JSON-RPC of a node, best of one's own")]
TokenFile = Annotated[
    Path | None, typer.Option("--token-file", help="file with the bearer token that the node asks for")
]
PersonKey = Annotated[
    Path, typer.Option("--key", help="投票人的密钥文件 key file of who acts (`shelian accounts create`)")
]
OptionalKey = Annotated[
    Path | None, typer.Option("--key", help="投票人的密钥文件 key file of who acts; not needed for a dry run")
]
OwnData = Annotated[
    Path | None,
    typer.Option("--data", help="本机节点的数据目录 own node's directory: names, and who is connected"),
]
EnrolmentFiles = Annotated[
    list[Path] | None,
    typer.Option("--enrolment", help="登记文件 enrolments whose agencies' names are shown, repeatable"),
]
Yes = Annotated[bool, typer.Option("--yes", help="不再询问 act without asking, for programs")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="只看结果 say what would happen; send nothing")]
Despite = Annotated[
    str | None,
    typer.Option("--despite", help="REASON 明知警告仍要办的理由 pass over warnings, and why; never refusals"),
]


@dataclass(frozen=True, slots=True)
class Desk:
    """Whom a command speaks with, and what helps to understand the answers."""

    node: NodeClient
    genesis: Genesis | None
    sight: Sight
    enrolments: tuple[Enrolment, ...]

    def look(self, calls: Sequence[Call] = ()) -> Governance:
        """The state now, with names where files tell them."""
        found = read_governance(self.node, calls=calls)
        names = {}
        if self.genesis is not None:
            if self.genesis.hash != found.genesis_hash:
                raise MembershipError(
                    "membership.other_chain",
                    "节点属于另一条链 the node is of another chain than the directory",
                    found.genesis_hash,
                    self.genesis.hash,
                )
            names = {one.id: one.name for one in self.genesis.organisations}
        known = {one.content.certificate.fingerprint: one.content.name for one in self.enrolments}
        for member in found.members:
            if member.certificate in known:
                names[member.id] = known[member.certificate]
        return replace(found, names=names)


def open_desk(
    url: str, token_file: Path | None, data: Path | None = None, enrolments: Sequence[Path] | None = None
) -> Desk:
    """Raises NodeError, CometFault, CeremonyError."""
    token = token_file.read_text().strip() if token_file else ""
    genesis, sight = None, UNSEEN
    if data is not None:
        layout = Layout(data.resolve())
        genesis = load_genesis_file(layout.genesis)
        if layout.comet.is_dir():
            place = CometPlace(layout.comet)
            own = validator_address(load_node_key(place))
            try:
                sight = read_sight(load_settings(place).rpc_address, own)
            except NodeError as error:
                say(f"看不到本机 CometBFT 连着谁 who is connected is unknown: {escape(error.message)}")
    return Desk(NodeClient(url, token=token), genesis, sight, load_enrolments(enrolments or ()))


def open_actor(desk: Desk, governance: Governance, key: Path, passphrase_file: PassphraseFile) -> Actor:
    """Who acts. Raises KeyFileError, MembershipError membership.no_standing, membership.page_key."""
    file = load_key_file(key)
    opened = load_key(key, passphrase_of(file.purpose, passphrase_file), chain_purpose=governance.purpose)
    return recognise(desk.node, opened)


def compare_with_files(desk: Desk, calls: Sequence[Call]) -> list[Finding]:
    """A motion that admits an agency whose enrolment is at hand must be exactly what follows from that file:
    who votes then knows whom, with which keys."""
    if not calls or calls[0].data[:4] != consortium.AddOrganisationArgs.SELECTOR:
        return []
    args = consortium.decode_call(calls[0].data)[1]
    assert isinstance(args, consortium.AddOrganisationArgs)  # noqa: S101 (for the type checker)
    for one in desk.enrolments:
        if one.content.certificate.fingerprint != args.certificate:
            continue
        if tuple(calls) == admit(one.content, args.organisation):
            say(f"与登记文件完全相符 exactly what the enrolment of {escape(one.who)} says")
            return []
        return [
            Finding(
                "preflight.other_enrolment",
                Level.REFUSAL,
                "议案与手里的登记文件不符：密钥、登记员或签名页被换过。",
                "the motion is not what the enrolment at hand says: keys, registrars or pages differ.",
                one.who,
                one.hash,
            )
        ]
    return []


# ---- putting to the vote, voting, carrying out


def put_to_vote(
    desk: Desk,
    calls: Sequence[Call],
    key: Path | None,
    passphrase_file: Path | None,
    *,
    yes: bool,
    dry: bool,
    despite: str | None,
    as_json: bool,
    more: Mapping[str, Any] | None = None,
) -> None:
    """Show what the calls would do, and unless it is a dry run propose them and vote for them, in one
    transaction. What stands to the vote already is not proposed again."""
    governance = desk.look(calls)
    found = preflight(governance, calls, sight=desk.sight, dry_run=dry_run(desk.node, calls, executing=False))
    shown = {**(more or {}), **preflight_json(found), "does": does_json(governance, calls)}
    text = f"{calls_text(governance, calls)}\n{preflight_text(found)}"
    if dry:
        result(
            {"ok": not found.refusals, "dry_run": True, **shown},
            as_json=as_json,
            text=f"{text}\n只是试算，没有发送任何东西 a dry run: nothing was sent",
        )
        if found.refusals:
            raise typer.Exit(1)
        return
    require_passable(found, despite)
    if key is None:
        raise MembershipError(
            "membership.key_missing", "要有投票人的密钥文件 who acts needs a key", None, "--key"
        )
    same = _standing_motion(desk, governance, calls)
    if same is not None:
        raise MembershipError(
            "membership.proposed",
            "同样的议案已在表决 the same motion stands to the vote already: vote on it",
            same.id,
            f"vote {short(same)} yes",
        )
    say(escape(text))
    confirm("提交表决并投赞成票？ Put this to the vote, with our vote for it?", yes=yes)
    actor = open_actor(desk, governance, key, passphrase_file)
    require_voter(actor)
    ids, proposing = propose(calls, secrets.token_bytes)
    receipt = send(desk.node, actor, (*proposing, *(consortium.vote(one, True) for one in ids)))
    motion = find_motion(desk, ids[0].hex())
    governance = desk.look(calls)
    missing = missing_voters(governance, motion)
    result(
        {
            "ok": True,
            "id": motion.id,
            "short": short(motion),
            "height": receipt.block,
            "state": state_of(governance, motion).value,
            "missing": missing,
            "despite": despite,
            **shown,
        },
        as_json=as_json,
        text=f"{text if yes else ''}\n{motion_text(governance, motion)}\n"
        f"其他成员 the others: shelian consortium vote {short(motion)} yes --key …".lstrip(),
    )


def carry_out(desk: Desk, motion: Motion, actor: Actor, despite: str | None) -> tuple[int, Preflight]:
    """Carry a motion out that has passed: the block, and what was found just before.

    A change of validators waits until the one before it is in force.
    """
    open_ones = [one for one in motion.proposals if one.executed is None]
    calls = [one.call for one in open_ones]
    governance = desk.look(calls)
    deadline = time.monotonic() + PATIENCE_S
    if preflight(governance, calls).in_force is not None:
        while not governance.is_settled and time.monotonic() < deadline:
            say("等上一次验证者变更生效 waiting until the change of validators before this one is in force")
            time.sleep(1)
            governance = desk.look(calls)
    found = preflight(
        governance,
        calls,
        sight=desk.sight,
        executing=True,
        dry_run=dry_run(desk.node, calls, executing=True),
    )
    require_passable(found, despite)
    receipt = send(
        desk.node, actor, [consortium.execute(one.id, one.call.to, one.call.data) for one in open_ones]
    )
    return receipt.block, found


def find_motion(desk: Desk, id: str) -> Motion:
    """By its id or the first digits of it.

    Raises MembershipError membership.unknown_motion, membership.ambiguous.
    """
    wanted = id.lower().removeprefix("0x")
    if len(wanted) < 4 or any(letter not in "0123456789abcdef" for letter in wanted):
        raise MembershipError("membership.unknown_motion", "不是议案编号 no motion's id", id, "hex digits")
    found = [one for one in gather(read_proposals(desk.node)) if _is_called(one, wanted)]
    if not found:
        raise MembershipError(
            "membership.unknown_motion",
            "这台节点上没有这个议案（只看最近 90 天、本节点持有的区块） no such motion within 90 days in "
            "the blocks that this node holds",
            id,
        )
    if len(found) > 1:
        raise MembershipError(
            "membership.ambiguous", "不止一个议案 more than one motion", id, [short(one) for one in found]
        )
    return found[0]


def confirm(question: str, *, yes: bool) -> None:
    """Ask the person at the machine; stop when they say no."""
    if not yes:
        typer.confirm(question, abort=True, err=True)


def short(motion: Motion) -> str:
    return motion.id.hex()[:SHORT]


def _is_called(motion: Motion, wanted: str) -> bool:
    return any(one.id.hex().startswith(wanted) for one in motion.proposals)


def _standing_motion(desk: Desk, governance: Governance, calls: Sequence[Call]) -> Motion | None:
    for motion in gather(read_proposals(desk.node)):
        if motion.calls == tuple(calls) and state_of(governance, motion) in (State.OPEN, State.PASSED):
            return motion
    return None


# ---- texts


def calls_text(governance: Governance, calls: Sequence[Call]) -> str:
    lines = calls_words(governance, tuple(calls))
    return "\n".join(f"  {place}. {words}" for place, words in enumerate(lines, 1))


def motion_text(governance: Governance, motion: Motion) -> str:
    """A motion as the list shows it."""
    state, first = state_of(governance, motion), motion.first
    by = organisation_words(governance, first.organisation)
    until = in_words(datetime.fromtimestamp(first.until, UTC))
    lines = [f"{short(motion)}  {STATES[state]}，提出 by {by}"]
    if state in (State.OPEN, State.PASSED, State.LOST):
        counts = tallies(governance, motion)
        slowest = min(counts, key=lambda one: one.approving - one.needed)
        missing = "、".join(
            str(organisation_words(governance, id)) for id in missing_voters(governance, motion)
        )
        lines.append(
            f"  赞成 yes {slowest.approving}，反对 no {slowest.rejecting}，通过需 needed {slowest.needed}"
            f"（共 of {slowest.total}）"
        )
        if state is State.OPEN and missing:
            lines.append(f"  还没投 yet to vote: {missing}")
        lines.append(f"  截止 until {until}")
    if motion.executed is not None:
        lines.append(f"  在区块 in block {motion.executed}")
    votes = "、".join(
        f"{organisation_words(governance, who)} {'赞成 yes' if approve else '反对 no'}"
        for who, approve in first.votes
    )
    if votes:
        lines.append(f"  {votes}")
    return "\n".join([*lines, calls_text(governance, motion.calls)])


def preflight_text(found: Preflight) -> str:
    before, after = found.before, found.after
    lines = [
        f"  成员 members {before.members} → {after.members}，通过需 votes needed {before.needed} → "
        f"{after.needed}",
        f"  验证者 validators {len(before.validators)} → {len(after.validators)}，票权 power "
        f"{before.total_power} → {after.total_power}，其中在签名 signing {before.living_power} → "
        f"{after.living_power}，出块需 blocks need {before.total_power * 2 // 3 + 1} → "
        f"{after.total_power * 2 // 3 + 1}",
        f"  可容忍故障 may fail {before.may_fail} → {after.may_fail}；节点名单 nodes {before.peers} → "
        f"{after.peers}",
    ]
    if found.in_force is not None:
        lines.append(
            f"  若在下一块执行，从区块 {found.in_force} 起生效 if the next block carries it out, in force "
            f"from block {found.in_force}"
        )
    return "\n".join([*lines, *(_finding_text("拒绝 REFUSED", one) for one in found.refusals),
                      *(_finding_text("警告 WARNING", one) for one in found.warnings)])  # fmt: skip


def _finding_text(word: str, one: Finding) -> str:
    details = one.as_error().as_dict()
    values = "".join(
        f"\n      {label} {details[key]}"
        for key, label in (("got", "现为 got"), ("expected", "应为 expected"))
        if details.get(key) is not None
    )
    return f"  {word} {one.zh}\n      {one.en} ({one.code}){values}"


def preflight_json(found: Preflight) -> dict[str, Any]:
    return {
        "before": _tables_json(found.before),
        "after": _tables_json(found.after),
        "in_force": found.in_force,
        "findings": [{"level": one.level.value, **one.as_error().as_dict()} for one in found.findings],
    }


def does_json(governance: Governance, calls: Sequence[Call]) -> list[dict[str, Any]]:
    words = calls_words(governance, tuple(calls))
    return [
        {"zh": said.zh, "en": said.en, "to": call.to, "data": call.data}
        for said, call in zip(words, calls, strict=True)
    ]


def motion_json(governance: Governance, motion: Motion) -> dict[str, Any]:
    return {
        "id": motion.id,
        "short": short(motion),
        "state": state_of(governance, motion).value,
        "by": motion.first.organisation,
        "until": motion.first.until,
        "height": motion.first.height,
        "executed": motion.executed,
        "missing": missing_voters(governance, motion),
        "votes": {str(who): approve for who, approve in motion.first.votes},
        "does": does_json(governance, motion.calls),
    }


def _tables_json(tables: Tables) -> dict[str, Any]:
    return {
        "members": tables.members,
        "votes_needed": tables.needed,
        "validators": [
            {"public_key": one.public_key, "power": one.power, "organisation": one.organisation}
            for one in tables.validators
        ],
        "may_fail": tables.may_fail,
        "power": tables.total_power,
        "signing_power": tables.living_power,
        "nodes": tables.peers,
    }
