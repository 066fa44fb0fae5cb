"""A one-machine ledger goes on as a consortium's: who signs for it, and the genesis of its new chain.

The old chain has ended with block N, which is empty. What every agency gets of it is a *closing*: the old
genesis and the snapshot after N with header and commit beside it. `open_closing` verifies it by nothing but
the old genesis' hash: the light client from there to header N, the snapshot's every record up to the state
root that this header names. What an `End` says, is so.

**Who takes part** stands in the state at N, where the members' votes have put it: exactly the organisations
that are active in the contract, each by the CA certificate that the contract has of it. An agency proves to
be that member by its enrolment for the new chain, signed by that CA and by two of its own registrars, whose
keys the state knows. Nobody is added at the seam, nobody left out, no certificate, key, person or page
changed: whatever is to change is voted on the old chain, before it ends, or on the new one.

**What changes at the seam** is who makes the blocks. The old engine signs with one key and would stop with
the first vote that gives others power; so the validator table cannot be brought to its new contents on the
old chain. The new genesis does it: its calls, which run at the start of block N + 1, set the validators that
the genesis names and let the enrolled nodes connect, and nothing else (`continuing_genesis` makes them out of
the state and the enrolments; `compare` makes them again). They are what every active member and the old
validator have signed, which is more than a vote asks for. The old validator's key gets no power on the new
chain, and the chain has another name, so no block or vote of the old machine is ever one of the new chain.

Pure but for `open_closing`, which reads files. Raises CeremonyError, and what it names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from contracts.bindings import consortium, identity_registry
from network.consortium.ceremony import differences, document_of, require_own
from network.consortium.certificates import check_validity, moment
from network.consortium.enrolment import Enrolment, Sign
from network.consortium.errors import CeremonyError
from network.consortium.fields import CHAIN_NAME, hex_bytes, read_file, to_hex
from network.consortium.genesis import Ends, Member, MemberValidator, plan_continuing
from network.consortium.merge import check_apart, check_same_chain
from node.chain.encoding import encode_canonical_json
from node.chain.errors import SignatureRefused
from node.chain.genesis import ORGANISATION_KINDS, Genesis
from node.chain.handover import ca_public_key
from node.chain.handover_certificate import (
    AgencySignature,
    HandoverCertificate,
    HandoverStatement,
    ValidatorSignature,
    decode_certificate,
    encode_certificate,
    handover_sign_bytes,
)
from node.chain.header import header_hash
from node.chain.light import Archive, trust_genesis
from node.chain.light_block import LightBlock
from node.chain.light_chain import verify_to
from node.chain.merkle import EMPTY_ROOT
from node.chain.rules import Rules
from node.chain.schemes.ecdsa import verify_p256
from node.chain.signing import imi_sender, verify_ed25519
from node.chain.transaction import Call
from node.execution import CallRequest
from node.ledger import Ledger, LedgerSnapshot
from node.ledger.building import Progress, build_ledger
from node.ledger.continuation import require_settled
from node.ledger.manifest import require_of_chain
from node.ledger.records import validators_of
from node.ledger.shelf import SavedSnapshot

LATEST_START_NS: Final = 30 * 86_400 * 1_000_000_000
"""How long after block N the new chain may begin: a slip in a date would stop the ledger until then."""
SIGNED_FORMAT: Final = "shelian-handover/1"
MAX_SIGNED_BYTES: Final = 8 << 20
_ACTIVE: Final = 1
_REGISTRAR_ROLE: Final = 256
_READING_GAS: Final = 1 << 32
_READER: Final = bytes(20)
_NO_CERTIFICATE: Final = bytes(32)
_SHOWN: Final = 12
_ENROLMENT_SAYS: Final = "what the contract has, or a vote on the old chain first"


@dataclass(frozen=True, slots=True)
class Standing:
    """An active member as the contract has it at N."""

    id: int
    kind: int
    encryption_key: bytes
    certificate: bytes
    """sha256 of its CA certificate in DER; zero for none."""


@dataclass(frozen=True, slots=True)
class End:
    """How the old chain ended, verified.

    Attributes:
        members: that are active, by number.
        registrars: accounts of keys that act as registrars, to the organisation; of the keys asked about.
        validators: (key, organisation) in the contract's table.
        peers: node id to organisation.
        rules: in force at N + 1.
    """

    old: Genesis
    block: LightBlock
    state_root: bytes
    snapshot_hash: bytes
    members: tuple[Standing, ...]
    validators: tuple[tuple[bytes, int], ...]
    peers: dict[bytes, int]
    rules: Rules
    registrars: dict[bytes, int]

    @property
    def height(self) -> int:
        """N."""
        return self.block.header.height


@contextmanager
def open_closing(
    old: Genesis,
    saved: SavedSnapshot,
    scratch: Path,
    enrolments: Iterable[Enrolment] = (),
    progress: Progress = lambda done, total: None,
) -> Iterator[tuple[End, Ledger]]:
    """The end of the old chain and a ledger of it, built at `scratch`, which is not there yet.

    Raises CeremonyError graduate.demo, graduate.not_first, graduate.no_witness, graduate.not_idle;
    SnapshotRefused snapshot.*; ProofError light.*, commit.*; LedgerError continuation.under_way, state.*.
    """
    require_graduating(old)
    require_of_chain(saved.manifest, old.chain_name, old.hash)
    witness = saved.load_witness()
    if witness is None:
        raise CeremonyError(
            "graduate.no_witness", "header and commit of the last block are not beside the snapshot"
        )
    block = LightBlock(witness.header, witness.commit, validators_of(saved.manifest.validators[0]))
    verify_to(trust_genesis(old), block.header.height, lambda height: block, Archive())
    require_idle(block, saved.manifest.app_hash)
    build_ledger(scratch, old, saved, progress)
    with Ledger.open(scratch, old) as ledger, ledger.snapshot() as snapshot:
        require_settled(snapshot)
        keys = [one for each in enrolments for one in each.content.registrars]
        accounts = {imi_sender(one.scheme, one.public_key) for one in keys}
        yield read_end(ledger, snapshot, block, saved.hash, accounts), ledger


def require_graduating(old: Genesis) -> None:
    """Raises CeremonyError graduate.demo, graduate.not_first."""
    if old.purpose != "production":
        raise CeremonyError(
            "graduate.demo",
            "a demo's keys are known to everybody; it never becomes a real chain",
            old.purpose,
        )
    if old.initial_height != 1:
        raise CeremonyError(
            "graduate.not_first", "this ledger went on under a new genesis before", old.initial_height, 1
        )


def require_idle(block: LightBlock, state_root: bytes) -> None:
    """Raises CeremonyError graduate.not_idle."""
    header = block.header
    for name, got, expected in (
        ("transactions", header.data_hash, EMPTY_ROOT),
        ("evidence", header.evidence_hash, EMPTY_ROOT),
        ("a changed state", header.app_hash, state_root),
        ("a change of validators", header.next_validators_hash, header.validators_hash),
    ):
        if got != expected:
            raise CeremonyError("graduate.not_idle", f"the last block has {name}", got, expected)


def read_end(
    ledger: Ledger,
    snapshot: LedgerSnapshot,
    block: LightBlock,
    snapshot_hash: bytes,
    accounts: Iterable[bytes],
) -> End:
    """What the contracts say at the tip; `accounts`: whose standing as registrars is asked."""

    def read(call: Call) -> bytes:
        request = CallRequest(_READER, (call,), _READING_GAS, work_limited=False)
        return ledger.executor.call(snapshot.tip_view, snapshot.context(), request).output

    members = []
    for id in sorted(consortium.decode_organisations(read(consortium.organisations()))):
        row = consortium.decode_organisation(read(consortium.organisation(id)))
        if row.status == _ACTIVE:
            members.append(Standing(id, row.kind, row.encryption_key, row.certificate))
    table = consortium.decode_validators(read(consortium.validators()))
    peers = consortium.decode_peers(read(consortium.peers(0, 1 << 16)))
    registrars = {}
    for account in sorted(set(accounts)):
        word = identity_registry.decode_standing(read(identity_registry.standing(account)))
        if word >> 144 & _REGISTRAR_ROLE:
            registrars[account] = word >> 128 & 0xFFFF
    return End(
        old=ledger.genesis,
        block=block,
        state_root=snapshot.tip.app_hash,
        snapshot_hash=snapshot_hash,
        members=tuple(members),
        validators=tuple(zip(table.keys, table.organisations, strict=True)),
        peers=dict(zip(peers.node_ids, peers.organisations, strict=True)),
        rules=snapshot.rules,
        registrars=registrars,
    )


# ---- the new genesis


@dataclass(frozen=True, slots=True)
class Graduation:
    """The new genesis and the enrolments that made it, in the order of their members' numbers."""

    genesis: Genesis
    enrolments: tuple[Enrolment, ...]


def continuing_genesis(
    end: End, enrolments: Iterable[Enrolment], *, chain_name: str, genesis_time_ns: int
) -> Graduation:
    """The genesis that goes on from `end` with these members: the same bytes for the same files.

    Raises CeremonyError graduate.same_name, graduate.time, graduate.stranger, graduate.member_missing,
    graduate.certificate_missing, graduate.member_differs, graduate.registrar, graduate.old_key,
    graduate.peer_elsewhere, and those of `merge`.
    """
    given = tuple(enrolments)
    if not CHAIN_NAME.fullmatch(chain_name):
        raise CeremonyError(
            "ceremony.chain_name", "1 to 50 lower-case letters, digits and hyphens", chain_name
        )
    check_same_chain(given, chain_name)
    check_apart(given)
    _check_new_chain(end, given, chain_name, genesis_time_ns)
    numbered = _number(end, given)
    for id, one in numbered:
        check_validity(one.content.certificate, moment(genesis_time_ns))
        _check_member(end, id, one)
    validators = tuple(
        MemberValidator(
            one.content.validator.public_key, one.content.validator.power, id, f"{one.content.kind}-{id}"
        )
        for id, one in numbered
        if one.content.validator is not None
    )
    genesis = plan_continuing(
        Ends(end.old, end.height, end.rules),
        chain_name=chain_name,
        genesis_time_ns=genesis_time_ns,
        members=tuple(
            Member(
                id,
                one.content.kind,
                one.content.name,
                one.content.encryption_key,
                one.content.certificate.pem,
            )
            for id, one in numbered
        ),
        validators=validators,
        calls=_calls(end, numbered, validators),
    )
    return Graduation(genesis, tuple(one for _, one in numbered))


def compare(end: End, genesis: Genesis, enrolments: Iterable[Enrolment]) -> Graduation:
    """Refuse a genesis that is not what these enrolments give above this end.

    Raises CeremonyError ceremony.genesis_differs, and those of `continuing_genesis`.
    """
    made = continuing_genesis(
        end, enrolments, chain_name=genesis.chain_name, genesis_time_ns=genesis.genesis_time_ns
    )
    if made.genesis.hash != genesis.hash:
        got, wanted = document_of(genesis), document_of(made.genesis)
        places = [
            place
            for key in sorted(got.keys() | wanted.keys())
            for place in differences(got.get(key), wanted.get(key), key)
        ]
        raise CeremonyError(
            "ceremony.genesis_differs",
            "the genesis does not say what the members' enrolments and the old chain's end say",
            places[:_SHOWN],
            "what merging again gives",
        )
    return made


def _check_new_chain(end: End, given: Sequence[Enrolment], chain_name: str, time_ns: int) -> None:
    if chain_name == end.old.chain_name:
        raise CeremonyError(
            "graduate.same_name",
            "the new chain has a name of its own, so that no vote of the old one is one of it",
            chain_name,
            "another name",
        )
    demo = [one.who for one in given if one.content.purpose != "production"]
    if demo:
        raise CeremonyError("graduate.demo", "a demo's keys do not go into a real chain", demo, "production")
    last = end.block.header.time_ns
    if not last < time_ns <= last + LATEST_START_NS:
        raise CeremonyError(
            "graduate.time",
            "the new chain begins after the old one's last block, and within thirty days of it",
            moment(time_ns).isoformat(),
            [moment(last).isoformat(), moment(last + LATEST_START_NS).isoformat()],
        )
    old = {key for key, _ in end.validators}
    for one in given:
        if one.content.validator is not None and one.content.validator.public_key in old:
            raise CeremonyError(
                "graduate.old_key",
                f"{one.who} enrols the key that signed the old chain's blocks; it needs a new one",
                one.content.validator.public_key,
                "shelian consortium keygen",
            )


def _number(end: End, given: Sequence[Enrolment]) -> tuple[tuple[int, Enrolment], ...]:
    """Each enrolment with the number that the contract knows its CA certificate by."""
    bare = [one.id for one in end.members if one.certificate == _NO_CERTIFICATE]
    if bare:
        raise CeremonyError(
            "graduate.certificate_missing",
            "the contract has no CA certificate of these members; their registrars set it on the old chain",
            bare,
            "rotateCertificate by two registrars, before the old chain ends",
        )
    numbers = {one.certificate: one.id for one in end.members}
    if len(numbers) != len(end.members):
        raise CeremonyError("graduate.member_differs", "two members have one CA certificate in the contract")
    found: dict[int, Enrolment] = {}
    for one in given:
        fingerprint = one.content.certificate.fingerprint
        if fingerprint not in numbers:
            raise CeremonyError(
                "graduate.stranger",
                f"{one.who} is no active member of the old chain under this CA certificate",
                fingerprint,
                _ENROLMENT_SAYS,
            )
        found[numbers[fingerprint]] = one
    missing = [one.id for one in end.members if one.id not in found]
    if missing:
        raise CeremonyError(
            "graduate.member_missing",
            "every active member of the old chain takes part; who does not is suspended by vote before",
            missing,
            "their enrolments",
        )
    return tuple(sorted(found.items()))


def _check_member(end: End, id: int, one: Enrolment) -> None:
    """The enrolment says of the member what the contract says, and two of its registrars stand for it."""
    content = one.content
    standing = next(each for each in end.members if each.id == id)
    for what, got, expected in (
        ("kind", ORGANISATION_KINDS[content.kind], standing.kind),
        ("encryption key", content.encryption_key, standing.encryption_key),
    ):
        if got != expected:
            raise CeremonyError(
                "graduate.member_differs",
                f"the enrolment of {one.who} has another {what} than the contract",
                got,
                expected,
            )
    for registrar in content.registrars:
        account = imi_sender(registrar.scheme, registrar.public_key)
        if end.registrars.get(account) != id:
            raise CeremonyError(
                "graduate.registrar",
                f"who stands for {one.who} is no registrar of it on the old chain",
                registrar.public_key,
                "a registrar's key that the old chain knows",
            )


def _calls(
    end: End, numbered: Sequence[tuple[int, Enrolment]], validators: Sequence[MemberValidator]
) -> tuple[Call, ...]:
    """The old validators leave, the new ones come, in one call; then the nodes that are not listed yet."""
    left = sorted(end.validators)
    calls = [
        consortium.change_validators(
            (*(key for key, _ in left), *(one.public_key for one in validators)),
            (*(0 for _ in left), *(one.power for one in validators)),
            (*(owner for _, owner in left), *(one.organisation for one in validators)),
        )
    ]
    for id, one in numbered:
        owner = end.peers.get(one.content.node_id)
        if owner is None:
            calls.append(consortium.set_peer(one.content.node_id, id, True))
        elif owner != id:
            raise CeremonyError(
                "graduate.peer_elsewhere", f"the node of {one.who} is listed as another member's", owner, id
            )
    return tuple(calls)


# ---- the certificate


def encode_signed(certificate: HandoverCertificate) -> bytes:
    """The file of a certificate with some or all of its signatures."""
    return encode_canonical_json(
        {"format": SIGNED_FORMAT, "certificate": to_hex(encode_certificate(certificate))}
    )


def decode_signed(raw: bytes, name: str) -> HandoverCertificate:
    """Whether the signatures hold, `gather` says. Raises CeremonyError ceremony.*, DecodeError."""
    top = read_file(raw, f"{name}: signatures of a handover", SIGNED_FORMAT, MAX_SIGNED_BYTES)
    encoded = top.take("certificate", hex_bytes())
    top.finish()
    return decode_certificate(encoded)


def statement_of(end: End, genesis: Genesis) -> HandoverStatement:
    """What everybody signs."""
    return HandoverStatement(
        end.old.hash, end.block, end.state_root, end.snapshot_hash, genesis.hash, genesis.initial_height
    )


def sign_as_agency(
    end: End, genesis: Genesis, enrolments: Sequence[Enrolment], own: Enrolment, ca: Sign
) -> HandoverCertificate:
    """The agency's agreement to the end and to the genesis, after checking both: a certificate with its
    signature alone. Raises CeremonyError ceremony.own_enrolment, and those of `compare`.
    """
    require_own(enrolments, own)
    compare(end, genesis, enrolments)
    key = own.content.certificate.public_key
    organisation = next(one.id for one in genesis.organisations if ca_public_key(one) == key)
    statement = statement_of(end, genesis)
    signature = ca(handover_sign_bytes(statement))
    return HandoverCertificate(statement, (), (AgencySignature(organisation, key, signature),))


def sign_as_validator(
    end: End, genesis: Genesis, enrolments: Sequence[Enrolment], public_key: bytes, sign: Sign
) -> HandoverCertificate:
    """The old machine's. Raises CeremonyError graduate.not_the_validator, and those of `compare`."""
    compare(end, genesis, enrolments)
    if public_key not in {one.public_key for one in end.block.validators}:
        raise CeremonyError(
            "graduate.not_the_validator", "this key did not sign the old chain's last block", public_key
        )
    statement = statement_of(end, genesis)
    signature = sign(handover_sign_bytes(statement))
    return HandoverCertificate(statement, (ValidatorSignature(public_key, signature),), ())


@dataclass(frozen=True, slots=True)
class Signed:
    """Who has signed, and who has not: members by number and name, and whether the old validators have."""

    certificate: HandoverCertificate
    signed: tuple[tuple[int, str], ...]
    missing: tuple[tuple[int, str], ...]
    old_power: int
    total_power: int

    @property
    def is_complete(self) -> bool:
        return not self.missing and self.old_power * 3 > self.total_power * 2


def gather(end: End, genesis: Genesis, parts: Iterable[HandoverCertificate]) -> Signed:
    """All signatures in one certificate; each must hold.

    Raises CeremonyError graduate.other_handover, graduate.unknown_signer, graduate.signature.
    """
    statement = statement_of(end, genesis)
    message = handover_sign_bytes(statement)
    names = {one.id: one.name for one in genesis.organisations}
    authorities = {one.id: ca_public_key(one) for one in genesis.organisations}
    powers = {one.public_key: one.power for one in end.block.validators}
    validators: dict[bytes, ValidatorSignature] = {}
    agencies: dict[int, AgencySignature] = {}
    for part in parts:
        if part.statement != statement:
            raise CeremonyError(
                "graduate.other_handover",
                "a signature is of another handover: another end, or another new genesis",
                [header_hash(part.statement.block.header), part.statement.new_genesis_hash],
                [header_hash(end.block.header), genesis.hash],
            )
        for vote in part.validators:
            if vote.public_key not in powers:
                raise CeremonyError(
                    "graduate.unknown_signer", "signed by no validator of the old chain", vote.public_key
                )
            _verify(verify_ed25519, vote.public_key, message, vote.signature)
            validators[vote.public_key] = vote
        for seal in part.agencies:
            if authorities.get(seal.organisation) != seal.public_key:
                raise CeremonyError(
                    "graduate.unknown_signer", "signed by no CA of the new genesis", seal.organisation
                )
            _verify(verify_p256, seal.public_key, message, seal.signature)
            agencies.setdefault(seal.organisation, seal)
    return Signed(
        HandoverCertificate(
            statement,
            tuple(validators[key] for key in sorted(validators)),
            tuple(agencies[id] for id in sorted(agencies)),
        ),
        tuple((id, name) for id, name in sorted(names.items()) if id in agencies),
        tuple((id, name) for id, name in sorted(names.items()) if id not in agencies),
        sum(powers[key] for key in validators),
        sum(powers.values()),
    )


def _verify(
    verify: Callable[[bytes, bytes, bytes], None], public_key: bytes, message: bytes, signature: bytes
) -> None:
    try:
        verify(public_key, message, signature)
    except SignatureRefused as error:
        raise CeremonyError(
            "graduate.signature", f"a signature of the handover does not hold: {error.message}", public_key
        ) from None
