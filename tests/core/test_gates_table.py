"""Which commit goes out when: every trigger, gate and state of a gate, a line each.

Read the tables as the specification. They judge the commit B, which came after A and before C, for
the target production. Times are in UTC; Mon is 2030-01-07. A gate's state is + open, - closed or
? not known; a commit goes out if all are open.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import takewhile

import pytest

from chalicelib.core.gates import Gates
from chalicelib.core.history import Check, Command, Invocation, Look, Run, age
from chalicelib.core.pins import Pin
from chalicelib.core.plan import plan_target
from chalicelib.core.refs import CommitSha
from chalicelib.core.targets import Target, TargetsError, parse_target
from chalicelib.core.waiting import (
    CLOSED,
    OPEN,
    UNKNOWN,
    Forerunner,
    Waiting,
    checks_gate,
    forerunner_of,
    judge_gates,
    newer_than,
    well_since,
)
from chalicelib.core.wanted import TargetFacts
from tests.core.test_plan import (
    START,
    WEB,
    A,
    B,
    C,
    facts_of,
    failed,
    host,
    ran,
    reconciled,
    run,
    said,
)
from tests.facts import invocation as on
from tests.facts import result_line
from tests.fakes import target_json

STATES = {"+": OPEN, "-": CLOSED, "?": UNKNOWN}
D = CommitSha("d" * 40)

WINDOWS = {
    "office": "Mon-Fri 09:00-17:00 UTC",
    "saturday": "Sat 10:00-12:00 UTC",
    "lunch": "Mon-Sun 12:00-13:00 UTC",
    "night": "Fri 22:00-02:00 UTC",
    "sunday-night": "Sun 23:00-01:00 UTC",
    "weekend": "Fri-Mon 00:00-24:00 UTC",
    "always": "Mon-Sun 00:00-24:00 UTC",
    "berlin": "Mon-Fri 09:00-17:00 Europe/Berlin",
    "kathmandu": "Mon-Fri 09:00-17:00 Asia/Kathmandu",
    "new-york": "Mon-Fri 09:00-17:00 America/New_York",
    "berlin-half-two": "Sun 02:30-04:00 Europe/Berlin",
    "berlin-in-the-gap": "Sun 02:15-02:45 Europe/Berlin",
    "new-york-half-two": "Sun 02:30-04:00 America/New_York",
    "new-york-half-one": "Sun 00:00-01:30 America/New_York",
}

TRIGGER = """
# keys             | now       | gates    | reason
                   | Mon 10:00 |          |
                   | Sun 03:00 |          |
trigger=push       | Mon 10:00 |          |
trigger=push       | Sun 03:00 |          |
trigger=manual     | Mon 10:00 | trigger- | waits for pulley deploy
trigger=manual     | Sun 03:00 | trigger- | waits for pulley deploy
trigger=deployment | Mon 10:00 | trigger- | waits for a deployment to production on GitHub
"""

REFUSED = """
# keys                               | problem
trigger=manual window=office         | trigger: manual goes out by pulley deploy alone, so leave out window
trigger=manual after=staging         | trigger: manual goes out by pulley deploy alone, so leave out after
trigger=manual checks=test           | trigger: manual goes out by pulley deploy alone, so leave out checks
trigger=manual checks=* window=night | trigger: manual goes out by pulley deploy alone, so leave out checks, window
trigger=tag                          | trigger: must be push, manual or deployment, not 'tag'
trigger=deployment checks=test       | checks: trigger is deployment, and GitHub judged the checks when that deployment was made, so leave out checks
soak=10m                             | soak: needs after, the targets that must be well for so long
soak=10m window=office               | soak: needs after, the targets that must be well for so long
after=staging soak=30s               | soak: must be a length of time like "6h", 1m to 20d, not '30s'
after=staging soak=21d               | soak: must be a length of time like "6h", 1m to 20d, not '21d'
after=production                     | after: must not have the target itself
after=staging+production             | after: must not have the target itself
"""  # noqa: E501 - a row is a line

# When a window is closed, the reason is: waits for its window, which opens ...
WINDOW = """
# window           | now              | state | opens
office             | Mon 00:00        | -     | Mon 2030-01-07 09:00 UTC
office             | Mon 08:59        | -     | Mon 2030-01-07 09:00 UTC
office             | Mon 09:00        | +     |
office             | Mon 12:00        | +     |
office             | Mon 16:59        | +     |
office             | Mon 17:00        | -     | Tue 2030-01-08 09:00 UTC
office             | Fri 16:59        | +     |
office             | Fri 17:00        | -     | Mon 2030-01-14 09:00 UTC
office             | Sat 12:00        | -     | Mon 2030-01-14 09:00 UTC
office             | Sun 23:59        | -     | Mon 2030-01-14 09:00 UTC
always             | Mon 00:00        | +     |
always             | Sun 23:59        | +     |
# One of two is enough; the one that opens first has the reason.
office+saturday    | Fri 12:00        | +     |
office+saturday    | Fri 17:00        | -     | Sat 2030-01-12 10:00 UTC
office+saturday    | Sat 10:00        | +     |
office+saturday    | Sat 12:00        | -     | Mon 2030-01-14 09:00 UTC
saturday+office    | Sat 11:00        | +     |
saturday+office    | Sat 12:00        | -     | Mon 2030-01-14 09:00 UTC
office+lunch       | Mon 12:30        | +     |
office+lunch       | Sun 12:30        | +     |
office+lunch       | Sun 13:00        | -     | Mon 2030-01-14 09:00 UTC
office+lunch+night | Fri 23:00        | +     |
# Over midnight: its days are those on which it begins.
night              | Fri 01:00        | -     | Fri 2030-01-11 22:00 UTC
night              | Fri 21:59        | -     | Fri 2030-01-11 22:00 UTC
night              | Fri 22:00        | +     |
night              | Sat 00:00        | +     |
night              | Sat 01:59        | +     |
night              | Sat 02:00        | -     | Fri 2030-01-18 22:00 UTC
night              | Sat 23:00        | -     | Fri 2030-01-18 22:00 UTC
sunday-night       | Mon 00:59        | +     |
sunday-night       | Mon 01:00        | -     | Sun 2030-01-13 23:00 UTC
sunday-night       | Sun 23:00        | +     |
# Over the end of the week.
weekend            | Thu 23:59        | -     | Fri 2030-01-11 00:00 UTC
weekend            | Fri 00:00        | +     |
weekend            | Sun 12:00        | +     |
weekend            | Mon 23:59        | +     |
weekend            | Tue 00:00        | -     | Fri 2030-01-11 00:00 UTC
# Other zones, in winter and in summer.
berlin             | 2030-01-07 07:59 | -     | Mon 2030-01-07 09:00 CET
berlin             | 2030-01-07 08:00 | +     |
berlin             | 2030-01-07 16:00 | -     | Tue 2030-01-08 09:00 CET
berlin             | 2030-07-01 06:59 | -     | Mon 2030-07-01 09:00 CEST
berlin             | 2030-07-01 07:00 | +     |
berlin             | 2030-07-01 15:00 | -     | Tue 2030-07-02 09:00 CEST
kathmandu          | 2030-01-07 03:14 | -     | Mon 2030-01-07 09:00 +0545
kathmandu          | 2030-01-07 03:15 | +     |
new-york           | 2030-01-07 13:59 | -     | Mon 2030-01-07 09:00 EST
new-york           | 2030-07-01 13:00 | +     |
# The clocks change over a weekend: the same hour of the wall clock.
berlin             | 2030-03-29 16:00 | -     | Mon 2030-04-01 09:00 CEST
berlin             | 2030-10-25 15:00 | -     | Mon 2030-10-28 09:00 CET
new-york           | 2030-03-08 22:00 | -     | Mon 2030-03-11 09:00 EDT
new-york           | 2030-11-01 21:00 | -     | Mon 2030-11-04 09:00 EST
# The hour from 2:00 is skipped: it opens as the clocks change, or not on that day.
berlin-half-two    | 2030-03-31 00:59 | -     | Sun 2030-03-31 03:00 CEST
berlin-half-two    | 2030-03-31 01:00 | +     |
berlin-half-two    | 2030-03-31 02:00 | -     | Sun 2030-04-07 02:30 CEST
berlin-in-the-gap  | 2030-03-30 12:00 | -     | Sun 2030-04-07 02:15 CEST
berlin-in-the-gap  | 2030-03-31 01:15 | -     | Sun 2030-04-07 02:15 CEST
new-york-half-two  | 2030-03-10 06:59 | -     | Sun 2030-03-10 03:00 EDT
new-york-half-two  | 2030-03-10 07:00 | +     |
new-york-half-two  | 2030-03-10 08:00 | -     | Sun 2030-03-17 02:30 EDT
# The hour from 2:00 (New York: 1:00) is repeated: it opens twice.
berlin-half-two    | 2030-10-27 00:29 | -     | Sun 2030-10-27 02:30 CEST
berlin-half-two    | 2030-10-27 00:30 | +     |
berlin-half-two    | 2030-10-27 01:00 | -     | Sun 2030-10-27 02:30 CET
berlin-half-two    | 2030-10-27 01:30 | +     |
berlin-half-two    | 2030-10-27 03:00 | -     | Sun 2030-11-03 02:30 CET
new-york-half-one  | 2030-11-03 05:29 | +     |
new-york-half-one  | 2030-11-03 05:30 | -     | Sun 2030-11-03 01:00 EST
new-york-half-one  | 2030-11-03 06:00 | +     |
new-york-half-one  | 2030-11-03 06:30 | -     | Sun 2030-11-10 00:00 EST
"""

# The keys are after=staging; it is Mon 10:00. STANDINGS has each standing as facts.
AFTER = """
# staging               | state | reason
well                    | +     |
well by a round         | +     |
well with an edit aside | +     |
well, to the commit     | +     |
well after a failure    | +     |
pinned to B             | +     |
frozen at B             | +     |
one of two offline      | +     |
GitHub away             | +     |
superseded by B         | +     |
checked                 | +     |
not reached by C        | +     |
C under way             | +     |
behind                  | -     | waits for staging, which is at aaaaaaa
ahead                   | -     | waits for staging, which is at ccccccc
frozen at A             | -     | waits for staging, which is at aaaaaaa
pinned to A             | -     | waits for staging, which is at aaaaaaa
unreachable             | -     | waits for staging: web-1: unreachable
B under way             | -     | waits for staging, which is at aaaaaaa
went past B             | -     | waits for staging, which is at ccccccc
offline, other behind   | -     | waits for staging, which is at aaaaaaa
failed                  | -     | waits for staging: web-1: rolled back
failed, due again       | -     | waits for staging: web-1: rolled back
parked                  | -     | waits for staging: web-1: 5 attempts failed: rolled back
frozen and failed       | -     | waits for staging: web-1: rolled back
timed out               | -     | waits for staging: web-1: stopped at its limit of 600 s
one of two failed       | -     | waits for staging: web-2: rolled back
new host                | -     | waits for staging: web-2: nothing is known of it
held                    | -     | waits for staging: web-1: rolled back
cancelled in time       | -     | waits for staging, which is at aaaaaaa
cancelled as it ran     | -     | waits for staging: web-1: its last run was cancelled
C failed, back at B     | -     | waits for staging: web-1: a newer commit failed there
another target ran B    | -     | waits for staging: web-1: the target job ran in its checkout
drifted                 | -     | waits for staging: web-1: it has drifted
apart                   | -     | waits for staging: its hosts do not all run one commit
offline                 | -     | waits for staging: it has no host online
without a host          | -     | waits for staging: it has no host online
never deployed          | -     | waits for staging: web-1: nothing is known of it
without any commit      | -     | waits for staging: web-1: no commit is known yet
first run under way     | -     | waits for staging: web-1: a command for it is under way
not read                | -     | waits for staging: it could not be read
"""

# The keys are after=staging and the soak. The time of a standing is that of staging's newest run.
SOAK = """
# soak | staging                     | now       | state | reason
10m    | well 09:50                  | Mon 09:50 | -     | waits until staging has been well for 10 min, since 09:50 UTC
10m    | well 09:50                  | Mon 09:59 | -     | waits until staging has been well for 10 min, since 09:50 UTC
10m    | well 09:50                  | Mon 10:00 | +     |
10m    | well 09:50                  | Mon 10:01 | +     |
1m     | well 09:50                  | Mon 09:50 | -     | waits until staging has been well for 1 min, since 09:50 UTC
1m     | well 09:50                  | Mon 09:51 | +     |
6h     | well 09:50                  | Mon 15:49 | -     | waits until staging has been well for 360 min, since 09:50 UTC
6h     | well 09:50                  | Mon 15:50 | +     |
20d    | well 09:50                  | Mon 10:00 | -     | waits until staging has been well for 28800 min, since 09:50 UTC
10m    | second host later 09:50     | Mon 10:00 | -     | waits until staging has been well for 10 min, since 09:55 UTC
10m    | second host later 09:50     | Mon 10:05 | +     |
10m    | rechecked 09:50             | Mon 10:00 | +     |
10m    | sent again, unchanged 09:50 | Mon 10:00 | +     |
10m    | failed in between 09:50     | Mon 10:00 | -     | waits until staging has been well for 10 min, since 09:52 UTC
10m    | failed in between 09:50     | Mon 10:02 | +     |
10m    | C failed in between 09:50   | Mon 10:00 | -     | waits until staging has been well for 10 min, since 09:52 UTC
10m    | away and back 09:50         | Mon 09:59 | -     | waits until staging has been well for 10 min, since 09:50 UTC
10m    | away and back 09:50         | Mon 10:00 | +     |
10m    | by a slow clock 09:50       | Mon 09:59 | -     | waits until staging has been well for 10 min, since 09:50 UTC
10m    | by a fast clock 09:50       | Mon 10:00 | -     | waits until staging has been well for 10 min, since 10:10 UTC
10m    | frozen at B 09:50           | Mon 10:00 | +     |
10m    | one of two offline 09:50    | Mon 10:00 | +     |
10m    | went past A 09:50           | Mon 12:00 | ?     | staging is well, but since when is not known
10m    | behind 09:50                | Mon 12:00 | -     | waits for staging, which is at aaaaaaa
10m    | failed, due again 08:00     | Mon 12:00 | -     | waits for staging: web-1: rolled back
10m    | offline 09:50               | Mon 12:00 | -     | waits for staging: it has no host online
10m    | not read 09:50              | Mon 12:00 | -     | waits for staging: it could not be read
"""  # noqa: E501 - a row is a line

# What GitHub says about the checks of B.
CHECKS = """
# checks  | GitHub says           | state | reason
test      | green                 | +     |
test+lint | green                 | +     |
*         | green                 | +     |
test      | closed                | -     | waits for test
test+lint | closed                | -     | waits for test, lint
*         | closed                | -     | waits for every check
test      | closed: test: pending | -     | waits for test: pending
test+lint | closed: lint: failure | -     | waits for lint: failure
*         | closed: build: error  | -     | waits for build: error
test      | unknown               | ?     | waits for test
*         | unknown               | ?     | waits for every check
test      | unknown: GitHub: 503  | ?     | waits for GitHub: 503
"""

# Two and three gates. `checks` comes last, and is empty if GitHub is not asked.
COMBINED = """
# keys                                       | now       | the targets before it                        | checks  | gates
trigger=push window=office                   | Mon 10:00 |                                              |         | window+
trigger=push window=office                   | Mon 08:00 |                                              |         | window-
trigger=push after=staging                   | Mon 10:00 | staging well                                 |         | after+
trigger=push after=staging                   | Mon 10:00 | staging failed                               |         | after-
trigger=push after=staging soak=10m          | Mon 10:00 | staging went past A 09:00                    |         | after?
trigger=push checks=test                     | Mon 10:00 |                                              | green   | checks+
trigger=push checks=test                     | Mon 10:00 |                                              | closed  | checks-
trigger=push checks=test                     | Mon 10:00 |                                              | unknown | checks?
window=office after=staging                  | Mon 10:00 | staging well                                 |         | window+ after+
window=office after=staging                  | Mon 08:00 | staging well                                 |         | window- after+
window=office after=staging                  | Mon 10:00 | staging behind                               |         | window+ after-
window=office after=staging                  | Mon 08:00 | staging behind                               |         | window- after-
window=office+saturday after=staging         | Sat 11:00 | staging well                                 |         | window+ after+
window=night after=staging                   | Sat 01:00 | staging well                                 |         | window+ after+
window=office after=staging soak=10m         | Mon 10:00 | staging well 09:50                           |         | window+ after+
window=office after=staging soak=10m         | Mon 10:00 | staging well 09:55                           |         | window+ after-
window=office after=staging soak=10m         | Mon 17:00 | staging well 09:50                           |         | window- after+
window=office after=staging soak=10m         | Mon 10:00 | staging went past A 09:50                    |         | window+ after?
window=office after=staging soak=10m         | Mon 17:00 | staging went past A 09:50                    |         | window- after?
window=office checks=test                    | Mon 10:00 |                                              | green   | window+ checks+
window=office checks=test                    | Mon 10:00 |                                              | closed  | window+ checks-
window=office checks=test                    | Mon 10:00 |                                              | unknown | window+ checks?
window=office checks=test                    | Mon 08:00 |                                              |         | window-
window=office checks=test                    | Mon 08:00 |                                              | green   | window- checks+
window=office checks=test                    | Mon 08:00 |                                              | unknown | window- checks?
after=staging checks=test                    | Mon 10:00 | staging well                                 | green   | after+ checks+
after=staging checks=test                    | Mon 10:00 | staging well                                 | closed  | after+ checks-
after=staging checks=test                    | Mon 10:00 | staging well                                 | unknown | after+ checks?
after=staging checks=test                    | Mon 10:00 | staging failed                               | green   | after- checks+
after=staging checks=test                    | Mon 10:00 | staging parked                               |         | after-
after=staging checks=test                    | Mon 10:00 | staging not read                             | unknown | after- checks?
after=staging checks=* soak=10m              | Mon 10:00 | staging well 09:50                           | green   | after+ checks+
after=staging checks=* soak=10m              | Mon 10:00 | staging well 09:51                           | green   | after- checks+
after=staging checks=* soak=10m              | Mon 10:00 | staging went past A 09:50                    | unknown | after? checks?
after=staging+canary                         | Mon 10:00 | staging well; canary well                    |         | after+ after+
after=staging+canary                         | Mon 10:00 | staging well; canary behind                  |         | after+ after-
after=staging+canary                         | Mon 10:00 | staging failed; canary well                  |         | after- after+
after=staging+canary                         | Mon 10:00 | staging offline; canary apart                |         | after- after-
after=staging+canary                         | Mon 10:00 | staging well; canary not read                |         | after+ after-
after=staging+canary                         | Mon 10:00 | staging well; canary drifted                 |         | after+ after-
after=staging+canary soak=10m                | Mon 10:00 | staging well 09:50; canary well 09:50        |         | after+ after+
after=staging+canary soak=10m                | Mon 10:00 | staging well 09:50; canary well 09:55        |         | after+ after-
after=staging+canary soak=10m                | Mon 10:00 | staging well 09:50; canary went past A 09:00 |         | after+ after?
window=office after=staging checks=test      | Mon 10:00 | staging well                                 | green   | window+ after+ checks+
window=office after=staging checks=test      | Mon 10:00 | staging well                                 | closed  | window+ after+ checks-
window=office after=staging checks=test      | Mon 10:00 | staging well                                 | unknown | window+ after+ checks?
window=office after=staging checks=test      | Mon 10:00 | staging failed                               | green   | window+ after- checks+
window=office after=staging checks=test      | Mon 08:00 | staging well                                 | green   | window- after+ checks+
window=office after=staging checks=test      | Mon 10:00 | staging ahead                                | closed  | window+ after- checks-
window=office after=staging checks=test      | Mon 08:00 | staging behind                               |         | window- after-
window=office after=staging checks=test      | Mon 08:00 | staging offline                              | unknown | window- after- checks?
window=office after=staging checks=* soak=1h | Mon 10:00 | staging well 09:00                           | green   | window+ after+ checks+
window=office after=staging checks=* soak=1h | Mon 09:30 | staging well 09:00                           | green   | window+ after- checks+
window=office after=staging checks=* soak=1h | Mon 17:00 | staging well 09:00                           | green   | window- after+ checks+
window=office after=staging+canary checks=*  | Mon 10:00 | staging well; canary well                    | green   | window+ after+ after+ checks+
window=office after=staging+canary checks=*  | Mon 10:00 | staging well; canary held                    | green   | window+ after+ after- checks+
"""  # noqa: E501 - a row is a line

NEWER = """
# branch | the target's | newer
         |              |
         | B            |
B        |              | B
B        | B            |
B        | A            | B
D C B A  |              | D C B A
D C B A  | A            | D C B
D C B A  | B            | D C
D C B A  | C            | D
D C B A  | D            |
D C      | A            | D C
D B      | C            | D B
"""


def rows(table: str) -> list[tuple[str, ...]]:
    lines = [line for line in table.splitlines() if line and not line.startswith("#")]
    return [tuple(cell.strip() for cell in line.split("|")) for line in lines]


def table_of(names: str, table: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        names.split(), rows(table), ids=[" | ".join(row[:-1]) for row in rows(table)]
    )


def time_of(text: str) -> datetime:
    """`Mon 10:00` is in the week from 2030-01-07 on."""
    day, _, clock = text.partition(" ")
    days = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    date = f"2030-01-{7 + days.index(day):02}" if day in days else day
    return datetime.fromisoformat(f"{date} {clock}").replace(tzinfo=UTC)


def production(keys: str) -> Target:
    """The target with keys like `after=staging+canary soak=10m`."""
    entry: dict[str, object] = {}
    for key, _, value in (part.partition("=") for part in keys.split()):
        listed = value.split("+")
        entry[key] = listed if key in {"checks", "after"} else value
        if key == "window":
            entry[key] = [WINDOWS[one] for one in listed]
        elif value == "*":
            entry[key] = True
    return parse_target("targets.production", target_json("production", **entry))


# --- How a target stands before production -------------------------------------------------------

FIRST, BOTH, ONE_AWAY = (host(1),), (host(1), host(2)), (host(1), host(2, is_online=False))
FAIR = Pin("frozen", reason="the fair")


def aside(number: int, at: int) -> Invocation:
    line = result_line(outcome="updated", upstream=B.sha, set_aside="settings.py")
    return on(number, "Success", line, START + timedelta(minutes=at))


def back_from_c(at: int) -> Invocation:
    """The branch was at C already, which failed, so the host went back to B."""
    line = result_line(outcome="rolled_back", before=B.sha, after=B.sha, upstream=C.sha)
    return on(1, "Failed", line, START + timedelta(minutes=at))


def with_clock(commit: CommitSha, ended: datetime) -> Invocation:
    """The host says that it ended at this time."""
    return replace(ran(1, commit), ended=ended)


def under_way(commit: CommitSha, at: int) -> Run:
    return run(commit, on(1, "InProgress"), at=at, status="InProgress")


def five_attempts(at: int) -> list[Run]:
    later = enumerate((at - 840, at - 720, at - 540, at - 300, at), start=1)
    return [
        run(B, failed(1, B, at=at - 900), at=at - 900),
        *(reconciled(B, failed(1, B, at=one), at=one, attempt=number) for number, one in later),
    ]


def checked(at: int, *, drift: str = "") -> TargetFacts:
    """B got there, and a check came a minute later."""
    requested = START + timedelta(minutes=at + 1)
    found = {"would_update": False, "owner": "site", "git": "2.39", "free_mib": 900, "lfs": False}
    found |= {"deployed": B.sha, "drift": drift}
    line = result_line(outcome="unchanged", upstream=B.sha, found=found)
    sent = run(B, at=at + 1).command
    check = Check(
        id="check",
        status="Success",
        details="Success",
        requested=requested,
        expires=sent.expires,
        target_count=1,
        checkout=WEB.checkout,
        target=WEB.name,
    )
    known = facts_of(run(B, ran(1, B), at=at), head=B)
    return replace(known, looks=[Look(check, (on(1, "Success", line, requested),))])


def stopped(at: int) -> TargetFacts:
    """B failed on the first host, so the second did not begin."""
    good = run(A, ran(1, A), ran(2, A), at=at - 60)
    bad = run(B, failed(1, B, at=at), on(2, "Terminated"), at=at, status="Failed")
    return facts_of(good, bad, hosts=BOTH, head=B)


def cancelled(at: int, *, has_begun: bool) -> TargetFacts:
    ended = START + timedelta(minutes=at) if has_begun else None
    bad = run(B, replace(on(1, "Cancelled"), ended=ended), at=at, status="Cancelled")
    return facts_of(run(A, ran(1, A), at=at - 60), bad, head=B)


def with_checks(facts: TargetFacts) -> TargetFacts:
    return replace(facts, target=replace(facts.target, gates=Gates(checks=("test",))))


# Each takes when the newest run, or the one that counts, was sent, in minutes from START.
STANDINGS: Mapping[str, Callable[[int], TargetFacts]] = {
    "well": lambda at: facts_of(run(B, ran(1, B), at=at), head=B),
    "well by a round": lambda at: facts_of(reconciled(B, ran(1, B), at=at), head=B),
    "well with an edit aside": lambda at: facts_of(run(B, aside(1, at), at=at), head=B),
    "well, to the commit": lambda at: with_checks(
        facts_of(run(B, ran(1, B), at=at, update="rebase-to"), head=C)
    ),
    "well after a failure": lambda at: facts_of(
        run(B, failed(1, B, at=at - 60), at=at - 60), reconciled(B, ran(1, B), at=at), head=B
    ),
    "pinned to B": lambda at: facts_of(
        run(B, ran(1, B), at=at, update="exact"), head=C, pin=Pin("pinned", B)
    ),
    "pinned to A": lambda at: facts_of(
        run(A, ran(1, A), at=at, update="exact"), head=C, pin=Pin("pinned", A)
    ),
    "frozen at B": lambda at: facts_of(run(B, ran(1, B), at=at), head=C, pin=FAIR),
    "frozen at A": lambda at: facts_of(run(A, ran(1, A), at=at), head=C, pin=FAIR),
    "frozen and failed": lambda at: facts_of(run(B, failed(1, B), at=at), head=B, pin=FAIR),
    "one of two offline": lambda at: facts_of(
        run(A, ran(2, A), at=at - 60), run(B, ran(1, B), at=at), hosts=ONE_AWAY, head=B
    ),
    "offline, other behind": lambda at: facts_of(
        run(B, ran(2, B), at=at - 60), run(A, ran(1, A), at=at), hosts=ONE_AWAY, head=B
    ),
    "offline": lambda at: facts_of(
        run(B, ran(1, B), at=at), hosts=[host(1, is_online=False)], head=B
    ),
    "without a host": lambda _: facts_of(hosts=[], head=B),
    "GitHub away": lambda at: facts_of(run(B, ran(1, B), at=at)),
    "superseded by B": lambda at: facts_of(run(A, said(1, "superseded", B), at=at), head=B),
    "checked": checked,
    "drifted": lambda at: checked(at, drift="head"),
    "not reached by C": lambda at: facts_of(
        run(B, ran(1, B), at=at - 30), run(C, on(1, "DeliveryTimedOut"), at=at), head=C
    ),
    "C under way": lambda at: facts_of(run(B, ran(1, B), at=at - 30), under_way(C, at), head=C),
    "B under way": lambda at: facts_of(run(A, ran(1, A), at=at - 30), under_way(B, at), head=B),
    "first run under way": lambda at: facts_of(under_way(B, at), head=B),
    "behind": lambda at: facts_of(run(A, ran(1, A), at=at), head=B),
    "ahead": lambda at: facts_of(run(C, ran(1, C), at=at), head=C),
    "went past A": lambda at: facts_of(run(A, ran(1, B), at=at), head=B),
    "went past B": lambda at: facts_of(run(B, ran(1, C), at=at), head=C),
    "failed": lambda at: facts_of(run(B, failed(1, B), at=at), head=B),
    "failed, due again": lambda at: facts_of(run(B, failed(1, B), at=at - 60), head=B),
    "C failed, back at B": lambda at: facts_of(
        run(B, ran(1, B), at=at - 30), run(B, back_from_c(at), at=at), head=B
    ),
    "another target ran B": lambda at: replace(
        facts_of(run(A, ran(1, A), at=at - 30), head=B),
        beside=renamed(facts_of(run(B, ran(1, B), at=at)), "job").runs,
    ),
    "unreachable": lambda at: facts_of(run(B, said(1, "unreachable", None), at=at), head=B),
    "timed out": lambda at: facts_of(run(B, on(1, "ExecutionTimedOut"), at=at - 60), head=B),
    "one of two failed": lambda at: facts_of(
        run(B, ran(1, B), failed(2, B), at=at), hosts=BOTH, head=B
    ),
    "parked": lambda at: facts_of(*five_attempts(at), head=B),
    "new host": lambda at: facts_of(run(B, ran(1, B), at=at), hosts=BOTH, head=B),
    "held": stopped,
    "cancelled in time": lambda at: cancelled(at, has_begun=False),
    "cancelled as it ran": lambda at: cancelled(at, has_begun=True),
    "apart": lambda at: facts_of(
        run(A, ran(1, A), ran(2, A), at=at - 60), run(B, ran(1, B), at=at), hosts=BOTH, head=B
    ),
    "never deployed": lambda _: facts_of(head=B),
    "without any commit": lambda _: facts_of(),
    # For the soak time.
    "second host later": lambda at: facts_of(
        run(B, ran(1, B), at=at), reconciled(B, ran(2, B), at=at + 5), hosts=BOTH, head=B
    ),
    "rechecked": lambda at: facts_of(
        run(B, ran(1, B), at=at),
        reconciled(B, said(1, "unchanged", B), at=at + 5, attempt=0),
        head=B,
    ),
    "sent again, unchanged": lambda at: facts_of(
        run(B, ran(1, B), at=at), run(B, said(1, "unchanged", B), at=at + 5), head=B
    ),
    "failed in between": lambda at: facts_of(
        run(B, ran(1, B), at=at),
        run(B, failed(1, B), at=at + 1),
        run(B, ran(1, B), at=at + 2),
        head=B,
    ),
    "C failed in between": lambda at: facts_of(
        run(B, ran(1, B), at=at),
        run(B, back_from_c(at + 1), at=at + 1),
        run(B, said(1, "unchanged", B), at=at + 2),
        head=B,
    ),
    "away and back": lambda at: facts_of(
        run(B, ran(1, B), at=at - 60),
        run(A, ran(1, A), at=at - 30, pushed=at - 90),
        run(B, ran(1, B), at=at),
        head=B,
    ),
    "by a slow clock": lambda at: facts_of(
        run(B, with_clock(B, START - timedelta(days=400)), at=at), head=B
    ),
    "by a fast clock": lambda at: facts_of(
        run(B, with_clock(B, START + timedelta(days=400)), at=at), head=B
    ),
}


def renamed(facts: TargetFacts, name: str) -> TargetFacts:
    """The facts of a target of this name; the helpers' target is `web`."""

    def told(invocations: Iterable[Invocation]) -> tuple[Invocation, ...]:
        old, new = (f'"target": "{one}"' for one in (WEB.name, name))
        return tuple(replace(one, output=one.output.replace(old, new)) for one in invocations)

    def sent(command: Command) -> Command:
        return replace(command, roll_out=replace(command.roll_out, target=name))

    return replace(
        facts,
        target=replace(facts.target, name=name),
        runs=[Run(sent(one.command), told(one.invocations)) for one in facts.runs],
        looks=[Look(replace(one.check, target=name), told(one.invocations)) for one in facts.looks],
    )


def forerunner(name: str, words: str, now: datetime) -> Forerunner:
    """Words like `well 09:50`; without a time, its newest run was ten minutes ago."""
    found = re.fullmatch(r"(.*?)(?: (\d\d):(\d\d))?", words)
    assert found
    sent = now - timedelta(minutes=10)
    if found[2]:
        sent = now.replace(hour=int(found[2]), minute=int(found[3]))
    at = int((sent - START) / timedelta(minutes=1))
    facts = renamed(STANDINGS[found[1]](at), name)
    plan = plan_target(facts, now=now)
    stands = forerunner_of(plan)
    hosts = [one.host.instance_id for one in plan.hosts if one.host.is_online]
    since = well_since(newest_runs(facts.runs, stands.commit), stands.commit, hosts)
    return replace(stands, since=since)


def newest_runs(runs: Iterable[Run], commit: str) -> list[Run]:
    """The runs of this commit since there was another one, as a round reads them."""
    newest = sorted(runs, key=lambda one: age(one.command), reverse=True)
    return list(takewhile(lambda one: one.roll_out.commit.sha == commit, newest))


def judged(keys: str, now: str, before: str = "", checks: str = "") -> Waiting:
    """The gates of production for the commit B."""
    target, at = production(keys), time_of(now)
    forerunners = {}
    for part in filter(None, before.split("; ")):
        name, _, words = part.partition(" ")
        if not words.startswith("not read"):
            forerunners[name] = forerunner(name, words, at)
    waiting = judge_gates(target, B, forerunners, now=at)
    assert waiting.commit == B
    if not checks:
        return waiting
    word, _, reason = checks.partition(": ")
    state = {"green": OPEN, "closed": CLOSED, "unknown": UNKNOWN}[word]
    return replace(waiting, gates=(*waiting.gates, checks_gate(target, state, reason)))


def states(waiting: Waiting) -> str:
    """The gates like `window+ after-`. Fails if the commit may go out past one that is not open."""
    signs = [next(sign for sign, of in STATES.items() if of == one.state) for one in waiting.gates]
    assert waiting.is_open == (set(signs) <= {"+"})
    assert all(one.reason for one in waiting.gates)
    return " ".join(one.name + sign for one, sign in zip(waiting.gates, signs, strict=True))


class TestJudgeGates:
    @table_of("keys now gates reason", TRIGGER)
    def test_trigger(self, keys: str, now: str, gates: str, reason: str) -> None:
        waiting = judged(keys, now)
        assert (states(waiting), str(waiting)) == (gates, reason)

    @table_of("keys problem", REFUSED)
    def test_keys_that_are_refused(self, keys: str, problem: str) -> None:
        with pytest.raises(TargetsError) as raised:
            production(keys)
        assert raised.value.problems == (f"targets.production.{problem}",)

    @table_of("window now state opens", WINDOW)
    def test_window(self, window: str, now: str, state: str, opens: str) -> None:
        waiting = judged(f"window={window}", now)
        reason = f"waits for its window, which opens {opens}" if opens else ""
        assert (states(waiting), str(waiting)) == (f"window{state}", reason)

    @table_of("staging state reason", AFTER)
    def test_after(self, staging: str, state: str, reason: str) -> None:
        waiting = judged("after=staging", "Mon 10:00", f"staging {staging}")
        assert (states(waiting), str(waiting)) == (f"after{state}", reason)

    @table_of("soak staging now state reason", SOAK)
    def test_soak(self, soak: str, staging: str, now: str, state: str, reason: str) -> None:
        waiting = judged(f"after=staging soak={soak}", now, f"staging {staging}")
        assert (states(waiting), str(waiting)) == (f"after{state}", reason)

    @table_of("checks says state reason", CHECKS)
    def test_checks(self, checks: str, says: str, state: str, reason: str) -> None:
        waiting = judged(f"checks={checks}", "Mon 10:00", checks=says)
        assert (states(waiting), str(waiting)) == (f"checks{state}", reason)

    @table_of("keys now before checks gates", COMBINED)
    def test_gates_together(
        self, keys: str, now: str, before: str, checks: str, gates: str
    ) -> None:
        waiting = judged(keys, now, before, checks)
        assert states(waiting) == gates
        reasons = [one.reason for one in waiting.gates if one.state != OPEN]
        assert str(waiting) == "; ".join(reasons)
        assert waiting.is_open == (reasons == [])


class TestNewerThan:
    @table_of("branch known newer", NEWER)
    def test_commits_before_the_known_one_are_newer(
        self, branch: str, known: str, newer: str
    ) -> None:
        of = {"A": A, "B": B, "C": C, "D": D}
        found = newer_than([of[one] for one in branch.split()], of.get(known))
        assert list(found) == [of[one] for one in newer.split()]


class TestTables:
    def test_tables_use_each_window_and_each_standing(self) -> None:
        told = WINDOW + AFTER + SOAK + COMBINED
        assert [one for one in WINDOWS if not re.search(rf"\b{one}\b", told)] == []
        assert [one for one in STANDINGS if one not in told] == []
