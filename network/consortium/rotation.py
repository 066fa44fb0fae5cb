"""New keys in an agency's directory, and the moment at which they take the old ones' place.

A new key is made beside the one in use, under a name with `next`; the chain is told (a vote, or two
registrars); then `switch` puts it in its place and keeps the old one under a name with the time, mode 0600.

    priv_validator_key.next.json   ->  priv_validator_key.json   ->  priv_validator_key.20261123T013000Z.json

**A validator's key** signs two blocks of one height only if two machines, or one machine twice, vote with it.
Nothing here ever lets that be:

- The table changes in block h; blocks up to h+1 are signed by the old key's validator, from h+2 by the new
  one's. At no height do both count.
- The switch is made while the node is stopped, and only where its own ledger says that the next block's
  validators have the new key and no longer the old one: so the old key's last duty lies behind it.
- priv_validator_state.json stays as it is. It says up to where this machine has signed; the new key begins
  above that. A state that is ahead of the ledger's next block is refused.
- The old key's file goes to the keys directory, out of the node's: a node started from it would be no
  validator.

Between stop and start the validator is silent, as one failed machine is; that is what preflight looked at.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import nacl.utils

from identity.keys import ES256, X25519, RandomBytes, generate_key, p256_private_key
from identity.keystore import PERSONAL, Cost, load_key_file, save_key
from network.comet.keyfiles import load_public_key, node_id, replace_file, save_node_key, save_validator_key
from network.consortium.certificates import AgencyCertificate, decode_certificate, make_certificate
from network.consortium.governance import MembershipError
from network.consortium.keys import Agency, KeyDirectory, read_bytes
from node.chain.validators import Validator

NEXT: Final = "next"


@dataclass(frozen=True, slots=True)
class NextKeys:
    """The names of new keys that are not in use yet."""

    directory: KeyDirectory

    @property
    def validator_key(self) -> Path:
        return _beside(self.directory.validator_key, NEXT)

    @property
    def node_key(self) -> Path:
        return _beside(self.directory.node_key, NEXT)

    @property
    def ca_key(self) -> Path:
        return _beside(self.directory.ca_key, NEXT)

    @property
    def certificate(self) -> Path:
        return _beside(self.directory.certificate, NEXT)

    @property
    def sealing_key(self) -> Path:
        return _beside(self.directory.sealing_key, NEXT)


def next_validator_key(directory: KeyDirectory, random_bytes: RandomBytes = nacl.utils.random) -> bytes:
    """The new validator key's public part, 32 bytes; made if there is none yet."""
    path = NextKeys(directory).validator_key
    if not path.exists():
        save_validator_key(path, random_bytes(32))
    return load_public_key(path)


def next_node_id(directory: KeyDirectory, random_bytes: RandomBytes = nacl.utils.random) -> bytes:
    """The id, 20 bytes, of the new node key; made if there is none yet."""
    path = NextKeys(directory).node_key
    if not path.exists():
        save_node_key(path, random_bytes(32))
    return bytes.fromhex(node_id(load_public_key(path)))


def next_certificate(
    directory: KeyDirectory,
    agency: Agency,
    passphrase: str,
    now: datetime,
    *,
    cost: Cost = PERSONAL,
    random_bytes: RandomBytes = nacl.utils.random,
) -> AgencyCertificate:
    """The new CA's certificate, of the same agency and domains; key and certificate are made if there are
    none yet. Raises KeyFileError."""
    names = NextKeys(directory)
    if not names.certificate.exists():
        key = generate_key(ES256, random_bytes)
        # The key first: a certificate without its key would be worth nothing.
        names.ca_key.unlink(missing_ok=True)
        label = f"{agency.kind} CA"
        save_key(names.ca_key, key, passphrase, purpose=agency.purpose, label=label, cost=cost)
        made = make_certificate(
            p256_private_key(key.secret), agency.name, agency.kind, now, agency.certificate.domains
        )
        replace_file(names.certificate, made.pem.encode())
        names.certificate.chmod(0o644)
    return decode_certificate(read_bytes(names.certificate).decode("utf-8", "replace"))


def next_sealing_key(
    directory: KeyDirectory,
    agency: Agency,
    passphrase: str,
    *,
    cost: Cost = PERSONAL,
    random_bytes: RandomBytes = nacl.utils.random,
) -> bytes:
    """The new sealing key's public part, 32 bytes; made if there is none yet. Raises KeyFileError."""
    path = NextKeys(directory).sealing_key
    if not path.exists():
        key = generate_key(X25519, random_bytes)
        label = f"{agency.kind} sealing"
        save_key(path, key, passphrase, purpose=agency.purpose, label=label, cost=cost)
    return load_key_file(path).public_key


def require_validator_switch(
    directory: KeyDirectory,
    in_use: bytes,
    height: int,
    next_validators: Sequence[Validator],
    state_file: Path,
) -> bytes:
    """The new validator key, if a stopped node may begin to sign with it: its public part.

    `in_use`: public part of the key in the node's directory, the new one's where
    a switch was cut off; `height`: of its ledger's tip;
    `next_validators`: who signs the block after it, by that ledger; `state_file`: CometBFT's record of what
    was signed last.

    Raises MembershipError rotation.no_next_key, rotation.not_in_force, rotation.old_still_counts,
    rotation.state_ahead, rotation.state_unreadable.
    """
    path = NextKeys(directory).validator_key
    if not path.exists():
        raise MembershipError(
            "rotation.no_next_key", "没有新的密钥 there is no new key", str(path), "rotate validator"
        )
    new = load_public_key(path)
    keys = {one.public_key for one in next_validators}
    if new not in keys:
        raise MembershipError(
            "rotation.not_in_force",
            "新密钥还没有生效：等表决执行后两个区块 the new key does not count yet: it does two blocks "
            "after its vote was carried out",
            {"height": height, "key": new},
            "the new key among the next block's validators",
        )
    if in_use != new and in_use in keys:
        raise MembershipError(
            "rotation.old_still_counts",
            "旧密钥仍是验证者，两把不能同时用 the old key is still a validator's: never sign with both",
            {"height": height, "key": in_use},
            "the old key voted away",
        )
    signed = _signed_height(state_file)
    if signed > height + 1:
        raise MembershipError(
            "rotation.state_ahead",
            "本机签过的高度超过账本：账本是旧的，先让节点追上 this machine has signed above its ledger: "
            "the ledger is an old one; let the node catch up first",
            signed,
            height + 1,
        )
    return new


def switch(old: Path, new: Path, now: datetime) -> Path:
    """Put a new file of the keys directory in the old one's place; where the old one is kept.

    The old one is copied away first, so that whatever happens both are there. Raises MembershipError
    rotation.no_next_key.
    """
    if not new.exists():
        raise MembershipError("rotation.no_next_key", "没有新的密钥 there is no new key", str(new))
    kept = _beside(old, f"{now:%Y%m%dT%H%M%SZ}")
    if old.exists():
        kept.unlink(missing_ok=True)
        kept.hardlink_to(old)
    new.replace(old)
    return kept


def keep_aside(path: Path, data: bytes, now: datetime) -> Path:
    """A key that came out of a node's directory, kept beside `path` under the time."""
    kept = _beside(path, f"{now:%Y%m%dT%H%M%SZ}")
    if not kept.exists():
        replace_file(kept, data)
    return kept


def _signed_height(state_file: Path) -> int:
    try:
        return int(json.loads(state_file.read_bytes())["height"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MembershipError(
            "rotation.state_unreadable",
            "读不出本机签过什么 what this machine signed last cannot be read",
            str(error),
            str(state_file),
        ) from None


def _beside(path: Path, word: str) -> Path:
    """agency-ca.key.json -> agency-ca.WORD.key.json"""
    stem, _, endings = path.name.partition(".")
    return path.with_name(f"{stem}.{word}.{endings}")
