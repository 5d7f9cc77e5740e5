"""The page key in Parameter Store, and the links that were used.

However many requests strangers send, the key is read once in some seconds at most. Ages are
measured by the wall clock: a monotonic one may stand still while Lambda freezes a function.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import TYPE_CHECKING

from chalicelib.core.errors import PulleyError
from chalicelib.core.page_access import LEAST_KEY, PageKey
from chalicelib.core.stored import ParameterNames
from chalicelib.edges.aws import calling
from chalicelib.edges.parameters import NAMES_A_CALL, whole

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

TRUSTED_SECONDS = 60.0  # how long a key that was read counts
AGAIN_SECONDS = 1.0  # the least time between two readings
FORGOTTEN = timedelta(hours=1)  # a used link is valid for two minutes; clocks may differ


class PageKeys:
    """Reads a stage's page key. Every method raises RefusedError and UnavailableError."""

    def __init__(
        self, client: "SSMClient", stage: str, clock: Callable[[], float] = time.time
    ) -> None:
        """`clock` is in seconds."""
        self._client = client
        self._names = ParameterNames(stage)
        self._clock = clock
        self._tried_at = self._read_at = float("-inf")
        self._key: PageKey | None = None

    def key(self, version: int | None = None) -> PageKey | None:
        """The key; None if the stage has none. If it has another version, it is read again soon.

        If AWS does not answer, a key that was read less than TRUSTED_SECONDS ago still counts.
        """
        if not self._is_young(self._read_at, TRUSTED_SECONDS):
            self._key = None
        is_wrong = version is not None and (self._key is None or self._key.version != version)
        is_old = not self._is_young(self._read_at, TRUSTED_SECONDS)
        if (is_old or is_wrong) and not self._is_young(self._tried_at, AGAIN_SECONDS):
            self._tried_at = self._clock()
            self._key = self._read()
            self._read_at = self._clock()
        return self._key

    def use(self, nonce: str, *, now: datetime) -> bool:
        """Note that a link was used; False if it was before. `now` is aware.

        Of two Lambda functions that try at the same time, Parameter Store lets one write.
        """
        name, mine = self._names.used_link(nonce), token_hex(8)
        with calling("noting that a link was used"):
            try:
                self._client.put_parameter(Name=name, Value=mine, Type="String", Overwrite=False)
            except self._client.exceptions.ParameterAlreadyExists:
                # The note may be our own: boto3 tries again if an answer is lost.
                found = whole(self._client.get_parameters(Names=[name]), [name])
                if [one["Value"] for one in found] != [mine]:
                    return False
        with suppress(PulleyError):  # the next visitor tries again
            self._forget_old(now)
        return True

    def _is_young(self, then: float, seconds: float) -> bool:
        return 0 <= self._clock() - then < seconds

    def _read(self) -> PageKey | None:
        names = [self._names.page_key]
        with calling("reading the page key"):
            found = whole(self._client.get_parameters(Names=names, WithDecryption=True), names)
            if not found or len(found[0]["Value"].strip()) < LEAST_KEY:
                return None
            return PageKey(found[0]["Value"].strip(), found[0]["Version"])

    def _forget_old(self, now: datetime) -> None:
        """Delete the notes of links that nobody could use any more."""
        with calling("reading the used links"):
            pages = self._client.get_paginator("get_parameters_by_path")
            old = [
                one["Name"]
                for page in pages.paginate(Path=self._names.used_links)
                for one in page["Parameters"]
                if one["LastModifiedDate"].astimezone(UTC) < now - FORGOTTEN
            ]
            for start in range(0, len(old), NAMES_A_CALL):
                self._client.delete_parameters(Names=old[start : start + NAMES_A_CALL])
