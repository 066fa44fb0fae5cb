"""What an attacker would write by hand: forms that cost a decoder time, memory or its composure.

Times are processor times with wide margins: they tell linear from quadratic, not fast from slow.
"""

from __future__ import annotations

import gc
import json
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import rlp

from identity.errors import KeyFileError, SigningRefused
from identity.keystore import list_key_files, load_key_file
from identity.request import decode_fragment
from node.chain.block import Block, decode_block, encode_block
from node.chain.commit import EMPTY_COMMIT, decode_commit
from node.chain.encoding import (
    decode_proto,
    decode_strict_json,
    encode_canonical_json,
    keccak256,
    proto_bytes,
    proto_message,
)
from node.chain.errors import DecodeError, GenesisError, ProofError, ShelianError
from node.chain.genesis import build_genesis, decode_genesis
from node.chain.header import decode_header
from node.chain.proof import verify_trie_proof
from node.chain.receipt import decode_receipt
from node.chain.transaction import MAX_TRANSACTION_BYTES, decode
from node.rpc import parameters
from node.rpc.errors import RpcError
from node.rpc.methods import METHODS
from tests.fuzz.targets import messages, rpc
from tests.helpers.ledger import make_genesis

MIB = 1 << 20


@contextmanager
def within(seconds: float, mebibytes: float = 64) -> Iterator[None]:
    """Processor time and memory of what is done inside."""
    tracemalloc.start()
    started = time.process_time()
    try:
        yield
        spent, peak = time.process_time() - started, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert spent < seconds, f"{spent:.2f} s"
    assert peak < mebibytes * MIB, f"{peak / MIB:.1f} MiB"


def refused(family: type[ShelianError], act: Callable[[], object]) -> ShelianError:
    with pytest.raises(family) as caught:
        act()
    return caught.value


# ---- RLP


def nested_lists(depth: int) -> bytes:
    """A list in a list in a list…"""
    heads: list[bytes] = []
    length = 0
    for _ in range(depth):
        size = b"" if length < 56 else length.to_bytes((length.bit_length() + 7) // 8, "big")
        heads.append(bytes((0xC0 + length,)) if not size else bytes((0xF7 + len(size),)) + size)
        length += len(heads[-1])
    return b"".join(reversed(heads))


def listed(payload: bytes) -> bytes:
    size = len(payload).to_bytes(4, "big").lstrip(b"\0")
    return bytes((0xF7 + len(size),)) + size + payload


NUMBER = b"\x01"
KEY = b"\x80"


@pytest.mark.parametrize("decoder", [decode, decode_receipt])
def test_a_mebibyte_of_nested_lists_is_refused_at_once(decoder: Callable[[bytes], object]) -> None:
    deep = nested_lists(250_000)
    assert len(deep) > 900_000
    calls = b"\x49" + listed(NUMBER * 4 + deep + NUMBER + KEY + KEY)
    with within(1.0):
        for raw in (deep, b"\x49" + deep, b"\x02" + deep, calls):
            refused(DecodeError, lambda raw=raw: decoder(raw))


def test_a_trie_node_of_nested_lists_is_refused_at_once() -> None:
    for deep in (nested_lists(250_000), listed(nested_lists(50_000) * 17)):
        with within(1.0):
            refused(ProofError, lambda deep=deep: verify_trie_proof(keccak256(deep), b"key", [deep]))


def test_lists_of_a_million_tiny_items_cost_no_more_memory_than_their_bytes() -> None:
    """An item's place takes a hundred bytes: a list that cannot be right is not taken apart to its end."""
    room = MAX_TRANSACTION_BYTES - 200
    tiny = listed(b"\x01" * room)
    head = NUMBER * 2 + b"\x80" * 2 + NUMBER + b"\x80" * 3  # the fields of type 2 before the access list
    access = b"\x02" + listed(head + tiny + b"\x80" + NUMBER * 2)
    slots = b"\x02" + listed(head + listed(listed(b"\x94" + bytes(20) + tiny)) + b"\x80" + NUMBER * 2)
    calls = b"\x49" + listed(NUMBER * 4 + tiny + NUMBER + KEY + KEY)
    logs = listed(b"\x01\x01" + b"\xb9\x01\x00" + bytes(256) + tiny)
    topics = listed(
        b"\x01\x01" + b"\xb9\x01\x00" + bytes(256) + listed(listed(b"\x94" + bytes(20) + tiny + b"\x80"))
    )
    for raw, decoder in (
        (access, decode),
        (slots, decode),
        (calls, decode),
        (logs, decode_receipt),
        (topics, decode_receipt),
    ):
        with within(1.0, mebibytes=12):
            refused(DecodeError, lambda raw=raw, decoder=decoder: decoder(raw))


@pytest.mark.parametrize("width", range(1, 9))
def test_a_length_that_lies_allocates_nothing(width: int) -> None:
    claimed = b"\xff" * width
    with within(0.5, mebibytes=1):
        for prefix in (0xB7, 0xF7):
            item = bytes((prefix + width,)) + claimed + b"abc"
            for raw in (item, b"\x49" + item, b"\x02" + item, listed(item)):
                refused(DecodeError, lambda raw=raw: decode(raw))
        refused(DecodeError, lambda: decode_proto(b"\x0a" + b"\xff" * width + b"\x01", "message"))


def test_a_number_has_one_form() -> None:
    good = [
        NUMBER,
        b"\x07",
        b"\x05",
        b"\x05",
        b"\x94" + bytes(20),
        b"\x80",
        b"\x80",
        b"\x82\x04\xd2",
        NUMBER,
        NUMBER,
    ]
    legacy = [*good[1:7], b"\x82\x09\xc7", NUMBER, NUMBER]
    assert decode(rlp.encode([rlp.decode(one) for one in legacy])).chain_id == 1234
    for place in (0, 1, 2, 6, 7, 8):
        for wrong in (
            b"\x00",
            b"\x81\x01",
            b"\x82\x00\x01",
            b"\xb8\x01\x01",
            b"\xa1" + b"\x01" * 33,
            b"\xc1\x01",
            b"\xc0",
        ):
            items = [*legacy[:place], wrong, *legacy[place + 1 :]]
            payload = b"".join(items)
            raw = bytes((0xC0 + len(payload),)) + payload if len(payload) < 56 else listed(payload)
            refused(DecodeError, lambda raw=raw: decode(raw))


# ---- protobuf


def test_a_block_of_many_transactions_decodes_in_linear_time() -> None:
    header = messages.sample_header()

    def seconds(count: int) -> float:
        encoded = encode_block(Block(header, (b"x" * 8,) * count, EMPTY_COMMIT))
        started = time.process_time()
        assert len(decode_block(encoded).transactions) == count
        return time.process_time() - started

    seconds(1_000)
    assert seconds(200_000) < 4 * max(seconds(100_000), 0.02)


def test_more_fields_than_allowed_are_refused_before_they_are_read() -> None:
    with within(2.0, mebibytes=8):
        refused(DecodeError, lambda: decode_header(b"\x08\x01" * 1_000_000))
        refused(DecodeError, lambda: decode_commit(b"\x08\x01" * 1_000_000))


def test_a_number_without_end_is_refused() -> None:
    with within(0.5, mebibytes=8):
        assert refused(DecodeError, lambda: decode_header(b"\xff" * MIB)).code == "proto.varint_too_long"
        assert (
            refused(DecodeError, lambda: decode_header(b"\x08" + b"\x80" * MIB)).code
            == "proto.varint_too_long"
        )


def test_messages_inside_messages_inside_messages_are_not_followed() -> None:
    inner = b""
    for _ in range(2_000):
        inner = proto_message(5, inner)
    refused(DecodeError, lambda: decode_header(inner))
    refused(
        DecodeError, lambda: decode_block(proto_message(4, proto_message(3, inner)) + proto_bytes(1, b"x"))
    )


# ---- JSON


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[" * 500_000, "json.too_deep"),
        ("[" * 500_000 + "]" * 500_000, "json.too_deep"),
        ('{"a":' * 200_000 + "1" + "}" * 200_000, "json.too_deep"),
        ('[{"a":' * 100_000, "json.too_deep"),
        ("[" * 33 + "]" * 33, "json.too_deep"),
        ('"' + '\\"' * 500_000, "json.malformed"),
        ('"' + "\\\\" * 500_000 + "\\", "json.malformed"),
        ('"[' * 300_000, "json.too_deep"),
        ("[]" * 500_000, "json.malformed"),
        ("]" * 500_000 + "[" * 20, "json.malformed"),
        ("9" * 5_000, "json.malformed"),
        ("[" + "9" * 5_000 + "]", "json.malformed"),
        ("1e5", "json.float"),
        ("1e999", "json.float"),
        ("-0.0", "json.float"),
        ("NaN", "json.float"),
        ("-Infinity", "json.float"),
        ("1_0", "json.malformed"),
        ("+1", "json.malformed"),
        ("01", "json.malformed"),
        ("0x1", "json.malformed"),
        ("٣", "json.malformed"),
        ("\ufeff1", "json.malformed"),
        ('"\x00"', "json.malformed"),
        ('{"a":1,"\\u0061":2}', "json.repeated_key"),
        ('"\\ud800"', "json.not_unicode"),
        ('{"\\udfff":1}', "json.not_unicode"),
        ("'a'", "json.malformed"),
        ("[1,]", "json.malformed"),
        ("", "json.malformed"),
    ],
)
def test_json_is_refused_by_name_in_linear_time(text: str, code: str) -> None:
    data = text.encode()
    with within(1.5, mebibytes=64):
        assert refused(DecodeError, lambda: decode_strict_json(data, 1 << 21)).code == code


def test_bytes_that_are_no_utf_8_are_no_json() -> None:
    for data in (b'"\xff"', b'"\xed\xa0\x80"', b'"\xc0\x80"', "[1]".encode("utf-16")):
        assert (
            refused(DecodeError, lambda data=data: decode_strict_json(data, 1 << 10)).code == "json.malformed"
        )


def test_both_halves_of_a_character_are_one() -> None:
    assert decode_strict_json(b'"\\ud83d\\ude00"', 100) == "\U0001f600"
    assert decode_strict_json(b"[" * 32 + b"]" * 32, 100)
    assert decode_strict_json(b'["' + b"[{" * 100 + b'","\\"[[[["]', 1_000)


# ---- what reads JSON


@pytest.mark.parametrize(
    "text", ["0x٣٣", "0x1_", "0x+1", "0x 1", "0X11", "0x1", "11", "0x11\n", "0xAB", "0xgg"]
)
def test_hex_in_a_genesis_is_lower_case_ascii_and_even(text: str) -> None:
    document = json.loads(make_genesis([]).canonical)
    document["calls"][0]["data"] = text
    error = refused(GenesisError, lambda: build_genesis(document))
    assert error.code == "genesis.bad_value"


def test_long_hex_in_a_genesis_takes_memory_in_proportion() -> None:
    document = json.loads(make_genesis([]).canonical)
    document["calls"] = [{"to": "0x" + "51" * 20, "data": "0x" + "00" * MIB}]
    data = encode_canonical_json(document)
    with within(2.0, mebibytes=30):
        decode_genesis(data)


def test_many_organisations_are_checked_in_linear_time() -> None:
    document = json.loads(make_genesis([]).canonical)
    one, count = document["organisations"][0], 20_000
    document["organisations"] = [{**one, "id": number} for number in range(1, count + 1)]
    document["registrars"] = document["registrars"] * 1_000
    with within(10.0, mebibytes=256):
        refused(GenesisError, lambda: build_genesis(document))


def test_a_key_file_with_half_a_character_is_no_key_file(tmp_path: Path) -> None:
    path = tmp_path / "half.key.json"
    path.write_bytes(b'{"format":"shelian-key/1","label":"\\ud800","checksum":"0x"}')
    path.chmod(0o600)
    assert refused(KeyFileError, lambda: load_key_file(path)).code == "key.form"
    assert list_key_files(tmp_path) == ()


def test_a_signing_request_is_read_in_linear_time() -> None:
    from identity.authenticator import base64url

    with within(1.5):
        refused(SigningRefused, lambda: decode_fragment(base64url(b'"' + b'\\"' * 149_000)))


# ---- JSON-RPC


SLOPPY = (
    "0x٣", "0x1_0", "0x+1", "0x-1", "0x 1", " 0x1", "0x1 ", "0x1\n", "0X1", "1", "", "0x\x00", "0x1\x00",
    "\ud800",
    "0x" + "1" * 67, "0x" + "1" * 100_000, "latest ", "LATEST", None, 1.0, 1e308, -1, True, [], [[]], {},
    {"a": 1},
)  # fmt: skip


@pytest.mark.parametrize(
    "parse",
    [
        parameters.parse_quantity,
        parameters.parse_hash,
        parameters.parse_address,
        parameters.parse_block_number,
        parameters.parse_block,
        parameters.parse_data,
        parameters.parse_count,
    ],
)
def test_sloppy_parameters_are_refused(parse: Callable[[str, object], object]) -> None:
    for value in SLOPPY:
        if parse is parameters.parse_data and value == "0x" + "1" * 100_000:
            continue
        with pytest.raises(RpcError) as caught:
            parse("it", value)
        assert caught.value.number == -32602
        assert len(json.dumps(caught.value.as_dict())) < 1_000


def refusal_of(parse: Callable[[str, object], object], value: object) -> RpcError | None:
    try:
        parse("it", value)
    except RpcError as error:
        return error
    return None


def test_every_parser_of_every_method_refuses_by_its_own_error() -> None:
    for method in METHODS.values():
        for parameter in method.parameters:
            for value in (
                *SLOPPY,
                0,
                1 << 64,
                "0x",
                [None],
                [{}],
                {"\x00": []},
                {"calls": {}},
                {"x" * 10_000: 1},
            ):
                error = refusal_of(parameter.parse, value)
                assert error is None or error.number == -32602
                assert error is None or len(json.dumps(error.as_dict())) < 2_000


def call(params: str, identity: str = "1", method: str = "web3_sha3") -> bytes:
    return f'{{"jsonrpc":"2.0","id":{identity},"method":"{method}","params":{params}}}'.encode()


@pytest.mark.parametrize(
    ("body", "number"),
    [
        (call('["0x1e999"]'), -32602),
        (call("[1e999]"), -32700),
        (call("[NaN]"), -32700),
        (call("[" + "9" * 400 + "]"), -32700),
        (call("[" + "9" * 30_000 + "]"), -32700),
        (call("[18446744073709551616]"), -32602),
        (call("[-1e-400]"), -32602),
        (call('["\\ud800"]'), -32700),
        (call('["\\u0000"]'), -32602),
        (call('["0x\\u0663\\u0663"]'), -32602),
        (call('["0x0_"]'), -32602),
        (call("[+1]"), -32700),
        (call("[" * 14 + "]" * 14), -32602),
        (call("[" * 20 + "]" * 20), -32600),
        (b"[" * 60_000, -32600),
        (b'{"a":' * 10_000, -32600),
        (b'"' + b'\\"' * 30_000, -32700),
        (b"\xef\xbb\xbf" + call("[]"), -32700),
        (b"\x00", -32700),
        (b"", -32700),
        (b"[]", -32600),
        (b"null", -32600),
        (call("[]", identity="true"), -32600),
        (call("[]", identity="{}"), -32600),
        (call("[]", method="x" * 60_000), -32601),
        (call('[{"' + "x" * 60_000 + '":1}]', method="eth_call"), -32602),
        (call('{"data":"0x"}'), -32602),
    ],
)
def test_hostile_bodies_have_their_number(body: bytes, number: int) -> None:
    with within(2.0):
        status, answer = rpc.served().post(body)
    assert status == 200
    assert json.loads(answer)["error"]["code"] == number
    assert len(answer) < 2_000
    rpc.one_input(body)


def test_of_a_key_that_stands_twice_the_last_counts() -> None:
    """As most JSON parsers have it; a proxy that filters by method must read the same way."""
    body = b'{"jsonrpc":"2.0","id":1,"method":"eth_nothing","method":"eth_chainId"}'
    assert "result" in json.loads(rpc.served().post(body)[1])


def test_callers_that_hang_up_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """A call that fails after its WebSocket is gone is nobody's news."""
    code = (rpc.BOUNCE + bytes(64)).hex()
    body = call('[{"data":"0x' + code + '"}]', method="eth_call").decode()
    for _ in range(20):
        rpc.served().send(body)
    time.sleep(0.2)
    rpc.served().post(call("[]", method="eth_chainId"))
    gc.collect()
    assert "never retrieved" not in caplog.text


@pytest.mark.parametrize("declared", [b"\xb2", b"9" * 5_000, b"+1", b"1_0", b"-1", b"0x1", b"", b"5, 5"])
def test_a_content_length_that_is_no_number_is_not_believed(declared: bytes) -> None:
    """The HTTP parser in front refuses these; nothing behind it relies on that."""
    status, answer = rpc.served().post(call("[]", method="eth_chainId"), content_length=declared)
    assert status == (200 if len(declared) < 20 else 413)
    assert len(answer) < 500
