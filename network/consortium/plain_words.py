"""Governing calls and the standing of votes in plain words, Chinese and English. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any, Final

from contracts.bindings import (
    consortium,
    correction_documents,
    identity_registry,
    love_bank,
    sharing_orders,
)
from identity.descriptors import title_of_vote
from network.consortium.governance import Governance, apply_call, majority_of, weight_of
from network.consortium.motions import Motion, Proposal
from network.consortium.relying_parties import CONTRACTS
from node.chain.errors import DecodeError
from node.chain.rules import CONSORTIUM, IDENTITY_REGISTRY
from node.chain.signing import SCHEMES
from node.chain.transaction import Call

KINDS: Final[Mapping[int, tuple[str, str]]] = {
    1: ("公安", "police"),
    2: ("检察院", "procuratorate"),
    3: ("法院", "court"),
    4: ("司法局", "justice bureau"),
    5: ("社区", "community"),
    6: ("审计", "auditor"),
    7: ("数统局", "data bureau"),
}
TOPICS: Final[Mapping[int, tuple[str, str]]] = {
    1: ("成员", "membership"),
    2: ("验证者", "validators"),
    3: ("链规则", "rules"),
    4: ("签名来源", "relying parties"),
    5: ("合约部署", "deployers"),
    6: ("矫正规则", "correction rules"),
    7: ("积分", "points"),
}
"""Topic of a vote to its name."""


@dataclass(frozen=True, slots=True)
class Words:
    zh: str
    en: str

    def __str__(self) -> str:
        return f"{self.zh} {self.en}"


UNREADABLE: Final = Words("无法解读的调用，不要赞成", "a call that cannot be read: do not approve it")
_BINDINGS: Final[Mapping[bytes, Any]] = {
    one.ADDRESS: one
    for one in (consortium, identity_registry, correction_documents, love_bank, sharing_orders)
}


class State(Enum):
    """Where a motion stands."""

    OPEN = "open"
    PASSED = "passed"
    LOST = "lost"
    EXPIRED = "expired"
    EXECUTED = "executed"


STATES: Final[Mapping[State, Words]] = {
    State.OPEN: Words("正在投票", "open"),
    State.PASSED: Words("已通过，待执行", "passed, to be carried out"),
    State.LOST: Words("已不可能通过", "cannot pass any more"),
    State.EXPIRED: Words("已过期", "expired"),
    State.EXECUTED: Words("已执行", "carried out"),
}


@dataclass(frozen=True, slots=True)
class Tally:
    """Weights of the active members for a proposal. `needed`: the least weight that passes it."""

    approving: int
    rejecting: int
    total: int
    needed: int

    @property
    def is_passed(self) -> bool:
        return self.approving >= self.needed

    @property
    def is_lost(self) -> bool:
        """Too many said no; somebody suspended or resumed may yet change it."""
        return self.total - self.rejecting < self.needed


def tally(governance: Governance, proposal: Proposal) -> Tally:
    """Counted over the members active now, as the contract counts."""
    approving = rejecting = total = 0
    for member in governance.active:
        weight = weight_of(proposal.topic, member.kind)
        total += weight
        vote = proposal.vote_of(member.id)
        approving += weight if vote is True else 0
        rejecting += weight if vote is False else 0
    numerator, denominator = majority_of(proposal.topic)
    return Tally(approving, rejecting, total, total * numerator // denominator + 1)


def tallies(governance: Governance, motion: Motion) -> tuple[Tally, ...]:
    """For each of its calls that is not carried out yet, counted when its turn comes: a member that an
    earlier call admits counts for the majority of the later ones, and has not voted for them."""
    found = []
    for one in motion.proposals:
        if one.executed is not None:
            continue
        found.append(tally(governance, one))
        with suppress(DecodeError):
            governance = apply_call(governance, one.call)
    return tuple(found)


def state_of(governance: Governance, motion: Motion) -> State:
    """Of the whole motion: carried out when all of it is, passed when all of it may be."""
    if motion.executed is not None:
        return State.EXECUTED
    open_ones = [one for one in motion.proposals if one.executed is None]
    if any(governance.time_s > one.until for one in open_ones):
        return State.EXPIRED
    counts = tallies(governance, motion)
    if all(one.is_passed for one in counts):
        return State.PASSED
    return State.LOST if any(one.is_lost for one in counts) else State.OPEN


def missing_voters(governance: Governance, motion: Motion) -> tuple[int, ...]:
    """Active members that have a vote on some of the motion and have not cast it."""
    return tuple(
        member.id
        for member in governance.active
        if any(
            weight_of(one.topic, member.kind) and one.vote_of(member.id) is None for one in motion.proposals
        )
    )


def organisation_words(governance: Governance, id: int) -> Words:
    """A member by its name, where a file at hand tells it, its kind and its number."""
    member = governance.member(id)
    if member is None:
        return Words(f"第 {id} 号（不是成员）", f"no. {id} (no member)")
    zh, en = KINDS.get(member.kind, ("？", "?"))
    name = governance.names.get(id)
    return Words(f"{name or zh}（第 {id} 号）", f"({en}, no. {id})")


def call_words(governance: Governance, call: Call) -> Words:
    """What a call does when its vote is carried out."""
    try:
        if call.to == CONSORTIUM:
            return _consortium_words(governance, call)
        if call.to == IDENTITY_REGISTRY:
            return _registry_words(governance, call)
        return _other_words(call)
    except DecodeError:
        return UNREADABLE


def motion_words(governance: Governance, motion: Motion) -> tuple[Words, ...]:
    """Line by line. A member admitted by the motion is known to the lines after it."""
    return calls_words(governance, motion.calls)


def calls_words(governance: Governance, calls: tuple[Call, ...]) -> tuple[Words, ...]:
    """Line by line, each in the state that those before it make."""
    lines = []
    for call in calls:
        lines.append(call_words(governance, call))
        with suppress(DecodeError):
            governance = apply_call(governance, call)
    return tuple(lines)


def _consortium_words(governance: Governance, call: Call) -> Words:
    args = consortium.decode_call(call.data)[1]

    def who(id: int) -> Words:
        return organisation_words(governance, id)

    match args:
        case consortium.AddOrganisationArgs() as one:
            zh, en = KINDS.get(one.kind, ("？", "?"))
            return Words(
                f"接纳第 {one.organisation} 号成员，{zh}，CA {one.certificate[:8].hex()}…",
                f"admit member no. {one.organisation}, {en}",
            )
        case consortium.SuspendOrganisationArgs() as one:
            of = who(one.organisation)
            return Words(
                f"暂停{of.zh}：人员、投票、节点全部停用",
                f"suspend {of.en}: its people, its vote and its nodes",
            )
        case consortium.ResumeOrganisationArgs() as one:
            of = who(one.organisation)
            return Words(f"恢复{of.zh}", f"resume {of.en}")
        case consortium.SetPeerArgs() as one:
            of = who(one.organisation)
            node = one.node_id.hex()
            if one.allowed:
                return Words(f"准许{of.zh}的节点 {node} 接入", f"let that node of {of.en} connect")
            return Words(f"除名{of.zh}的节点 {node}", f"strike off that node of {of.en}")
        case consortium.ChangeValidatorsArgs() as one:
            parts = [
                _power_words(governance, key, power, owner)
                for key, power, owner in zip(one.keys, one.powers, one.organisations, strict=False)
            ]
            return Words("；".join(part.zh for part in parts), "; ".join(part.en for part in parts))
        case consortium.RotateValidatorKeyArgs() as one:
            seat = governance.seat(one.old_key)
            of = who(0 if seat is None else seat.organisation)
            return Words(
                f"更换{of.zh}的出块公钥：{_short(one.old_key)} 换成 {_short(one.new_key)}，票权不变",
                f"replace the validator key of {of.en}; its power stays",
            )
        case consortium.SetRelyingPartyArgs() as one:
            of = who(one.row.organisation)
            until = f"，到高度 {one.row.until_height}" if one.row.until_height else ""
            anything = "，可调用任何合约" if one.row.flags & 1 else ""
            return Words(
                f"登记{of.zh}的签名来源 {_short(one.relying_party)}{anything}{until}",
                f"a place where people of {of.en} sign",
            )
        case consortium.SetOriginArgs() as one:
            origin = _visible(one.origin)
            verb = ("准许", "allow") if one.allowed else ("禁止", "forbid")
            return Words(
                f"{verb[0]}在 {origin} 签名（来源 {_short(one.relying_party)}）", f"{verb[1]} signing there"
            )
        case consortium.SetCallableArgs() as one:
            name = next((name for name, to in CONTRACTS.items() if to == one.target), "0x" + one.target.hex())
            verb = ("准许", "let") if one.allowed else ("禁止", "forbid")
            return Words(
                f"{verb[0]}来源 {_short(one.relying_party)} 调用 {name}", f"{verb[1]} it call {name}"
            )
        case consortium.SetDeployerArgs() as one:
            verb = ("准许", "let") if one.allowed else ("不再准许", "no longer let")
            return Words(f"{verb[0]} 0x{one.account.hex()} 部署合约", f"{verb[1]} it deploy contracts")
        case _:
            return _other_words(call)


def _registry_words(governance: Governance, call: Call) -> Words:
    match identity_registry.decode_call(call.data)[1]:
        case identity_registry.InstallRegistrarArgs() as one:
            of = organisation_words(governance, one.organisation)
            scheme = SCHEMES[one.scheme].name if one.scheme in SCHEMES else f"方案 {one.scheme}"
            return Words(
                f"任命{of.zh}的登记员 {one.identity.hex()}，{scheme} 公钥 {_short(one.public_key)}",
                f"make that person a registrar of {of.en}",
            )
        case identity_registry.RemoveRegistrarArgs() as one:
            owner = governance.registrar_of.get(one.identity)
            of = organisation_words(governance, owner) if owner else Words("", "its agency")
            return Words(
                f"永久撤销{of.zh}的登记员 {one.identity.hex()}",
                f"revoke that registrar of {of.en} for ever",
            )
        case _:
            return _other_words(call)


def _power_words(governance: Governance, key: bytes, power: int, owner: int) -> Words:
    of = organisation_words(governance, owner)
    seat = governance.seat(key)
    before = 0 if seat is None else seat.power
    if not power:
        return Words(
            f"拿掉{of.zh}验证者 {_short(key)} 的票权（现为 {before}）",
            f"take the voting power of a validator of {of.en} away (it has {before})",
        )
    return Words(
        f"{of.zh}验证者 {_short(key)} 的票权由 {before} 改为 {power}",
        f"voting power of a validator of {of.en}: {before} -> {power}",
    )


def _other_words(call: Call) -> Words:
    """By the contract's own title, with every value that is voted on."""
    title, binding = title_of_vote(call), _BINDINGS.get(call.to)
    if title is None or binding is None:
        return UNREADABLE
    values = ", ".join(
        f"{name} = {_value(value)}" for name, value in asdict(binding.decode_call(call.data)[1]).items()
    )
    return Words(f"{title.zh}：{values}", title.en)


def _value(value: object) -> object:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, dict):
        return ", ".join(f"{name} {_value(inner)}" for name, inner in value.items())
    return value


def _visible(text: bytes) -> str:
    """Somebody else's text for a screen: what does not print is shown as its escape."""
    decoded = text.decode("utf-8", "backslashreplace")
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in decoded)


def _short(key: bytes) -> str:
    return f"0x{key[:6].hex()}…"
