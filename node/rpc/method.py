"""What a JSON-RPC method is: a name, typed parameters, a handler, and what a call of it costs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Any, Final

from node.rpc.errors import INVALID_PARAMETERS, rpc_error
from node.rpc.parameters import Parse

REQUIRED: Final = object()


class Kind(Enum):
    """Where a handler runs."""

    QUICK = "in the event loop; microseconds"
    WORK = "in a worker thread under the time limit; its request carries `should_stop`"
    ASYNC = "a coroutine in the event loop"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A positional parameter. A trailing one with a default may be left out or null."""

    name: str
    parse: Parse
    default: object = REQUIRED


@dataclass(frozen=True, slots=True)
class Method:
    """`handler(request, *parameters)` gives the result's JSON value or raises a ShelianError or RpcError."""

    name: str
    handler: Callable[..., Any]
    parameters: tuple[Parameter, ...] = ()
    kind: Kind = Kind.QUICK
    cost: float = 1.0
    """Tokens it takes from a caller's buckets."""
    many: Callable[..., Any] | None = None
    """Where calls that follow one another in a batch are better answered together: a coroutine function
    `many(request, parameters of each)` that gives, in order, the result or the error of each.
    """

    def parse(self, given: object) -> list[object]:
        """The parameters, typed. Raises RpcError -32602."""
        if given is None:
            given = []
        if not isinstance(given, list):
            raise rpc_error(INVALID_PARAMETERS, "rpc.parameters", "parameters are a list", given, "a list")
        count = len(given)
        if count > len(self.parameters):
            raise rpc_error(
                INVALID_PARAMETERS,
                "rpc.parameters",
                "too many parameters",
                count,
                f"at most {len(self.parameters)}",
            )
        values: list[object] = []
        for index, parameter in enumerate(self.parameters):
            value = given[index] if index < count else None
            if value is not None:
                values.append(parameter.parse(parameter.name, value))
            elif parameter.default is not REQUIRED:
                values.append(parameter.default)
            else:
                raise rpc_error(
                    INVALID_PARAMETERS,
                    "rpc.parameters",
                    f"missing parameter: {parameter.name}",
                    count,
                    parameter.name,
                )
        return values


def table(*groups: Iterable[Method]) -> Mapping[str, Method]:
    """Methods by name, each once."""
    methods: dict[str, Method] = {}
    for group in groups:
        for method in group:
            if method.name in methods:
                raise ValueError(f"method {method.name} defined twice")
            methods[method.name] = method
    return MappingProxyType(methods)
