"""An agency's keys on its own machine: one directory, made once, never overwritten.

    organisation.json         which agency; public
    agency-ca.pem             the agency's CA certificate; public
    agency-ca.key.json        its private key, under the passphrase (Argon2id)
    sealing.key.json          the key that documents are sealed to, under the passphrase
    node_key.json             who the node is to other nodes; plain, because CometBFT reads no other form
    priv_validator_key.json   what the node signs blocks with; plain, likewise
    enrolment.json            the enrolment in force, once it was made; public
    README.txt                what must never leave the machine

The two plain files have mode 0600: whoever is root on the machine, or holds a backup of it, holds them. They
are worth what the machine is worth: a thief of the validator key could sign two blocks of one height (which
the others see and vote away), a thief of the node key could pose as the node to its peers. Neither opens a
document, signs for a person or makes a certificate. Both are replaced by a vote.

No person's key is made here.
"""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

import nacl.utils
from nacl.signing import SigningKey

from identity.keys import ES256, X25519, RandomBytes, generate_key, p256_private_key
from identity.keystore import PERSONAL, Cost, load_key, load_key_file, save_key
from identity.signing import sign_hash
from network.comet.keyfiles import load_public_key, node_id, replace_file, save_node_key, save_validator_key
from network.consortium import fields
from network.consortium.certificates import (
    MAX_PEM_BYTES,
    AgencyCertificate,
    decode_certificate,
    make_certificate,
)
from network.consortium.enrolment import MAX_FILE_BYTES, Enrolment, Sign, decode_enrolment, encode_enrolment
from network.consortium.errors import CeremonyError
from network.consortium.fields import read_file
from node.chain.encoding import encode_canonical_json
from node.chain.genesis import ORGANISATION_KINDS, PURPOSES

FORMAT: Final = "shelian-organisation/1"

_README: Final = """\
{name} ({kind}) 的机构密钥 Keys of this agency
================================================================

绝不离开本机 Never leave this machine
  priv_validator_key.json   出块签名密钥，明文              signs blocks; plain, mode 0600
  node_key.json             节点连接密钥，明文              the node's identity; plain, mode 0600
  agency-ca.key.json        机构 CA 私钥，口令加密          the CA's private key, under the passphrase
  sealing.key.json          文书解密私钥，口令加密          opens sealed documents, under the passphrase

备份 Back up
  agency-ca.key.json 与 sealing.key.json 复制两份离线保存；口令另行保管，丢了无法恢复。
  Keep two copies of these two off the machine, the passphrase apart from them: without it they are lost.
  priv_validator_key.json 不要备份，也不要在两台机器上同时使用：同一密钥签两个区块是作恶证据，会被投票除名。
  Never back up priv_validator_key.json nor use it on two machines: one key that signs two blocks of one
  height is evidence of fraud. A lost validator key is replaced by a vote.

可以给别人 May be given to anybody
  organisation.json, agency-ca.pem, enrolment.json

口令、私钥不通过邮件、聊天软件发送。任何人索要这些私钥都是错的。
No passphrase and no private key travels by mail or chat. Whoever asks for one is wrong.
"""


@dataclass(frozen=True, slots=True)
class NodeKeys:
    """The two plain keys of a node: Ed25519 seeds of 32 bytes."""

    node_key: bytes = field(repr=False)
    validator_key: bytes = field(repr=False)

    @property
    def node_id(self) -> str:
        """CometBFT's id of the node, 40 hex digits."""
        return node_id(self.node_public_key)

    @property
    def node_public_key(self) -> bytes:
        return bytes(SigningKey(self.node_key).verify_key)

    @property
    def validator_public_key(self) -> bytes:
        return bytes(SigningKey(self.validator_key).verify_key)


@dataclass(frozen=True, slots=True)
class Agency:
    """What is public of an agency's key directory."""

    kind: str
    name: str
    purpose: str
    certificate: AgencyCertificate
    encryption_key: bytes


@dataclass(frozen=True, slots=True)
class KeyDirectory:
    """Where an agency's keys lie."""

    path: Path

    @property
    def organisation(self) -> Path:
        return self.path / "organisation.json"

    @property
    def certificate(self) -> Path:
        return self.path / "agency-ca.pem"

    @property
    def ca_key(self) -> Path:
        return self.path / "agency-ca.key.json"

    @property
    def sealing_key(self) -> Path:
        return self.path / "sealing.key.json"

    @property
    def node_key(self) -> Path:
        return self.path / "node_key.json"

    @property
    def validator_key(self) -> Path:
        return self.path / "priv_validator_key.json"

    @property
    def enrolment(self) -> Path:
        return self.path / "enrolment.json"

    @property
    def readme(self) -> Path:
        return self.path / "README.txt"


def create_keys(
    directory: KeyDirectory,
    *,
    kind: str,
    name: str,
    passphrase: str,
    now: datetime,
    domains: Iterable[str] = (),
    purpose: str = "production",
    cost: Cost = PERSONAL,
    random_bytes: RandomBytes = nacl.utils.random,
) -> Agency:
    """Make an agency's keys: all of them, or nothing.

    Raises CeremonyError keys.exists, ceremony.bad_value (kind, name, domains), KeyFileError
    key.weak_passphrase.
    """
    fields.one_of(tuple(ORGANISATION_KINDS))(kind, "kind")
    fields.name(name, "name")
    fields.one_of(PURPOSES)(purpose, "purpose")
    held = tuple(
        fields.matching(fields.DNS_NAME, "a DNS domain in lower case")(one, "domain") for one in domains
    )
    if directory.path.exists():
        raise CeremonyError(
            "keys.exists",
            "keys are never overwritten",
            str(directory.path),
            "a directory that is not there yet",
        )
    making = KeyDirectory(directory.path.with_name(f".{directory.path.name}.making"))
    shutil.rmtree(making.path, ignore_errors=True)
    making.path.mkdir(parents=True, mode=0o700)
    ca = generate_key(ES256, random_bytes)
    certificate = make_certificate(p256_private_key(ca.secret), name, kind, now, held)
    save_node_key(making.node_key, random_bytes(32))
    save_validator_key(making.validator_key, random_bytes(32))
    sealing = generate_key(X25519, random_bytes)
    for path, key, label in (
        (making.ca_key, ca, f"{kind} CA"),
        (making.sealing_key, sealing, f"{kind} sealing"),
    ):
        save_key(path, key, passphrase, purpose=purpose, label=label, cost=cost)
    organisation = {"format": FORMAT, "kind": kind, "name": name, "purpose": purpose}
    for path, public in (
        (making.organisation, encode_canonical_json(organisation)),
        (making.certificate, certificate.pem.encode()),
        (making.readme, _README.format(kind=kind, name=name).encode()),
    ):
        replace_file(path, public)
        path.chmod(0o644)
    making.path.rename(directory.path)
    return Agency(kind, name, purpose, certificate, sealing.public_key)


def load_agency(directory: KeyDirectory) -> Agency:
    """What is public; no passphrase is needed.

    Raises CeremonyError keys.unreadable, KeyFileError, and what `decode_certificate` raises.
    """
    top = read_file(read_bytes(directory.organisation), "an agency's organisation.json", FORMAT, 4_096)
    kind = top.take("kind", fields.one_of(tuple(ORGANISATION_KINDS)))
    name = top.take("name", fields.name)
    purpose = top.take("purpose", fields.one_of(PURPOSES))
    top.finish()
    pem = read_bytes(directory.certificate, MAX_PEM_BYTES).decode("utf-8", "replace")
    sealing = load_key_file(directory.sealing_key)
    return Agency(kind, name, purpose, decode_certificate(pem), sealing.public_key)


def load_node_keys(directory: KeyDirectory) -> NodeKeys:
    """The two plain keys. Raises CometFault comet.key_missing, comet.key_exposed, comet.key_malformed."""
    return NodeKeys(_load_seed(directory.node_key), _load_seed(directory.validator_key))


def require_node_keys(directory: KeyDirectory, own: Enrolment) -> NodeKeys:
    """The two plain keys, which are those that the enrolment names. Raises CeremonyError keys.other_node and
    those of `load_node_keys`.
    """
    node, content = load_node_keys(directory), own.content
    validator = None if content.validator is None else content.validator.public_key
    if node.node_public_key != content.node_key or validator not in (None, node.validator_public_key):
        raise CeremonyError(
            "keys.other_node",
            "the keys beside the enrolment are not those it names",
            node.node_id,
            content.peer,
        )
    return node


def open_ca(directory: KeyDirectory, agency: Agency, passphrase: str) -> Sign:
    """The CA's signature: ES256, r || s with low s.

    Raises KeyFileError, CeremonyError keys.other_certificate.
    """
    key = load_key(directory.ca_key, passphrase, chain_purpose=agency.purpose)
    if key.algorithm is not ES256 or key.public_key != agency.certificate.public_key:
        raise CeremonyError(
            "keys.other_certificate",
            "the CA's key does not belong to the certificate beside it",
            key.public_key,
            agency.certificate.public_key,
        )
    return lambda message: sign_hash(key, message, origin="", rp_id="")


def node_signer(seed: bytes) -> Sign:
    """The signature of a node's or validator's key, Ed25519."""
    key = SigningKey(seed)
    return lambda message: key.sign(message).signature


def save_enrolment(directory: KeyDirectory, enrolment: Enrolment, *, replace: bool = False) -> None:
    """Keep the agency's enrolment in force; an older one is kept beside it under its hash.

    Raises CeremonyError keys.enrolled where another one is in force and `replace` was not said.
    """
    path = directory.enrolment
    if path.exists():
        old = decode_enrolment(read_bytes(path, MAX_FILE_BYTES))
        if not replace:
            raise CeremonyError(
                "keys.enrolled",
                f"this agency has enrolled for {old.content.chain_name}; the others may have the file",
                old.hash,
                "--replace, and every member gets the new file",
            )
        path.rename(path.with_name(f"enrolment.{old.hash[:4].hex()}.json"))
    replace_file(path, encode_enrolment(enrolment))
    path.chmod(0o644)


def load_enrolment(directory: KeyDirectory) -> Enrolment:
    """The agency's enrolment in force. Raises CeremonyError keys.not_enrolled and those of
    `decode_enrolment`."""
    if not directory.enrolment.exists():
        raise CeremonyError(
            "keys.not_enrolled",
            "this agency has made no enrolment yet",
            str(directory.enrolment),
            "enrol first",
        )
    return decode_enrolment(read_bytes(directory.enrolment, MAX_FILE_BYTES))


def read_bytes(path: Path, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """A file, one byte more than `max_bytes` of it at most. Raises CeremonyError keys.unreadable."""
    try:
        with path.open("rb") as handle:
            return handle.read(max_bytes + 1)
    except OSError as error:
        raise CeremonyError(
            "keys.unreadable", "the file cannot be read", f"{path}: {error.strerror or error}"
        ) from None


def _load_seed(path: Path) -> bytes:
    load_public_key(path)
    return base64.b64decode(json.loads(path.read_bytes())["priv_key"]["value"])[:32]
