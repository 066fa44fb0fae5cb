"""`shelian consortium proposals | proposal | vote | execute | appoint`: deciding together.

Whoever votes sees first what the vote would do and what speaks against it. The last vote that is needed also
carries the motion out, unless it is told not to.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from cli.consortium_governing import (
    DEFAULT_NODE,
    Desk,
    Despite,
    DryRun,
    EnrolmentFiles,
    NodeUrl,
    OptionalKey,
    OwnData,
    PersonKey,
    TokenFile,
    Yes,
    carry_out,
    compare_with_files,
    confirm,
    find_motion,
    motion_json,
    motion_text,
    open_actor,
    open_desk,
    preflight_json,
    preflight_text,
    short,
)
from cli.consortium_options import PassphraseFile
from cli.output import AsJson, result, say
from contracts.bindings import consortium, identity_registry
from contracts.vocabulary import Domain, Role
from identity.keys import KEY_ALGORITHMS, WEBAUTHN_P256
from network.consortium.acting import Actor, require_registrar, require_voter, send
from network.consortium.governance import Governance, MembershipError
from network.consortium.motions import Motion, gather
from network.consortium.plain_words import STATES, State, state_of
from network.consortium.preflight import Preflight, preflight, require_passable
from network.consortium.reading import (
    dry_run,
    own_relying_party,
    read_proposals,
    read_standing,
)
from node.chain.encoding import sha256
from node.chain.errors import SignatureRefused
from node.chain.signing import check_public_key, imi_sender

_STAFF_LEVEL = 4
MotionId = Annotated[
    str, typer.Argument(metavar="ID", help="议案编号的前几位 first digits of the motion's id")
]


def proposals(
    node: NodeUrl = DEFAULT_NODE,
    data: OwnData = None,
    enrolment: EnrolmentFiles = None,
    everything: Annotated[
        bool, typer.Option("--all", help="也列已执行、已过期的 those that are over too")
    ] = False,
    page: Annotated[int, typer.Option(min=1, help="第几页 page, newest first")] = 1,
    size: Annotated[int, typer.Option(min=1, max=200, help="每页几个 motions on a page")] = 20,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """List what stands to the vote: what it would do, who voted, what is missing, until when."""
    desk = open_desk(node, token_file, data, enrolment)
    motions = gather(read_proposals(desk.node))
    governance = desk.look([call for one in motions for call in one.calls])
    if not everything:
        motions = tuple(one for one in motions if state_of(governance, one) in (State.OPEN, State.PASSED))
    pages = max(1, -(-len(motions) // size))
    shown = motions[(page - 1) * size : page * size]
    texts = [motion_text(governance, one) for one in shown]
    if pages > 1:
        texts.append(f"第 {page} 页，共 {pages} 页 page {page} of {pages}")
    result(
        {
            "ok": True,
            "height": governance.height,
            "page": page,
            "pages": pages,
            "total": len(motions),
            "proposals": [motion_json(governance, one) for one in shown],
        },
        as_json=as_json,
        text="\n\n".join(texts) if shown else "没有待表决的议案 nothing stands to the vote",
    )


def proposal(
    id: MotionId,
    node: NodeUrl = DEFAULT_NODE,
    data: OwnData = None,
    enrolment: EnrolmentFiles = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """One motion in detail: what it would do to members, power and quorum, and what speaks against it."""
    desk = open_desk(node, token_file, data, enrolment)
    motion, governance, found = _look(desk, id)
    text = motion_text(governance, motion)
    values: dict[str, Any] = {"ok": True, "proposal": motion_json(governance, motion)}
    if found is not None:
        text += "\n" + preflight_text(found)
        values |= preflight_json(found)
    result(values, as_json=as_json, text=text)


def vote(
    id: MotionId,
    answer: Annotated[str, typer.Argument(metavar="yes|no", help="赞成 yes 或反对 no")],
    key: OptionalKey = None,
    node: NodeUrl = DEFAULT_NODE,
    data: OwnData = None,
    enrolment: EnrolmentFiles = None,
    execute: Annotated[
        bool,
        typer.Option(
            "--execute/--no-execute", help="通过后立即执行 carry it out when this vote completes it"
        ),
    ] = True,
    yes: Yes = False,
    dry: DryRun = False,
    despite: Despite = None,
    passphrase_file: PassphraseFile = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Cast one's organisation's vote on a motion, after seeing what it would do.

    A yes to what would stop the network is refused; a no is always possible.
    """
    if answer not in ("yes", "no"):
        raise MembershipError("membership.bad_value", "yes 或 no", answer, ["yes", "no"])
    desk = open_desk(node, token_file, data, enrolment)
    motion, governance, found = _look(desk, id)
    if found is None:
        raise MembershipError(
            "membership.closed",
            "这个议案已经结束 this motion is over",
            state_of(governance, motion).value,
            "open",
        )
    text = f"{motion_text(governance, motion)}\n{preflight_text(found)}"
    if dry:
        result(
            {
                "ok": not found.refusals,
                "dry_run": True,
                "proposal": motion_json(governance, motion),
                **preflight_json(found),
            },
            as_json=as_json,
            text=f"{text}\n只是试算，没有发送任何东西 a dry run: nothing was sent",
        )
        return
    if answer == "yes":
        require_passable(found, despite)
    actor = _voter(desk, governance, key, passphrase_file)
    own = actor.standing.organisation
    left = [one for one in motion.proposals if one.executed is None and one.vote_of(own) is None]
    if not left:
        raise MembershipError(
            "membership.voted",
            "本机构已经投过票 our organisation has voted already",
            motion.first.vote_of(own),
        )
    say(escape(text))
    question = "投赞成票？ Vote yes?" if answer == "yes" else "投反对票？ Vote no?"
    confirm(question, yes=yes)
    receipt = send(desk.node, actor, [consortium.vote(one.id, answer == "yes") for one in left])
    motion = find_motion(desk, motion.id.hex())
    governance = desk.look(motion.calls)
    values: dict[str, Any] = {"ok": True, "height": receipt.block, "despite": despite}
    said = f"已投票，区块 voted, in block {receipt.block}"
    if execute and answer == "yes" and state_of(governance, motion) is State.PASSED:
        block, carried = carry_out(desk, motion, actor, despite)
        values |= _carried_json(block, carried)
        said += f"\n{_carried_text(block, carried)}"
        motion = find_motion(desk, motion.id.hex())
        governance = desk.look(motion.calls)
    values["proposal"] = motion_json(governance, motion)
    result(values, as_json=as_json, text=f"{said}\n{motion_text(governance, motion)}")


def execute(
    id: MotionId,
    key: PersonKey,
    node: NodeUrl = DEFAULT_NODE,
    data: OwnData = None,
    enrolment: EnrolmentFiles = None,
    yes: Yes = False,
    despite: Despite = None,
    passphrase_file: PassphraseFile = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Carry out a motion that has passed; any voter of a member may."""
    desk = open_desk(node, token_file, data, enrolment)
    motion, governance, _ = _look(desk, id)
    state = state_of(governance, motion)
    if state is not State.PASSED:
        raise MembershipError(
            "membership.not_passed",
            f"议案状态：{STATES[state]} the motion is not one that may be carried out",
            state.value,
            "passed",
        )
    say(escape(motion_text(governance, motion)))
    confirm("执行？ Carry it out?", yes=yes)
    actor = _voter(desk, governance, key, passphrase_file)
    block, found = carry_out(desk, motion, actor, despite)
    result(
        {"ok": True, "short": short(motion), **_carried_json(block, found), **preflight_json(found)},
        as_json=as_json,
        text=_carried_text(block, found),
    )


def appoint(
    public_key: Annotated[
        str, typer.Argument(help="本人公钥 the person's public key (`shelian accounts show`)")
    ],
    key: PersonKey,
    algorithm: Annotated[
        str, typer.Option(help="公钥算法 of the person's key: ed25519, es256, sm2, ml-dsa-65")
    ],
    node: NodeUrl = DEFAULT_NODE,
    yes: Yes = False,
    passphrase_file: PassphraseFile = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Let a person propose and vote for one's agency (role OPERATOR). Two registrars give the same command.

    The first registrar's command asks, the second one's, within seven days, carries it out.
    """
    desk = open_desk(node, token_file)
    governance = desk.look()
    actor = open_actor(desk, governance, key, passphrase_file)
    require_registrar(actor)
    scheme, person = _public_key(public_key, algorithm)
    account = imi_sender(scheme, person)
    standing = read_standing(desk.node, account)
    if standing is not None:
        identity = standing.identity
        call = identity_registry.set_roles(identity, standing.roles | Role.OPERATOR)
    else:
        # The same for both registrars, and nothing but the key is in it.
        identity = sha256(b"shelian-identity/1\n" + governance.genesis_hash + person)[:16]
        row = own_relying_party(desk.node, actor.key.address)
        call = identity_registry.enrol(
            identity, int(Domain.STAFF), _STAFF_LEVEL, int(Role.OPERATOR), scheme, person, row, 0
        )
    confirm(
        f"任命 0x{account.hex()} 代表本机构提案和投票？ Let this key propose and vote for our agency?",
        yes=yes,
    )
    receipt = send(desk.node, actor, [call])
    now = read_standing(desk.node, account)
    done = now is not None and now.may_vote
    said = (
        "已任命 appointed"
        if done
        else "已登记请求；另一名登记员七天内运行同一条命令 asked for; another registrar gives the same "
        "command within seven days"
    )
    result(
        {"ok": True, "height": receipt.block, "appointed": done, "identity": identity},
        as_json=as_json,
        text=f"{said}（区块 block {receipt.block}）",
    )


def _public_key(text: str, algorithm: str) -> tuple[int, bytes]:
    """Scheme and key. Raises MembershipError membership.bad_value."""
    kind = KEY_ALGORITHMS.get(algorithm)
    signing = sorted(name for name, one in KEY_ALGORITHMS.items() if one.scheme and one is not WEBAUTHN_P256)
    if kind is None or kind.name not in signing or not kind.scheme:
        raise MembershipError("membership.bad_value", "签名算法 an algorithm that signs", algorithm, signing)
    try:
        key = bytes.fromhex(text.removeprefix("0x"))
        check_public_key(kind.scheme, key)
    except (ValueError, SignatureRefused) as error:
        raise MembershipError(
            "membership.bad_value", "公钥不可用 no usable key", str(error), algorithm
        ) from None
    return kind.scheme, key


def _look(desk: Desk, id: str) -> tuple[Motion, Governance, Preflight | None]:
    """The motion, the state, and what carrying out what is left of it would do; None where it is over."""
    motion = find_motion(desk, id)
    governance = desk.look(motion.calls)
    state = state_of(governance, motion)
    if state not in (State.OPEN, State.PASSED, State.LOST):
        return motion, governance, None
    calls = [one.call for one in motion.proposals if one.executed is None]
    error = dry_run(desk.node, calls, executing=False)
    found = preflight(governance, calls, sight=desk.sight, dry_run=error)
    more = compare_with_files(desk, motion.calls)
    return motion, governance, replace(found, findings=(*more, *found.findings))


def _voter(desk: Desk, governance: Governance, key: Path | None, passphrase_file: Path | None) -> Actor:
    if key is None:
        raise MembershipError(
            "membership.key_missing", "要有投票人的密钥文件 who acts needs a key", None, "--key"
        )
    actor = open_actor(desk, governance, key, passphrase_file)
    require_voter(actor)
    return actor


def _carried_json(block: int, found: Preflight) -> dict[str, Any]:
    return {"executed": block, "in_force": None if found.in_force is None else block + 2}


def _carried_text(block: int, found: Preflight) -> str:
    text = f"已执行，区块 carried out in block {block}"
    if found.in_force is not None:
        text += f"；新验证者从区块 {block + 2} 起签名 the validators sign from block {block + 2}"
    return text
