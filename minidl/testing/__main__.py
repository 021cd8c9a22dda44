"""`python -m minidl.testing`: the gradient ledger."""

import sys

from minidl import streams


def main() -> int:
    """The ledger's command line, which needs Hypothesis."""
    from minidl.testing import ledger

    return ledger.main()


sys.exit(streams.run(main))
