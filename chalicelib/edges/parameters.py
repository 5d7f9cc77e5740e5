"""Parameter Store: the stage's secrets, tokens, targets and pins.

A repository's settings are read in one call and cached for a while. Strangers choose the
repository that a delivery names, so the cache is bounded, and reads of unknown ones share a small
budget. Once that is spent, the repositories that have targets are listed, once a minute, and are
read all the same: no stranger can block their deliveries
(docs/decisions/16-known-repositories-are-listed.md). Verified senders have a budget of their own,
so that strangers cannot block a rotation of secrets.

Ages are measured by the wall clock: a monotonic one may stand still while Lambda freezes a
function.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from chalicelib.core.errors import UnavailableError
from chalicelib.core.refs import Repository
from chalicelib.core.stored import (
    ParameterNames,
    StoredPins,
    StoredReportSettings,
    StoredSettings,
    read_secrets,
)
from chalicelib.edges.aws import calling

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_ssm.paginator import DescribeParametersPaginator
    from mypy_boto3_ssm.type_defs import (
        GetParametersResultTypeDef,
        ParameterStringFilterTypeDef,
        ParameterTypeDef,
    )

REMEMBERED_SECONDS = 60.0
REMEMBERED_REPOSITORIES = 500  # also the most that are listed: so each is read once a minute
BUDGET = 30  # look-ups at once; the budget grows back by one look-up a second
VERIFIED_BUDGET = 30  # the same, for verified senders
NAMES_A_CALL = 10  # the limit of GetParameters, and of DeleteParameters
NAMES_A_PAGE = 50  # DescribeParameters' limit
# This leaves out secrets and tokens: each of them is a SecureString.
_TARGETS_ALONE: "ParameterStringFilterTypeDef" = {
    "Key": "Type",
    "Option": "Equals",
    "Values": ["String"],
}


class Budget:
    """A number of look-ups that may be used at once. It grows back by one a second."""

    def __init__(self, clock: Callable[[], float], size: int = BUDGET) -> None:
        """`clock` is in seconds."""
        self._clock = clock
        self._size = self._left = float(size)
        self._counted_at = clock()

    def spend(self, *, reserve: float = 0) -> bool:
        """Take one look-up if more than the reserve is left, and return whether it was taken."""
        now = self._clock()
        self._left = min(self._size, self._left + max(0, now - self._counted_at))
        self._counted_at = now
        if self._left < reserve + 1:
            return False
        self._left -= 1
        return True


class KnownRepositories:
    """The repositories that have targets, from a list that is a minute old at most."""

    def __init__(
        self, client: "SSMClient", stage: str, clock: Callable[[], float] = time.time
    ) -> None:
        """`clock` is in seconds."""
        self._client = client
        self._names = ParameterNames(stage)
        self._clock = clock
        self._attempts = Budget(clock, size=1)  # one a second, if listing fails
        self._listed_at, self._listed = float("-inf"), frozenset[str]()

    def has(self, repository: Repository) -> bool:
        """Whether it has targets. Raises RefusedError and UnavailableError."""
        is_young = 0 <= self._clock() - self._listed_at < REMEMBERED_SECONDS
        if not is_young and self._attempts.spend():
            with calling("listing the repositories"):
                describe = self._client.get_paginator("describe_parameters")
                names = list_repositories(describe, self._names, _TARGETS_ALONE)
                self._listed = frozenset(islice(names, REMEMBERED_REPOSITORIES))
            self._listed_at = self._clock()
        return self._names.targets(repository) in self._listed


class ParameterStore:
    """Reads one stage's parameters. Every method raises RefusedError or UnavailableError."""

    def __init__(
        self,
        client: "SSMClient",
        stage: str,
        clock: Callable[[], float] = time.time,
        known: KnownRepositories | None = None,
    ) -> None:
        """`clock` is in seconds. Without `known`, no repository is listed as known."""
        self._client = client
        self._names = ParameterNames(stage)
        self._clock = clock
        self._known = known
        self._budget = Budget(clock)
        self._verified_budget = Budget(clock, VERIFIED_BUDGET)
        self._memory: OrderedDict[Repository | None, tuple[float, StoredSettings]] = OrderedDict()

    def settings(self, repository: Repository | None) -> StoredSettings:
        """A repository's settings, cached for REMEMBERED_SECONDS; for None, the stage's secrets.

        Only a look-up of a repository that is not known to have settings costs the budget. Raises
        UnavailableError if the budget is spent.
        """
        read_at, settings = self._memory.get(repository, (0.0, None))
        if settings and 0 <= self._clock() - read_at < REMEMBERED_SECONDS:
            self._memory.move_to_end(repository)
            return settings
        if repository and not (settings and settings.known):
            self._pay_for(repository)
        return self._read_settings(repository)

    def settings_again(
        self, repository: Repository | None, *, is_verified: bool = False
    ) -> StoredSettings | None:
        """The settings, not from the cache; None if the sender's share of the budget is spent."""
        if is_verified:
            may_read = self._verified_budget.spend()
        else:
            may_read = self._budget.spend(reserve=BUDGET / 2)
        return self._read_settings(repository) if may_read else None

    def pins(self, targets: Sequence[str]) -> StoredPins:
        """The pins of the targets and the document's pin, never from the cache."""
        names = {self._names.pin(target): target for target in targets}
        values = self.get([self._names.document, *names])
        return StoredPins(
            by_target={names[name]: value for name, value in values.items() if name in names},
            document=values.get(self._names.document),
        )

    def report_settings(self, repository: Repository) -> StoredReportSettings:
        """A repository's settings for a report, never from the cache."""
        tokens, targets = self.token_names(repository), self._names.targets(repository)
        page = self._names.page_url
        values = self.get([*tokens, targets, page])
        return StoredReportSettings(
            first_of(tokens, values), values.get(targets), first_of([page], values)
        )

    def token_names(self, repository: Repository) -> tuple[str, ...]:
        """The names of a repository's token; the first that is stored counts."""
        return self._names.repository_github_token(repository), self._names.github_token

    def _pay_for(self, repository: Repository) -> None:
        """Raises UnavailableError if the budget is spent, unless the repository is known."""
        if not self._budget.spend() and not (self._known and self._known.has(repository)):
            raise UnavailableError("too many deliveries from repositories not known here")

    def _read_settings(self, repository: Repository | None) -> StoredSettings:
        tokens: tuple[str, ...] = ()
        secret, own, targets = self._names.webhook_secret, "", ""
        if repository:
            own = self._names.repository_webhook_secret(repository)
            targets, tokens = self._names.targets(repository), self.token_names(repository)
        values = self.get([name for name in (secret, own, targets, *tokens) if name])
        secret = own if own in values else secret
        settings = StoredSettings(
            secrets=read_secrets(values.get(secret, "")),
            secret_parameter=secret,
            targets=values.get(targets),
            token=first_of(tokens, values),
            known=own in values or targets in values,
        )
        self._remember(repository, settings)
        return settings

    def _remember(self, repository: Repository | None, settings: StoredSettings) -> None:
        """Cache the settings. Over the limit, evict the oldest unknown entry, else the oldest."""
        self._memory[repository] = (self._clock(), replace(settings, remembered=True))
        self._memory.move_to_end(repository)
        if len(self._memory) > REMEMBERED_REPOSITORIES:
            oldest = next(iter(self._memory))
            unknown = (key for key, (_, kept) in self._memory.items() if not kept.known)
            del self._memory[next(unknown, oldest)]

    def get(self, names: Sequence[str]) -> dict[str, str]:
        """The values of the parameters that are there, decrypted."""
        values: dict[str, str] = {}
        for start in range(0, len(names), NAMES_A_CALL):
            chunk = list(names[start : start + NAMES_A_CALL])
            with calling("reading parameters"):
                answer = self._client.get_parameters(Names=chunk, WithDecryption=True)
                values |= {one["Name"]: one["Value"] for one in whole(answer, chunk)}
        return values


def whole(answer: "GetParametersResultTypeDef", names: Sequence[str]) -> "list[ParameterTypeDef]":
    """The parameters of an answer. Raises LookupError or TypeError if it is not whole."""
    found = {one["Name"]: one for one in answer["Parameters"]}
    # A parameter that is left out may be a pin, or a repository's own secret.
    if not set(names) <= {*found, *answer["InvalidParameters"]}:
        raise LookupError("a parameter is neither there nor said to be missing")
    if not all(isinstance(one["Value"], str) for one in found.values()):
        raise TypeError("a parameter's value is no text")
    return list(found.values())


def first_of(names: Sequence[str], values: Mapping[str, str]) -> str:
    """The first of the parameters that is stored and not blank, or ""."""
    return next((values[name].strip() for name in names if values.get(name, "").strip()), "")


def list_repositories(
    describe: "DescribeParametersPaginator",
    names: ParameterNames,
    *filters: "ParameterStringFilterTypeDef",
) -> Iterator[str]:
    """The names of what is stored for repositories; no value is read."""
    pages = describe.paginate(
        ParameterFilters=[
            {"Key": "Name", "Option": "BeginsWith", "Values": [names.repositories]},
            *filters,
        ],
        PaginationConfig={"PageSize": NAMES_A_PAGE},
    )
    return (one["Name"] for page in pages for one in page["Parameters"])
