"""What is signed in the ceremony, and how it is read out over the telephone.

A statement is `tag || 0x0a || sha256(content)`. The tag names the format and the role of the key, so that a
signature made for one purpose is worth nothing for another. And none of the three keys ever signs the same
bytes in two meanings: a validator's vote begins with its own length as a varint, a statement with the letter
`s` (0x73 = 115) and is shorter than 115 bytes; the challenge that a node key signs when a peer connects has
32 bytes, a statement has more; what a CA signs of a certificate begins with 0x30.

Registrars sign 32 bytes, as they do for transactions: the sha256 of their statement, which no keccak256 of a
transaction can be made to equal.
"""

from __future__ import annotations

from typing import Final

from node.chain.encoding import sha256

CA_OF_ENROLMENT: Final = "shelian-enrolment/1 ca"
VALIDATOR_OF_ENROLMENT: Final = "shelian-enrolment/1 validator"
NODE_OF_ENROLMENT: Final = "shelian-enrolment/1 node"
REGISTRAR: Final = "shelian-registrar/1"
CA_OF_GENESIS: Final = "shelian-genesis-signature/1 ca"
CA_OF_INVITATION: Final = "shelian-invitation/1 ca"

_DIGITS: Final = 40
_GROUP: Final = 5


def statement(tag: str, content: bytes) -> bytes:
    """The bytes that a key signs about `content`."""
    return tag.encode("ascii") + b"\n" + sha256(content)


def statement_hash(tag: str, content: bytes) -> bytes:
    """The 32 bytes that a registrar's key signs about `content`."""
    return sha256(statement(tag, content))


def spoken(hash: bytes) -> str:
    """A hash for the telephone: eight groups of five decimal digits, the last 40 digits of the hash as a
    number. Decimal, because figures are understood alike in every language; 40 digits are 132 bits, more
    than anybody can search for a second file with the same ones."""
    digits = f"{int.from_bytes(hash, 'big') % 10**_DIGITS:0{_DIGITS}d}"
    return " ".join(digits[start : start + _GROUP] for start in range(0, _DIGITS, _GROUP))
