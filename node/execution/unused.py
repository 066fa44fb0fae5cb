"""Keeps out of the process what py-evm loads for forks that are not ours.

Importing any fork of py-evm imports all of them, and with Prague's precompiles the library of BLS12-381. That
works out its tables at once, which is a fifth of what it takes to import py-evm, and nobody ever calls it. So
this module, imported first, puts a package in the place of these precompiles that has their names alone.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any, Final, NoReturn

_PACKAGE: Final = "eth.precompiles.bls12_381"


class _Names(ModuleType):
    """Every public name is a precompile that cannot be called."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def off(computation: object) -> NoReturn:
            raise NotImplementedError(f"{name} is of a fork that is not ours")

        return off


sys.modules.setdefault(_PACKAGE, _Names(_PACKAGE))
