"""What a scale curve grows, and signing it in a process of its own, a chunk ahead of the sender.

Every kind is grown through JSON-RPC by ordinary transactions:

* *holders*: ERC-20 transfers to addresses nobody used, a holder a transaction, so slots of one contract and
  transactions grow together;
* *accounts*: contract creations whose init code creates empty contracts, 100 EVM accounts a transaction;
* *identities*: residents enrolled in IdentityRegistry by a registrar, each with a credential, 20 a
  transaction.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.cast import DEPLOYER, REGISTRARS_OF_RESIDENTS, SENDERS, SHARING_PARTY
from bench.client import LoadError
from bench.erc20 import Terms
from bench.sending import Sender
from contracts.bindings import identity_registry
from contracts.vocabulary import Domain, Role
from identity.keys import KeyPair
from node.chain.encoding import sha256

_SIZE_BYTES = 4
_ED25519 = 2
_CREATION_GAS = 60_000
_ACCOUNT_GAS = 33_000
_ENVELOPE_GAS = 60_000
_ENROLMENT_GAS = 250_000


@dataclass(frozen=True, slots=True)
class Kind:
    """What grows, and how.

    Attributes:
        name: as `--grow` takes it.
        zh, en: what people read.
        senders: who sends the transactions, in turn.
        each: how many a transaction adds.
        batch: transactions in one request.
        chunk: transactions that are signed, sent and waited for together.
    """

    name: str
    zh: str
    en: str
    senders: tuple[KeyPair, ...]
    each: int
    batch: int
    chunk: int


KINDS = {
    kind.name: kind
    for kind in (
        Kind("holders", "持有人", "token holders", SENDERS, 1, 100, 5_000),
        Kind("accounts", "EVM 账户", "EVM accounts", (DEPLOYER,), 100, 5, 50),
        Kind("identities", "实名身份", "identities", REGISTRARS_OF_RESIDENTS, 20, 5, 50),
    )
}


def chunks_of(kind: Kind, transactions: int) -> list[range]:
    """The numbers of the transactions, chunk by chunk."""
    return [
        range(first, min(first + kind.chunk, transactions)) for first in range(0, transactions, kind.chunk)
    ]


async def signed_chunks(
    kind: Kind, terms: Terms, nonces: Sequence[int], tag: str, transactions: int
) -> AsyncIterator[list[bytes]]:
    """`transactions` of this kind, raw, chunk by chunk, signed one chunk ahead; `tag` keeps runs apart.

    Raises LoadError when the signing process ends early.
    """
    if not transactions:
        return
    order = asdict(terms) | {"token": terms.token.hex()}
    order |= {"kind": kind.name, "nonces": list(nonces), "tag": tag, "transactions": transactions}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.growth", json.dumps(order),
        stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parent.parent, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None  # noqa: S101 - for the type checker
    try:
        for _ in chunks_of(kind, transactions):
            size = int.from_bytes(await process.stdout.readexactly(_SIZE_BYTES), "big")
            yield decode_chunk(await process.stdout.readexactly(size))
    except asyncio.IncompleteReadError:
        raise LoadError("the signing process ended; its errors are above") from None
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def encode_chunk(transactions: Sequence[bytes]) -> bytes:
    """Each with its length before it."""
    return b"".join(len(raw).to_bytes(_SIZE_BYTES, "big") + raw for raw in transactions)


def decode_chunk(chunk: bytes) -> list[bytes]:
    transactions, at = [], 0
    while at < len(chunk):
        start = at + _SIZE_BYTES
        at = start + int.from_bytes(chunk[at:start], "big")
        transactions.append(chunk[start:at])
    return transactions


class _Signing:
    """What the signing process does: the nonces go on from chunk to chunk."""

    def __init__(self, kind: Kind, terms: Terms, nonces: Sequence[int], tag: str) -> None:
        self._kind = kind
        self._terms = terms
        self._tag = tag
        self._senders = [
            Sender(key, terms.chain_id, nonce) for key, nonce in zip(kind.senders, nonces, strict=True)
        ]

    def sign(self, numbers: range) -> list[bytes]:
        if self._kind.name == "holders":
            return self._terms.sign_transfers(self._senders, self._tag, numbers)
        sign_one = self._sign_creation if self._kind.name == "accounts" else self._sign_enrolments
        return [sign_one(self._senders[i % len(self._senders)], i) for i in numbers]

    def _sign_creation(self, sender: Sender, _: int) -> bytes:
        gas = _CREATION_GAS + self._kind.each * _ACCOUNT_GAS
        code = creating_code(self._kind.each - 1)
        return sender.sign_type_2(None, code, gas, self._terms.tip, self._terms.fee)

    def _sign_enrolments(self, sender: Sender, number: int) -> bytes:
        calls = []
        for j in range(self._kind.each):
            name = f"{self._tag} {number} {j}"
            calls.append(
                identity_registry.enrol(
                    identity=sha256(f"identity {name}".encode())[:16],
                    domain=Domain.SHARING,
                    level=1,
                    roles=Role.RESIDENT,
                    scheme=_ED25519,
                    public_key=sha256(f"public key {name}".encode()),
                    relying_party=SHARING_PARTY,
                    valid_until=0,
                )
            )
        return sender.sign_calls(calls, _ENVELOPE_GAS + len(calls) * _ENROLMENT_GAS)


def creating_code(accounts: int) -> bytes:
    """Init code that creates this many empty contracts (nonce 1, no code) and leaves none of its own.

    PUSH2 accounts; loop: JUMPDEST; CREATE(0, 0, 0); POP; counter - 1; JUMPI loop; STOP.
    """
    loop = bytes.fromhex("5b 6000 6000 6000 f0 50 6001 90 03 80 6003 57 00")
    return b"\x61" + accounts.to_bytes(2, "big") + loop


def _sign_to_standard_output(order: dict[str, Any]) -> None:
    """Whole chunks, each with its size before it. The pipe holds the writer back when nobody reads."""
    terms = Terms(order["chain_id"], bytes.fromhex(order["token"]), order["tip"], order["fee"])
    kind = KINDS[order["kind"]]
    signing = _Signing(kind, terms, order["nonces"], order["tag"])
    for numbers in chunks_of(kind, order["transactions"]):
        chunk = encode_chunk(signing.sign(numbers))
        sys.stdout.buffer.write(len(chunk).to_bytes(_SIZE_BYTES, "big") + chunk)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    _sign_to_standard_output(json.loads(sys.argv[1]))
