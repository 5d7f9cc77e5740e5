"""moto's own state of one account in one Region, for what moto does not do by itself."""

from functools import cached_property
from typing import Any

from moto.backends import get_backend


class MotoState:
    """The state of each service is loaded when it is first needed.

    EC2's takes long, and reads the environment's profile.
    """

    def __init__(self, *, account: str, region: str) -> None:
        """`account` is an id."""
        self._account, self._region = account, region

    @cached_property
    def _auto_scaling(self) -> Any:  # noqa: ANN401 - a class of moto's
        return get_backend("autoscaling")[self._account][self._region]

    @cached_property
    def _load_balancing(self) -> Any:  # noqa: ANN401 - a class of moto's
        return get_backend("elbv2")[self._account][self._region]

    @cached_property
    def _ec2(self) -> Any:  # noqa: ANN401 - a class of moto's
        return get_backend("ec2")[self._account][self._region]
