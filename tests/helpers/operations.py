"""Facts of a healthy node in a consortium of four, to be changed by one fault at a time."""

from __future__ import annotations

from network.operations.facts import (
    BlockFacts,
    CertificateFacts,
    ChainFacts,
    ClockFacts,
    DiskFacts,
    EngineFacts,
    MemberNode,
    Minute,
    NodeFacts,
    PeerFacts,
    PoolFacts,
    ProcessFacts,
    QuorumFacts,
    SavedFacts,
    ValidatorFacts,
    VersionFacts,
)

AGENCIES = ("示例区公安分局", "示例区人民检察院", "示例区人民法院", "示例区司法局")
GIB = 1 << 30


def validator(number: int, **changes: object) -> ValidatorFacts:
    plain: dict[str, object] = {
        "address": f"{number:02x}" * 20,
        "organisation": number,
        "organisation_name": AGENCIES[number - 1],
        "power": 10,
        "missed": 0,
        "counted": 100,
        "proposed": 25,
        "silent": False,
        "clock_s": 0.01,
        "is_own": number == 1,
    }
    return ValidatorFacts(**(plain | changes))  # type: ignore[arg-type]


def peer(number: int) -> PeerFacts:
    return PeerFacts(
        f"{number:02x}" * 20, f"10.0.0.{number}:26656", number, AGENCIES[number - 1], True, 3_600
    )


def member(number: int) -> MemberNode:
    return MemberNode(f"{number:02x}" * 20, number, AGENCIES[number - 1])


def healthy() -> NodeFacts:
    return NodeFacts(
        taken_ns=1_800_000_000_000_000_000,
        chain=ChainFacts("district-correction", "production", "ab" * 32, 12_345),
        block=BlockFacts(
            height=1_000,
            time_ns=1_799_999_980_000_000_000,
            age_s=20.0,
            best_height=1_000,
            lag=0,
            heartbeat_s=60.0,
            first_block=0,
            proposer="02" * 20,
            minutes=tuple(Minute(3, one) for one in range(15)),
            blocks=500,
            transactions=1_234,
        ),
        engine=EngineFacts("cometbft", True, False, None, None, None, None, ()),
        node_id="01" * 20,
        is_member=True,
        peers=(peer(2), peer(3), peer(4)),
        missing=(),
        bootstrap=3,
        validators=tuple(validator(number) for number in (1, 2, 3, 4)),
        validator_address="01" * 20,
        signed_elsewhere=None,
        quorum=QuorumFacts(40, 0, 1, 1),
        certificates=tuple(
            CertificateFacts("agency_ca", name, number, 7_000, "") for number, name in enumerate(AGENCIES, 1)
        ),
        disk=DiskFacts("/var/lib/shelian/node/ledger", 80 * GIB, 100 * GIB, False, GIB, GIB, GIB // 10, 800),
        snapshot=SavedFacts(900, 600.0),
        backup=SavedFacts(800, 3_600.0),
        clock=ClockFacts(0.01, 0.0),
        pool=PoolFacts(0, 0, 0),
        processes=(
            ProcessFacts("node", 4_711, 150 << 20, 40, 65_536, 86_400.0, 0),
            ProcessFacts("cometbft", 4_712, 80 << 20, 40, 65_536, 86_400.0, 0),
        ),
        versions=VersionFacts("0.1.0", "3.11.7", "0.40.0", "plyvel 1.5.1", 1, 0),
        own_organisation_signs=True,
    )
