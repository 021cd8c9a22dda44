"""`python -m recsys` is the command `recsys`."""

import sys

from minidl import streams
from recsys import cli

__all__ = ["main"]


def main() -> int:
    """The command, whatever its standard streams are; returns the exit code."""
    return streams.run(cli.main)


if __name__ == "__main__":
    sys.exit(main())
