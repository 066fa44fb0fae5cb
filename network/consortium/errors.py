"""The one type of error of the genesis ceremony. Codes are listed in docs/errors/consortium.md."""

from node.chain.errors import ShelianError


class CeremonyError(ShelianError):
    """A certificate, an enrolment, a signature or a genesis that the ceremony refuses."""
