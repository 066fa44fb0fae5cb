"""`python -m bench.signatures`: what verifying one signature costs, and the gas price that follows.

Each transaction has a key of its own, so nothing is found in the verifiers' caches of keys: the price has to
hold for the dearest case. What a node does for a signature is measured: form of key and signature, signing
hash, verification. Time is the processor time of this thread, the least of several rounds: what disturbs only
ever adds.

Gas = microseconds x 100, rounded up to a full thousand: 10 ns a unit, as for everything that is executed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass

from identity.keys import ED25519, ES256, ML_DSA_65, SM2, WEBAUTHN_P256, KeyAlgorithm, generate_key
from identity.signing import sign_imi
from node.chain.encoding import sha256
from node.chain.rules import FIRST_RULES
from node.chain.signing import SCHEMES, SigningContext, check_form, verify
from node.chain.transaction import Call, ImiTransaction, build_imi

ORIGIN = "http://localhost:8600"
RP_ID = "localhost"
CONTEXT = SigningContext(sha256(RP_ID.encode()), lambda origin: origin == ORIGIN.encode(), False)
ALGORITHMS = (WEBAUTHN_P256, ED25519, ES256, SM2, ML_DSA_65)
GAS_PER_MICROSECOND = 100
WARMING = 20
"""Signatures verified before the clock starts."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table; `microseconds` for one signature, `price` by the first rules."""

    scheme: int
    name: str
    key_bytes: int
    signature_bytes: int
    envelope_bytes: int
    microseconds: float
    gas: int
    price: int


def measure(algorithm: KeyAlgorithm, count: int, rounds: int) -> Figure:
    """Verify `count` signatures of as many keys, `rounds` times with new ones."""
    best = float("inf")
    for _ in range(rounds):
        signed = [_signed(algorithm) for _ in range(count + WARMING)]
        for tx in signed[:WARMING]:
            _verify(tx)
        begun = time.thread_time_ns()
        for tx in signed[WARMING:]:
            _verify(tx)
        best = min(best, (time.thread_time_ns() - begun) / 1_000 / count)
    tx = signed[0]
    scheme = SCHEMES[tx.scheme]
    return Figure(
        scheme.number,
        scheme.name,
        len(tx.public_key),
        len(tx.signature),
        len(tx.raw),
        round(best, 1),
        gas_of(best),
        FIRST_RULES.scheme_gas[scheme.number],
    )


def gas_of(microseconds: float) -> int:
    """The price of a scheme whose verification takes so long."""
    return -int(-microseconds * GAS_PER_MICROSECOND // 1_000) * 1_000


def _signed(algorithm: KeyAlgorithm) -> ImiTransaction:
    key = generate_key(algorithm)
    unsigned = build_imi(
        chain_id=1,
        nonce=0,
        valid_until=1,
        gas_limit=1_000_000,
        calls=[Call(bytes(20), bytes(100))],
        scheme=key.scheme,
        public_key=key.public_key,
    )
    return sign_imi(key, unsigned, origin=ORIGIN, rp_id=RP_ID)


def _verify(tx: ImiTransaction) -> None:
    check_form(tx)
    verify(tx, CONTEXT)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.signatures", description="the cost of signatures")
    parser.add_argument("--count", type=int, default=300, help="signatures in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="figures as JSON")
    options = parser.parse_args(arguments)
    figures = [measure(algorithm, options.count, options.rounds) for algorithm in ALGORITHMS]
    if options.json:
        print(json.dumps([asdict(figure) for figure in figures], indent=1))
        return 0
    print(f"{'scheme':<18}{'key':>7}{'signature':>11}{'envelope':>10}{'verify':>10}{'gas':>9}{'price':>9}")
    for one in figures:
        print(
            f"{one.scheme} {one.name:<16}{one.key_bytes:>7}{one.signature_bytes:>11}{one.envelope_bytes:>10}"
            f"{one.microseconds:>7} µs{one.gas:>9,}{one.price:>9,}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
