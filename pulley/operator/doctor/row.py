"""A row of the doctor's table, and the row for a check that could not be made."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from chalicelib.core.errors import PulleyError
from pulley.operator.stage.endpoint import EndedError

PASS, WARN, FAIL, UNKNOWN = "pass", "warn", "fail", "unknown"


@dataclass(frozen=True)
class Row:
    """The result of one check.

    `mend` says what to do. If `fix` is set, `pulley doctor --fix` can do it.
    """

    what: str
    outcome: str
    words: str
    mend: str = ""
    fix: str = ""

    @property
    def is_well(self) -> bool:
        """Whether the row demands no action. A person decides about a warning."""
        return self.outcome in {PASS, WARN}


Check = Callable[[], Iterable[Row]]


def passed(what: str, words: str) -> Row:
    """The row for a check that passed."""
    return Row(what, PASS, words)


def rows_of(what: str, check: Check) -> list[Row]:
    """Collect the rows of a check. If AWS or GitHub prevents it, the last row says why."""
    rows = []
    try:
        for row in check():
            rows.append(row)  # noqa: PERF402 - rows before an error are kept
    except EndedError as error:
        rows.append(Row(what, UNKNOWN, f"could not be looked at: {error}", error.detail))
    except PulleyError as error:
        hint = "allow yourself this call: docs/cli.md has doctor's permissions"
        rows.append(Row(what, UNKNOWN, f"could not be looked at: {error.in_full}", hint))
    return rows
