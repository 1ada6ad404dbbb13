"""What the scripts of the Python clients share: `python -m SCRIPT ROOT KEY [CALL…]`."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

ROOT, KEY, *NAMES = sys.argv[1:]
INPUT = {"prompt": "A heron"}


def run(calls: Mapping[str, Callable[[], Any]]) -> None:
    """Do the calls that are named, or all but `orders`, and print what each got or raised."""
    for name in NAMES or [name for name in calls if name != "orders"]:
        try:
            said = {"got": calls[name]()}
        except Exception as error:  # noqa: BLE001  # whatever a client raises is its answer
            said = {"raised": f"{type(error).__name__}: {error}"}
        print(json.dumps({"call": name, **said}), flush=True)


def orders(create: Callable[[str | None], Any]) -> Callable[[], Any]:
    """A call that orders `ORDERS` jobs, and each again until it is answered, as an application
    would. With `KEYS`, an order's attempts share a key."""

    def order_all() -> Any:
        answered, errors = set(), 0
        for number in range(int(os.environ["ORDERS"])):
            key = f"order-{number}" if "KEYS" in os.environ else None
            while True:
                try:
                    answered.add(create(key))
                    break
                except Exception:  # noqa: BLE001  # it is ordered again
                    errors += 1
        return {"jobs": len(answered), "errors": errors}

    return order_all


class Webhooks:
    """A webhook address on this machine."""

    def __init__(self) -> None:
        self.messages: list[tuple[dict[str, str], str]] = []
        messages = self.messages

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # http.server looks for this name
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                messages.append((dict(self.headers), body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"

    def last(self) -> tuple[dict[str, str], str]:
        """The headers and body of the message about the end of a prediction."""
        while True:
            self._server.handle_request()
            headers, body = self.messages[-1]
            if json.loads(body)["status"] == "succeeded":
                return headers, body
