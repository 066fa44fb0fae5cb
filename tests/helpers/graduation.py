"""A one-machine production chain that goes on under a new genesis: everything that is signed for it.

    ended = end_chain(tmp_path / "ledger", documents=3)        # a chain whose last block is empty
    handover = ended.hand_over()                               # the new genesis and its certificate
    continue_ledger(ended.path, handover.genesis, handover.certificate)

Contracts are the slot writers of `tests.helpers.ledger`; its people sign before and after.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from nacl.signing import SigningKey

from node.chain.genesis import Genesis, build_genesis
from node.chain.handover_certificate import (
    AgencySignature,
    HandoverCertificate,
    HandoverStatement,
    ValidatorSignature,
    handover_sign_bytes,
)
from node.chain.light_block import LightBlock
from node.chain.schemes.ecdsa import P256_ORDER
from node.chain.transaction import Call
from node.chain.validators import Validator
from node.ledger.continuation import load_light_block
from node.ledger.export import export_state
from node.ledger.manifest import encode_manifest, manifest_hash
from tests.helpers.ledger import SECOND_NS, Chain, set_validators, transfer, validator_key
from tests.network.comet.model_comet import signing_key

NEW_NAME = "shelian-test-went-on"
SEEDS = ("one", "two", "three", "four")
"""Of the new chain's validators, with `signing_key`."""


def ca_key() -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(0x5EED, ec.SECP256R1())


@lru_cache(maxsize=1)
def ca_certificate() -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "示范法院 CA")])
    moment = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1)
    builder = builder.public_key(ca_key().public_key()).not_valid_before(moment)
    certificate = builder.not_valid_after(moment.replace(year=2046)).sign(ca_key(), hashes.SHA256())
    return certificate.public_bytes(Encoding.PEM).decode()


def new_validators(seeds: Iterable[str] = SEEDS) -> tuple[Validator, ...]:
    return tuple(Validator(bytes(signing_key(seed).verify_key), 10) for seed in seeds)


@dataclass(frozen=True)
class Handover:
    """A new genesis and what joins it to the old chain."""

    genesis: Genesis
    certificate: HandoverCertificate


@dataclass(frozen=True)
class EndedChain:
    """A stopped ledger at `path` whose last block is empty."""

    path: Path
    genesis: Genesis
    block: LightBlock
    root: bytes
    snapshot_hash: bytes

    @property
    def height(self) -> int:
        return self.block.header.height

    def new_genesis(self, **changes: object) -> Genesis:
        """With other fields of the document by `changes`."""
        return build_genesis(
            continuing_document(self.genesis, self.height, self.block.header.time_ns) | changes
        )

    def hand_over(
        self,
        genesis: Genesis | None = None,
        change: Callable[[HandoverStatement], HandoverStatement] = lambda statement: statement,
    ) -> Handover:
        """Signed by everybody; `change` makes another statement of the true one, rightly signed."""
        new = genesis or self.new_genesis()
        statement = change(
            HandoverStatement(
                self.genesis.hash, self.block, self.root, self.snapshot_hash, new.hash, new.initial_height
            )
        )
        return Handover(new, sign_handover(statement))


def continuing_document(old: Genesis, height: int, time_ns: int) -> dict[str, object]:
    """The document of a genesis that goes on after `height` with four validators."""
    document: dict[str, object] = json.loads(old.canonical)
    (organisation,) = json.loads(old.canonical)["organisations"]
    validators = new_validators()
    return document | {
        "chain_name": NEW_NAME,
        "genesis_time_ns": time_ns + 60 * SECOND_NS,
        "initial_height": height + 1,
        "organisations": [organisation | {"ca_certificate": ca_certificate()}],
        "validators": [
            {"public_key": "0x" + one.public_key.hex(), "power": one.power, "organisation": 1, "name": name}
            for one, name in zip(validators, SEEDS, strict=True)
        ],
        "registrars": [],
        "relying_parties": [],
        "alloc": [],
        "calls": [_call(set_validators(2, validators))],
    }


def _call(call: Call) -> Mapping[str, str]:
    return {"to": "0x" + call.to.hex(), "data": "0x" + call.data.hex()}


def sign_handover(
    statement: HandoverStatement, validator: SigningKey | None = None, organisation: int = 1
) -> HandoverCertificate:
    key = validator or validator_key()
    message = handover_sign_bytes(statement)
    r, s = decode_dss_signature(ca_key().sign(message, ec.ECDSA(hashes.SHA256())))
    numbers = ca_key().public_key().public_numbers()
    raw = r.to_bytes(32, "big") + min(s, P256_ORDER - s).to_bytes(32, "big")
    public = numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")
    return HandoverCertificate(
        statement,
        (ValidatorSignature(bytes(key.verify_key), key.sign(message).signature),),
        (AgencySignature(organisation, public, raw),),
    )


def end_chain(path: Path, transfers: int = 3, purpose: str = "production") -> EndedChain:
    """A chain with some transfers by the clerk, ended by an empty block."""
    chain = Chain.create(path, purpose=purpose)
    try:
        for value in range(1, transfers + 1):
            chain.add_block([chain.sign(chain.clerk, [transfer(chain.judge.address, value)])])
        chain.add_block()  # the proof block
        chain.add_block()
        return ended(chain)
    finally:
        chain.close()


def ended(chain: Chain) -> EndedChain:
    with chain.ledger.snapshot() as snapshot:
        genesis, tip = chain.ledger.genesis, snapshot.tip
        manifest = export_state(snapshot, genesis, lambda index, chunk: None)
        block = load_light_block(snapshot.reads, tip.height)
        return EndedChain(chain.path, genesis, block, tip.app_hash, manifest_hash(encode_manifest(manifest)))


def with_root(root: bytes) -> Callable[[HandoverStatement], HandoverStatement]:
    return lambda statement: replace(statement, state_root=root)
