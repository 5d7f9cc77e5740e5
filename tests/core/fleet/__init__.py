"""A branch, its hosts and Run Command, in memory: all that a round has to deal with."""

from tests.core.fleet.world import World

__all__ = ["World"]
