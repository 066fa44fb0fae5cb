"""The demo's keys and its list of people on the disk: `people.json` and `keys/<id>.key.json`."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nacl.utils

from identity.demo.cast import DEMO_PASSPHRASE, ORGANISATIONS, DemoCast, DemoIdentity, Part, parts
from identity.errors import EnrolmentError
from identity.keys import X25519, KeyPair, RandomBytes, generate_key
from identity.keystore import DEMO, SUFFIX, load_key, save_key
from node.chain.encoding import decode_strict_json, encode_canonical_json
from node.chain.errors import DecodeError

FORMAT = "shelian-demo-people/1"
_MAX_BYTES = 1 << 20


def key_path(directory: Path, id: str) -> Path:
    """The key file of a person or service, or (`<organisation key>-encryption`) of an agency's encryption
    key.
    """
    return directory / "keys" / f"{id}{SUFFIX}"


def open_demo_key(directory: Path, id: str, *, chain_purpose: str) -> KeyPair:
    """A key of the demo. Raises KeyFileError, above all `key.demo_only` on any chain that is not a demo."""
    return load_key(key_path(directory, id), DEMO_PASSPHRASE, chain_purpose=chain_purpose)


def create_cast(directory: Path, random_bytes: RandomBytes = nacl.utils.random) -> DemoCast:
    """Generate every key of a new demo into `directory` and write the list of people last.

    Raises KeyFileError `key.exists` where a demo stands already.
    """
    (directory / "keys").mkdir(parents=True, exist_ok=True, mode=0o700)
    people: list[DemoIdentity] = []
    services: list[DemoIdentity] = []
    for part in parts():
        one = _create(directory, part, random_bytes)
        (services if part.relying_party == "service" else people).append(one)
    encryption_keys = {}
    for organisation in ORGANISATIONS:
        id = f"{organisation.key}-encryption"
        key = _save(directory, id, generate_key(X25519, random_bytes), random_bytes)
        encryption_keys[organisation.id] = key.public_key
    cast = DemoCast(tuple(people), tuple(services), encryption_keys)
    _write(directory / "people.json", encode_canonical_json(_as_json(cast)))
    return cast


def load_cast(directory: Path) -> DemoCast:
    """The demo that `create_cast` made. Raises EnrolmentError `demo.no_people`, `demo.people_form`."""
    try:
        raw = (directory / "people.json").read_bytes()
    except OSError as error:
        raise EnrolmentError("demo.no_people", "there is no demo here", got=error.strerror) from None
    try:
        data: Any = decode_strict_json(raw, _MAX_BYTES)
        if data["format"] != FORMAT:
            raise KeyError(FORMAT)
        return DemoCast(
            people=tuple(_identity(item) for item in data["people"]),
            services=tuple(_identity(item) for item in data["services"]),
            encryption_keys={int(id): _from_hex(key) for id, key in data["encryption_keys"].items()},
        )
    except (DecodeError, KeyError, TypeError, ValueError) as error:
        raise EnrolmentError(
            "demo.people_form", "the list of demo people is damaged", got=str(error), expected=FORMAT
        ) from None


def _create(directory: Path, part: Part, random_bytes: RandomBytes) -> DemoIdentity:
    key = _save(directory, part.id, generate_key(part.algorithm, random_bytes), random_bytes)
    return DemoIdentity(
        id=part.id,
        name=part.name,
        organisation=part.organisation.id,
        organisation_name=part.organisation.name,
        identity=random_bytes(16),
        domain=part.domain,
        level=part.level,
        roles=part.roles,
        relying_party=part.relying_party,
        algorithm=part.algorithm.name,
        scheme=key.scheme,
        public_key=key.public_key,
        credential_id=key.credential_id,
        address=key.address,
    )


def _save(directory: Path, id: str, key: KeyPair, random_bytes: RandomBytes) -> KeyPair:
    save_key(
        key_path(directory, id),
        key,
        DEMO_PASSPHRASE,
        purpose="demo",
        label=id,
        cost=DEMO,
        random_bytes=random_bytes,
    )
    return key


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_suffix(".new")
    with temporary.open("wb") as handle:
        handle.write(data)
        handle.flush()
        os.fsync(handle.fileno())
    temporary.replace(path)


def _as_json(cast: DemoCast) -> dict[str, object]:
    return {
        "format": FORMAT,
        "people": [_identity_json(person) for person in cast.people],
        "services": [_identity_json(service) for service in cast.services],
        "encryption_keys": {str(id): _hex(key) for id, key in cast.encryption_keys.items()},
    }


def _identity_json(one: DemoIdentity) -> dict[str, object]:
    return {
        "id": one.id,
        "name": one.name,
        "organisation": one.organisation,
        "organisation_name": one.organisation_name,
        "identity": _hex(one.identity),
        "domain": one.domain,
        "level": one.level,
        "roles": one.roles,
        "relying_party": one.relying_party,
        "algorithm": one.algorithm,
        "scheme": one.scheme,
        "public_key": _hex(one.public_key),
        "credential_id": _hex(one.credential_id),
        "address": _hex(one.address),
    }


def _identity(item: Mapping[str, Any]) -> DemoIdentity:
    return DemoIdentity(
        id=item["id"],
        name=item["name"],
        organisation=item["organisation"],
        organisation_name=item["organisation_name"],
        identity=_from_hex(item["identity"]),
        domain=item["domain"],
        level=item["level"],
        roles=item["roles"],
        relying_party=item["relying_party"],
        algorithm=item["algorithm"],
        scheme=item["scheme"],
        public_key=_from_hex(item["public_key"]),
        credential_id=_from_hex(item["credential_id"]),
        address=_from_hex(item["address"]),
    )


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def _from_hex(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
