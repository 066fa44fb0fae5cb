"""A signing request is taken exactly as it is specified, or refused by name."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.errors import SigningRefused
from identity.keys import ES256, generate_key
from identity.request import check_request, decode_fragment, encode_fragment

NOW = 1_800_000_000
KEY = generate_key(ES256)
REQUEST: dict[str, Any] = {
    "v": 1,
    "chain_id": 7,
    "nonce": 0,
    "valid_until": NOW + 600,
    "gas_limit": 900_000,
    "calls": [{"to": "0x" + "51" * 20, "data": "0x" + "ab" * 36}],
    "scheme": 3,
    "public_key": "0x" + KEY.public_key.hex(),
    "credential_id": "",
    "signer": "示范居民01",
    "return_to": "http://localhost:8611/sign/return",
    "state": "opaque",
}


def refusal(data: object) -> str:
    with pytest.raises(SigningRefused) as caught:
        check_request(data, chain_id=7, now=NOW)
    return caught.value.code


def test_a_request_is_the_transaction_it_describes() -> None:
    request = check_request(REQUEST, chain_id=7, now=NOW)
    assert request.unsigned.calls[0].to == b"\x51" * 20
    assert (request.unsigned.nonce, request.unsigned.gas_limit) == (0, 900_000)
    assert request.return_origin == "http://localhost:8611"
    assert decode_fragment(encode_fragment(REQUEST)) == REQUEST


CALL = REQUEST["calls"][0]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"v": 2}, "sign.request_version"),
        ({"chain_id": 8}, "sign.other_chain"),
        ({"nonce": -1}, "sign.request_number"),
        ({"nonce": True}, "sign.request_number"),
        ({"nonce": "0"}, "sign.request_number"),
        ({"gas_limit": 20_999}, "sign.request_number"),
        ({"gas_limit": 30_000_001}, "sign.request_number"),
        ({"valid_until": NOW}, "sign.expired"),
        ({"valid_until": NOW + 86_401}, "sign.valid_too_long"),
        ({"scheme": 0}, "sign.request_number"),
        ({"scheme": 4}, "sign.request_key"),
        ({"scheme": 2}, "sign.request_key"),
        ({"public_key": "0x" + "00" * 64}, "sign.request_key"),
        ({"public_key": REQUEST["public_key"].upper()}, "sign.request_key"),
        ({"credential_id": "a+b"}, "sign.request_key"),
        ({"calls": []}, "sign.call_count"),
        ({"calls": [CALL] * 101}, "sign.call_count"),
        ({"calls": [CALL, CALL]}, "sign.duplicate_call"),
        ({"calls": [{**CALL, "to": "0x51"}]}, "sign.request_call"),
        ({"calls": [{**CALL, "data": "0x515151"}]}, "sign.request_call"),
        ({"calls": [{**CALL, "data": "0x" + "51" * 32_769}]}, "sign.request_call"),
        ({"calls": [{**CALL, "value": "0x1"}]}, "sign.request_call"),
        ({"calls": ["0x"]}, "sign.request_call"),
        ({"signer": "a\u202eb"}, "sign.request_text"),
        ({"state": "x" * 513}, "sign.request_text"),
        ({"more": 1}, "sign.request_fields"),
    ],
)
def test_a_request_with_a_wrong_field_is_refused(change: dict[str, Any], code: str) -> None:
    assert refusal({**REQUEST, **change}) == code


def test_a_request_without_a_field_is_refused() -> None:
    for name in REQUEST:
        assert refusal({key: value for key, value in REQUEST.items() if key != name}) == "sign.request_fields"
    for data in (None, [], "text", 7):
        assert refusal(data) == "sign.request_fields"


@given(text=st.text(max_size=80).filter(lambda text: not text.isascii() or not text.isalnum()))
def test_a_malformed_fragment_is_refused(text: str) -> None:
    with pytest.raises(SigningRefused, match=r"sign\.request_malformed"):
        decode_fragment(text)
