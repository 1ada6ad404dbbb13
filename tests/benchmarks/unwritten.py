"""`receiver serve` whose callbacks are acknowledged without being stored: what the write costs is
the difference to it. Run as a script, as `python -m receiver` is."""

from typing import Any

from receiver.cli.main import main as command
from store.callbacks import Callbacks, Receipt


async def _accepted(*_: Any, **__: Any) -> Receipt:
    return Receipt.ACCEPTED


if __name__ == "__main__":
    Callbacks.receive = _accepted  # type: ignore[method-assign] # the point of this script
    command()
