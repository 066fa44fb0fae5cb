"""What goes wrong around the CometBFT process: one family of errors, and what its last words mean.

CometBFT ends with a line of text, a Go panic, or a log line; none has a code. `fault_of` knows the ones an
operator has to act upon. Those that a restart cannot heal are told apart from those it may.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from node.chain.errors import ShelianError


class CometFault(ShelianError):
    """Settings, keys, the process of CometBFT or its RPC."""


_CONSENSUS_STOPPED: Final = "CONSENSUS FAILURE!!!"
_BLOCK_REFUSED: Final = "Error in validation"
_OWN_FAULT: Final = re.compile(r"wrong Block\.Header\.(AppHash|LastResultsHash)|is too far in the future")


def has_stopped(message: str, error: str) -> bool:
    """Whether a log line says that CometBFT goes on running but decides nothing any more.

    It says so when its consensus fails. While it fetches blocks it does not: a block that contradicts its
    own state or clock makes it drop the peer that brought it, one after the other, for minutes. But it looks
    at a block only after more than two thirds have signed it, so it is this node that is wrong.
    """
    return message == _CONSENSUS_STOPPED or (
        message == _BLOCK_REFUSED and _OWN_FAULT.search(error) is not None
    )


@dataclass(frozen=True, slots=True)
class _Known:
    """`pattern` in what the process said last; `heals`: it may be gone at the next start."""

    pattern: re.Pattern[str]
    code: str
    message: str
    remedy: str
    heals: bool = False


def _known(pattern: str, code: str, message: str, remedy: str, *, heals: bool = False) -> _Known:
    return _Known(re.compile(pattern), code, message, remedy, heals)


_KNOWN: Final = (
    _known(
        r"block time [^\n]* is too far in the future",
        "comet.clock_behind",
        "this machine's clock is behind: the network's blocks seem to come out of the future",
        "set the clock (and see that NTP runs); the node goes on by itself",
        heals=True,
    ),
    _known(
        r"AppHash does not match AppHash after replay|\+2/3 (committed|prevoted for) an invalid block"
        r"|does not match app's AppHash"
        r"|Error in validation\b[^\n]*wrong Block\.Header\.(AppHash|LastResultsHash)",
        "comet.diverged",
        "this ledger's state is not what the network decided",
        "restore this node's ledger from a snapshot; report it: a correct node never differs",
    ),
    _known(
        r"app block height \(\d+\) is higher than core",
        "comet.ledger_ahead",
        "the ledger is ahead of CometBFT's block store",
        "restore both from one backup: ledger first, then CometBFT's data",
    ),
    _known(
        r"is too far below block store base",
        "comet.ledger_behind",
        "the ledger is behind what CometBFT's pruned block store still holds",
        "join again by a snapshot, or restore a newer backup of the ledger",
    ),
    _known(
        r"[Ee]rror in genesis doc|couldn't read GenesisDoc|[Ee]rror reading GenesisDoc",
        "comet.genesis_refused",
        "CometBFT does not accept the genesis",
        "compare the genesis hash with the other members'",
    ),
    _known(
        r"Error reading PrivValidator|could not load (PrivValidator|node key)|failed to load.*node key",
        "comet.key_refused",
        "CometBFT cannot read a key file or the validator's state",
        "look at the named file; priv_validator_state.json is never restored from a backup",
    ),
    _known(
        r"error in config file|While parsing config|couldn't parse config",
        "comet.configuration_refused",
        "CometBFT does not accept its configuration",
        "look at settings.json; config.toml is written from it at each start",
    ),
    _known(
        r"(?i)leveldb[^\n]*corrupt|manifest corrupted|corrupted or incomplete (CURRENT|manifest)"
        r"|Failed to load genesis doc|(State|Store)BlockHeight \(\d+\) > |the WAL repair failed",
        "comet.store_damaged",
        "CometBFT's data is damaged",
        "move DATA/node/comet/data away but for priv_validator_state.json, then join again by a snapshot",
    ),
    _known(
        r"address already in use",
        "comet.port_in_use",
        "a port is in use",
        "stop the other program, or change the addresses in settings.json",
        heals=True,
    ),
    _known(
        r"no space left on device",
        "comet.disk_full",
        "the disk is full",
        "make room; the node goes on by itself",
        heals=True,
    ),
    _known(
        r"resource temporarily unavailable",
        "comet.store_in_use",
        "another process has CometBFT's data open",
        "end the other cometbft process of this directory",
        heals=True,
    ),
)


def fault_of(lines: Iterable[str], ended: str) -> tuple[CometFault, bool]:
    """What ended the process, and whether a restart may heal it.

    `lines`: what it said last; `ended`: how it ended, such as ``exit status 1``.
    """
    text = "\n".join(lines)
    for known in _KNOWN:
        found = known.pattern.search(text)
        if found:
            got = _line_around(text, found.start())
            return CometFault(known.code, known.message, got, known.remedy), known.heals
    return CometFault("comet.ended", "CometBFT ended", f"{ended}: {_last_words(text)}", "it runs"), True


_SHOWN: Final = 400


def _line_around(text: str, position: int) -> str:
    start = text.rfind("\n", 0, position) + 1
    return text[max(start, position - _SHOWN // 2) :].partition("\n")[0][:_SHOWN]


def _last_words(text: str) -> str:
    """The line that says most: a panic, an ERROR, or else the last one."""
    lines = [line for line in text.splitlines() if line.strip()]
    telling = next((line for line in reversed(lines) if re.match(r"panic:|ERROR:", line)), None)
    return (telling or (lines[-1] if lines else "no word"))[:_SHOWN]
