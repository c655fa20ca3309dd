"""`python -m tercel.cli.child PARENT MODULE …`: run a module in this process, and end when the process PARENT does, however that ends.

The kernel sends SIGTERM when the parent is gone (Linux only; elsewhere a parent killed outright leaves its children). So neither a trader
nor a desk outlives the command that shows what they do.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys
from typing import Final

PR_SET_PDEATHSIG: Final = 1  # of prctl(2)


def main() -> None:
    """Tie this process to its parent, then become the module."""
    parent, module = int(sys.argv[1]), sys.argv[2]
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(0)  # it ended before we asked
    sys.argv[:3] = [module]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
