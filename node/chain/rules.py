"""Rules by height, the storage slots that admission reads, the fixed addresses.

The rules of the chain are rows of a table in the Consortium contract, changed by vote. The node reads them,
the credentials of senders and the relying parties of credentials straight from storage: fixed addresses,
ERC-7201 namespaces, Solidity's packing (fields of a word fill it from the low-order end). Nothing here
raises: a row that makes no sense is no row.

A word is an int below 2^256, a slot likewise. docs/PROTOCOL.md has the layout with worked examples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from node.chain.encoding import keccak256
from node.chain.transaction import MAX_CALLS, MAX_TRANSACTION_BYTES, Address

CONSORTIUM: Final = bytes.fromhex("0000000000000000000000000000000000005101")
IDENTITY_REGISTRY: Final = bytes.fromhex("0000000000000000000000000000000000005102")
CORRECTION_CASES: Final = bytes.fromhex("0000000000000000000000000000000000005103")
CORRECTION_DOCUMENTS: Final = bytes.fromhex("0000000000000000000000000000000000005104")
LOVE_BANK: Final = bytes.fromhex("0000000000000000000000000000000000005105")
SHARING_ORDERS: Final = bytes.fromhex("0000000000000000000000000000000000005106")
ANCHORS: Final = bytes.fromhex("0000000000000000000000000000000000005107")
COINBASE: Final = bytes.fromhex("00000000000000000000000000000000000051ff")
SYSTEM: Final = bytes.fromhex("fffffffffffffffffffffffffffffffffffffffe")

DOMAIN_STAFF: Final = 1
DOMAIN_SHARING: Final = 2
DOMAIN_SERVICE: Final = 3

STATUS_ACTIVE: Final = 1
STATUS_SUSPENDED: Final = 2
STATUS_REVOKED: Final = 3

FORK_CANCUN: Final = 1
KNOWN_FORKS: Final = frozenset({FORK_CANCUN})

SCHEME_SLOTS: Final = 8
"""Schemes that a rules row can price: numbers 0 to 7."""

_RP_ANY_CONTRACT: Final = 1
_RP_LOCALHOST_ANY_PORT: Final = 2
_RP_EXISTS: Final = 4

_WORD: Final = 1 << 256
_MAX_GAS: Final = (1 << 63) - 1


# ---- rules


@dataclass(frozen=True, slots=True)
class Rules:
    """One row: the limits and prices from `activation_height` on; `max_validity` in seconds."""

    version: int
    activation_height: int
    block_gas: int
    transaction_gas: int
    correction_gas: int
    """Block space kept for senders of the staff domain: the others share block_gas - correction_gas."""
    identity_gas: int
    """The sum of the gas limits of one identity in one block."""
    max_transaction_bytes: int
    byte_gas: int
    base_gas: int
    max_calls: int
    max_validity: int
    fork: int
    scheme_gas: tuple[int, ...]
    """By scheme number, 8 entries; 0 turns a scheme off (scheme 0 is priced by Ethereum's rules)."""

    def scheme_enabled(self, scheme: int) -> bool:
        """Whether the rules allow transactions signed in this scheme."""
        return scheme == 0 or (0 < scheme < SCHEME_SLOTS and self.scheme_gas[scheme] > 0)

    def imi_intrinsic_gas(self, scheme: int, raw_length: int) -> int:
        """What a 0x49 transaction of `raw_length` bytes costs before its first call.

        A scheme without a price costs nothing here: it is refused for being off, not for its gas.
        """
        scheme_gas = self.scheme_gas[scheme] if scheme < SCHEME_SLOTS else 0
        return self.base_gas + scheme_gas + self.byte_gas * raw_length


FIRST_RULES: Final = Rules(
    version=1,
    activation_height=0,
    block_gas=40_000_000,
    transaction_gas=30_000_000,
    correction_gas=10_000_000,
    identity_gas=30_000_000,
    max_transaction_bytes=131_072,
    byte_gas=8,
    base_gas=21_000,
    max_calls=100,
    max_validity=86_400,
    fork=FORK_CANCUN,
    scheme_gas=(0, 8_000, 9_000, 7_000, 56_000, 17_000, 0, 0),
)
"""Version 1, unless a genesis says otherwise."""


def rules_are_sound(rules: Rules) -> bool:
    """Whether a chain can run under these rules."""
    return (
        1 <= rules.version < _WORD
        and (rules.activation_height == 0) == (rules.version == 1)
        and 0 <= rules.activation_height <= _MAX_GAS
        and 0 < rules.transaction_gas <= rules.block_gas <= _MAX_GAS
        and 0 <= rules.correction_gas < rules.block_gas
        and 0 < rules.identity_gas < 1 << 64
        and 0 < rules.max_transaction_bytes <= MAX_TRANSACTION_BYTES
        and 0 < rules.byte_gas < 1 << 32
        and 0 < rules.base_gas < 1 << 32
        and 0 < rules.max_calls <= MAX_CALLS
        and 0 < rules.max_validity < 1 << 32
        and rules.fork in KNOWN_FORKS
        and len(rules.scheme_gas) == SCHEME_SLOTS
        and all(0 <= gas < 1 << 32 for gas in rules.scheme_gas)
    )


def encode_rules(rules: Rules) -> tuple[int, int, int]:
    """The three words of a sound row, in the order of its slots."""
    return (
        _pack(
            (rules.activation_height, 64),
            (rules.block_gas, 64),
            (rules.transaction_gas, 64),
            (rules.correction_gas, 64),
        ),
        _pack(
            (rules.identity_gas, 64),
            (rules.max_transaction_bytes, 32),
            (rules.byte_gas, 32),
            (rules.base_gas, 32),
            (rules.max_calls, 16),
            (rules.max_validity, 32),
            (rules.fork, 8),
        ),
        _pack(*((gas, 32) for gas in rules.scheme_gas)),
    )


def decode_rules(version: int, word0: int, word1: int, word2: int) -> Rules | None:
    """The row of this version, or None if there is none or it is not sound."""
    activation_height, block_gas, transaction_gas, correction_gas = _unpack(word0, 64, 64, 64, 64)
    identity_gas, max_bytes, byte_gas, base_gas, max_calls, max_validity, fork = _unpack(
        word1, 64, 32, 32, 32, 16, 32, 8
    )
    rules = Rules(
        version,
        activation_height,
        block_gas,
        transaction_gas,
        correction_gas,
        identity_gas,
        max_bytes,
        byte_gas,
        base_gas,
        max_calls,
        max_validity,
        fork,
        tuple(_unpack(word2, *(32,) * SCHEME_SLOTS)),
    )
    if not rules_are_sound(rules) or word1 >> 216:
        return None
    return rules


def rules_at(height: int, current: Rules, read: Callable[[int], int]) -> Rules:
    """The rules in force at `height`, given those in force before and a reader of the Consortium's storage.

    Rows follow one another by version. A row that waits for its height holds back later ones; a row that is
    not sound is passed over; the first empty row ends the table.
    """
    version = current.version + 1
    while True:
        word0, word1, word2 = (read(slot) for slot in rules_slots(version))
        if not (word0 or word1 or word2):
            return current
        rules = decode_rules(version, word0, word1, word2)
        if rules is not None:
            if rules.activation_height > height:
                return current
            current = rules
        version += 1


# ---- credentials and relying parties


@dataclass(frozen=True, slots=True)
class Credential:
    """An entry of IdentityRegistry: whose it is (16 bytes), how it signs, from when to when, in seconds."""

    identity: bytes
    domain: int
    scheme: int
    status: int
    flags: int
    valid_from: int
    valid_until: int
    """0 = no end."""
    relying_party: bytes

    def in_time(self, now: int) -> bool:
        """valid_from <= now < valid_until, in seconds since the epoch."""
        return self.valid_from <= now and (self.valid_until == 0 or now < self.valid_until)


def encode_credential(credential: Credential) -> tuple[int, int]:
    return (
        _pack(
            (int.from_bytes(credential.identity, "big"), 128),
            (credential.domain, 8),
            (credential.scheme, 8),
            (credential.status, 8),
            (credential.flags, 8),
            (credential.valid_from, 48),
            (credential.valid_until, 48),
        ),
        int.from_bytes(credential.relying_party, "big"),
    )


def decode_credential(word0: int, word1: int) -> Credential | None:
    """The credential in these words, or None if its status is 0: never registered."""
    identity, domain, scheme, status, flags, valid_from, valid_until = _unpack(word0, 128, 8, 8, 8, 8, 48, 48)
    if status == 0:
        return None
    return Credential(
        identity.to_bytes(16, "big"),
        domain,
        scheme,
        status,
        flags,
        valid_from,
        valid_until,
        word1.to_bytes(32, "big"),
    )


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """A row of the Consortium: where people sign, and what they may call from there."""

    rp_id_hash: bytes
    from_height: int
    until_height: int
    """0 = no end."""
    organisation: int
    any_contract: bool
    localhost_any_port: bool
    domain: int

    def in_force(self, height: int) -> bool:
        """from_height <= height < until_height."""
        return self.from_height <= height and (self.until_height == 0 or height < self.until_height)


def encode_relying_party(party: RelyingParty) -> tuple[int, int]:
    flags = (
        _RP_EXISTS
        | (_RP_ANY_CONTRACT if party.any_contract else 0)
        | (_RP_LOCALHOST_ANY_PORT if party.localhost_any_port else 0)
    )
    return (
        int.from_bytes(party.rp_id_hash, "big"),
        _pack(
            (party.from_height, 64),
            (party.until_height, 64),
            (party.organisation, 16),
            (flags, 8),
            (party.domain, 8),
        ),
    )


def decode_relying_party(word0: int, word1: int) -> RelyingParty | None:
    """The relying party in these words, or None if its EXISTS flag is not set."""
    from_height, until_height, organisation, flags, domain = _unpack(word1, 64, 64, 16, 8, 8)
    if not flags & _RP_EXISTS:
        return None
    return RelyingParty(
        word0.to_bytes(32, "big"),
        from_height,
        until_height,
        organisation,
        bool(flags & _RP_ANY_CONTRACT),
        bool(flags & _RP_LOCALHOST_ANY_PORT),
        domain,
    )


def is_localhost_origin(origin: bytes) -> bool:
    """Exactly `http://localhost:PORT` with PORT 1 to 65535: what LOCALHOST_ANY_PORT allows."""
    prefix = b"http://localhost:"
    port = origin[len(prefix) :]
    return (
        origin.startswith(prefix)
        and 1 <= len(port) <= 5
        and all(0x30 <= digit <= 0x39 for digit in port)
        and port[0] != 0x30
        and int(port) <= 65_535
    )


# ---- slots


def erc7201_base(namespace: str) -> int:
    """keccak256(abi.encode(uint256(keccak256(namespace)) - 1)) & ~0xff."""
    inner = int.from_bytes(keccak256(namespace.encode()), "big") - 1
    return int.from_bytes(keccak256(inner.to_bytes(32, "big")), "big") & ~0xFF


CREDENTIALS_BASE: Final = erc7201_base("shelian.identity.credentials")
ADMISSION_BASE: Final = erc7201_base("shelian.consortium.admission")
VALIDATORS_VERSION_SLOT: Final = ADMISSION_BASE + 5
VALIDATOR_COUNT_SLOT: Final = ADMISSION_BASE + 6
PEERS_SLOT: Final = ADMISSION_BASE + 9
_VALIDATOR_KEYS_START: Final = int.from_bytes(keccak256(VALIDATOR_COUNT_SLOT.to_bytes(32, "big")), "big")


def credential_slots(address: Address) -> tuple[int, int]:
    """In IdentityRegistry: the two words of the credential of this account."""
    first = _mapping(_pad(address), CREDENTIALS_BASE)
    return first, (first + 1) % _WORD


def relying_party_slots(relying_party: bytes) -> tuple[int, int]:
    """In Consortium: the two words of the row with this 32-byte id."""
    first = _mapping(relying_party, ADMISSION_BASE)
    return first, (first + 1) % _WORD


def origin_slot(relying_party: bytes, origin_hash: bytes) -> int:
    """In Consortium: 1 if the relying party lists the origin with this keccak256."""
    return _mapping(origin_hash, _mapping(relying_party, ADMISSION_BASE + 1))


def callable_slot(relying_party: bytes, address: Address) -> int:
    """In Consortium: 1 if the relying party's people may call this contract."""
    return _mapping(_pad(address), _mapping(relying_party, ADMISSION_BASE + 2))


def deployer_slot(address: Address) -> int:
    """In Consortium: 1 if this account may create contracts."""
    return _mapping(_pad(address), ADMISSION_BASE + 3)


def rules_slots(version: int) -> tuple[int, int, int]:
    """In Consortium: the three words of the rules row of this version."""
    first = _mapping(version.to_bytes(32, "big"), ADMISSION_BASE + 4)
    return first, (first + 1) % _WORD, (first + 2) % _WORD


def validator_key_slot(index: int) -> int:
    """In Consortium: the Ed25519 key at this index (VALIDATOR_COUNT_SLOT holds how many)."""
    return (_VALIDATOR_KEYS_START + index) % _WORD


def validator_power_slot(public_key: bytes) -> int:
    """In Consortium: the voting power of this Ed25519 key."""
    return _mapping(public_key, ADMISSION_BASE + 7)


def validator_organisation_slot(public_key: bytes) -> int:
    """In Consortium: the number of the organisation whose machine signs with this Ed25519 key."""
    return _mapping(public_key, ADMISSION_BASE + 8)


def peer_slot(node_id: bytes) -> int:
    """In Consortium: the organisation as whose node this 20-byte id may connect now; 0 = it may not.

    Solidity pads a bytes20 at its end, unlike an address.
    """
    return _mapping(node_id + bytes(12), PEERS_SLOT)


def _mapping(key: bytes, base: int) -> int:
    return int.from_bytes(keccak256(key + base.to_bytes(32, "big")), "big")


def _pad(address: Address) -> bytes:
    return bytes(12) + address


def _pack(*fields: tuple[int, int]) -> int:
    word = shift = 0
    for value, width in fields:
        word |= value << shift
        shift += width
    return word


def _unpack(word: int, *widths: int) -> list[int]:
    values = []
    for width in widths:
        values.append(word & ((1 << width) - 1))
        word >>= width
    return values
