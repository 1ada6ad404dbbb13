"""The counts of the SSRF corpus: `python -m tests.security.addresses`.

Every address of the corpus is given to a real courier, as it is written and as what a name resolves
to, while sockets listen wherever on this machine one could lead. (`tests/webhooks` asserts the same
and more; this prints it.)
"""

import asyncio
import sys
from collections import Counter

from receiver.clock import SystemClock
from receiver.webhooks.delivery import Courier
from receiver.webhooks.targets import TargetRefused, check_url
from tests.webhooks import corpus
from tests.webhooks.test_delivery import BODY, Names
from tests.webhooks.test_delivery_targets import watched


async def count() -> Counter[str]:
    """How many of each kind were refused, or not, and how many connections a socket saw."""
    counts: Counter[str] = Counter()
    special = [ip for ip, _ in corpus.SPECIAL_ADDRESSES]
    names = Names(**{f"n{index}": [[ip]] for index, ip in enumerate(special)})
    courier = Courier(names.resolve, SystemClock(), allow_http=True)
    written = {
        "special addresses": [f"[{ip}]" if ":" in ip else ip for ip in special],
        "disguised hosts": list(corpus.DISGUISED_HOSTS),
    }
    async with watched() as sinks:
        port = sinks[0].port
        urls = {
            kind: [f"{scheme}://{host}:{port}/" for host in hosts for scheme in ("http", "https")]
            for kind, hosts in written.items()
        }
        urls["malformed"] = [url for url, _ in corpus.MALFORMED_URLS]
        for kind, each in urls.items():
            for url in each:
                counts[f"{kind}: {_at_submission(url)} at submission"] += 1
        urls["names of special addresses"] = [
            f"https://n{index}.example:{port}/" for index in range(len(special))
        ]
        for kind, each in urls.items():
            for url in each:
                attempt = await courier.deliver(url, {}, BODY, 5)
                refused = (attempt.error or "").startswith("refused_target: ")
                counts[f"{kind}: {'refused' if refused else 'TAKEN'} when sending"] += 1
        counts["connections"] = sum(server.connections for server in sinks)
    for url, *_ in corpus.GOOD_URLS:
        counts[f"good: {_at_submission(url)} at submission"] += 1
    return counts


def _at_submission(url: str) -> str:
    try:
        check_url(url, allow_http=True, allow_nets=())
    except TargetRefused:
        return "refused"
    return "taken"


def main() -> int:
    counts = asyncio.run(count())
    for what, how_many in counts.items():
        print(f"{how_many:6}  {what}")
    bad = counts["connections"] or any("TAKEN" in what for what in counts)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
