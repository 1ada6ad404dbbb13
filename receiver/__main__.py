"""The command `receiver`, also as `python -m receiver`."""

import sys


def main() -> None:
    """Run one command and exit with its status."""
    try:
        # This takes half a second, in which Ctrl-C must not print a traceback.
        from receiver.cli import main as cli

        cli.main()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
