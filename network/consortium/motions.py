"""Motions: the calls of one purpose, put to the vote together and carried out together.

The contract votes on single calls. To admit an agency takes about a dozen, and half of them carried out would
be an agency without registrars. So the programs bind calls that belong together by their proposals' ids:

    28 bytes, random, the same for all || number of calls || place of this one, from 0     (2 bytes each)

The members vote on all of them in one signed transaction, and one transaction carries all of them out, in
their order, or none. The chain knows nothing of motions: `gather` takes proposals for one only if all places
are there, proposed by the same person. Proposals with other ids are motions of one call.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from contracts.bindings import consortium, identity_registry
from contracts.genesis import relying_party_calls
from network.consortium.enrolment import EnrolmentContent, row_id
from network.consortium.governance import Governance, MembershipError
from network.consortium.registrars import Registrar
from network.consortium.relying_parties import RelyingParty, specification
from node.chain.genesis import ORGANISATION_KINDS
from node.chain.transaction import Call

STEM_BYTES: Final = 28
MAX_CALLS: Final = 60
"""Of one motion: all votes of it, and all that it does, fit into one transaction."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A call that was put to the vote.

    Attributes:
        id: 32 bytes.
        topic: 1 membership, 2 validators, 3 rules, 4 relying parties, 5 deployers, 6 correction rules,
            7 points.
        organisation, by: whose, and the identity of who proposed it.
        until: seconds since the epoch; votes count until then.
        height: of the block that holds it.
        votes: organisation to yes or no.
        executed: height of the block in which it was carried out.
    """

    id: bytes
    topic: int
    organisation: int
    by: bytes
    until: int
    height: int
    call: Call
    votes: tuple[tuple[int, bool], ...] = ()
    executed: int | None = None

    def vote_of(self, organisation: int) -> bool | None:
        return next((yes for who, yes in self.votes if who == organisation), None)


@dataclass(frozen=True, slots=True)
class Motion:
    """Proposals that are voted on and carried out together; `id` is that of the first."""

    proposals: tuple[Proposal, ...]

    @property
    def id(self) -> bytes:
        return self.proposals[0].id

    @property
    def calls(self) -> tuple[Call, ...]:
        return tuple(one.call for one in self.proposals)

    @property
    def first(self) -> Proposal:
        return self.proposals[0]

    @property
    def executed(self) -> int | None:
        """The height at which the last of its calls was carried out; None while one is not."""
        heights = [one.executed for one in self.proposals]
        return None if None in heights else max(one for one in heights if one is not None)


def proposal_ids(count: int, random_bytes: Callable[[int], bytes]) -> tuple[bytes, ...]:
    """Ids of a new motion's proposals. Raises MembershipError membership.too_many_calls."""
    if not 0 < count <= MAX_CALLS:
        raise MembershipError("membership.too_many_calls", "a motion holds too many calls", count, MAX_CALLS)
    stem = random_bytes(STEM_BYTES)
    return tuple(stem + count.to_bytes(2, "big") + place.to_bytes(2, "big") for place in range(count))


def propose(
    calls: Sequence[Call], random_bytes: Callable[[int], bytes]
) -> tuple[tuple[bytes, ...], tuple[Call, ...]]:
    """A new motion: the ids of its proposals, and the calls that put them to the vote."""
    ids = proposal_ids(len(calls), random_bytes)
    return ids, tuple(consortium.propose(id, call.to, call.data) for id, call in zip(ids, calls, strict=True))


def gather(proposals: Iterable[Proposal]) -> tuple[Motion, ...]:
    """Motions out of proposals, newest first."""
    ordered = sorted(proposals, key=lambda one: (one.id[:STEM_BYTES], one.id))
    motions: list[Motion] = []
    for _, group in itertools.groupby(ordered, key=lambda one: one.id[:STEM_BYTES]):
        found = tuple(group)
        if _is_whole(found):
            motions.append(Motion(found))
        else:
            motions.extend(Motion((one,)) for one in found)
    return tuple(sorted(motions, key=lambda one: (one.first.height, one.id), reverse=True))


def _is_whole(proposals: Sequence[Proposal]) -> bool:
    """Every place once, by one person: nobody slips a call into another's motion."""
    count = len(proposals)
    return len({(one.organisation, one.by) for one in proposals}) == 1 and [
        one.id[STEM_BYTES:] for one in proposals
    ] == [count.to_bytes(2, "big") + place.to_bytes(2, "big") for place in range(count)]


# ---- what is put to the vote


def admit(content: EnrolmentContent, organisation: int) -> tuple[Call, ...]:
    """An agency with everything that its people and its node need to act, but for voting power: that is
    a vote of its own, when its node is in step. The registrars come with it, for a member without any could
    never vote and would only raise the majority."""
    return (
        consortium.add_organisation(
            organisation,
            ORGANISATION_KINDS[content.kind],
            content.encryption_key,
            content.certificate.fingerprint,
        ),
        *(
            call
            for row in content.relying_parties
            for call in open_relying_party(row, row_id(content, row), organisation)
        ),
        *(install(one, organisation) for one in content.registrars),
        consortium.set_peer(content.node_id, organisation, True),
    )


def open_relying_party(row: RelyingParty, id: bytes, organisation: int) -> tuple[Call, ...]:
    """A place where an agency's people sign, and what they may call from there."""
    return tuple(relying_party_calls(specification(row, id, organisation)))


def install(registrar: Registrar, organisation: int) -> Call:
    """Make a person a registrar of an agency by vote."""
    return identity_registry.install_registrar(
        organisation, registrar.identity, registrar.scheme, registrar.public_key, registrar.relying_party
    )


def set_power(public_key: bytes, power: int, organisation: int) -> tuple[Call, ...]:
    """A validator's voting power; 0 takes it away."""
    return (consortium.change_validators((public_key,), (power,), (organisation,)),)


def take_power(governance: Governance, organisation: int) -> tuple[Call, ...]:
    """All voting power of a member, in one change. Raises MembershipError membership.no_power."""
    seats = governance.seats_of(organisation)
    if not seats:
        raise MembershipError("membership.no_power", "this member has no voting power", organisation)
    keys = tuple(one.public_key for one in seats)
    return (consortium.change_validators(keys, (0,) * len(keys), (organisation,) * len(keys)),)


def part(governance: Governance, organisation: int) -> tuple[Call, ...]:
    """What is left when a member's voting power is gone: its nodes come off the list, its standing ends."""
    member = governance.member(organisation)
    suspend = (
        (consortium.suspend_organisation(organisation),) if member is not None and member.is_active else ()
    )
    strike = tuple(
        consortium.set_peer(one.node_id, organisation, False) for one in governance.peers_of(organisation)
    )
    calls = (*strike, *suspend)
    if not calls:
        raise MembershipError("membership.gone", "this member has left already", organisation)
    return calls


def replace_registrars(
    organisation: int,
    relying_parties: Sequence[tuple[bytes, RelyingParty]],
    registrars: Sequence[Registrar],
    gone: Sequence[bytes],
) -> tuple[Call, ...]:
    """New registrars for an agency that has none who can act; `gone`: identities that are revoked for ever,
    after the new ones are there."""
    return (
        *(call for id, row in relying_parties for call in open_relying_party(row, id, organisation)),
        *(install(one, organisation) for one in registrars),
        *(identity_registry.remove_registrar(identity) for identity in gone),
    )
