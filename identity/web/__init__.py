"""`shelian identity`: the signing page, the directory of credentials and, in a demo, enrolment."""

from identity.web.app import create_app
from identity.web.config import AppOrigin, IdentityConfig

__all__ = ["AppOrigin", "IdentityConfig", "create_app"]
