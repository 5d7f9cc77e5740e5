"""A repository with gated targets, their hosts, GitHub and Run Command, in memory.

The real flows run against it. tests/flows/gates/promises.py checks the promises by what the world
knows, never by what the flows say.
"""

from tests.flows.gates.layout import BERLIN, Layout, Node
from tests.flows.gates.world import World

__all__ = ["BERLIN", "Layout", "Node", "World"]
