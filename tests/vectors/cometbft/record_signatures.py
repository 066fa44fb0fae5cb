"""Records signatures.json: which odd Ed25519 signatures CometBFT takes for a vote.

    python tests/vectors/cometbft/record_signatures.py GO SOURCE > signatures.json

GO is the compiler, SOURCE the source tree of the CometBFT version; signatures.go.txt is built in a copy of
it. Keys and messages are fixed, so the file comes out the same each time.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from nacl import bindings

ORDER = (1 << 252) + 27742317777372353535851937790883648493
IDENTITY = b"\x01" + bytes(31)
ORDER_8 = bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")
OTHER_FORMS = [
    bytes.fromhex(text)
    for text in (
        "0100000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    )
]
"""Points of small order in forms that are not their shortest."""


def scalar(number: int) -> bytes:
    return (number % ORDER).to_bytes(32, "little")


def hashed(*parts: bytes) -> int:
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % ORDER


def times_base(number: int) -> bytes:
    return bindings.crypto_scalarmult_ed25519_base_noclamp(scalar(number))


def small_order() -> list[bytes]:
    points = [IDENTITY]
    for _ in range(7):
        points.append(bindings.crypto_core_ed25519_add(points[-1], ORDER_8))
    return points


def signed(
    secret: int, key_part: bytes, nonce_part: bytes, message: bytes, add: int = 0
) -> tuple[bytes, bytes]:
    """Key and signature; the parts of small order are added to the key and to R, `add` to s."""
    key = bindings.crypto_core_ed25519_add(times_base(secret), key_part)
    nonce = hashed(secret.to_bytes(32, "little"), message)
    r = bindings.crypto_core_ed25519_add(times_base(nonce), nonce_part)
    s = (nonce + hashed(r, key, message) * secret) % ORDER + add
    return key, r + s.to_bytes(32, "little")


def cases() -> list[tuple[bytes, bytes, bytes]]:
    """Key, message, signature."""
    found: list[tuple[bytes, bytes, bytes]] = []
    odd = small_order() + OTHER_FORMS
    found += [(key, b"both of small order", r + bytes(32)) for key in odd for r in odd]
    found += [(key, b"s is not zero", IDENTITY + scalar(5)) for key in odd]
    for number, key_part in enumerate(small_order()):
        for nonce_part in small_order():
            secret = hashed(b"synthetic validator", bytes((number,)))
            message = b"vote of a validator"
            key, signature = signed(secret, key_part, nonce_part, message)
            found.append((key, message, signature))
            found.append((key, b"another vote", signature))
    key, signature = signed(hashed(b"synthetic validator"), IDENTITY, IDENTITY, b"vote")
    found.append((key, b"vote", signature))
    for place in range(0, 512, 7):
        flipped = bytearray(signature)
        flipped[place >> 3] ^= 1 << (place & 7)
        found.append((key, b"vote", bytes(flipped)))
    for add in (ORDER, 2 * ORDER):
        large_key, large = signed(hashed(b"synthetic validator"), IDENTITY, IDENTITY, b"vote", add)
        found.append((large_key, b"vote", large))
    for form in odd:
        # A true key, R replaced; a true signature, the key replaced.
        found.append((key, b"vote", form + signature[32:]))
        found.append((form, b"vote", signature))
    for number in range(40):
        text = hashlib.sha512(bytes((number,))).digest()
        found.append((text[:32], b"no point, or one of unknown order", text[32:] + scalar(number)))
    return found


def main(go: str, source: str) -> None:
    lines = [" ".join(part.hex() for part in case) for case in cases()]
    with tempfile.TemporaryDirectory() as work:
        tree = Path(work) / "source"
        shutil.copytree(source, tree)
        subprocess.run(["chmod", "-R", "u+w", str(tree)], check=True)
        command = tree / "cmd" / "signatures"
        command.mkdir()
        shutil.copy(Path(__file__).with_name("signatures.go.txt"), command / "main.go")
        answered = subprocess.run(
            [go, "run", "./cmd/signatures"],
            cwd=tree,
            check=True,
            input="\n".join(lines) + "\n",
            capture_output=True,
            text=True,
            env={**os.environ, "GOFLAGS": "-mod=readonly"},
        ).stdout.split()
    assert len(answered) == len(lines)
    rows = [[*line.split(" "), answer == "true"] for line, answer in zip(lines, answered, strict=True)]
    sys.stdout.write("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
