"""Runs a program that ends with its parent: ``launch.py PARENT PROGRAM ARGUMENT…``. Linux only.

A program of its own because code between fork and exec is not safe in a process with threads. It asks the
kernel for SIGKILL at the parent's death, which outlasts exec, and becomes the program. Nothing of the project
is imported, so it starts in a few milliseconds.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
"""Of <sys/prctl.h>."""

if __name__ == "__main__":
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit(f"ERROR: prctl: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != int(sys.argv[1]):
        sys.exit("ERROR: the parent ended first")
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 (no shell is wanted)
