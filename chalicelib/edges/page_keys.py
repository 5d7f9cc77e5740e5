"""The page key in Parameter Store, and the links that were used.

The key is read at most once in some seconds, whatever strangers send.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from chalicelib.core.page_access import LEAST_KEY, PageKey
from chalicelib.core.stored import ParameterNames
from chalicelib.edges.aws import calling
from chalicelib.edges.parameters import whole

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

TRUSTED_SECONDS = 60.0  # how long a key that was read counts
AGAIN_SECONDS = 1.0  # the least time between two readings
FORGOTTEN = timedelta(hours=1)  # a used link is valid for two minutes; clocks may differ


class PageKeys:
    """Reads a stage's page key. Every method raises RefusedError and UnavailableError."""

    def __init__(
        self, client: "SSMClient", stage: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock` is in seconds."""
        self._client = client
        self._names = ParameterNames(stage)
        self._clock = clock
        self._read_at = float("-inf")
        self._key: PageKey | None = None

    def key(self, version: int | None = None) -> PageKey | None:
        """The key; None if the stage has none. If it has another version, it is read again soon."""
        age = self._clock() - self._read_at
        is_wrong = version is not None and (self._key is None or self._key.version != version)
        if age >= TRUSTED_SECONDS or (is_wrong and age >= AGAIN_SECONDS):
            self._read_at = self._clock()
            self._key = None  # if AWS does not answer, nobody gets in by an old key
            self._key = self._read()
        return self._key

    def use(self, nonce: str, *, now: datetime) -> bool:
        """Note that a link was used; False if it was before. `now` is aware.

        Of two Lambda functions that try at the same time, Parameter Store lets one write.
        """
        with calling("noting that a link was used"):
            try:
                self._client.put_parameter(
                    Name=self._names.used_link(nonce), Value="used", Type="String", Overwrite=False
                )
            except self._client.exceptions.ParameterAlreadyExists:
                return False
        self._forget_old(now)
        return True

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
            answer = self._client.get_parameters_by_path(Path=self._names.used_links)
            old = [
                one["Name"]
                for one in answer["Parameters"]
                if one["LastModifiedDate"].astimezone(UTC) < now - FORGOTTEN
            ]
            if old:
                self._client.delete_parameters(Names=old)
