"""SM2 as GB/T 32918.2 writes it, in affine coordinates: slow, not constant-time, for comparison only.

It also gives tests what the library does not: the public key of a secret, and a signature with a chosen `k`.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.hashes import SM3, Hash

P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
A = P - 3
B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
N = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
G = (
    0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
    0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0,
)
SIGNER_ID = b"1234567812345678"

Point = tuple[int, int] | None
"""None is the point at infinity."""


def sm3(data: bytes) -> bytes:
    digest = Hash(SM3())
    digest.update(data)
    return digest.finalize()


def add(first: Point, second: Point) -> Point:
    if first is None or second is None:
        return first or second
    (x1, y1), (x2, y2) = first, second
    if x1 == x2 and (y1 + y2) % P == 0:
        return None
    if first == second:
        slope = (3 * x1 * x1 + A) * pow(2 * y1, -1, P) % P
    else:
        slope = (y2 - y1) * pow(x2 - x1, -1, P) % P
    x = (slope * slope - x1 - x2) % P
    return x, (slope * (x1 - x) - y1) % P


def multiply(scalar: int, point: Point) -> Point:
    total: Point = None
    for bit in bin(scalar)[2:]:
        total = add(total, total)
        if bit == "1":
            total = add(total, point)
    return total


def public_key(secret: int) -> bytes:
    """x || y of secret * G."""
    point = multiply(secret, G)
    assert point is not None
    return _word(point[0]) + _word(point[1])


def z_value(key: bytes, signer_id: bytes = SIGNER_ID) -> bytes:
    """Z_A: the hash of who signs, on which curve, with which key (section 5.5)."""
    entl = (8 * len(signer_id)).to_bytes(2, "big")
    return sm3(entl + signer_id + _word(A) + _word(B) + _word(G[0]) + _word(G[1]) + key)


def message_digest(key: bytes, message: bytes) -> bytes:
    """e, what r is computed from (section 6.1, steps A1 and A2)."""
    return sm3(z_value(key) + message)


def sign(secret: int, message: bytes, k: int) -> bytes:
    """r || s with the given k (section 6.1)."""
    point = multiply(k, G)
    assert point is not None
    r = (int.from_bytes(message_digest(public_key(secret), message), "big") + point[0]) % N
    s = pow(1 + secret, -1, N) * (k - r * secret) % N
    assert 0 not in (r, s, (r + k) % N)
    return _word(r) + _word(s)


def verifies(key: bytes, message: bytes, signature: bytes) -> bool:
    """Section 7.1, with the checks of the key left out."""
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    t = (r + s) % N
    if not 0 < r < N or not 0 < s < N or t == 0:
        return False
    owner = int.from_bytes(key[:32], "big"), int.from_bytes(key[32:], "big")
    point = add(multiply(s, G), multiply(t, owner))
    e = int.from_bytes(message_digest(key, message), "big")
    return point is not None and (e + point[0]) % N == r


def _word(number: int) -> bytes:
    return number.to_bytes(32, "big")
