"""What the operator may read of the stage's parameters: everything, or all but the tokens."""

from collections.abc import Sequence

from chalicelib.core.errors import RefusedError
from chalicelib.edges.round_parameters import RoundParameters

_TOKEN = "/github-token"  # noqa: S105 - how the names of the tokens' parameters end


class ReadableParameters(RoundParameters):
    """The stage's parameters, for somebody whom IAM may not let read the tokens for GitHub.

    AWS refuses a whole call if it refuses one of its names. So what was refused is asked for again
    without the tokens, and then it is as if none were stored.
    """

    lacks_tokens = False  # whether AWS has refused to show a token

    def get(self, names: Sequence[str]) -> dict[str, str]:
        """The values of the parameters that are there, decrypted; without tokens if need be."""
        others = [name for name in names if not name.endswith(_TOKEN)]
        if not self.lacks_tokens or len(others) == len(names):
            try:
                return super().get(names)
            except RefusedError:
                if len(others) in {0, len(names)}:
                    raise
        values = super().get(others)
        self.lacks_tokens = True
        return values
