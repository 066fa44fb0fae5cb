"""Which tests of published vectors there are to run."""

from __future__ import annotations

import os

from tests.vectors.state_tests.cases import CHECKOUT_VARIABLE

# They need a checkout of ethereum/tests, which is no part of the set-up: see docs/CONFORMANCE.md.
collect_ignore = [] if os.environ.get(CHECKOUT_VARIABLE) else ["test_ethereum_byte_tests.py"]
