"""Parameters: what is accepted comes out exactly, and everything else is a named refusal."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.rpc import parameters
from node.rpc.dispatch import check_nesting
from node.rpc.errors import RpcError
from node.rpc.parameters import (
    TAGS,
    BlockSelector,
    parse_address,
    parse_block,
    parse_call,
    parse_data,
    parse_hash,
    parse_log_filter,
    parse_quantity,
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
PARSERS = [getattr(parameters, name) for name in dir(parameters) if name.startswith("parse_")]


@given(st.integers(0, 2**256 - 1))
def test_a_quantity_comes_back(value: int) -> None:
    assert parse_quantity("x", hex(value)) == value
    assert parse_quantity("x", f"0x{value:064X}") == value


@given(st.binary(max_size=200))
def test_data_comes_back(value: bytes) -> None:
    assert parse_data("x", "0x" + value.hex()) == value
    assert parse_data("x", "0x" + value.hex().upper()) == value


@given(st.binary(min_size=20, max_size=20), st.binary(min_size=32, max_size=32))
def test_addresses_and_hashes_come_back(address: bytes, digest: bytes) -> None:
    assert parse_address("x", "0x" + address.hex()) == address
    assert parse_hash("x", "0x" + digest.hex()) == digest
    assert parse_block("x", "0x" + digest.hex()) == BlockSelector(hash=digest)
    assert parse_block("x", {"blockHash": "0x" + digest.hex()}) == BlockSelector(hash=digest)


@given(st.integers(0, 2**63 - 1), st.sampled_from(sorted(TAGS)))
def test_blocks_are_named_by_height_and_tag(height: int, tag: str) -> None:
    assert (
        parse_block("x", hex(height))
        == parse_block("x", {"blockNumber": hex(height)})
        == BlockSelector(height=height)
    )
    assert parse_block("x", tag) == BlockSelector(tag=tag)


def refusal(parse: Any, value: object) -> RpcError | None:
    try:
        parse("name", value)
    except RpcError as error:
        return error
    return None


@pytest.mark.parametrize("parse", PARSERS, ids=lambda parse: parse.__name__)
@given(value=json_values)
def test_a_parser_raises_nothing_but_its_own_refusal(parse: Any, value: object) -> None:
    error = refusal(parse, value)
    if error is not None:
        assert error.number == -32602
        assert isinstance(error.data, dict)
        assert error.data["code"] == "rpc.invalid_parameter"
        assert len(str(error.data["got"])) < 500


CALL_FIELDS = st.sampled_from(["from", "to", "data", "input", "gas", "value", "nonce", "type"])
FILTER_FIELDS = st.sampled_from(["fromBlock", "toBlock", "address", "topics", "blockHash"])


@given(st.dictionaries(CALL_FIELDS, json_values), st.dictionaries(FILTER_FIELDS, json_values))
def test_objects_of_any_content_are_parsed_or_refused(call: dict[str, Any], filters: dict[str, Any]) -> None:
    for error in (refusal(parse_call, call), refusal(parse_log_filter, filters)):
        assert error is None or error.number == -32602


def depth_of(value: object) -> int:
    """The naive reference: how deep arrays and objects nest."""
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    return 0


bracket_texts = st.text(alphabet='[]{}"\\,: a\n', max_size=8)
deep_values = st.recursive(
    bracket_texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(bracket_texts, inner, max_size=2),
    max_leaves=30,
)


@given(deep_values, st.integers(1, 8))
def test_nesting_is_measured_as_the_parser_sees_it(value: object, deepest: int) -> None:
    body = orjson.dumps(value)
    if depth_of(value) <= deepest:
        check_nesting(body, deepest)
    else:
        with pytest.raises(RpcError):
            check_nesting(body, deepest)
