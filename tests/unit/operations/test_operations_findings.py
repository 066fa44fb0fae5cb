"""What is wrong follows from the facts; a healthy node has no findings, each fault has one of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from network.operations import findings, judgement
from network.operations.doctor import checks
from network.operations.facts import (
    CertificateFacts,
    ClockFacts,
    MisbehaviourFacts,
    NodeFacts,
    PoolFacts,
    QuorumFacts,
    SavedFacts,
)
from network.operations.findings import FAULT, WARNING, not_ready
from network.operations.judgement import findings_of
from tests.helpers.operations import AGENCIES, healthy, member, peer, validator


def with_engine(**changes: object) -> NodeFacts:
    return replace(healthy(), engine=replace(healthy().engine, **changes))  # type: ignore[arg-type]


def with_block(**changes: object) -> NodeFacts:
    return replace(healthy(), block=replace(healthy().block, **changes))  # type: ignore[arg-type]


def with_disk(**changes: object) -> NodeFacts:
    return replace(healthy(), disk=replace(healthy().disk, **changes))  # type: ignore[arg-type]


def with_node(**changes: object) -> NodeFacts:
    node, comet = healthy().processes
    return replace(healthy(), processes=(replace(node, **changes), comet))  # type: ignore[arg-type]


def with_certificate(kind: str, days: int | None) -> NodeFacts:
    return replace(healthy(), certificates=(CertificateFacts(kind, "示例", 1, days, ""),))


FAULTS: dict[str, tuple[NodeFacts, str, str]] = {
    "disk full": (
        with_engine(running=False, failure_code="state.disk_full", failure="state.disk_full: no space"),
        "doctor.engine_stopped",
        FAULT,
    ),
    "comet down": (with_engine(running=False), "doctor.engine_down", FAULT),
    "catching up": (with_engine(running=False, catching_up=True), "doctor.catching_up", WARNING),
    "alarm": (
        with_engine(alarm_code="comet.wrong_header", alarm="comet.wrong_header: …"),
        "doctor.alarm",
        FAULT,
    ),
    "misbehaviour": (
        with_engine(misbehaviour=(MisbehaviourFacts("duplicate_vote", "02" * 20, 9),)),
        "doctor.misbehaviour",
        WARNING,
    ),
    "behind": (with_block(lag=3), "doctor.behind", WARNING),
    "no blocks": (with_block(age_s=181.0), "doctor.no_blocks", FAULT),
    "silent validator": (
        replace(healthy(), validators=(*healthy().validators[:3], validator(4, silent=True, missed=50))),
        "doctor.validator_silent",
        WARNING,
    ),
    "no quorum": (
        replace(healthy(), quorum=QuorumFacts(40, 20, 1, -1)),
        "doctor.no_quorum",
        FAULT,
    ),
    "missed blocks": (
        replace(healthy(), validators=(validator(1, missed=26), *healthy().validators[1:])),
        "doctor.missed_blocks",
        WARNING,
    ),
    "key twice": (replace(healthy(), signed_elsewhere=77), "doctor.key_twice", FAULT),
    "struck off": (replace(healthy(), is_member=False), "doctor.not_a_member", FAULT),
    "alone": (replace(healthy(), peers=(), missing=tuple(map(member, (2, 3, 4)))), "doctor.no_peers", FAULT),
    "one missing": (
        replace(healthy(), peers=(peer(2), peer(3)), missing=(member(4),)),
        "doctor.member_missing",
        WARNING,
    ),
    "key rotated": (
        replace(healthy(), validators=(validator(1, is_own=False), *healthy().validators[1:])),
        "doctor.not_a_validator",
        WARNING,
    ),
    "clock behind": (replace(healthy(), clock=ClockFacts(-1.5, 0.0)), "doctor.clock_skew", WARNING),
    "clock far ahead": (replace(healthy(), clock=ClockFacts(30.0, 0.0)), "doctor.clock_skew", FAULT),
    "block from the future": (replace(healthy(), clock=ClockFacts(None, 12.0)), "doctor.clock_skew", FAULT),
    "disk nearly full": (with_disk(free_bytes=1 << 29), "doctor.disk_full", FAULT),
    "disk low": (with_disk(free_bytes=4 << 30), "doctor.disk_low", WARNING),
    "disk filling": (with_disk(days_left=13), "doctor.disk_low", WARNING),
    "disk read-only": (with_disk(read_only=True), "doctor.disk_read_only", FAULT),
    "certificate over": (with_certificate("tls", -1), "doctor.certificate_expired", FAULT),
    "certificate soon": (with_certificate("tls", 29), "doctor.certificate_expiring", WARNING),
    "authority soon": (with_certificate("agency_ca", 364), "doctor.certificate_expiring", WARNING),
    "open files": (with_node(open_files=60_000), "doctor.open_files", FAULT),
    "restarts": (with_node(restarts=3), "doctor.restarting", WARNING),
    "new rules": (
        replace(healthy(), versions=replace(healthy().versions, rules_unknown=2)),
        "doctor.rules_unknown",
        FAULT,
    ),
    "gaps": (replace(healthy(), pool=PoolFacts(0, 1_001, 0)), "doctor.pool_waiting", WARNING),
    "old backup": (replace(healthy(), backup=SavedFacts(1, 8 * 86_400.0)), "doctor.backup_old", WARNING),
}


def test_a_healthy_node_has_no_findings_and_is_ready() -> None:
    assert findings_of(healthy()) == ()
    assert not_ready(findings_of(healthy())) is None


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_has_its_finding(name: str) -> None:
    facts, code, level = FAULTS[name]
    found = [one for one in findings_of(facts) if one.code == code]
    assert [one.level for one in found] == [level]
    assert found[0].what.zh
    assert found[0].what.en
    assert found[0].todo.zh
    assert found[0].todo.en


def test_faults_come_before_warnings() -> None:
    facts = replace(with_block(lag=3), is_member=False, clock=ClockFacts(2.0, 0.0))
    levels = [one.level for one in findings_of(facts)]
    assert levels == sorted(levels, key=lambda level: level != FAULT)
    assert {FAULT, WARNING} == set(levels)


@pytest.mark.parametrize("name", ["comet down", "disk full", "no blocks", "behind", "catching up"])
def test_a_node_that_makes_no_blocks_or_is_behind_is_not_ready(name: str) -> None:
    assert not_ready(findings_of(FAULTS[name][0])) is not None


@pytest.mark.parametrize("name", ["certificate over", "disk low", "one missing", "open files"])
def test_a_node_with_other_troubles_is_ready(name: str) -> None:
    assert not_ready(findings_of(FAULTS[name][0])) is None


def test_an_observer_without_validator_key_in_the_set_is_no_finding() -> None:
    facts = replace(
        healthy(),
        validators=tuple(validator(number, is_own=False) for number in (1, 2, 3, 4)),
        own_organisation_signs=False,
    )
    assert findings_of(facts) == ()


def test_commands_name_the_nodes_own_directory() -> None:
    (found, *_) = findings_of(FAULTS["no blocks"][0])
    assert found.command == "shelian doctor --data /var/lib/shelian"


def test_a_finding_names_the_agency_concerned() -> None:
    (found,) = findings_of(FAULTS["silent validator"][0])
    assert AGENCIES[3] in found.what.zh


def test_every_code_is_explained_in_the_documentation() -> None:
    page = (Path(__file__).parents[3] / "docs/errors/operations.md").read_text()
    sources = "".join(Path(one.__file__).read_text() for one in (findings, judgement, checks))
    codes = {word.strip('",') for word in sources.split() if word.startswith('"doctor.')}
    codes = {code.split('"')[0] for code in codes}
    assert len(codes) > 40
    missing = sorted(code for code in codes if f"| `{code}` |" not in page)
    assert not missing
