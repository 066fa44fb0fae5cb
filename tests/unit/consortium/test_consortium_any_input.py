"""Any value in any place of any file of the ceremony: refused by name, or the very file that was made."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ceremony_agencies import PARAMETERS, agency, four_agencies
from ceremony_refusals import code_of
from hypothesis import given, settings
from hypothesis import strategies as st

from network.consortium.ceremony import (
    Record,
    check_record,
    decode_record,
    decode_signature,
    encode_record,
    encode_signature,
    sign_genesis,
    verify_genesis_signature,
)
from network.consortium.enrolment import decode_enrolment, encode_enrolment
from network.consortium.merge import merge
from network.consortium.registrars import (
    RegistrarStatement,
    decode_registrar_statement,
    encode_registrar_statement,
    verify_registrar,
)
from network.consortium.relying_parties import decode_relying_party, encode_relying_party
from node.chain.encoding import encode_canonical_json

AGENCIES = four_agencies()
MEMBERS = tuple(one.enrolment() for one in AGENCIES)
GENESIS = merge(MEMBERS, **PARAMETERS).genesis  # type: ignore[arg-type]
SIGNATURE = sign_genesis(GENESIS, MEMBERS, MEMBERS[0], AGENCIES[0].sign_ca)
COURT = agency("court")
PAGE = COURT.page()
STATEMENT = RegistrarStatement(
    COURT.chain_name, COURT.purpose, COURT.kind, COURT.name, COURT.registrars(PAGE)[0]
)

Read = Callable[[bytes], object]


FILES: dict[str, tuple[bytes, Read]] = {
    "enrolment": (encode_enrolment(MEMBERS[0]), decode_enrolment),
    "registrar": (
        encode_registrar_statement(STATEMENT),
        lambda raw: verify_registrar(decode_registrar_statement(raw), PAGE),
    ),
    "signature": (
        encode_signature(SIGNATURE),
        lambda raw: verify_genesis_signature(decode_signature(raw), GENESIS.hash, MEMBERS),
    ),
    "record": (
        encode_record(Record(GENESIS.hash, MEMBERS, (SIGNATURE,))),
        lambda raw: check_record(GENESIS, decode_record(raw)),
    ),
}
"""Each file, and how it is read and verified."""

ODD = st.sampled_from(
    [
        "",
        "0x",
        "0x0",
        "0x" + "ff" * 32,
        "0x" + "00" * 64,
        "\x00",
        "\u200b",
        "-----BEGIN CERTIFICATE-----",
        "法" * 99,
    ]
)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 70), 1 << 70) | st.text(max_size=8) | ODD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in a JSON document."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from places(item, (*path, key))


def with_value(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    changed = dict(document) if isinstance(document, dict) else list(document)
    changed[path[0]] = with_value(document[path[0]], path[1:], value)
    return changed


@pytest.mark.parametrize("name", FILES)
@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_another_value_anywhere_is_refused(name: str, data: st.DataObject) -> None:
    raw, read = FILES[name]
    document = json.loads(raw)
    path = data.draw(st.sampled_from(list(places(document))))
    changed = encode_canonical_json(with_value(document, path, data.draw(ANY_JSON)))
    refusal = code_of(lambda: read(changed))
    assert (refusal is None) == (changed == raw)


@pytest.mark.parametrize("name", FILES)
def test_the_file_itself_is_accepted_and_nothing_may_be_left_out(name: str) -> None:
    raw, read = FILES[name]
    read(raw)
    document = json.loads(raw)
    for path in places(document):
        if path and isinstance(path[-1], str):
            holder = document
            for key in path[:-1]:
                holder = holder[key]
            without = {key: value for key, value in holder.items() if key != path[-1]}
            changed = encode_canonical_json(with_value(document, path[:-1], without))
            assert code_of(lambda file=changed: read(file)) is not None, path


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_a_page_comes_back_or_is_refused(data: st.DataObject) -> None:
    raw = encode_relying_party(PAGE)
    document = json.loads(raw)
    path = data.draw(st.sampled_from(list(places(document))))
    changed = encode_canonical_json(with_value(document, path, data.draw(ANY_JSON)))
    if code_of(lambda: decode_relying_party(changed)) is None:
        assert encode_relying_party(decode_relying_party(changed)) == changed
