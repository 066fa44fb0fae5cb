"""`shelian signer`: a person's own keys on their own machine, behind the same signing page.

It answers on the loopback name only. Two doors: the signing page, where a person reads what is signed and
types the passphrase; and `POST /api/sign` for programs of the same person, which hold the pairing token. A
key never leaves the process, and is forgotten after a while without use.
"""

from identity.signer.app import create_app
from identity.signer.config import SignerConfig

__all__ = ["SignerConfig", "create_app"]
