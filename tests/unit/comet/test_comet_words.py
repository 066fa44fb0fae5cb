"""What CometBFT says: its log lines become ours, its last words a code, its program a version."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from network.comet.binary import Binary, binary_version, find_binary
from network.comet.faults import CometFault, fault_of
from network.comet.log_lines import LogRelay, parse_line

# ---- log lines


def line(**fields: object) -> bytes:
    return json.dumps(
        {"_msg": "words", "level": "info", "module": "p2p", "ts": "2026-11-22T00:00:00Z"} | fields
    ).encode()


@pytest.mark.parametrize(
    ("fields", "level"),
    [
        ({"level": "info", "module": "consensus"}, "debug"),
        ({"level": "info", "module": "main"}, "info"),
        ({"level": "info", "module": "statesync", "_msg": "Offering snapshot"}, "info"),
        ({"level": "info", "module": "main", "_msg": "service start"}, "debug"),
        ({"level": "debug", "module": "main"}, "debug"),
        ({"level": "warn", "module": "consensus"}, "warning"),
        ({"level": "error", "module": "consensus"}, "error"),
        ({"level": "strange"}, "error"),
    ],
)
def test_levels_stay_but_steps_are_for_debugging(fields: dict[str, str], level: str) -> None:
    assert parse_line(line(**fields)).level == level


def test_fields_come_along_and_long_ones_are_cut() -> None:
    parsed = parse_line(line(height=5, peer={"id": "x"}, err="e" * 1000, event="named like ours", none=None))
    assert parsed.module == "p2p"
    assert parsed.fields["height"] == 5
    assert parsed.fields["peer"] == '{"id": "x"}'
    assert len(str(parsed.fields["err"])) < 310
    assert parsed.fields["event_"] == "named like ours"
    assert parsed.fields["none"] is None
    assert "ts" not in parsed.fields


@given(st.binary(max_size=200))
def test_any_bytes_make_a_line_that_can_be_logged(data: bytes) -> None:
    with capture_logs() as logs:
        LogRelay().tell(parse_line(data), 0.0)
    assert len(logs) == 1


NAMES = st.text(max_size=10) | st.sampled_from(["self", "event", "method_name", "exc_info", "repeated"])


@given(st.dictionaries(NAMES, st.text(max_size=5) | st.integers() | st.booleans(), max_size=5))
def test_any_fields_can_be_logged(fields: dict[str, object]) -> None:
    with capture_logs() as logs:
        LogRelay().tell(parse_line(line(**(fields | {"level": "error"}))), 0.0)
    assert len(logs) == 1


def test_an_error_that_repeats_is_told_once_a_minute_with_its_count() -> None:
    relay = LogRelay()
    dialing = parse_line(line(level="error", _msg="Error dialing peer"))
    other = parse_line(line(level="error", _msg="Another"))
    with capture_logs() as logs:
        for second in range(130):
            relay.tell(dialing, float(second))
        relay.tell(other, 130.0)
    assert [(one["event"], one.get("repeated")) for one in logs] == [
        ("Error dialing peer", None),
        ("Error dialing peer", 59),
        ("Error dialing peer", 59),
        ("Another", None),
    ]


# ---- last words


@pytest.mark.parametrize(
    ("words", "code", "heals"),
    [
        (
            "panic: state.AppHash does not match AppHash after replay. Got\n00, expected 01.",
            "comet.diverged",
            False,
        ),
        ('{"err":"+2/3 committed an invalid block: wrong Block.Header.AppHash"}', "comet.diverged", False),
        (
            '{"err":"+2/3 committed an invalid block: block time 2026-11-23 01:32:21 +0000 UTC is too far'
            ' in the future (wall clock 2026-11-23 01:31:19 +0000 UTC + tolerance 1m0s)"}',
            "comet.clock_behind",
            True,
        ),
        (
            '{"_msg":"Error in validation","err":"wrong Block.Header.LastResultsHash.  Expected 0A"}',
            "comet.diverged",
            False,
        ),
        ('{"_msg":"invalid proposal","err":"wrong Block.Header.AppHash.  Expected 0A"}', "comet.ended", True),
        ("ERROR: error on replay: app block height (9) is higher than core (8)", "comet.ledger_ahead", False),
        ("app block height (1) is too far below block store base (50)", "comet.ledger_behind", False),
        ("ERROR: failed to create node: error in genesis doc: bad", "comet.genesis_refused", False),
        (
            "ERROR: failed to create node: leveldb: manifest corrupted (field 'x')",
            "comet.store_damaged",
            False,
        ),
        ("leveldb/storage: corrupted or incomplete CURRENT file", "comet.store_damaged", False),
        ("ERROR: error in config file: x", "comet.configuration_refused", False),
        ("Error reading PrivValidator state from /x: y", "comet.key_refused", False),
        ("listen tcp 127.0.0.1:26657: bind: address already in use", "comet.port_in_use", True),
        ("write /data/cs.wal/wal: no space left on device", "comet.disk_full", True),
        ("ERROR: resource temporarily unavailable", "comet.store_in_use", True),
        ("something nobody has seen before", "comet.ended", True),
        ("", "comet.ended", True),
    ],
)
def test_last_words_have_a_code_and_say_whether_a_restart_heals(words: str, code: str, heals: bool) -> None:
    fault, may_heal = fault_of(["a line before", *words.splitlines()], "exit status 1")
    assert (fault.code, may_heal) == (code, heals)
    assert fault.expected


def test_an_unknown_end_tells_the_panic_and_the_status() -> None:
    fault, _ = fault_of(["x", "panic: boom", "y"], "exit status 2")
    assert fault.got == "exit status 2: panic: boom"


def test_every_code_of_the_process_is_documented() -> None:
    sources = Path(__file__).parents[3] / "network" / "comet"
    ours = ("binary", "client", "faults", "home", "keyfiles", "process", "rpc_answers", "settings")
    used = {
        code
        for name in ours
        for code in re.findall(r'"(comet\.[a-z_]+)"', (sources / f"{name}.py").read_text())
    }
    documented = (Path(__file__).parents[3] / "docs" / "errors" / "comet-process.md").read_text()
    assert used == set(re.findall(r"^\| `(comet\.[a-z_]+)` \|", documented, re.MULTILINE))


# ---- the program


def program(path: Path, *, says: str = "", built: bytes = b"") -> Path:
    """An executable that says a version; `built`: what Go would have written into it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(f"#!/bin/sh\necho '{says}'\nexit\n".encode().ljust(64, b"\n") + built)
    path.chmod(0o755)
    return path


def build_info(module: str) -> bytes:
    """As Go 1.18 and newer write it: header, then Go's version and the modules, each with its length."""
    modules = b"s" * 16 + f"path\tx\n{module}\ndep\tother\tv9.9.9\n".encode() + b"e" * 16
    header = (b"\xff Go buildinf:" + bytes((8, 2))).ljust(32, b"\0")
    assert len(modules) >= 128
    length = bytes((len(modules) & 0x7F | 0x80, len(modules) >> 7))
    return header + b"\x06go1.26" + length + modules


V040 = build_info(
    "mod\tgithub.com/cometbft/cometbft\tv0.40.1\th1:0000000000000000000000000000000000000000000="
)


def test_what_go_wrote_counts_more_than_what_the_program_says(tmp_path: Path) -> None:
    assert binary_version(program(tmp_path / "cometbft", says="0.39.0", built=V040)) == "0.40.1"


@pytest.mark.parametrize(
    "built", [b"", V040[:40], b"\xff Go buildinf:", build_info("mod\tx\t(devel)\t" + "-" * 60)]
)
def test_what_the_program_says_counts_where_go_wrote_nothing(tmp_path: Path, built: bytes) -> None:
    assert binary_version(program(tmp_path / "cometbft", says="0.40.2", built=built)) == "0.40.2"


def test_the_variable_comes_first_then_the_path_then_go(tmp_path: Path) -> None:
    named, on_path, of_go = (
        program(tmp_path / name / "cometbft", says="0.40.0") for name in ("named", "path", "home/go/bin")
    )
    environment = {"HOME": str(tmp_path / "home"), "PATH": str(on_path.parent)}
    assert find_binary(environment | {"SHELIAN_COMETBFT": str(named)}) == Binary(named, "0.40.0")
    assert find_binary(environment).path == on_path
    assert find_binary(environment | {"PATH": "/nowhere"}).path == of_go


@pytest.mark.parametrize("variable", [{}, {"SHELIAN_COMETBFT": "/nowhere/cometbft"}])
def test_a_missing_program_is_named_with_how_to_install_it(tmp_path: Path, variable: dict[str, str]) -> None:
    with pytest.raises(CometFault) as caught:
        find_binary({"HOME": str(tmp_path), "PATH": "/nowhere"} | variable)
    assert caught.value.code == "comet.binary_missing"
    assert "go install" in str(caught.value.expected)


@pytest.mark.parametrize("version", ["0.38.17", "0.39.0", "0.400.0", "0.40", "1.0.40.0", "v0.40.0", "words"])
def test_another_version_is_refused_with_got_and_expected(tmp_path: Path, version: str) -> None:
    path = program(tmp_path / "cometbft", says=version)
    with pytest.raises(CometFault) as caught:
        find_binary({"SHELIAN_COMETBFT": str(path)})
    assert (caught.value.code, caught.value.got) == ("comet.binary_version", version)
    assert "0.40" in str(caught.value.expected)


def test_what_does_not_run_is_no_program(tmp_path: Path) -> None:
    path = tmp_path / "cometbft"
    path.write_bytes(b"\x00\x01")
    path.chmod(0o755)
    with pytest.raises(CometFault) as caught:
        find_binary({"SHELIAN_COMETBFT": str(path)})
    assert caught.value.code == "comet.binary_missing"
