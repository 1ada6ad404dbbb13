"""Opaque cursors of lists: signed, so that a foreign or made-up one is noticed."""

import hashlib
import hmac
from collections.abc import Sequence

from itsdangerous import Signer

from receiver.http_api.errors import bad_query

_LONGEST = 256


class Cursors:
    """Makes and reads cursors; each is good for the list and the user that it was made for."""

    def __init__(self, keys: Sequence[str]) -> None:
        """`keys` are newest first: the first one signs, all of them verify."""
        self._signers = tuple(
            Signer(
                key, "receiver.cursor", key_derivation="hmac", digest_method=hashlib.sha256, sep="~"
            )
            for key in keys
        )

    def make(self, list_name: str, user_id: int, last_id: str) -> str:
        """The cursor of a page that ended with `last_id`."""
        return last_id + self._signature(self._signers[0], list_name, user_id, last_id)

    def read(self, list_name: str, user_id: int, text: str) -> str:
        """The id that the next page begins below.

        Raises:
            Problem: 400, the cursor is not one of this list.
        """
        last_id = text.partition("~")[0]
        if len(text) <= _LONGEST and text.isascii():
            for signer in self._signers:
                expected = last_id + self._signature(signer, list_name, user_id, last_id)
                if hmac.compare_digest(expected, text):
                    return last_id
        raise bad_query("cursor", "is not a next_cursor that this list gave")

    @staticmethod
    def _signature(signer: Signer, list_name: str, user_id: int, last_id: str) -> str:
        return "~" + signer.get_signature(f"{list_name}/{user_id}/{last_id}").decode("ascii")
