"""`receiver serve` that acknowledges callbacks without storing them: the difference to the real
service is what the write costs. Run as a script, like `python -m receiver`."""

from typing import Any

from receiver.cli.main import main as command
from store.callbacks import Callbacks, Receipt, Received


async def _accepted(*_: Any, **__: Any) -> Received:
    return Received(Receipt.ACCEPTED)


if __name__ == "__main__":
    Callbacks.receive = _accepted  # type: ignore[method-assign] # the point of this script
    command()
