"""The typed errors of identity. Codes are listed in docs/errors/identity.md."""

from node.chain.errors import ShelianError


class SealError(ShelianError):
    """A manifest, an envelope or a sealed file that does not fit: changed, cut, swapped, or sealed to
    somebody else.
    """


class KeyFileError(ShelianError):
    """A key file that cannot be opened, or may not be opened on this chain."""


class AuthenticatorError(ShelianError):
    """A WebAuthn ceremony that the software authenticator refuses, or a signature in the wrong form."""


class SigningRefused(ShelianError):
    """A signing request or a caller that the signing page or the signer refuses."""


class NodeError(ShelianError):
    """A node that did not answer, or answered with an error."""


class EnrolmentError(ShelianError):
    """An enrolment that is not allowed or did not succeed."""
