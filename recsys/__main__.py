"""`python -m recsys` is the command `recsys`."""

import sys

from minidl import streams

__all__ = ["main"]


def main() -> int:
    """The command, whatever its standard streams are; returns the exit code."""
    from recsys import cli  # not in processes that it starts, which import this module

    return streams.run(cli.main)


if __name__ == "__main__":
    sys.exit(main())
