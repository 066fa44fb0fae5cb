"""From JSON values to typed parameters, strictly: what EIP-1474 and the execution API call QUANTITY and DATA.

A quantity is 0x and hex digits without leading zeros ("0x0" for zero); leading zeros are tolerated up to 32
bytes because deployed wallets send them. Data is 0x and an even number of digits. Every parser takes the
parameter's name and raises RpcError -32602 `rpc.invalid_parameter`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from node.chain.transaction import Address
from node.rpc.errors import invalid

_QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,64}")
_HASH = re.compile(r"0x[0-9a-fA-F]{64}")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")

TAGS: Final = frozenset({"latest", "safe", "finalized", "pending", "earliest"})
MAX_HEIGHT: Final = (1 << 63) - 1

Parse = Callable[[str, object], object]


@dataclass(frozen=True, slots=True)
class BlockSelector:
    """Which block: by one of the tags, by height, or by hash. Exactly one is set."""

    tag: str | None = None
    height: int | None = None
    hash: bytes | None = None


LATEST: Final = BlockSelector(tag="latest")
PENDING: Final = BlockSelector(tag="pending")


@dataclass(frozen=True, slots=True)
class CallObject:
    """The call object of eth_call and eth_estimateGas. `gas` None: as much as the node allows."""

    sender: Address
    to: Address | None
    data: bytes
    gas: int | None


@dataclass(frozen=True, slots=True)
class LogFilter:
    """What eth_getLogs looks for. `topics[i]` None: any; else one of these. Empty `addresses`: any."""

    addresses: frozenset[bytes]
    topics: tuple[frozenset[bytes] | None, ...]
    first: BlockSelector | None
    last: BlockSelector | None
    block_hash: bytes | None


def parse_quantity(name: str, value: object) -> int:
    if isinstance(value, str) and _QUANTITY.fullmatch(value):
        return int(value, 16)
    raise invalid(name, value, "a quantity: 0x and 1 to 64 hex digits")


def parse_count(name: str, value: object) -> int:
    """A quantity, or a plain JSON number as feeHistory callers send it."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    return parse_quantity(name, value)


def parse_data(name: str, value: object) -> bytes:
    if isinstance(value, str) and value.startswith("0x"):
        try:
            data = bytes.fromhex(value[2:])
        except ValueError:
            pass
        else:
            # bytes.fromhex skips white space; data has none.
            if len(data) * 2 == len(value) - 2:
                return data
    raise invalid(name, value, "data: 0x and an even number of hex digits")


def parse_hash(name: str, value: object) -> bytes:
    if isinstance(value, str) and _HASH.fullmatch(value):
        return bytes.fromhex(value[2:])
    raise invalid(name, value, "a hash: 0x and 64 hex digits")


def parse_address(name: str, value: object) -> Address:
    """20 bytes; the case of the digits (EIP-55) is not looked at."""
    if isinstance(value, str) and _ADDRESS.fullmatch(value):
        return bytes.fromhex(value[2:])
    raise invalid(name, value, "an address: 0x and 40 hex digits")


def parse_boolean(name: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise invalid(name, value, "true or false")


def parse_text(name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    raise invalid(name, value, "a string")


def parse_filter_id(name: str, value: object) -> str:
    if isinstance(value, str) and len(value) <= 66:
        return value
    raise invalid(name, value, "the id that eth_newFilter or eth_subscribe gave")


def parse_slots(name: str, value: object) -> tuple[int, ...]:
    """Storage keys of eth_getProof: at most 64."""
    if isinstance(value, list) and len(value) <= 64:
        return tuple(parse_quantity(f"{name}[{index}]", slot) for index, slot in enumerate(value))
    raise invalid(name, value, "a list of at most 64 storage keys")


def parse_percentiles(name: str, value: object) -> tuple[float, ...]:
    if (
        isinstance(value, list)
        and len(value) <= 100
        and all(
            isinstance(one, int | float) and not isinstance(one, bool) and 0 <= one <= 100 for one in value
        )
        and value == sorted(value)
    ):
        return tuple(value)
    raise invalid(name, value, "at most 100 ascending numbers from 0 to 100")


def parse_block_number(name: str, value: object) -> BlockSelector:
    """A tag or a height."""
    if isinstance(value, str):
        if value in TAGS:
            return BlockSelector(tag=value)
        if _QUANTITY.fullmatch(value) and len(value) < 66:
            height = int(value, 16)
            if height <= MAX_HEIGHT:
                return BlockSelector(height=height)
    raise invalid(name, value, f"a height or one of {sorted(TAGS)}")


def parse_block(name: str, value: object) -> BlockSelector:
    """A tag, a height, a hash, or an EIP-1898 object (`requireCanonical` says nothing here: blocks are
    final).
    """
    if isinstance(value, dict):
        if set(value) == {"blockNumber"}:
            return parse_block_number(f"{name}.blockNumber", value["blockNumber"])
        if "blockHash" in value and set(value) <= {"blockHash", "requireCanonical"}:
            parse_boolean(f"{name}.requireCanonical", value.get("requireCanonical", False))
            return BlockSelector(hash=parse_hash(f"{name}.blockHash", value["blockHash"]))
        raise invalid(name, value, "blockNumber, or blockHash with requireCanonical")
    if isinstance(value, str) and len(value) == 66:
        return BlockSelector(hash=parse_hash(name, value))
    return parse_block_number(name, value)


_CALL_FIELDS = frozenset(
    {"from", "to", "data", "input", "gas", "value", "nonce", "type", "chainId", "accessList"}
    | {"gasPrice", "maxFeePerGas", "maxPriorityFeePerGas"}
)


def parse_call(name: str, value: object) -> CallObject:
    """A call object. Fees, nonce, type and chain id are looked at for form only: the price here is zero."""
    if not isinstance(value, dict):
        raise invalid(name, value, "a call object")
    unknown = set(value) - _CALL_FIELDS
    if unknown:
        raise invalid(f"{name}.{min(unknown)[:40]}", value[min(unknown)], f"only {sorted(_CALL_FIELDS)}")
    fields = {key: field for key, field in value.items() if field is not None}
    for key in ("gasPrice", "maxFeePerGas", "maxPriorityFeePerGas", "nonce", "type", "chainId"):
        if key in fields:
            parse_quantity(f"{name}.{key}", fields[key])
    if parse_quantity(f"{name}.value", fields.get("value", "0x0")):
        raise invalid(f"{name}.value", fields["value"], "0x0: there is no money on this chain")
    data = parse_data(f"{name}.data", fields.get("data", "0x"))
    given = parse_data(f"{name}.input", fields.get("input", fields.get("data", "0x")))
    if "data" in fields and data != given:
        raise invalid(f"{name}.input", fields["input"], "the same bytes as data, or one of the two")
    return CallObject(
        sender=parse_address(f"{name}.from", fields["from"]) if "from" in fields else bytes(20),
        to=parse_address(f"{name}.to", fields["to"]) if "to" in fields else None,
        data=given,
        gas=parse_quantity(f"{name}.gas", fields["gas"]) if "gas" in fields else None,
    )


_FILTER_FIELDS = frozenset({"fromBlock", "toBlock", "address", "topics", "blockHash"})


def parse_log_filter(name: str, value: object) -> LogFilter:
    """A filter object: at most 256 addresses, 4 topics, 256 choices for a topic."""
    if not isinstance(value, dict) or not set(value) <= _FILTER_FIELDS:
        raise invalid(name, value, f"an object with {sorted(_FILTER_FIELDS)}")
    fields = {key: field for key, field in value.items() if field is not None}
    if "blockHash" in fields and ("fromBlock" in fields or "toBlock" in fields):
        raise invalid(f"{name}.blockHash", fields["blockHash"], "either blockHash or a range")
    topics = fields.get("topics", [])
    if not isinstance(topics, list) or len(topics) > 4:
        raise invalid(f"{name}.topics", topics, "a list of at most 4")
    return LogFilter(
        addresses=frozenset(_several(f"{name}.address", fields.get("address", []), parse_address)),
        topics=tuple(
            None
            if topic is None or topic == []
            else frozenset(_several(f"{name}.topics[{index}]", topic, parse_hash))
            for index, topic in enumerate(topics)
        ),
        first=parse_block_number(f"{name}.fromBlock", fields["fromBlock"]) if "fromBlock" in fields else None,
        last=parse_block_number(f"{name}.toBlock", fields["toBlock"]) if "toBlock" in fields else None,
        block_hash=parse_hash(f"{name}.blockHash", fields["blockHash"]) if "blockHash" in fields else None,
    )


def _several(name: str, value: object, parse: Callable[[str, object], bytes]) -> list[bytes]:
    if isinstance(value, list):
        if len(value) > 256:
            raise invalid(name, value, "at most 256")
        return [parse(f"{name}[{index}]", one) for index, one in enumerate(value)]
    return [parse(name, value)]


def parse_no_overrides(name: str, value: object) -> None:
    """State and block overrides are refused aloud: a wallet that needs them must not get a wrong answer."""
    raise invalid(name, value, "nothing: overrides are not supported")
