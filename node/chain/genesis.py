"""The genesis file: parse, check, hash, EVM chain id.

Genesis is one JSON object. What is hashed is its canonical form (sorted keys, no spaces, UTF-8) without the
key `evm_chain_id`; the EVM chain id derives from that hash, so no two chains share one. `evm_chain_id` may
stand in the file and is then checked. Every value is checked for kind and range, and no unknown key is
accepted.

A genesis whose `initial_height` is above 1 *goes on* with the ledger of another chain, joined to it by a
handover certificate (`node.chain.handover`). Its state is the one that the other chain ended with: `alloc` is
empty, `calls` run at the start of its first block, `rules` are those in force there, and `registrars` and
`relying_parties` need not name who stands in that state already.

Raises GenesisError: genesis.malformed (not JSON), genesis.missing, genesis.unknown_key, genesis.bad_value,
genesis.chain_id.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NoReturn, TypeVar

from node.chain.encoding import decode_strict_json, encode_canonical_json, sha256
from node.chain.errors import DecodeError, GenesisError, SignatureRefused
from node.chain.rules import SCHEME_SLOTS, Rules, rules_are_sound
from node.chain.signing import check_public_key

FORMAT: Final = "shelian-genesis/1"
MAX_GENESIS_BYTES: Final = 16 << 20
PURPOSES: Final = ("demo", "production")
SYSTEMS: Final = ("correction", "sharing")
ORGANISATION_KINDS: Final = {
    "police": 1,
    "procuratorate": 2,
    "court": 3,
    "justice": 4,
    "community": 5,
    "auditor": 6,
    "data_bureau": 7,
}
"""Kind of an organisation to its number in the contracts."""
MIN_REGISTRARS: Final = 2

_MAX_POWER: Final = (1 << 63) // 8
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Organisation:
    id: int
    kind: str
    name: str
    encryption_key: bytes
    """X25519, 32 bytes."""
    ca_certificate: str
    """PEM, or empty."""


@dataclass(frozen=True, slots=True)
class GenesisValidator:
    public_key: bytes
    power: int
    organisation: int
    name: str


@dataclass(frozen=True, slots=True)
class Registrar:
    organisation: int
    identity: bytes
    scheme: int
    public_key: bytes
    relying_party: bytes


@dataclass(frozen=True, slots=True)
class GenesisRelyingParty:
    id: bytes
    name: str
    rp_id: str
    origins: tuple[str, ...]
    organisation: int
    contracts: tuple[bytes, ...]
    any_contract: bool
    localhost_any_port: bool
    from_height: int
    until_height: int


@dataclass(frozen=True, slots=True)
class ConsensusParams:
    """CometBFT's parameters of these names; -1 = no limit. The consensus hash covers the block's two."""

    block_max_bytes: int
    block_max_gas: int
    evidence_max_age_num_blocks: int
    evidence_max_age_duration_ns: int
    evidence_max_bytes: int


@dataclass(frozen=True, slots=True)
class GenesisAccount:
    """An account that stands before the genesis calls run."""

    address: bytes
    code: bytes
    nonce: int


@dataclass(frozen=True, slots=True)
class GenesisCall:
    """A call from SYSTEM that makes part of the genesis state."""

    to: bytes
    data: bytes


@dataclass(frozen=True, slots=True)
class Genesis:
    """A checked genesis file; the last three fields are derived from it."""

    chain_name: str
    purpose: str
    genesis_time_ns: int
    initial_height: int
    systems: tuple[str, ...]
    organisations: tuple[Organisation, ...]
    validators: tuple[GenesisValidator, ...]
    registrars: tuple[Registrar, ...]
    relying_parties: tuple[GenesisRelyingParty, ...]
    rules: Rules
    consensus_params: ConsensusParams
    alloc: tuple[GenesisAccount, ...]
    calls: tuple[GenesisCall, ...]
    canonical: bytes
    """The bytes that are hashed."""
    hash: bytes
    evm_chain_id: int

    @property
    def is_demo(self) -> bool:
        return self.purpose == "demo"

    @property
    def goes_on(self) -> bool:
        """With the ledger of a chain before it."""
        return self.initial_height > 1


def genesis_hash(canonical: bytes) -> bytes:
    """sha256 of the canonical bytes without `evm_chain_id`."""
    return sha256(canonical)


def evm_chain_id_of(hash: bytes) -> int:
    """1 + the first 8 bytes of the genesis hash shifted right by 13: between 1 and 2^51."""
    return 1 + (int.from_bytes(hash[:8], "big") >> 13)


def decode_genesis(data: bytes) -> Genesis:
    """Parse and check a genesis file, in any JSON layout. Raises GenesisError."""
    try:
        document = decode_strict_json(data, MAX_GENESIS_BYTES)
    except DecodeError as error:
        raise GenesisError("genesis.malformed", error.message, error.got, error.expected) from None
    return build_genesis(document)


def build_genesis(document: object) -> Genesis:
    """Check a genesis that is Python data already. Raises GenesisError."""
    top = _Object(document, "genesis")
    claimed_chain_id = top.optional("evm_chain_id", _integer(1, 1 << 52))
    format = top.take("format", _text)
    if format != FORMAT:
        _refuse("format", "the file is of another format", format, FORMAT)
    chain_name = top.take("chain_name", _text)
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,49}", chain_name):
        _refuse("chain_name", "1 to 50 lower-case letters, digits and hyphens", chain_name)
    purpose = top.take("purpose", _one_of(PURPOSES))
    genesis_time_ns = top.take("genesis_time_ns", _integer(0, 1 << 63))
    initial_height = top.take("initial_height", _integer(1, 1 << 62))
    systems = top.take("systems", _list(_one_of(SYSTEMS)))
    _require_unique("systems", systems)
    organisations = top.take("organisations", _list(_organisation))
    validators = top.take("validators", _list(_validator))
    registrars = top.take("registrars", _list(_registrar))
    relying_parties = top.take("relying_parties", _list(_relying_party))
    rules = top.take("rules", _rules(initial_height))
    consensus_params = top.take("consensus_params", _consensus_params)
    alloc = top.take("alloc", _list(_account))
    calls = top.take("calls", _list(_call))
    top.finish()
    _check_references(
        purpose, initial_height, systems, organisations, validators, registrars, relying_parties
    )
    if initial_height > 1 and alloc:
        _refuse("alloc", "a chain that goes on has its accounts already", len(alloc), 0)
    _require_unique("alloc", tuple(account.address for account in alloc))
    canonical = encode_canonical_json(
        {key: value for key, value in top.items.items() if key != "evm_chain_id"}
    )
    hash = genesis_hash(canonical)
    evm_chain_id = evm_chain_id_of(hash)
    if claimed_chain_id is not None and claimed_chain_id != evm_chain_id:
        raise GenesisError(
            "genesis.chain_id", "evm_chain_id does not follow from the file", claimed_chain_id, evm_chain_id
        )
    return Genesis(
        chain_name,
        purpose,
        genesis_time_ns,
        initial_height,
        systems,
        organisations,
        validators,
        registrars,
        relying_parties,
        rules,
        consensus_params,
        alloc,
        calls,
        canonical,
        hash,
        evm_chain_id,
    )


def encode_genesis(genesis: Genesis) -> bytes:
    """The file to hand around: canonical, with `evm_chain_id` in it."""
    document = decode_strict_json(genesis.canonical, MAX_GENESIS_BYTES)
    assert isinstance(document, dict)  # noqa: S101 (for the type checker: build_genesis made it)
    return encode_canonical_json({**document, "evm_chain_id": genesis.evm_chain_id})


def _check_references(
    purpose: str,
    initial_height: int,
    systems: tuple[str, ...],
    organisations: tuple[Organisation, ...],
    validators: tuple[GenesisValidator, ...],
    registrars: tuple[Registrar, ...],
    relying_parties: tuple[GenesisRelyingParty, ...],
) -> None:
    if not systems:
        _refuse("systems", "at least one system", [], list(SYSTEMS))
    if not validators:
        _refuse("validators", "at least one validator")
    _require_unique("organisations", tuple(organisation.id for organisation in organisations))
    _require_unique("validators", tuple(validator.public_key for validator in validators))
    _require_unique("relying_parties", tuple(party.id for party in relying_parties))
    _require_unique("registrars", tuple(registrar.public_key for registrar in registrars))
    _require_unique("registrars", tuple(registrar.identity for registrar in registrars))
    total = sum(validator.power for validator in validators)
    if total > _MAX_POWER:
        _refuse("validators", "the sum of powers is too large", total, _MAX_POWER)
    known = {organisation.id for organisation in organisations}
    for path, ids in (
        ("validators", [validator.organisation for validator in validators]),
        ("registrars", [registrar.organisation for registrar in registrars]),
        ("relying_parties", [party.organisation for party in relying_parties]),
    ):
        for id in ids:
            if id not in known:
                _refuse(path, "names an organisation that is not there", id, sorted(known))
    parties = {party.id for party in relying_parties}
    for registrar in registrars:
        if registrar.relying_party not in parties:
            _refuse("registrars", "names a relying party that is not there", registrar.relying_party)
    registrars_of = Counter(registrar.organisation for registrar in registrars)
    for organisation in organisations:
        count = registrars_of[organisation.id]
        if count < MIN_REGISTRARS and (count or initial_height == 1):
            _refuse(
                f"registrars of organisation {organisation.id}", "too few registrars", count, MIN_REGISTRARS
            )
    if purpose != "demo" and any(party.localhost_any_port for party in relying_parties):
        _refuse("relying_parties", "localhost_any_port is for demos only", purpose, "demo")


# ---- the parts


def _organisation(value: object, path: str) -> Organisation:
    entry = _Object(value, path)
    return entry.done(
        Organisation(
            entry.take("id", _integer(1, 1 << 15)),
            entry.take("kind", _one_of(tuple(ORGANISATION_KINDS))),
            entry.take("name", _text),
            entry.take("encryption_key", _bytes(32)),
            entry.take("ca_certificate", _text),
        )
    )


def _validator(value: object, path: str) -> GenesisValidator:
    entry = _Object(value, path)
    validator = GenesisValidator(
        entry.take("public_key", _bytes(32)),
        entry.take("power", _integer(1, _MAX_POWER)),
        entry.take("organisation", _integer(1, 1 << 15)),
        entry.take("name", _text),
    )
    _require_key(2, validator.public_key, path)
    return entry.done(validator)


def _registrar(value: object, path: str) -> Registrar:
    entry = _Object(value, path)
    registrar = Registrar(
        entry.take("organisation", _integer(1, 1 << 15)),
        entry.take("identity", _bytes(16)),
        entry.take("scheme", _integer(1, SCHEME_SLOTS)),
        entry.take("public_key", _bytes()),
        entry.take("relying_party", _bytes(32)),
    )
    _require_key(registrar.scheme, registrar.public_key, path)
    return entry.done(registrar)


def _relying_party(value: object, path: str) -> GenesisRelyingParty:
    entry = _Object(value, path)
    return entry.done(
        GenesisRelyingParty(
            entry.take("id", _bytes(32)),
            entry.take("name", _text),
            entry.take("rp_id", _text),
            entry.take("origins", _list(_text)),
            entry.take("organisation", _integer(1, 1 << 15)),
            entry.take("contracts", _list(_bytes(20))),
            entry.take("any_contract", _boolean),
            entry.take("localhost_any_port", _boolean),
            entry.take("from_height", _integer(0, 1 << 63)),
            entry.take("until_height", _integer(0, 1 << 63)),
        )
    )


def _rules(initial_height: int) -> Callable[[object, str], Rules]:
    """The first row of the table; of a chain that goes on, the one in force at its first height."""
    versions = 2 if initial_height == 1 else 1 << 64
    return lambda value, path: _rules_row(value, path, versions, initial_height)


def _rules_row(value: object, path: str, versions: int, initial_height: int) -> Rules:
    entry = _Object(value, path)
    word = _integer(0, 1 << 64)
    rules = Rules(
        version=entry.take("version", _integer(1, versions)),
        activation_height=entry.take(
            "activation_height", _integer(0, 1 if initial_height == 1 else initial_height + 1)
        ),
        block_gas=entry.take("block_gas", word),
        transaction_gas=entry.take("transaction_gas", word),
        correction_gas=entry.take("correction_gas", word),
        identity_gas=entry.take("identity_gas", word),
        max_transaction_bytes=entry.take("max_transaction_bytes", word),
        byte_gas=entry.take("byte_gas", word),
        base_gas=entry.take("base_gas", word),
        max_calls=entry.take("max_calls", word),
        max_validity=entry.take("max_validity", word),
        fork=entry.take("fork", word),
        scheme_gas=entry.take("scheme_gas", _list(word)),
    )
    if not rules_are_sound(rules):
        _refuse(path, "a chain cannot run under these rules")
    return entry.done(rules)


def _consensus_params(value: object, path: str) -> ConsensusParams:
    entry = _Object(value, path)
    return entry.done(
        ConsensusParams(
            entry.take("block_max_bytes", _integer(1, 104_857_601)),
            entry.take("block_max_gas", _integer(-1, 1 << 63)),
            entry.take("evidence_max_age_num_blocks", _integer(1, 1 << 63)),
            entry.take("evidence_max_age_duration_ns", _integer(1, 1 << 63)),
            entry.take("evidence_max_bytes", _integer(0, 104_857_601)),
        )
    )


def _account(value: object, path: str) -> GenesisAccount:
    entry = _Object(value, path)
    return entry.done(
        GenesisAccount(
            entry.take("address", _bytes(20)),
            entry.take("code", _bytes()),
            entry.take("nonce", _integer(0, 1 << 63)),
        )
    )


def _call(value: object, path: str) -> GenesisCall:
    entry = _Object(value, path)
    return entry.done(GenesisCall(entry.take("to", _bytes(20)), entry.take("data", _bytes())))


# ---- reading values


class _Object:
    """A JSON object whose keys are taken one by one; a key that nobody takes is an error."""

    def __init__(self, value: object, path: str) -> None:
        if not isinstance(value, dict):
            _refuse(path, "must be an object", type(value).__name__, "object")
        self.items: Mapping[str, object] = value
        self.path = path
        self.taken: set[str] = set()

    def take(self, key: str, read: Callable[[object, str], _T]) -> _T:
        if key not in self.items:
            raise GenesisError("genesis.missing", f"{self.path}.{key} is missing")
        self.taken.add(key)
        return read(self.items[key], f"{self.path}.{key}")

    def optional(self, key: str, read: Callable[[object, str], _T]) -> _T | None:
        return self.take(key, read) if key in self.items else None

    def finish(self) -> None:
        unknown = sorted(str(key) for key in self.items if key not in self.taken)
        if unknown:
            raise GenesisError("genesis.unknown_key", f"{self.path} has unknown keys", unknown)

    def done(self, result: _T) -> _T:
        self.finish()
        return result


def _refuse(path: str, message: str, got: object = None, expected: object = None) -> NoReturn:
    raise GenesisError("genesis.bad_value", f"{path}: {message}", got, expected)


def _text(value: object, path: str) -> str:
    if not isinstance(value, str):
        _refuse(path, "must be a string", type(value).__name__, "string")
    try:
        value.encode()
    except UnicodeEncodeError:
        _refuse(path, "must be valid Unicode")
    return value


def _boolean(value: object, path: str) -> bool:
    if not isinstance(value, bool):
        _refuse(path, "must be true or false", type(value).__name__, "boolean")
    return value


def _integer(low: int, bound: int) -> Callable[[object, str], int]:
    def read(value: object, path: str) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            _refuse(path, "must be a whole number", type(value).__name__, "integer")
        if not low <= value < bound:
            _refuse(path, "is out of range", value, f"{low} to {bound - 1}")
        return value

    return read


def _one_of(allowed: tuple[str, ...]) -> Callable[[object, str], str]:
    def read(value: object, path: str) -> str:
        text = _text(value, path)
        if text not in allowed:
            _refuse(path, "is not one of the known words", text, list(allowed))
        return text

    return read


def _bytes(length: int | None = None) -> Callable[[object, str], bytes]:
    def read(value: object, path: str) -> bytes:
        text = _text(value, path)
        # One character class: a repeated group would take 75 bytes of memory for each digit.
        if len(text) & 1 or not re.fullmatch(r"0x[0-9a-f]*", text):
            _refuse(path, "must be lower-case 0x hex")
        data = bytes.fromhex(text[2:])
        if length is not None and len(data) != length:
            _refuse(path, "has the wrong length", len(data), length)
        return data

    return read


def _list(read_item: Callable[[object, str], _T]) -> Callable[[object, str], tuple[_T, ...]]:
    def read(value: object, path: str) -> tuple[_T, ...]:
        if not isinstance(value, list | tuple):
            _refuse(path, "must be a list", type(value).__name__, "list")
        return tuple(read_item(item, f"{path}[{index}]") for index, item in enumerate(value))

    return read


def _require_unique(path: str, values: tuple[object, ...]) -> None:
    if len(set(values)) != len(values):
        _refuse(path, "the same entry stands twice")


def _require_key(scheme: int, public_key: bytes, path: str) -> None:
    try:
        check_public_key(scheme, public_key)
    except SignatureRefused as error:
        _refuse(f"{path}.public_key", error.message, error.got, error.expected)
