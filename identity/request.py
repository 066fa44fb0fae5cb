"""The signing request of an app, as programs read it (docs/SIGNING.md). The signing page checks the same in
JavaScript.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from identity.authenticator import base64url, decode_base64url
from identity.errors import AuthenticatorError, SigningRefused
from identity.http import origin_of
from node.chain.encoding import decode_strict_json, encode_canonical_json
from node.chain.errors import DecodeError, SignatureRefused
from node.chain.signing import check_public_key
from node.chain.transaction import Call, ImiTransaction, UnsignedImi, build_imi

MAX_CALLS = 100
MAX_CALL_BYTES = 32_768
MAX_REQUEST_BYTES = 300_000
MAX_GAS = 30_000_000
MAX_VALIDITY = 86_400
"""Seconds."""

_FIELDS = (
    "v",
    "chain_id",
    "nonce",
    "valid_until",
    "gas_limit",
    "calls",
    "scheme",
    "public_key",
    "credential_id",
    "signer",
    "return_to",
    "state",
)
_HEX = re.compile(r"0x(?:[0-9a-f]{2})*")


@dataclass(frozen=True, slots=True)
class SigningRequest:
    """A checked request: the transaction to sign, and where the answer goes."""

    unsigned: UnsignedImi
    credential_id: bytes
    signer: str
    """What the asking app calls the signer; shown, never relied on."""
    return_to: str
    state: str

    @property
    def return_origin(self) -> str:
        return origin_of(self.return_to)


def check_request(data: object, *, chain_id: int, now: int) -> SigningRequest:
    """A request from parsed JSON. `now` in seconds since the epoch.

    Raises SigningRefused `sign.request_fields`, `sign.request_version`, `sign.other_chain`,
    `sign.request_number`, `sign.expired`, `sign.valid_too_long`, `sign.request_key`, `sign.call_count`,
    `sign.request_call`, `sign.duplicate_call`, `sign.request_text`.
    """
    if not isinstance(data, dict) or sorted(data) != sorted(_FIELDS):
        got = sorted(data) if isinstance(data, dict) else type(data).__name__
        raise SigningRefused(
            "sign.request_fields", "fields are missing or too many", got=got, expected=_FIELDS
        )
    if type(data["v"]) is not int or data["v"] != 1:  # true equals 1, and is none
        raise SigningRefused("sign.request_version", "an unknown request version", got=data["v"], expected=1)
    if data["chain_id"] != chain_id:
        raise SigningRefused("sign.other_chain", "another chain", got=data["chain_id"], expected=chain_id)
    nonce = _number(data, "nonce", 0, (1 << 53) - 1)
    gas_limit = _number(data, "gas_limit", 21_000, MAX_GAS)
    valid_until = _number(data, "valid_until", 0, (1 << 53) - 1)
    if valid_until <= now:
        raise SigningRefused(
            "sign.expired", "the request has expired", got=valid_until, expected=f"after {now}"
        )
    if valid_until > now + MAX_VALIDITY:
        raise SigningRefused(
            "sign.valid_too_long", "valid for too long", got=valid_until - now, expected=MAX_VALIDITY
        )
    scheme = _number(data, "scheme", 1, 255)
    try:
        public_key = _bytes(data["public_key"])
        check_public_key(scheme, public_key)
        credential_id = decode_base64url(_text(data, "credential_id", 1366))
    except (ValueError, SignatureRefused, AuthenticatorError) as error:
        raise SigningRefused("sign.request_key", "not a usable key", got=str(error)) from None
    return SigningRequest(
        unsigned=build_imi(
            chain_id=chain_id,
            nonce=nonce,
            valid_until=valid_until,
            gas_limit=gas_limit,
            calls=_calls(data["calls"]),
            scheme=scheme,
            public_key=public_key,
        ),
        credential_id=credential_id,
        signer=_text(data, "signer", 80),
        return_to=_text(data, "return_to", 2048),
        state=_text(data, "state", 512),
    )


def encode_fragment(data: Mapping[str, Any]) -> str:
    """What stands behind the `#` of a page's address: base64url of compact JSON."""
    return base64url(encode_canonical_json(data))


def decode_fragment(text: str) -> object:
    """The JSON behind the `#`. Raises SigningRefused `sign.request_malformed`."""
    try:
        return decode_strict_json(decode_base64url(text.removeprefix("#")), MAX_REQUEST_BYTES)
    except (AuthenticatorError, DecodeError) as error:
        raise SigningRefused("sign.request_malformed", "the fragment is malformed", got=error.code) from None


def answer_signed(request: SigningRequest, signed: ImiTransaction) -> dict[str, Any]:
    """What goes back to the app that asked."""
    return {"v": 1, "state": request.state, "raw": "0x" + signed.raw.hex()}


def _calls(value: object) -> tuple[Call, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_CALLS:
        got = len(value) if isinstance(value, list) else None
        raise SigningRefused("sign.call_count", "between 1 and 100 calls", got=got, expected=MAX_CALLS)
    calls: list[Call] = []
    for item in value:
        try:
            if sorted(item) != ["data", "to"]:
                raise ValueError("fields")
            call = Call(_bytes(item["to"]), _bytes(item["data"]))
        except (ValueError, TypeError):
            raise SigningRefused("sign.request_call", "a call is malformed", got=len(calls)) from None
        if len(call.to) != 20 or not 4 <= len(call.data) <= MAX_CALL_BYTES:
            raise SigningRefused("sign.request_call", "a call is malformed", got=len(calls))
        if call in calls:
            raise SigningRefused("sign.duplicate_call", "two calls are exactly the same", got=len(calls))
        calls.append(call)
    return tuple(calls)


def _number(data: Mapping[str, object], name: str, least: int, most: int) -> int:
    value = data[name]
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise SigningRefused(
            "sign.request_number", f"{name} is out of range", got=value, expected=[least, most]
        )
    return value


def _text(data: Mapping[str, object], name: str, longest: int) -> str:
    value = data[name]
    if not isinstance(value, str) or len(value) > longest or not value.isprintable():
        raise SigningRefused("sign.request_text", f"{name} is not a plain text", expected=longest)
    return value


def _bytes(value: object) -> bytes:
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise ValueError("not lower-case 0x hex")
    return bytes.fromhex(value[2:])
