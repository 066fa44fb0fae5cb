"""The demo's cast: everybody the main job needs, with keys that open on demo chains only."""

from pathlib import Path

import pytest

from contracts.bindings import identity_registry
from identity.demo.cast import (
    APPROVER,
    COMMUNITY_CLERK,
    DEMO_PASSPHRASE,
    HANDLER,
    ORGANISATIONS,
    REGISTRAR,
    RELYING_PARTIES,
    RESIDENT,
    SEALER,
    DemoCast,
)
from identity.demo.enrolment import enrolment_batches
from identity.demo.files import create_cast, key_path, load_cast, open_demo_key
from identity.errors import EnrolmentError, KeyFileError
from identity.keystore import load_key


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def cast(directory: Path) -> DemoCast:
    return create_cast(directory)


def test_every_agency_has_who_the_main_job_needs(cast: DemoCast) -> None:
    for organisation in ORGANISATIONS:
        roles = [person.roles for person in cast.people if person.organisation == organisation.id]
        assert roles.count(REGISTRAR) == 2
        if organisation.kind in ("court", "procuratorate", "police", "justice"):
            assert {HANDLER, APPROVER, SEALER} <= set(roles)
        if organisation.kind == "community":
            assert (roles.count(COMMUNITY_CLERK), roles.count(APPROVER)) == (2, 2)
    assert sum(person.roles == RESIDENT for person in cast.people) == 20
    assert {service.organisation for service in cast.services} == {1, 2, 3, 4, 5, 6, 7}


def test_nobody_shares_an_identity_a_key_or_a_name(cast: DemoCast) -> None:
    everybody = (*cast.people, *cast.services)
    for attribute in ("id", "name", "identity", "public_key", "address"):
        assert len({getattr(one, attribute) for one in everybody}) == len(everybody)


def test_every_name_says_that_it_is_made_up(cast: DemoCast) -> None:
    assert all("示范" in one.name for one in (*cast.people, *cast.services))


def test_every_key_opens_on_a_demo_chain_and_on_no_other(cast: DemoCast, directory: Path) -> None:
    for one in (*cast.people, *cast.services):
        key = open_demo_key(directory, one.id, chain_purpose="demo")
        assert (key.public_key, key.address, key.scheme) == (one.public_key, one.address, one.scheme)
        with pytest.raises(KeyFileError, match=r"key\.demo_only"):
            open_demo_key(directory, one.id, chain_purpose="production")


def test_every_agency_has_an_encryption_key(cast: DemoCast, directory: Path) -> None:
    for organisation in ORGANISATIONS:
        path = key_path(directory, f"{organisation.key}-encryption")
        key = load_key(path, DEMO_PASSPHRASE, chain_purpose="demo")
        assert key.public_key == cast.encryption_keys[organisation.id]


def test_the_cast_comes_back_and_is_never_made_twice(cast: DemoCast, directory: Path, tmp_path: Path) -> None:
    assert load_cast(directory) == cast
    with pytest.raises(KeyFileError, match=r"key\.exists"):
        create_cast(directory)
    with pytest.raises(EnrolmentError, match=r"demo\.no_people"):
        load_cast(tmp_path)
    (tmp_path / "people.json").write_text('{"format":"shelian-demo-people/1"}')
    with pytest.raises(EnrolmentError, match=r"demo\.people_form"):
        load_cast(tmp_path)


def test_everybody_but_the_registrars_is_enrolled_by_their_own_two(cast: DemoCast) -> None:
    enrolled = set()
    for batch in enrolment_batches(cast):
        assert batch.registrars[0] != batch.registrars[1]
        for id in batch.registrars:
            registrar = cast.find(id)
            assert registrar is not None
            assert (registrar.organisation, registrar.roles) == (batch.organisation, REGISTRAR)
        for call in batch.calls:
            name, arguments = identity_registry.decode_call(call.data)
            assert (name, call.to) == ("enrol", identity_registry.ADDRESS)
            assert isinstance(arguments, identity_registry.EnrolArgs)
            one = next(one for one in (*cast.people, *cast.services) if one.identity == arguments.identity)
            assert one.organisation == batch.organisation
            assert (arguments.roles, arguments.public_key) == (one.roles, one.public_key)
            assert arguments.relying_party == RELYING_PARTIES[one.relying_party].id
            assert RELYING_PARTIES[one.relying_party].domain == one.domain == arguments.domain
            enrolled.add(one.id)
    everybody = {one.id for one in (*cast.people, *cast.services)}
    assert enrolled == everybody - {registrar.id for registrar in cast.registrars}
