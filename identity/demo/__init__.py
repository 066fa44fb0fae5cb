"""The people, services and agencies of a demo consortium, their keys, and how they are enrolled.

For chains with `purpose: demo` only. Every key stands in a key file under a passphrase that everybody knows;
the names are made up and say so. `create_cast` makes all of it before genesis, the genesis builder takes the
registrars and the encryption keys from it, `enrol` has the registrars sign for everybody else once the chain
runs.
"""

from identity.demo.cast import (
    DEMO_PASSPHRASE,
    ORGANISATIONS,
    RELYING_PARTIES,
    DemoCast,
    DemoIdentity,
    DemoOrganisation,
    DemoRelyingParty,
)
from identity.demo.enrolment import Batch, enrol, enrolment_batches, sign_and_submit
from identity.demo.files import create_cast, key_path, load_cast, open_demo_key

__all__ = [
    "DEMO_PASSPHRASE",
    "ORGANISATIONS",
    "RELYING_PARTIES",
    "Batch",
    "DemoCast",
    "DemoIdentity",
    "DemoOrganisation",
    "DemoRelyingParty",
    "create_cast",
    "enrol",
    "enrolment_batches",
    "key_path",
    "load_cast",
    "open_demo_key",
    "sign_and_submit",
]
