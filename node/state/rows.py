"""Values of several fields: RLP lists of bytes and unsigned integers."""

from __future__ import annotations

from collections.abc import Iterable

from node.chain.encoding import rlp_encode_bytes, rlp_encode_integer, rlp_encode_list
from node.chain.errors import LedgerError
from node.state.nodes import decode_string, split_list

Field = bytes | int


def encode_row(fields: Iterable[Field]) -> bytes:
    return rlp_encode_list(
        rlp_encode_integer(field) if isinstance(field, int) else rlp_encode_bytes(field) for field in fields
    )


def decode_row(raw: bytes, count: int | None = None) -> list[bytes]:
    """The fields as bytes, `count` of them if it is given. LedgerError `state.row_malformed`."""
    try:
        fields = [decode_string(item) for item in split_list(raw)]
    except LedgerError as error:
        raise LedgerError("state.row_malformed", "a row is not a list of fields", raw) from error
    if count is not None and len(fields) != count:
        raise LedgerError("state.row_malformed", "a row of a wrong number of fields", len(fields), count)
    return fields


def integer(field: bytes) -> int:
    return int.from_bytes(field, "big")
