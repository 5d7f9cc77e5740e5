"""A row of the doctor's table, and what is said where a thing cannot be looked at."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from chalicelib.core.errors import PulleyError
from pulley.operator.stage.endpoint import EndedError

PASS, WARN, FAIL, UNKNOWN = "pass", "warn", "fail", "unknown"


@dataclass(frozen=True)
class Row:
    """How one thing stands.

    `mend` says what to do about it; where there is a `fix`, `pulley doctor --fix` can do it.
    """

    what: str
    outcome: str
    words: str
    mend: str = ""
    fix: str = ""

    @property
    def is_well(self) -> bool:
        """Whether nothing has to be done. A warning is for a person to weigh."""
        return self.outcome in {PASS, WARN}


Check = Callable[[], Iterable[Row]]


def passed(what: str, words: str) -> Row:
    """It is as it should be."""
    return Row(what, PASS, words)


def rows_of(what: str, check: Check) -> list[Row]:
    """The rows of a check; one that says why, where AWS or GitHub did not let it look."""
    rows = []
    try:
        for row in check():
            rows.append(row)  # noqa: PERF402 - what was seen before an error is kept
    except EndedError as error:
        rows.append(Row(what, UNKNOWN, f"could not be looked at: {error}", error.detail))
    except PulleyError as error:
        mend = "see that you may read it: docs/cli.md has what doctor asks for"
        rows.append(Row(what, UNKNOWN, f"could not be looked at: {error.in_full}", mend))
    return rows
