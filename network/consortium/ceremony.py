"""Everybody checks the merged genesis and signs its hash; afterwards anyone can see who did.

A genesis is *right* when merging the enrolments again gives the same file. What it says in words (members,
validators, registrars, signing pages, time) must be equal in any case; the contracts' code and calls, the
rules and the consensus parameters must be equal for who signs, and may be another release's for an auditor
who looks years later: then the signatures of all members vouch for them.

A signature is made by an agency's CA key over the genesis hash, the chain's name and the hash of the agency's
own enrolment. So a signature is worth nothing for another genesis, and an agency never signs a genesis in
which an older enrolment of its own stands.

The *record* is one file beside genesis: its hash, the enrolments, the signatures.

Pure: bytes and values in, values out. Raises CeremonyError.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from network.consortium import fields
from network.consortium.enrolment import Enrolment, Sign, decode_enrolment, enrolment_json
from network.consortium.errors import CeremonyError
from network.consortium.fields import read_file, to_hex
from network.consortium.merge import MAX_ORGANISATIONS, Merged, arrange, merge
from network.consortium.statements import CA_OF_GENESIS, statement
from node.chain.encoding import decode_strict_json, encode_canonical_json
from node.chain.errors import SignatureRefused
from node.chain.genesis import MAX_GENESIS_BYTES, ORGANISATION_KINDS, Genesis
from node.chain.schemes.ecdsa import verify_p256

SIGNATURE_FORMAT: Final = "shelian-genesis-signature/1"
RECORD_FORMAT: Final = "shelian-ceremony/1"
MAX_SIGNATURE_BYTES: Final = 4_096
MAX_RECORD_BYTES: Final = 32 << 20

_OF_THE_RELEASE: Final = frozenset({"alloc", "calls", "rules", "consensus_params"})
_SHOWN: Final = 12
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class GenesisSignature:
    """An agency's agreement to one genesis.

    Attributes:
        enrolment: hash of the agency's own enrolment in that genesis.
        signature: of its CA key, r || s with low s.
    """

    chain_name: str
    genesis_hash: bytes
    kind: str
    organisation: str
    enrolment: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a ceremony stands; every enrolment is in the genesis exactly, every signature holds.

    Attributes:
        signed, missing: the members who have signed this hash, and who have not; by organisation's number.
        other_release: places where the machine's part differs from what this release makes.
    """

    signed: tuple[Enrolment, ...]
    missing: tuple[Enrolment, ...]
    other_release: tuple[str, ...]

    @property
    def members(self) -> tuple[Enrolment, ...]:
        """Everybody, by organisation's number."""
        return arrange((*self.signed, *self.missing))

    @property
    def is_complete(self) -> bool:
        return not self.missing

    @property
    def signed_decide(self) -> bool:
        """Those who signed have more than two thirds of the voting power: the chain could run."""
        signed, missing = (sum(map(_power, group)) for group in (self.signed, self.missing))
        return signed * 3 > (signed + missing) * 2


@dataclass(frozen=True, slots=True)
class Record:
    """What is kept of a ceremony."""

    genesis_hash: bytes
    enrolments: tuple[Enrolment, ...]
    signatures: tuple[GenesisSignature, ...]


# ---- the genesis is right


def merge_again(genesis: Genesis, enrolments: Iterable[Enrolment]) -> Merged:
    """What these enrolments merge to under the genesis' own parameters."""
    return merge(
        enrolments,
        chain_name=genesis.chain_name,
        systems=genesis.systems,
        genesis_time_ns=genesis.genesis_time_ns,
    )


def compare(genesis: Genesis, enrolments: Iterable[Enrolment]) -> tuple[str, ...]:
    """Refuse a genesis that says other things than the enrolments; the answer is where its machine's part
    differs from this release's (nowhere, if both are of one release).

    Raises CeremonyError ceremony.genesis_differs, ceremony.goes_on and those of `merge`.
    """
    if genesis.goes_on:
        raise CeremonyError(
            "ceremony.goes_on",
            "this genesis goes on with another chain's ledger; its members signed the handover",
            genesis.initial_height,
            "shelian consortium graduate check",
        )
    expected = merge_again(genesis, enrolments).genesis
    got, wanted = (document_of(one) for one in (genesis, expected))
    said: list[str] = []
    machine: list[str] = []
    for key in sorted(got.keys() | wanted.keys()):
        places = differences(got.get(key), wanted.get(key), key)
        (machine if key in _OF_THE_RELEASE else said).extend(places)
    if said:
        raise CeremonyError(
            "ceremony.genesis_differs",
            "the genesis does not say what the members' enrolments say",
            said[:_SHOWN],
            "what merging these enrolments gives",
        )
    return tuple(machine[:_SHOWN])


def require_own(enrolments: Iterable[Enrolment], own: Enrolment) -> None:
    """Refuse a genesis in which the agency's newest enrolment does not stand.

    Raises CeremonyError ceremony.own_enrolment.
    """
    others = tuple(enrolments)
    if any(one.hash == own.hash for one in others):
        return
    same = [one.hash for one in others if one.content.name == own.content.name]
    raise CeremonyError(
        "ceremony.own_enrolment",
        f"another enrolment of {own.who} stands in it, an older one or one that is not yours"
        if same
        else f"{own.who} does not stand in it",
        same or None,
        own.hash,
    )


# ---- signatures


def sign_genesis(
    genesis: Genesis, enrolments: Sequence[Enrolment], own: Enrolment, ca: Sign
) -> GenesisSignature:
    """Agree to a genesis, after checking all of it.

    Raises CeremonyError ceremony.own_enrolment, ceremony.genesis_differs, ceremony.other_release.
    """
    require_own(enrolments, own)
    elsewhere = compare(genesis, enrolments)
    if elsewhere:
        raise CeremonyError(
            "ceremony.other_release",
            "contracts, rules or parameters are not those of this release; all members use one release",
            list(elsewhere),
        )
    content = own.content
    unsigned = GenesisSignature(
        genesis.chain_name, genesis.hash, content.kind, content.name, own.hash, signature=b""
    )
    return replace(unsigned, signature=ca(statement(CA_OF_GENESIS, _signed_bytes(unsigned))))


def verify_genesis_signature(
    signature: GenesisSignature, genesis_hash: bytes, enrolments: Iterable[Enrolment]
) -> Enrolment:
    """The member whose CA key signed this genesis.

    Raises CeremonyError ceremony.other_genesis, ceremony.unknown_signer, ceremony.signature.
    """
    who = f"{signature.organisation} ({signature.kind})"
    if signature.genesis_hash != genesis_hash:
        raise CeremonyError(
            "ceremony.other_genesis", f"{who} signed another genesis", signature.genesis_hash, genesis_hash
        )
    member = next((one for one in enrolments if one.hash == signature.enrolment), None)
    if member is None or (member.content.kind, member.content.name, member.content.chain_name) != (
        signature.kind,
        signature.organisation,
        signature.chain_name,
    ):
        raise CeremonyError(
            "ceremony.unknown_signer", f"{who} signed by an enrolment that is not here", signature.enrolment
        )
    message = statement(CA_OF_GENESIS, _signed_bytes(signature))
    try:
        verify_p256(member.content.certificate.public_key, message, signature.signature)
    except SignatureRefused as error:
        raise CeremonyError(
            "ceremony.signature",
            f"the signature of {who} does not hold: {error.message}",
            signature.signature,
        ) from None
    return member


def encode_signature(signature: GenesisSignature) -> bytes:
    """The file that an agency sends to the others."""
    return encode_canonical_json(_signature_json(signature))


def decode_signature(data: bytes) -> GenesisSignature:
    """A signature's form; whether it holds, `verify_genesis_signature` says."""
    top = read_file(data, "a signature of a genesis", SIGNATURE_FORMAT, MAX_SIGNATURE_BYTES)
    return top.done(
        GenesisSignature(
            chain_name=top.take("chain_name", fields.chain_name),
            genesis_hash=top.take("genesis_hash", fields.hex_bytes(32)),
            kind=top.take("kind", fields.one_of(tuple(ORGANISATION_KINDS))),
            organisation=top.take("organisation", fields.name),
            enrolment=top.take("enrolment", fields.hex_bytes(32)),
            signature=top.take("signature", fields.hex_bytes(64)),
        )
    )


# ---- the whole ceremony


def check_ceremony(
    genesis: Genesis, enrolments: Iterable[Enrolment], signatures: Iterable[GenesisSignature]
) -> Standing:
    """Everybody's enrolment is in the genesis exactly, every signature is of this genesis; who is missing?

    A genesis whose machine's part this release would not make is refused unless everybody signed it: each
    of them compared it with their own release then.

    Raises CeremonyError: those of `compare` and `verify_genesis_signature`, ceremony.other_release.
    """
    members = arrange(enrolments)
    elsewhere = compare(genesis, members)
    signers = {verify_genesis_signature(one, genesis.hash, members).hash for one in signatures}
    standing = Standing(
        signed=tuple(one for one in members if one.hash in signers),
        missing=tuple(one for one in members if one.hash not in signers),
        other_release=elsewhere,
    )
    if elsewhere and not standing.is_complete:
        raise CeremonyError(
            "ceremony.other_release",
            "contracts, rules or parameters are not those of this release, and not everybody signed them",
            list(elsewhere),
        )
    return standing


def check_record(genesis: Genesis, record: Record) -> Standing:
    """A record, years later. Raises CeremonyError: those of `require_record_of` and `check_ceremony`."""
    require_record_of(genesis, record)
    return check_ceremony(genesis, record.enrolments, record.signatures)


def require_record_of(genesis: Genesis, record: Record) -> None:
    """Refuse the record of another genesis. Raises CeremonyError ceremony.other_genesis."""
    if record.genesis_hash != genesis.hash:
        raise CeremonyError(
            "ceremony.other_genesis", "the record of another genesis", record.genesis_hash, genesis.hash
        )


def encode_record(record: Record) -> bytes:
    """The ceremony as one file; the same for the same set of enrolments and signatures."""
    members = arrange(record.enrolments)
    place = {one.hash: number for number, one in enumerate(members)}
    signatures = {one.enrolment: one for one in sorted(record.signatures, key=lambda one: one.signature)}
    return encode_canonical_json(
        {
            "format": RECORD_FORMAT,
            "genesis_hash": to_hex(record.genesis_hash),
            "enrolments": [enrolment_json(one) for one in members],
            "signatures": [
                _signature_json(one)
                for one in sorted(signatures.values(), key=lambda one: place.get(one.enrolment, len(place)))
            ],
        }
    )


def decode_record(data: bytes) -> Record:
    """Read a record; its enrolments are verified, its signatures are verified by `check_ceremony`."""
    top = read_file(data, "a ceremony's record", RECORD_FORMAT, MAX_RECORD_BYTES)
    record = Record(
        genesis_hash=top.take("genesis_hash", fields.hex_bytes(32)),
        enrolments=top.take("enrolments", fields.list_of(_embedded(decode_enrolment), 1, MAX_ORGANISATIONS)),
        signatures=top.take("signatures", fields.list_of(_embedded(decode_signature), 0, MAX_ORGANISATIONS)),
    )
    top.finish()
    if encode_record(record) != data:
        raise CeremonyError("ceremony.malformed", "a ceremony's record: entries are twice or out of order")
    return record


def _signature_json(signature: GenesisSignature) -> dict[str, object]:
    return {
        "format": SIGNATURE_FORMAT,
        "chain_name": signature.chain_name,
        "genesis_hash": to_hex(signature.genesis_hash),
        "kind": signature.kind,
        "organisation": signature.organisation,
        "enrolment": to_hex(signature.enrolment),
        "signature": to_hex(signature.signature),
    }


def _signed_bytes(signature: GenesisSignature) -> bytes:
    content = _signature_json(signature)
    del content["signature"]
    return encode_canonical_json(content)


def _power(one: Enrolment) -> int:
    return 0 if one.content.validator is None else one.content.validator.power


def document_of(genesis: Genesis) -> Mapping[str, object]:
    """What is hashed of a genesis, as Python data."""
    document = decode_strict_json(genesis.canonical, MAX_GENESIS_BYTES)
    assert isinstance(document, dict)  # noqa: S101 (for the type checker: a Genesis has such bytes)
    return document


def differences(got: object, wanted: object, path: str) -> list[str]:
    """The innermost places where two JSON values differ."""
    if got == wanted:
        return []
    if isinstance(got, dict) and isinstance(wanted, dict):
        keys = sorted(got.keys() | wanted.keys())
        return [
            place for key in keys for place in differences(got.get(key), wanted.get(key), f"{path}.{key}")
        ]
    if isinstance(got, list) and isinstance(wanted, list) and len(got) == len(wanted):
        return [
            place
            for index, (one, other) in enumerate(zip(got, wanted, strict=True))
            for place in differences(one, other, f"{path}[{index}]")
        ]
    return [path]


def _embedded(decode: Callable[[bytes], _T]) -> Callable[[object, str], _T]:
    """A file inside a file: read by its own decoder."""
    return lambda value, path: decode(encode_canonical_json(value))
