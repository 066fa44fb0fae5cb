"""Whatever bytes come as key and signature, in every scheme: a named refusal, and the same one every time."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.chain.errors import SignatureRefused
from node.chain.signing import SCHEMES, SigningContext, check_form, verify
from node.chain.transaction import Call, ImiTransaction, build_imi
from tests.helpers.ledger import RP_ID_HASH, Person, person

CONTEXT = SigningContext(RP_ID_HASH, lambda _: True, allow_backup_eligible=True)
SIGNERS = {scheme: person(f"signer of scheme {scheme}", scheme) for scheme in SCHEMES}


def transaction(scheme: int, key: bytes, signature: bytes) -> ImiTransaction:
    unsigned = build_imi(
        chain_id=1,
        nonce=0,
        valid_until=1,
        gas_limit=1,
        calls=[Call(bytes(20), b"")],
        scheme=scheme,
        public_key=key,
    )
    return unsigned.with_signature(signature)


def signature_of(who: Person) -> bytes:
    return who.sign(transaction(who.scheme, who.public_key, b"").signing_hash)


SIGNATURES = {scheme: signature_of(who) for scheme, who in SIGNERS.items()}


@st.composite
def damaged(draw: st.DrawFn, good: bytes) -> bytes:
    """The bytes as they are, cut, grown, with a stretch overwritten, or others altogether."""
    kind = draw(st.sampled_from(["as it is", "cut", "grown", "overwritten", "other"]))
    if kind == "cut":
        return good[: draw(st.integers(0, len(good)))]
    if kind == "grown":
        return good + draw(st.binary(min_size=1, max_size=8))
    if kind == "overwritten":
        patch = draw(st.binary(min_size=1, max_size=40) | st.sampled_from([bytes(32), b"\xff" * 32]))
        at = draw(st.integers(0, len(good)))
        return (good[:at] + patch + good[at + len(patch) :])[: len(good)]
    if kind == "other":
        return draw(
            st.binary(max_size=len(good) + 8) | st.just(bytes(len(good))) | st.just(b"\xff" * len(good))
        )
    return good


def verdict(tx: ImiTransaction) -> str:
    """The code of the refusal, of the form first; empty if the signature holds."""
    try:
        check_form(tx)
        verify(tx, CONTEXT)
    except SignatureRefused as refusal:
        return refusal.code
    return ""


@pytest.mark.parametrize("scheme", SCHEMES)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_bytes_are_refused_by_a_stable_name(scheme: int, data: st.DataObject) -> None:
    key = data.draw(damaged(SIGNERS[scheme].public_key))
    signature = data.draw(damaged(SIGNATURES[scheme]))
    tx = transaction(scheme, key, signature)
    code = verdict(tx)
    assert re.fullmatch(r"signature\.[a-z_]+", code) or (key, signature) == (
        SIGNERS[scheme].public_key,
        SIGNATURES[scheme],
    )
    assert verdict(tx) == code


def test_threads_that_verify_at_once_come_to_the_same_verdicts() -> None:
    tasks = []
    for number in range(60):
        for scheme, who in SIGNERS.items():
            good = SIGNATURES[scheme]
            flipped = good[:-1] + bytes((good[-1] ^ 1,))
            tasks.append(transaction(scheme, who.public_key, flipped if number % 3 else good))
    one_by_one = [verdict(tx) for tx in tasks]
    assert one_by_one.count("") == 20 * len(SIGNERS)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(verdict, tasks)) == one_by_one
