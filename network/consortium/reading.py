"""Reads a running consortium's state from one node over JSON-RPC: tables, attendance, proposals, dry runs.

What a node answers is believed: it is the operator's own, or one they chose. A proposal's words, though, come
from a log, and what was voted on is a hash in the contract: `read_proposals` compares both.

Everything here raises NodeError for a node that does not answer or refuses, MembershipError
membership.node_answer for one that answers something else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx

from contracts.abi import encode_arguments
from contracts.bindings import consortium, identity_registry
from contracts.error_words import ERROR_WORDS
from contracts.vocabulary import Domain, Role
from identity.errors import NodeError
from identity.node import NodeClient
from network.consortium.findings import Sight
from network.consortium.governance import (
    Attendance,
    Governance,
    Member,
    MembershipError,
    PeerRow,
    Seat,
)
from network.consortium.motions import Proposal
from node.chain.encoding import keccak256
from node.chain.errors import DecodeError, ShelianError
from node.chain.rules import CONSORTIUM, IDENTITY_REGISTRY
from node.chain.signing import ED25519
from node.chain.transaction import Call
from node.chain.validators import Validator

LOOKED_AT: Final = 20
"""Blocks whose signatures are looked at, by default."""
LOG_WINDOW: Final = 50_000
"""Blocks of one search; a node searches 100,000 at most."""
VOTING_TIME_S: Final = 90 * 86_400
_PEERS_AT_ONCE: Final = 64
_SIGNED: Final = 2
"""The flag of a commit's entry that is a vote for the block."""
_DRY_RUN_BYTES: Final = 100_000
_VOTING: Final = int(Role.OPERATOR | Role.APPROVER)


@dataclass(frozen=True, slots=True)
class Standing:
    """Who an account is. `roles`: a mask of `contracts.vocabulary.Role`."""

    identity: bytes
    organisation: int
    roles: int
    domain: int

    @property
    def may_vote(self) -> bool:
        return self.domain == Domain.STAFF and bool(self.roles & _VOTING)

    @property
    def is_registrar(self) -> bool:
        return self.domain == Domain.STAFF and bool(self.roles & Role.REGISTRAR)


@dataclass(frozen=True, slots=True)
class _Event:
    """An event as `eth_getLogs` gives it."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes
    height: int


# ---- the tables


def read_governance(
    node: NodeClient,
    *,
    looked_at: int = LOOKED_AT,
    calls: Iterable[Call] = (),
    names: Mapping[int, str] | None = None,
) -> Governance:
    """The tables at the node's tip. `calls`: whose registrars are looked up; `looked_at`: blocks whose
    signatures are."""
    status = node.request("shelian_status")
    height = _number(status["height"])
    table = consortium.decode_validators(node.call(consortium.validators()))
    voters = _voters(node, height, _number(status["firstBlock"]))
    return Governance(
        chain_name=str(status["chainName"]),
        purpose=str(status["purpose"]),
        genesis_hash=_bytes(status["genesisHash"]),
        evm_chain_id=_number(status["chainId"]),
        height=height,
        time_s=_number(status["timeNs"]) // 1_000_000_000,
        members=tuple(_member(node, id, voters.get(id, 0)) for id in _organisations(node)),
        validators=tuple(
            Seat(*row) for row in zip(table.keys, table.powers, table.organisations, strict=True)
        ),
        peers=_peers(node),
        in_force=tuple(
            Validator(_bytes(one["publicKey"]), _number(one["power"]))
            for one in node.request("shelian_getValidators", "pending")
        ),
        attendance=_attendance(node, height, looked_at),
        registrar_of=_registrars(node, calls),
        names=names or {},
    )


def read_standing(node: NodeClient, account: bytes) -> Standing | None:
    """Who the account is now; None without a standing."""
    word = identity_registry.decode_standing(node.call(identity_registry.standing(account)))
    return _standing(word) if word else None


def own_relying_party(node: NodeClient, account: bytes) -> bytes:
    """The row under which an account's credential signs."""
    return identity_registry.decode_credential(node.call(identity_registry.credential(account))).relying_party


def dry_run(node: NodeClient, calls: Sequence[Call], *, executing: bool) -> ShelianError | None:
    """Whether the contracts would carry these calls out now, one after the other, as the effect of a vote:
    None, or their refusal. That validators may not change just now is none for what is yet to be voted on."""
    error = try_calls(node, CONSORTIUM, calls, ED25519, _DRY_RUN_BYTES)[1]
    waits = isinstance(error and error.got, dict) and error.got["error"] == "ValidatorChangePending"  # type: ignore[union-attr,index]
    return None if waits and not executing else error


def try_calls(
    node: NodeClient, sender: bytes, calls: Sequence[Call], scheme: int, size: int
) -> tuple[int, ShelianError | None]:
    """The gas that the calls need in one transaction of `size` bytes, or the contracts' refusal."""
    wanted = {
        "from": _hex(sender),
        "calls": [{"to": _hex(call.to), "data": _hex(call.data)} for call in calls],
        "scheme": hex(scheme),
        "size": hex(size),
    }
    try:
        return _number(node.request("shelian_estimateImiGas", wanted)), None
    except NodeError as error:
        if error.code != "node.reverted":
            raise
        return 0, contract_refusal(error)


def contract_refusal(error: NodeError) -> MembershipError:
    """A revert in the contracts' own words."""
    data = bytes.fromhex(str(error.got or "0x")[2:])
    for binding in (consortium, identity_registry):
        try:
            found = binding.decode_error(data)
        except DecodeError:
            continue
        words = ERROR_WORDS.get(found.name)
        text = found.name if words is None else f"{words.zh} {words.en} ({found.name})"
        return MembershipError("membership.contract", text, {"error": found.name, **found.args})
    return MembershipError("membership.contract", error.message, error.got)


def _organisations(node: NodeClient) -> tuple[int, ...]:
    return consortium.decode_organisations(node.call(consortium.organisations()))


def _member(node: NodeClient, id: int, voters: int) -> Member:
    row = consortium.decode_organisation(node.call(consortium.organisation(id)))
    registrars = identity_registry.decode_registrar_count(node.call(identity_registry.registrar_count(id)))
    return Member(id, row.kind, row.status == 1, row.encryption_key, row.certificate, registrars, voters)


def _peers(node: NodeClient) -> tuple[PeerRow, ...]:
    rows: list[PeerRow] = []
    total = 1
    while len(rows) < total:
        page = consortium.decode_peers(node.call(consortium.peers(len(rows), _PEERS_AT_ONCE)))
        total = page.total
        if not page.node_ids:
            break
        rows += [PeerRow(*row) for row in zip(page.node_ids, page.organisations, strict=True)]
    return tuple(rows)


def _attendance(node: NodeClient, height: int, count: int) -> Attendance:
    """Of the newest block the header may not have come yet; where a node began at a snapshot, older ones are
    missing."""
    blocks = []
    for one in range(height, max(0, height - count), -1):
        try:
            found = node.request("shelian_getHeader", hex(one))
        except NodeError as error:
            if error.code in ("node.unreachable", "node.bad_answer"):
                raise
            continue
        if found is None or found["commit"] is None:
            continue
        signatures = found["commit"]["signatures"]
        signers = {_bytes(one["validatorAddress"]) for one in signatures if one["flag"] == _SIGNED}
        blocks.append((one, frozenset(signers)))
    return Attendance(tuple(blocks))


def _registrars(node: NodeClient, calls: Iterable[Call]) -> dict[bytes, int]:
    found = {}
    for call in calls:
        if call.to == IDENTITY_REGISTRY:
            args = identity_registry.decode_call(call.data)[1]
            if isinstance(args, identity_registry.RemoveRegistrarArgs):
                word = _identity_word(node, args.identity)
                found[args.identity] = _standing(word).organisation
    return found


def _voters(node: NodeClient, height: int, first: int) -> dict[int, int]:
    """How many people of each member may vote. Who ever held the role stands in events; whether they hold it
    now, in the registry. Where the node began at a snapshot, earlier events are not there and this counts too
    few; a demo's genesis may install voters without events."""
    staff = "0x" + int(Domain.STAFF).to_bytes(32, "big").hex()
    people = set()
    for topics in (
        [_hex(identity_registry.IdentityEnrolled.TOPIC), None, None, staff],
        [_hex(identity_registry.RolesChanged.TOPIC)],
    ):
        for log in read_logs(node, IDENTITY_REGISTRY, topics, max(first, 1), height):
            event = identity_registry.decode_event(log)
            if isinstance(event, identity_registry.IdentityEnrolled | identity_registry.RolesChanged) and (
                event.roles & _VOTING
            ):
                people.add(event.identity)
    counts: dict[int, int] = {}
    for identity in people:
        word = _identity_word(node, identity)
        standing = _standing(word)
        if word >> 200 & 0xFF == 1 and standing.may_vote:
            counts[standing.organisation] = counts.get(standing.organisation, 0) + 1
    return counts


def _identity_word(node: NodeClient, identity: bytes) -> int:
    return identity_registry.decode_identity_of(node.call(identity_registry.identity_of(identity)))


def _standing(word: int) -> Standing:
    """`IdentityRegistry.standing`, from the low-order end: identity 128 bits, organisation 16, roles 32,
    domain 8."""
    return Standing(
        identity=(word & ((1 << 128) - 1)).to_bytes(16, "big"),
        organisation=word >> 128 & 0xFFFF,
        roles=word >> 144 & 0xFFFFFFFF,
        domain=word >> 176 & 0xFF,
    )


# ---- proposals


def read_proposals(node: NodeClient, *, since_s: int = VOTING_TIME_S) -> tuple[Proposal, ...]:
    """What was put to the vote in the last `since_s` seconds before the node's tip, as far as the node holds
    the blocks, with votes and outcome."""
    status = node.request("shelian_status")
    height, first = _number(status["height"]), max(1, _number(status["firstBlock"]))
    topics = [[_hex(one.TOPIC) for one in (consortium.Proposed, consortium.Voted, consortium.Executed)]]
    oldest_s = _number(status["timeNs"]) // 1_000_000_000 - since_s
    logs: list[_Event] = []
    last = height
    while last >= first:
        start = max(first, last - LOG_WINDOW + 1)
        logs = [*read_logs(node, CONSORTIUM, topics, start, last), *logs]
        if _block_time(node, start) < oldest_s:
            break
        last = start - 1
    return tuple(one for one in fold_proposals(logs) if _is_what_was_voted_on(node, one))


def fold_proposals(logs: Iterable[_Event]) -> tuple[Proposal, ...]:
    """Proposals out of events in the order of blocks; events of proposals that are not among them say
    nothing."""
    found: dict[bytes, Proposal] = {}
    votes: dict[bytes, list[tuple[int, bool]]] = {}
    executed: dict[bytes, int] = {}
    for log in logs:
        match consortium.decode_event(log):
            case consortium.Proposed() as one:
                found[one.proposal] = Proposal(
                    one.proposal,
                    one.topic,
                    one.organisation,
                    one.by,
                    one.until,
                    log.height,
                    Call(one.target, one.data),
                )
            case consortium.Voted() as one:
                votes.setdefault(one.proposal, []).append((one.organisation, one.approve))
            case consortium.Executed() as one:
                executed[one.proposal] = log.height
    return tuple(
        Proposal(
            one.id,
            one.topic,
            one.organisation,
            one.by,
            one.until,
            one.height,
            one.call,
            tuple(votes.get(one.id, ())),
            executed.get(one.id),
        )
        for one in found.values()
    )


def payload_hash(call: Call) -> bytes:
    """What the contract keeps of a proposed call."""
    return keccak256(encode_arguments(("target", "data"), ("address", "bytes"), (call.to, call.data)))


def read_logs(
    node: NodeClient, address: bytes, topics: Sequence[object], first: int, last: int
) -> tuple[_Event, ...]:
    """Events of a contract, in the order of blocks, in windows that a node searches."""
    found: list[_Event] = []
    for start in range(first, last + 1, LOG_WINDOW):
        wanted = {
            "address": _hex(address),
            "topics": list(topics),
            "fromBlock": hex(start),
            "toBlock": hex(min(last, start + LOG_WINDOW - 1)),
        }
        found += [
            _Event(
                _bytes(one["address"]),
                tuple(_bytes(topic) for topic in one["topics"]),
                _bytes(one["data"]),
                _number(one["blockNumber"]),
            )
            for one in node.request("eth_getLogs", wanted)
        ]
    return tuple(found)


def _is_what_was_voted_on(node: NodeClient, one: Proposal) -> bool:
    row = consortium.decode_proposal(node.call(consortium.proposal(one.id)))
    return row.payload_hash == payload_hash(one.call)


def _block_time(node: NodeClient, height: int) -> int:
    return _number(node.request("eth_getBlockByNumber", hex(height), False)["timestamp"])


# ---- which nodes are connected


def read_sight(rpc_address: str, own_node_id: bytes, *, timeout_s: float = 10.0) -> Sight:
    """Which nodes the CometBFT at `rpc_address` (host:port, the operator's own) is connected with, and how
    far behind it each of them is.

    Raises NodeError node.unreachable, MembershipError membership.node_answer.
    """
    url = f"http://{rpc_address}/dump_consensus_state"
    try:
        with httpx.Client(timeout=timeout_s, trust_env=False) as http:
            found: Any = http.get(url).json()["result"]
            height = int(found["round_state"]["height"])
            behind: dict[bytes, int | None] = {own_node_id: 0}
            for peer in found["peers"]:
                id = bytes.fromhex(str(peer["node_address"]).partition("@")[0])
                behind[id] = max(0, height - int(peer["peer_state"]["round_state"]["height"]))
    except httpx.HTTPError as error:
        raise NodeError("node.unreachable", f"CometBFT does not answer: {error}", got=url) from None
    except (KeyError, TypeError, ValueError) as error:
        raise MembershipError("membership.node_answer", "not CometBFT's answer", str(error), url) from None
    return Sight(behind)


def _number(value: object) -> int:
    try:
        return int(str(value), 16)
    except ValueError:
        raise MembershipError("membership.node_answer", "not a quantity", value, "0x…") from None


def _bytes(value: object) -> bytes:
    try:
        return bytes.fromhex(str(value).removeprefix("0x"))
    except ValueError:
        raise MembershipError("membership.node_answer", "not data", value, "0x…") from None


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
