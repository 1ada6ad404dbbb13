"""An operator gives a user a new signing secret."""

from receiver.actions.issue_key import SECRET_BYTES
from receiver.webhooks.signing import new_secret
from store.contract import Store
from store.ids import Entropy
from store.records import Millis, User

OVERLAP: Millis = 24 * 3600 * 1000
"""How long the secret before signs beside the new one (contract 10)."""


async def rotate_secret(store: Store, now: Millis, entropy: Entropy, user: str) -> User:
    """Replace the user's secret; the one before goes on signing for `OVERLAP`.

    Raises:
        NotFound: there is no such user.
        StoreUnavailable: nothing was written.
    """
    return await store.keys.rotate_secret(user, new_secret(entropy(SECRET_BYTES)), now + OVERLAP)
