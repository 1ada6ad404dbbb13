"""Opaque cursors of lists, signed so that cursors of other lists and forged ones are refused."""

import hashlib
import hmac
from collections.abc import Sequence

from itsdangerous import Signer

from receiver.http_api.errors import bad_query

_LONGEST = 256


class Cursors:
    """Creates and reads cursors. A cursor is valid only for its list and user (None: all users)."""

    def __init__(self, keys: Sequence[str]) -> None:
        """`keys` are newest first: the first one signs, all of them verify."""
        self._signers = tuple(
            Signer(
                key, "receiver.cursor", key_derivation="hmac", digest_method=hashlib.sha256, sep="~"
            )
            for key in keys
        )

    def make(self, list_name: str, user_id: int | None, last_id: str) -> str:
        """The cursor of a page that ended with `last_id`."""
        return last_id + self._signature(self._signers[0], list_name, user_id, last_id)

    def read(self, list_name: str, user_id: int | None, text: str) -> str:
        """The id that ended the previous page.

        Raises:
            Problem: 400, if it is not a cursor of this list.
        """
        last_id = text.partition("~")[0]
        if len(text) <= _LONGEST and text.isascii():
            for signer in self._signers:
                expected = last_id + self._signature(signer, list_name, user_id, last_id)
                if hmac.compare_digest(expected, text):
                    return last_id
        raise bad_query("cursor", "is not a next_cursor of this list")

    @staticmethod
    def _signature(signer: Signer, list_name: str, user_id: int | None, last_id: str) -> str:
        signed = f"{list_name}/{user_id or 0}/{last_id}"
        return "~" + signer.get_signature(signed).decode("ascii")
