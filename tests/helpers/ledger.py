"""A small chain for tests: hand-made admission storage, a token, people with real keys, blocks with real
commits.

The contracts at the Consortium's and the IdentityRegistry's addresses are *slot writers* here: called with
pairs of 32-byte words they store the second at the slot of the first. So genesis calls can lay out the
storage that admission reads, and a test can revoke a credential or change the rules by an ordinary
transaction, without the Solidity contracts.

    chain = Chain.create(tmp_path)
    raw = chain.sign(chain.clerk, [transfer(chain.resident.address, 5)])
    finalized = chain.add_block([raw])
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from coincurve import PrivateKey
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey
from gmssl_pyx import sm2_sign  # type: ignore[import-untyped]
from nacl.signing import SigningKey

from node.chain.block import Block, block_id_of, data_hash, evidence_hash
from node.chain.commit import EMPTY_COMMIT, Commit, commit_hash, decode_commit, sign_precommit
from node.chain.encoding import keccak256
from node.chain.genesis import Genesis, build_genesis
from node.chain.header import NIL_BLOCK_ID, Header, consensus_hash, decode_header, header_hash
from node.chain.receipt import decode_receipt
from node.chain.rules import (
    COINBASE,
    CONSORTIUM,
    DOMAIN_SERVICE,
    DOMAIN_SHARING,
    DOMAIN_STAFF,
    FIRST_RULES,
    IDENTITY_REGISTRY,
    STATUS_ACTIVE,
    VALIDATOR_COUNT_SLOT,
    VALIDATORS_VERSION_SLOT,
    Credential,
    RelyingParty,
    Rules,
    callable_slot,
    credential_slots,
    deployer_slot,
    encode_credential,
    encode_relying_party,
    encode_rules,
    origin_slot,
    relying_party_slots,
    rules_slots,
    validator_key_slot,
    validator_power_slot,
)
from node.chain.signing import (
    ED25519,
    ES256,
    ML_DSA_65,
    P256_ORDER,
    SECP256K1,
    SM2,
    SM2_ORDER,
    WEBAUTHN_ES256,
    WebAuthnAssertion,
    client_data_prefix,
    imi_sender,
)
from node.chain.transaction import Call, ImiTransaction, build_ethereum, build_imi
from node.chain.validators import Validator, validator_address, validators_hash
from node.ledger import DecidedBlock, FinalizedBlock, Ledger
from tests.helpers import sm2_reference

SECOND_NS = 1_000_000_000
GENESIS_TIME = 1_800_000_000
"""Seconds; every block of a test chain is one second later than the one before."""

SLOT_WRITER_CODE = bytes.fromhex("5f5b368110600957005b8060200135813555604001600156")
TOKEN_CODE = bytes.fromhex(
    "608060405234801561000f575f5ffd5b5060043610610064575f3560e01c806370a082311161004d57806370a0823114610099578063a9059cbb146100b8578063b9554c59146100db575f5ffd5b806318160ddd1461006857806340c10f1914610084575b5f5ffd5b61007160015481565b6040519081526020015b60405180910390f35b6100976100923660046102a9565b6100e3565b005b6100716100a73660046102d1565b5f6020819052908152604090205481565b6100cb6100c63660046102a9565b610183565b604051901515815260200161007b565b610097610277565b8060015f8282546100f491906102f1565b909155505073ffffffffffffffffffffffffffffffffffffffff82165f908152602081905260408120805483929061012d9084906102f1565b909155505060405181815273ffffffffffffffffffffffffffffffffffffffff8316905f907fddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef9060200160405180910390a35050565b335f90815260208190526040812054828110156101da576040517fe8620800000000000000000000000000000000000000000000000000000000008152600481018290526024810184905260440160405180910390fd5b335f90815260208190526040808220858403905573ffffffffffffffffffffffffffffffffffffffff86168252812080548592906102199084906102f1565b909155505060405183815273ffffffffffffffffffffffffffffffffffffffff85169033907fddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef9060200160405180910390a360019150505b92915050565b5f5b600101610279565b803573ffffffffffffffffffffffffffffffffffffffff811681146102a4575f5ffd5b919050565b5f5f604083850312156102ba575f5ffd5b6102c383610281565b946020939093013593505050565b5f602082840312156102e1575f5ffd5b6102ea82610281565b9392505050565b80820180821115610271577f4e487b71000000000000000000000000000000000000000000000000000000005f52601160045260245ffd"
)
"""Runtime code (solc 0.8.37, Cancun) of: mint(address,uint256) by anybody, transfer(address,uint256) with
the error Insufficient(uint256 have, uint256 want), balanceOf(address), totalSupply(), burnGas() which
never ends; the event is ERC-20's Transfer.
"""

TOKEN = bytes.fromhex("0000000000000000000000000000000000007001")
OTHER_TOKEN = bytes.fromhex("0000000000000000000000000000000000007002")
"""The same contract, not callable by STAFF and SHARING."""

STAFF, SHARING, SERVICE = (bytes([number]) * 32 for number in (0x11, 0x22, 0x33))
"""Relying parties. STAFF and SHARING may call the registry, the consortium and TOKEN; SERVICE may call
anything.
"""

ORIGIN = b"http://localhost:8600"
RP_ID_HASH = hashlib.sha256(b"localhost").digest()


@dataclass(frozen=True)
class Person:
    """Somebody with a key; `scheme` 0 signs Ethereum transactions, the others 0x49."""

    scheme: int
    public_key: bytes
    address: bytes
    sign: Callable[[bytes], bytes]
    identity: bytes
    domain: int
    relying_party: bytes

    def credential(self, **changes: object) -> Credential:
        """An active credential without end."""
        plain = Credential(
            self.identity, self.domain, self.scheme, STATUS_ACTIVE, 0, 0, 0, self.relying_party
        )
        return replace(plain, **changes)  # type: ignore[arg-type]


def person(seed: str, scheme: int, domain: int = DOMAIN_STAFF, relying_party: bytes = STAFF) -> Person:
    """A person whose key follows from `seed`."""
    secret = hashlib.sha256(seed.encode()).digest()
    public_key, sign = _KEYS[scheme](secret)
    if scheme == SECP256K1:
        address = keccak256(PrivateKey(secret).public_key.format(compressed=False)[1:])[12:]
    else:
        address = imi_sender(scheme, public_key)
    identity = hashlib.sha256(b"identity" + secret).digest()[:16]
    return Person(scheme, public_key, address, sign, identity, domain, relying_party)


def webauthn_signature(
    secret: bytes,
    signing_hash: bytes,
    origin: bytes = ORIGIN,
    flags: int = 0x05,
    rp_id_hash: bytes = RP_ID_HASH,
) -> bytes:
    """An assertion as a browser makes it for the P-256 key of `secret`."""
    client_data = client_data_prefix(signing_hash) + origin + b'","crossOrigin":false}'
    authenticator_data = rp_id_hash + bytes([flags]) + bytes(4)
    signature = _sign_p256(secret, authenticator_data + hashlib.sha256(client_data).digest())
    return WebAuthnAssertion(authenticator_data, client_data, signature).encode()


def write_slots(pairs: Iterable[tuple[int, int]]) -> bytes:
    """Calldata for a slot writer."""
    return b"".join(slot.to_bytes(32, "big") + value.to_bytes(32, "big") for slot, value in pairs)


def transfer(to: bytes, value: int, token: bytes = TOKEN) -> Call:
    return Call(
        token, keccak256(b"transfer(address,uint256)")[:4] + bytes(12) + to + value.to_bytes(32, "big")
    )


def mint(to: bytes, value: int, token: bytes = TOKEN) -> Call:
    return Call(token, keccak256(b"mint(address,uint256)")[:4] + bytes(12) + to + value.to_bytes(32, "big"))


def balance_of(owner: bytes, token: bytes = TOKEN) -> Call:
    return Call(token, keccak256(b"balanceOf(address)")[:4] + bytes(12) + owner)


def set_credential(address: bytes, credential: Credential) -> Call:
    return Call(
        IDENTITY_REGISTRY,
        write_slots(zip(credential_slots(address), encode_credential(credential), strict=True)),
    )


def set_rules(rules: Rules) -> Call:
    return Call(CONSORTIUM, write_slots(zip(rules_slots(rules.version), encode_rules(rules), strict=True)))


def set_validators(version: int, validators: Sequence[Validator]) -> Call:
    pairs = [(VALIDATORS_VERSION_SLOT, version), (VALIDATOR_COUNT_SLOT, len(validators))]
    for index, validator in enumerate(validators):
        pairs.append((validator_key_slot(index), int.from_bytes(validator.public_key, "big")))
        pairs.append((validator_power_slot(validator.public_key), validator.power))
    return Call(CONSORTIUM, write_slots(pairs))


def set_relying_party(id: bytes, party: RelyingParty) -> Call:
    return Call(
        CONSORTIUM, write_slots(zip(relying_party_slots(id), encode_relying_party(party), strict=True))
    )


def relying_party(domain: int, *, any_contract: bool = False, **changes: object) -> RelyingParty:
    return replace(RelyingParty(RP_ID_HASH, 0, 0, 1, any_contract, False, domain), **changes)  # type: ignore[arg-type]


def make_genesis(
    people: Iterable[Person],
    *,
    purpose: str = "demo",
    rules: Rules = FIRST_RULES,
    validator: SigningKey | None = None,
    calls: Iterable[Call] = (),
) -> Genesis:
    """A genesis whose storage holds everybody's credential; `calls` run after all others."""
    key = validator or validator_key()
    registrars = [person(f"registrar {number}", ED25519) for number in (1, 2)]
    members = [*people, *registrars]
    everything = [
        set_rules(rules),
        set_validators(1, [Validator(bytes(key.verify_key), 10)]),
        set_relying_party(STAFF, relying_party(DOMAIN_STAFF)),
        set_relying_party(SHARING, relying_party(DOMAIN_SHARING)),
        set_relying_party(SERVICE, relying_party(DOMAIN_SERVICE, any_contract=True)),
        Call(CONSORTIUM, write_slots(_admission_pairs(members))),
        *(set_credential(member.address, member.credential()) for member in members),
        *calls,
    ]
    return build_genesis(
        {
            "format": "shelian-genesis/1",
            "chain_name": "shelian-test-00000000",
            "purpose": purpose,
            "genesis_time_ns": GENESIS_TIME * SECOND_NS,
            "initial_height": 1,
            "systems": ["correction", "sharing"],
            "organisations": [
                {
                    "id": 1, "kind": "court", "name": "示范法院", "encryption_key": "0x" + "09" * 32,
                    "ca_certificate": "",
                }
            ],
            "validators": [
                {"public_key": _hex(bytes(key.verify_key)), "power": 10, "organisation": 1, "name": "court"}
            ],
            "registrars": [
                {
                    "organisation": 1, "identity": _hex(registrar.identity), "scheme": registrar.scheme,
                    "public_key": _hex(registrar.public_key), "relying_party": _hex(STAFF),
                }
                for registrar in registrars
            ],
            "relying_parties": [
                {
                    "id": _hex(STAFF), "name": "staff", "rp_id": "localhost", "origins": [ORIGIN.decode()],
                    "organisation": 1, "contracts": [_hex(TOKEN)], "any_contract": False,
                    "localhost_any_port": False, "from_height": 0, "until_height": 0,
                }
            ],
            "rules": {
                name: list(value) if isinstance(value := getattr(rules, name), tuple) else value
                for name in Rules.__slots__
            },
            "consensus_params": {
                "block_max_bytes": 4 << 20, "block_max_gas": -1, "evidence_max_age_num_blocks": 100_000,
                "evidence_max_age_duration_ns": 172_800 * SECOND_NS, "evidence_max_bytes": 1 << 20,
            },
            "alloc": [
                {"address": _hex(address), "code": _hex(code), "nonce": 1}
                for address, code in (
                    (CONSORTIUM, SLOT_WRITER_CODE), (IDENTITY_REGISTRY, SLOT_WRITER_CODE),
                    (TOKEN, TOKEN_CODE), (OTHER_TOKEN, TOKEN_CODE), (COINBASE, b""),
                )
            ],
            "calls": [{"to": _hex(call.to), "data": _hex(call.data)} for call in everything],
        }
    )  # fmt: skip


def validator_key() -> SigningKey:
    return SigningKey(hashlib.sha256(b"validator").digest())


class Chain:
    """A ledger with people who may sign, and one validator who signs blocks."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.clerk = person("clerk", ED25519)
        self.judge = person("judge", ES256)
        self.officer = person("officer", WEBAUTHN_ES256)
        self.resident = person("resident", WEBAUTHN_ES256, DOMAIN_SHARING, SHARING)
        self.service = person("service", SECP256K1, DOMAIN_SERVICE, SERVICE)

    @staticmethod
    def people() -> list[Person]:
        chain = Chain.__new__(Chain)
        Chain.__init__(chain, None)  # type: ignore[arg-type]
        return [chain.clerk, chain.judge, chain.officer, chain.resident, chain.service]

    @classmethod
    def create(
        cls,
        path: Path,
        *,
        more_people: Iterable[Person] = (),
        on_step: Callable[[str], None] | None = None,
        calls: Iterable[Call] = (),
        purpose: str = "demo",
        rules: Rules = FIRST_RULES,
    ) -> Chain:
        """A new chain in `path`. The clerk owns a million tokens."""
        people = cls.people()
        more = list(more_people)
        genesis = make_genesis(
            [*people, *more], calls=[mint(people[0].address, 1_000_000), *calls], purpose=purpose, rules=rules
        )
        return cls(Ledger.create(path, genesis, on_step=on_step))

    @classmethod
    def open(cls, path: Path) -> Chain:
        return cls(Ledger.open(path))

    @property
    def path(self) -> Path:
        return self.ledger.path

    def close(self) -> None:
        self.ledger.close()

    @property
    def next_time_ns(self) -> int:
        """Of the block after the tip."""
        return self.ledger.tip.time_ns + SECOND_NS

    def nonce(self, who: Person) -> int:
        with self.ledger.snapshot() as snapshot:
            account = snapshot.state().account(who.address)
            return account.nonce if account else 0

    def sign(
        self,
        who: Person,
        calls: Sequence[Call],
        *,
        nonce: int | None = None,
        gas_limit: int = 1_000_000,
        valid_for: int = 600,
        chain_id: int | None = None,
    ) -> bytes:
        """A signed transaction: 0x49, or of type 2 with one call for a person of scheme 0."""
        nonce = self.nonce(who) if nonce is None else nonce
        chain_id = self.ledger.genesis.evm_chain_id if chain_id is None else chain_id
        if who.scheme == SECP256K1:
            (call,) = calls
            return sign_ethereum(
                who, chain_id=chain_id, nonce=nonce, gas_limit=gas_limit, to=call.to, data=call.data
            )
        unsigned = build_imi(
            chain_id=chain_id,
            nonce=nonce,
            valid_until=self.next_time_ns // SECOND_NS + valid_for,
            gas_limit=gas_limit,
            calls=calls,
            scheme=who.scheme,
            public_key=who.public_key,
        )
        return unsigned.with_signature(who.sign(unsigned.signing_hash)).raw

    def deploy(
        self, who: Person, initcode: bytes, *, nonce: int | None = None, gas_limit: int = 3_000_000
    ) -> bytes:
        """A signed contract creation by a person of scheme 0."""
        return sign_ethereum(
            who,
            chain_id=self.ledger.genesis.evm_chain_id,
            nonce=self.nonce(who) if nonce is None else nonce,
            gas_limit=gas_limit,
            to=None,
            data=initcode,
        )

    def decide(
        self, transactions: Sequence[bytes], time_ns: int | None = None
    ) -> tuple[DecidedBlock, Header, Commit, Commit]:
        """The block after the tip with these transactions, its header, its commit and the commit it
        carries.
        """
        ledger, tip, key = self.ledger, self.ledger.tip, validator_key()
        height, time = tip.height + 1, self.next_time_ns if time_ns is None else time_ns
        address = validator_address(bytes(key.verify_key))
        last_id, last_commit = NIL_BLOCK_ID, EMPTY_COMMIT
        with ledger.snapshot() as snapshot:
            seen = snapshot.commit(tip.height)
        if seen is not None:
            last_commit = decode_commit(seen)
            last_id = last_commit.block_id
        params = ledger.genesis.consensus_params
        header = Header(
            chain_name=ledger.genesis.chain_name,
            height=height,
            time_ns=time,
            last_block_id=last_id,
            last_commit_hash=commit_hash(last_commit),
            data_hash=data_hash(transactions),
            validators_hash=validators_hash([Validator(v.public_key, v.power) for v in tip.validators]),
            next_validators_hash=validators_hash(
                [Validator(v.public_key, v.power) for v in tip.next_validators]
            ),
            consensus_hash=consensus_hash(params.block_max_bytes, params.block_max_gas),
            app_hash=tip.app_hash,
            last_results_hash=tip.last_results_hash,
            evidence_hash=evidence_hash(()),
            proposer_address=address,
            app_version=tip.rules.version,
        )
        block_id = block_id_of(Block(header, tuple(transactions), last_commit))
        vote = sign_precommit(
            ledger.genesis.chain_name, height, 0, block_id, time, address, lambda m: key.sign(m).signature
        )
        decided = DecidedBlock(height, time, header_hash(header), address, tuple(transactions))
        return decided, header, Commit(height, 0, block_id, (vote,)), last_commit

    def add_block(self, transactions: Sequence[bytes] = (), time_ns: int | None = None) -> FinalizedBlock:
        """Decide, finalize and commit."""
        decided, header, commit, last_commit = self.decide(transactions, time_ns)
        finalized = self.ledger.finalize(decided)
        self.ledger.commit(finalized, header=header, commit=commit, last_commit=last_commit)
        return finalized

    def balance(self, owner: bytes, token: bytes = TOKEN) -> int:
        slot = int.from_bytes(keccak256(bytes(12) + owner + bytes(32)), "big")
        with self.ledger.snapshot() as snapshot:
            return snapshot.state().storage(token, slot)

    def stored_header(self, height: int) -> Header:
        with self.ledger.snapshot() as snapshot:
            encoded = snapshot.header(height)
        assert encoded is not None
        return decode_header(encoded)


def statuses(finalized: FinalizedBlock) -> list[int | None]:
    """The receipts' statuses; None where there is no receipt."""
    return [decode_receipt(r.encoded).status if r.encoded else None for r in finalized.receipts]


def sign_ethereum(who: Person, **fields: object) -> bytes:
    """A signed type 0, 1 or 2 transaction; fields as of `build_ethereum`."""
    unsigned = build_ethereum(**fields)  # type: ignore[arg-type]
    signature = who.sign(unsigned.signing_hash)
    r, s = (int.from_bytes(part, "big") for part in (signature[:32], signature[32:64]))
    return unsigned.with_signature(signature[64], r, s).raw


def resign(tx: ImiTransaction, who: Person, **changes: object) -> bytes:
    """The same transaction with other fields, signed anew."""
    names = ("chain_id", "nonce", "valid_until", "gas_limit", "calls", "scheme", "public_key")
    fields = {name: getattr(tx, name) for name in names} | changes
    unsigned = build_imi(**fields)
    return unsigned.with_signature(who.sign(unsigned.signing_hash)).raw


def _admission_pairs(members: Iterable[Person]) -> list[tuple[int, int]]:
    pairs = [
        (callable_slot(party, target), 1)
        for party in (STAFF, SHARING)
        for target in (CONSORTIUM, IDENTITY_REGISTRY, TOKEN)
    ]
    pairs += [(origin_slot(party, keccak256(ORIGIN)), 1) for party in (STAFF, SHARING, SERVICE)]
    pairs += [(deployer_slot(member.address), 1) for member in members if member.domain == DOMAIN_SERVICE]
    return pairs


def _ed25519_key(secret: bytes) -> tuple[bytes, Callable[[bytes], bytes]]:
    key = SigningKey(secret)
    return bytes(key.verify_key), lambda message: key.sign(message).signature


def _es256_key(secret: bytes) -> tuple[bytes, Callable[[bytes], bytes]]:
    return _p256_public(secret), lambda message: _sign_p256(secret, message)


def _webauthn_key(secret: bytes) -> tuple[bytes, Callable[[bytes], bytes]]:
    return _p256_public(secret), lambda signing_hash: webauthn_signature(secret, signing_hash)


def _secp256k1_key(secret: bytes) -> tuple[bytes, Callable[[bytes], bytes]]:
    key = PrivateKey(secret)
    return key.public_key.format(compressed=False)[1:], lambda digest: key.sign_recoverable(
        digest, hasher=None
    )


def _p256_private(secret: bytes) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(secret, "big") % (P256_ORDER - 1) + 1, ec.SECP256R1())


def _p256_public(secret: bytes) -> bytes:
    numbers = _p256_private(secret).public_key().public_numbers()
    return numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")


def _sign_p256(secret: bytes, message: bytes) -> bytes:
    der = _p256_private(secret).sign(message, ec.ECDSA(hashes.SHA256()))
    r, s = utils.decode_dss_signature(der)
    return r.to_bytes(32, "big") + min(s, P256_ORDER - s).to_bytes(32, "big")


def _sm2_key(secret: bytes) -> tuple[bytes, Callable[[bytes], bytes]]:
    scalar = int.from_bytes(secret, "big") % (SM2_ORDER - 2) + 1
    private, public = scalar.to_bytes(32, "big"), sm2_reference.public_key(scalar)

    def sign(signing_hash: bytes) -> bytes:
        r, s = utils.decode_dss_signature(sm2_sign(private, public, signing_hash))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    return public, sign


def _ml_dsa_key(secret: bytes) -> tuple[bytes, Callable[[bytes], bytes]]:
    key = MLDSA65PrivateKey.from_seed_bytes(secret)
    return key.public_key().public_bytes_raw(), key.sign


_KEYS = {
    SECP256K1: _secp256k1_key,
    WEBAUTHN_ES256: _webauthn_key,
    ED25519: _ed25519_key,
    ES256: _es256_key,
    SM2: _sm2_key,
    ML_DSA_65: _ml_dsa_key,
}


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
