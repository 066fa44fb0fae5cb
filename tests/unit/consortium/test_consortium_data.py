"""What a careful operator may start with, and where the node then listens and connects."""

from __future__ import annotations

import pytest
from ceremony_agencies import PARAMETERS, agency, four_agencies
from ceremony_refusals import refused

from cli.consortium_data import Addresses, listening, require_signed, settings_for
from network.consortium.ceremony import Standing
from network.consortium.merge import merge

COURTS = (
    agency("court"),
    agency("court", name="示例区第二人民法院", seed="2", address="[2001:db8::2]:26656"),
)
MEMBERS = merge(
    [one.enrolment() for one in (*COURTS, *four_agencies()[1:])],
    **PARAMETERS,  # type: ignore[arg-type]
).enrolments
FIRST, SECOND = (one for one in MEMBERS if one.content.kind == "court")
OTHERS = tuple(one for one in MEMBERS if one.content.kind != "court")
REASON = "原件在路上，已电话核对创世数字"


def standing(*missing: object) -> Standing:
    return Standing(tuple(one for one in MEMBERS if one not in missing), missing, ())  # type: ignore[arg-type]


def test_nothing_needs_saying_when_everybody_has_signed() -> None:
    require_signed(standing(), OTHERS[0], {})


def test_each_missing_member_needs_a_reason_of_its_own() -> None:
    require_signed(standing(FIRST), OTHERS[0], {"court": REASON})
    require_signed(standing(FIRST), OTHERS[0], {FIRST.content.name: REASON})
    with refused("ceremony.not_signed"):
        require_signed(standing(FIRST), OTHERS[0], {})
    with refused("ceremony.reason"):
        require_signed(standing(FIRST), OTHERS[0], {SECOND.content.name: REASON})
    with refused("ceremony.reason"):
        require_signed(standing(FIRST), OTHERS[0], {"court": "later"})


def test_one_reason_does_not_stand_for_two_agencies_of_a_kind() -> None:
    with refused("ceremony.reason"):
        require_signed(standing(FIRST, SECOND), OTHERS[0], {"court": REASON})


def test_no_reason_replaces_two_thirds_of_the_power() -> None:
    names = {one.content.name: REASON for one in (FIRST, SECOND)}
    with refused("ceremony.few_signed"):
        require_signed(standing(FIRST, SECOND), OTHERS[0], names)


def test_no_reason_replaces_ones_own_signature() -> None:
    with refused("ceremony.own_signature"):
        require_signed(standing(OTHERS[0]), OTHERS[0], {OTHERS[0].content.name: REASON})


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("court.example:26656", "0.0.0.0:26656"),
        ("[2001:db8::2]:1000", "[::]:1000"),
        ("192.0.2.1:1", "0.0.0.0:1"),
    ],
)
def test_a_node_listens_where_it_enrolled(address: str, expected: str) -> None:
    assert listening(address) == expected


def test_the_other_members_are_the_nodes_to_stay_connected_with() -> None:
    addresses = Addresses(listening(SECOND.content.address), "127.0.0.1:26657", "127.0.0.1:26660")
    settings = settings_for(SECOND, MEMBERS, addresses)
    assert set(settings.bootstrap) == {one.content.peer for one in MEMBERS if one is not SECOND}
    assert settings.name == f"court-{MEMBERS.index(SECOND) + 1}"
    assert not settings.one_machine
    assert SECOND.content.peer in settings_for(FIRST, MEMBERS, addresses).bootstrap
