"""The single hazards that preflight looks for: each compares the tables before and after a motion.

A hazard is a list of findings, empty where there is none. Pure.
"""

from __future__ import annotations

from network.consortium.findings import IN_STEP, Finding, Level, Sight
from network.consortium.governance import IN_FORCE_AFTER, Governance, Seat
from network.consortium.merge import faults_tolerated
from node.chain.errors import ShelianError, SignatureRefused
from node.chain.signing import ED25519, check_public_key


def refused_by_contract(error: ShelianError | None) -> list[Finding]:
    if error is None:
        return []
    return [
        Finding(
            "preflight.contract",
            Level.REFUSAL,
            "合约会拒绝：",
            f"the contract would refuse: {error.message}",
            error.got,
            error.expected,
        )
    ]


def bad_keys(before: Governance, after: Governance) -> list[Finding]:
    """A key that is no point of the prime-order group makes every node pass over the whole table."""
    found = []
    for seat in _new_seats(before, after):
        try:
            check_public_key(ED25519, seat.public_key)
        except SignatureRefused as error:
            found.append(
                Finding(
                    "preflight.validator_key",
                    Level.REFUSAL,
                    "验证者公钥不是可用的 Ed25519 公钥，会使整张表失效；请对方重新给。",
                    f"the validator's key is no usable Ed25519 key ({error.message}): every node would pass "
                    "over the whole table. Have it sent again.",
                    seat.public_key,
                    "a point of prime order",
                )
            )
    return found


def apart(governance: Governance, changes: int, *, executing: bool) -> list[Finding]:
    found = []
    if changes > 1:
        found.append(
            Finding(
                "preflight.changes_apart",
                Level.REFUSAL,
                "一次只能改一次验证者；请分成几个议案，前一个生效后再执行下一个。",
                "validators change once at a time: put each change to a vote of its own and carry the next "
                "one out when the last is in force.",
                changes,
                1,
            )
        )
    if changes and executing and not governance.is_settled:
        found.append(
            Finding(
                "preflight.change_pending",
                Level.REFUSAL,
                "上一次验证者变更还没有生效；等两个区块再执行。",
                "the change of validators before this one is not in force yet: wait two blocks.",
                governance.height,
                governance.height + IN_FORCE_AFTER,
            )
        )
    return found


def lockout(before: Governance, after: Governance) -> list[Finding]:
    """More than two thirds of the members must be able to vote, or nothing could ever be changed again."""
    can = sum(one.can_vote for one in after.members)
    total = len(after.active)
    found = []
    if can * 3 <= total * 2 and _standing(before) != _standing(after):
        found.append(
            Finding(
                "preflight.lockout",
                Level.REFUSAL,
                "之后能投票的成员不到三分之二以上，联盟再也改不了任何事；先补登记员或投票人。",
                "afterwards no more than two thirds of the members could vote, and nothing could ever be "
                "changed again: see to registrars and voters first.",
                f"{can} / {total}",
                f"{total * 2 // 3 + 1} / {total}",
            )
        )
    mute = [
        one.id
        for one in after.active
        if not one.can_vote and (before.member(one.id) is None or before.member(one.id) != one)
    ]
    if mute:
        found.append(
            Finding(
                "preflight.no_voter",
                Level.WARNING,
                "这些成员没有人能投票，却算进多数；先给它两名登记员。",
                "nobody can vote for these members, yet they count: give each of them two registrars.",
                mute,
                "two registrars each",
            )
        )
    return found


def cut_off(before: Governance, after: Governance, sight: Sight) -> list[Finding]:
    """Which node carries which validator is not on the chain: the last node of a member with power surely
    does, another one may, unless one that stays is seen to be in step."""
    found = []
    for organisation in sorted({one.organisation for one in before.peers}):
        lost = set(before.peers_of(organisation)) - set(after.peers_of(organisation))
        power = _power_until_gone(before, after, organisation)
        if not lost or not power:
            continue
        if not after.peers_of(organisation):
            found.append(
                Finding(
                    "preflight.last_node",
                    Level.REFUSAL,
                    "这是该成员最后一台节点，而它还有投票权；先用一个议案拿掉投票权，生效后再除名节点。",
                    "this is the member's last node and it still has voting power: take the power away by a "
                    "vote of its own, and strike the node off when that is in force.",
                    {"organisation": organisation, "power": power},
                    "power 0 in force",
                )
            )
        elif not any(sight.is_in_step(one) for one in after.peers_of(organisation)):
            found.append(
                Finding(
                    "preflight.which_node",
                    Level.WARNING,
                    "该成员有投票权：确认除名的不是正在出块签名的那台节点。",
                    "the member has voting power: make sure that the node struck off is not the one that "
                    "signs blocks.",
                    sorted(one.node_id.hex() for one in lost),
                    organisation,
                )
            )
    return found


def newcomers(before: Governance, after: Governance, sight: Sight) -> list[Finding]:
    """A member that gets its first power has a node on the list, which is connected and in step."""
    found = []
    for organisation in sorted({seat.organisation for seat in _new_seats(before, after)}):
        if before.seats_of(organisation) and not _adds_power(before, after, organisation):
            continue  # a rotation: its node is a validator's already
        peers = [one.node_id for one in after.peers_of(organisation)]
        if not peers and after.peers:
            found.append(
                Finding(
                    "preflight.no_node",
                    Level.REFUSAL,
                    "该成员没有一台节点在名单上，新验证者连不上网。",
                    "the member has no node on the list: the new validator could not connect.",
                    organisation,
                    "a node admitted by vote",
                )
            )
            continue
        seen = {peer: sight.behind[peer] for peer in peers if peer in sight.behind}
        if any(sight.is_in_step(one) for one in after.peers_of(organisation)):
            continue
        if sight.is_complete or seen:
            found.append(
                Finding(
                    "preflight.not_in_step",
                    Level.REFUSAL,
                    "新验证者的节点没有连上或还没追上；等它追上再给投票权。",
                    "the new validator's node is not connected or not in step: wait until it is.",
                    {peer.hex(): behind for peer, behind in seen.items()} or "not connected",
                    f"at most {IN_STEP} blocks behind",
                )
            )
        else:
            found.append(
                Finding(
                    "preflight.not_looked_at",
                    Level.WARNING,
                    "没有看新验证者的节点是否追上：用 --data 指明本机节点的数据目录，或打电话问。",
                    "whether the new validator's node is in step was not looked at: name your own node's "
                    "directory with --data, or ask by telephone.",
                    None,
                    "--data",
                )
            )
    return found


def quorum(before: Governance, after: Governance) -> list[Finding]:
    if _network(before) == _network(after):
        return []
    total, alive = after.total_power, power_that_lives(before, after)
    if total and alive * 3 > total * 2:
        return []
    return [
        Finding(
            "preflight.quorum",
            Level.REFUSAL,
            "之后仍在签名的票权不超过三分之二，区块会停：先修好停着的验证者，或先拿掉它的投票权。",
            "afterwards those who sign now would have no more than two thirds of the power, and "
            "blocks could stop: bring the silent validators back, or take their power away first.",
            f"{alive} / {total}",
            f"{total * 2 // 3 + 1} / {total}",
        )
    ]


def tolerance(before: Governance, after: Governance) -> list[Finding]:
    now, then = (faults_tolerated(seat.power for seat in one.validators) for one in (before, after))
    if then >= now:
        return []
    return [
        Finding(
            "preflight.tolerance",
            Level.WARNING,
            f"现在可容忍 {now} 个验证者出故障，之后只有 {then} 个。",
            f"now {now} validators may fail, afterwards {then}.",
            then,
            now,
        )
    ]


def silent(before: Governance, after: Governance) -> list[Finding]:
    """Somebody who stays a validator does not sign: a repair is under way, or should be."""
    if _network(before) == _network(after):
        return []
    if not before.attendance.is_known:
        return [
            Finding(
                "preflight.attendance_unknown",
                Level.WARNING,
                "看不到最近区块的签名，不知道哪些验证者在线。",
                "no block's signatures could be looked at: which validators run is not known.",
            )
        ]
    alive = living(before)
    staying = {seat.public_key for seat in after.validators}
    silent = [one for one in before.in_force if one.public_key in staying and one.public_key not in alive]
    if not silent:
        return []
    return [
        Finding(
            "preflight.silent",
            Level.WARNING,
            "这些验证者最近没有签名。",
            "these validators did not sign lately.",
            [one.public_key.hex() for one in silent],
            f"a signature in one of the last {len(before.attendance.blocks)} blocks",
        )
    ]


# ---- what they are found by


def _new_seats(before: Governance, after: Governance) -> tuple[Seat, ...]:
    old = {seat.public_key for seat in before.validators}
    return tuple(seat for seat in after.validators if seat.public_key not in old)


def _adds_power(before: Governance, after: Governance, organisation: int) -> bool:
    now, then = (sum(seat.power for seat in one.seats_of(organisation)) for one in (before, after))
    return then > now


def _standing(governance: Governance) -> tuple[tuple[int, bool, bool], ...]:
    """What the majority depends on."""
    return tuple((one.id, one.is_active, one.can_vote) for one in governance.members)


def _network(governance: Governance) -> tuple[object, ...]:
    """What blocks depend on."""
    inactive = frozenset(one.id for one in governance.members if not one.is_active)
    owners = {seat.organisation for seat in governance.validators}
    nodes = frozenset(one for one in governance.peers if one.organisation in owners)
    return frozenset(governance.validators), inactive & owners, nodes


def _is_connected(after: Governance, organisation: int, before: Governance) -> bool:
    """Its nodes may connect; a network of one machine has no list."""
    member = after.member(organisation)
    if member is None or not member.is_active:
        return False
    return bool(after.peers_of(organisation)) or not before.peers_of(organisation)


def _power_until_gone(before: Governance, after: Governance, organisation: int) -> int:
    """The member's power in the table after, or in force now. What was taken away counts for two blocks, and
    the table no longer says whose it was: it may be this member's unless that one has other power."""
    table = sum(seat.power for seat in after.seats_of(organisation))
    owners = {seat.public_key: seat.organisation for seat in before.validators}
    in_force = sum(
        one.power for one in before.in_force if owners.get(one.public_key, organisation) == organisation
    )
    return max(table, in_force)


def living(governance: Governance) -> frozenset[bytes]:
    """Keys of the validators in force whose signature stands in one of the blocks looked at; all of them
    where no block could be looked at."""
    attendance = governance.attendance
    return frozenset(
        one.public_key
        for one in governance.in_force
        if not attendance.is_known or attendance.signed(one.address)
    )


def power_that_lives(governance: Governance, after: Governance) -> int:
    """Of the validators after: power of those whose key signed lately, whose member is active and has a node
    on the list. Power that was just given counts for nothing: nobody has seen it sign."""
    alive = living(governance)
    old = {seat.public_key: seat.power for seat in governance.validators}
    return sum(
        min(seat.power, old.get(seat.public_key, 0))
        for seat in after.validators
        if seat.public_key in alive and _is_connected(after, seat.organisation, governance)
    )
