"""Enrolment in a demo: two registrars of an organisation sign for each of its identities.

The contract asks for two persons: the first registrar's calls only record the request, the second one's
carry it out. In production the registrars do this at their own pages with their own passkeys; here this
program signs for them, with keys that open on demo chains only.
"""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from contracts.bindings import identity_registry
from identity.demo.cast import ORGANISATIONS, REGISTRAR, RELYING_PARTIES, DemoCast, DemoIdentity
from identity.demo.files import open_demo_key
from identity.errors import EnrolmentError
from identity.keys import KeyPair
from identity.node import NodeClient, Receipt
from identity.signing import sign_imi
from node.chain.encoding import keccak256
from node.chain.transaction import Call, build_imi

DEMO_RP_ID = "localhost"
MAX_BATCH = 40
_GAS_PER_CALL = 450_000
_GAS_BASE = 150_000
_REQUEST_LIFE = 7 * 86_400 - 3_600
"""Seconds for which a first person's request surely still counts; the contract forgets it after 7 days."""
_VALIDITY = 600
"""Seconds between signing and the last moment the transaction may be in a block."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Batch:
    """Calls that both registrars of an organisation sign, the second after the first is in a block."""

    organisation: int
    registrars: tuple[str, str]
    """Their account names."""
    calls: tuple[Call, ...]


def enrolment_batches(cast: DemoCast, enrolled: Collection[bytes] = ()) -> tuple[Batch, ...]:
    """The enrolment of everybody whom genesis does not install, organisation by organisation.

    `enrolled`: identities that stand on the chain already.
    """
    everybody = (*cast.people, *cast.services)
    batches: list[Batch] = []
    for organisation in ORGANISATIONS:
        calls = [
            enrolment_call(one)
            for one in everybody
            if one.organisation == organisation.id
            and not one.roles & REGISTRAR
            and one.identity not in enrolled
        ]
        registrars = registrars_of(cast, organisation.id)
        batches.extend(
            Batch(organisation.id, registrars, tuple(calls[first : first + MAX_BATCH]))
            for first in range(0, len(calls), MAX_BATCH)
        )
    return tuple(batches)


def enrolment_call(one: DemoIdentity) -> Call:
    """`IdentityRegistry.enrol` for one identity, without an end."""
    return identity_registry.enrol(
        one.identity,
        one.domain,
        one.level,
        one.roles,
        one.scheme,
        one.public_key,
        RELYING_PARTIES[one.relying_party].id,
        0,
    )


def registrars_of(cast: DemoCast, organisation: int) -> tuple[str, str]:
    """The account names of an organisation's two registrars."""
    first, second = (person.id for person in cast.registrars if person.organisation == organisation)
    return first, second


def enrol(
    cast: DemoCast,
    directory: Path,
    node: NodeClient,
    *,
    chain_purpose: str,
    origin: str,
    now: Callable[[], float] = time.time,
) -> tuple[Receipt, ...]:
    """Enrol everybody who is not: each batch signed by its two registrars and waited for.

    Goes on where an earlier run was cut off.

    `origin` is the signing page's origin. Raises KeyFileError `key.demo_only`, NodeError, EnrolmentError
    `enrolment.failed`.
    """
    receipts: list[Receipt] = []
    everybody = (*cast.people, *cast.services)
    enrolled = {one.identity for one in everybody if _is_enrolled(node, one.identity)}
    for batch in enrolment_batches(cast, enrolled):
        receipts.extend(
            countersign(batch, directory, node, chain_purpose=chain_purpose, origin=origin, now=now)
        )
    return tuple(receipts)


def countersign(
    batch: Batch,
    directory: Path,
    node: NodeClient,
    *,
    chain_purpose: str,
    origin: str,
    now: Callable[[], float] = time.time,
) -> tuple[Receipt, ...]:
    """Have both registrars of a batch sign it, one after the other. Raises as `enrol`.

    What the first one asked for in an earlier, unfinished run is not asked for again.
    """
    _log.warning("demo registrars sign by program", registrars=batch.registrars, calls=len(batch.calls))
    keys = [open_demo_key(directory, id, chain_purpose=chain_purpose) for id in batch.registrars]
    asked_after = now() - _REQUEST_LIFE
    unasked = [call for call in batch.calls if _requested_at(node, call) <= asked_after]
    steps = ((keys[0], unasked), (keys[1], batch.calls))
    return tuple(sign_and_submit(node, key, calls, origin=origin, now=now) for key, calls in steps if calls)


def _is_enrolled(node: NodeClient, identity: bytes) -> bool:
    found = node.call(identity_registry.identity_of(identity))
    return identity_registry.decode_identity_of(found) != 0


def _requested_at(node: NodeClient, call: Call) -> int:
    """When a first person asked for the call, seconds since the epoch; 0 if nobody did."""
    found = node.call(identity_registry.request(keccak256(call.data)))
    return identity_registry.decode_request(found).requested_at


def sign_and_submit(
    node: NodeClient,
    key: KeyPair,
    calls: Sequence[Call],
    *,
    origin: str,
    rp_id: str = DEMO_RP_ID,
    gas_limit: int = 0,
    now: Callable[[], float] = time.time,
) -> Receipt:
    """Sign one 0x49 transaction with a key at hand, submit it and wait until it is in a block.

    Raises NodeError, and EnrolmentError `enrolment.failed` for a transaction that failed in its block.
    """
    sender = key.address
    unsigned = build_imi(
        chain_id=node.chain_id(),
        nonce=node.nonce(sender),
        valid_until=int(now()) + _VALIDITY,
        gas_limit=gas_limit or _GAS_BASE + _GAS_PER_CALL * len(calls),
        calls=calls,
        scheme=key.scheme,
        public_key=key.public_key,
    )
    receipt = node.submit(sign_imi(key, unsigned, origin=origin, rp_id=rp_id).raw)
    if not receipt.ok:
        raise EnrolmentError(
            "enrolment.failed",
            "the transaction failed in its block",
            got=receipt.transaction,
            expected="status 1",
        )
    return receipt
