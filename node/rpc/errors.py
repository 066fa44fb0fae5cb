"""JSON-RPC errors: the numbers of the specification, and our codes beside them.

An error object is `{"code": number, "message": text, "data": {"code", "got", "expected"}}`; `data.code` is
stable and listed in docs/errors/rpc.md. One exception: a revert has number 3 and its `data` is the revert
data itself, as every Ethereum client expects. Numbers: -32700 parse error, -32600 invalid request, -32601
unknown method, -32602 invalid parameters, -32603 a bug of ours (JSON-RPC 2.0); -32000 refused, -32005 a limit
(EIP-1474); 3 reverted.
"""

from __future__ import annotations

from node.chain.errors import ShelianError

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
UNKNOWN_METHOD = -32601
INVALID_PARAMETERS = -32602
INTERNAL_ERROR = -32603
REFUSED = -32000
LIMIT_EXCEEDED = -32005
REVERTED = 3

_SHOWN = 160


class RpcError(Exception):
    """An answer that is an error. `number` is JSON-RPC's `code`."""

    def __init__(self, number: int, message: str, data: object) -> None:
        super().__init__(number, message, data)
        self.number = number
        self.message = message
        self.data = data

    def as_dict(self) -> dict[str, object]:
        return {"code": self.number, "message": self.message, "data": self.data}


def rpc_error(number: int, code: str, message: str, got: object = None, expected: object = None) -> RpcError:
    """An error with our data object; long values are cut, so an error never echoes a whole request."""
    data = ShelianError(code, message, _cut(got), expected).as_dict()
    del data["message"]
    return RpcError(number, message, data)


def refused(error: ShelianError) -> RpcError:
    """What the node refused, as -32000 with the error's own code, got and expected."""
    return rpc_error(REFUSED, error.code, error.message, error.got, error.expected)


def invalid(name: str, got: object, expected: str) -> RpcError:
    return rpc_error(INVALID_PARAMETERS, "rpc.invalid_parameter", f"invalid {name}", got, expected)


def limited(code: str, message: str, got: object, expected: object) -> RpcError:
    return rpc_error(LIMIT_EXCEEDED, code, message, got, expected)


def bare(error: BaseException) -> BaseException:
    """An expected error without the frames it came through.

    They hold what the call had in memory, and one of them holds the future with the error: a circle that
    would stay until the garbage collector finds it.
    """
    if isinstance(error, RpcError | ShelianError):
        error.__traceback__ = error.__context__ = error.__cause__ = None
    return error


def _cut(value: object) -> object:
    if isinstance(value, int) and value.bit_length() > 63:
        return hex(value) if value < 1 << 256 else "an integer beyond 256 bits"
    if isinstance(value, str | bytes) and len(value) > _SHOWN:
        return f"{value[:_SHOWN]!r}… ({len(value)} in all)"
    if isinstance(value, list | tuple | dict):
        text = repr(value) if len(value) < _SHOWN else f"{type(value).__name__} of {len(value)}"
        return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
    return value
