"""Which commit goes out when: every trigger, line, gate and state of a gate, a line each.

Read the tables as the specification. The target is production, which follows a branch, tags or tags
of releases. They judge the commit B, which came after A and before C. Times are in UTC; Mon is
2030-01-07. A gate's state is + open, - closed or ? not known; a commit goes out if all are open.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.core.commands import build_send_request
from chalicelib.core.deployments import DeploymentStatus
from chalicelib.core.gates import DEPLOYMENT, MANUAL, PUSH
from chalicelib.core.history import Run
from chalicelib.core.holds import RoundState
from chalicelib.core.hosts import Fleet
from chalicelib.core.refs import CommitSha
from chalicelib.core.stored import StoredPins
from chalicelib.core.tags import TaggedCommit, TagGlob, highest_first, newer_tags
from chalicelib.core.targets import Target, TargetsError, match_targets, parse_target
from chalicelib.core.waiting import (
    CLOSED,
    OPEN,
    UNKNOWN,
    Gate,
    Waiting,
    checks_gate,
    judge_gates,
    newer_than,
)
from chalicelib.core.waking import targets_that_wait
from chalicelib.core.wanted import TargetFacts
from chalicelib.flows.branches import Branches
from chalicelib.flows.gates import GateReader
from chalicelib.flows.receive import Accepted
from chalicelib.flows.snapshot import Reader, Snapshot
from tests.core.standings import STANDINGS, forerunner, standing
from tests.core.test_plan import A, B, C
from tests.facts import ROLL_OUT, sent
from tests.fakes import (
    NAMES,
    SITE,
    STAGE,
    FakeDeployments,
    FakeHistory,
    FakeJournal,
    FakeParameters,
    delivery_of,
    push_json,
    target_json,
)
from tests.flows.test_receive import House
from tests.flows.test_reconcile import FakeDirectory, FakeReading

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
# keys                                                  | problem
trigger=manual window=office                            | trigger: manual goes out by pulley deploy alone, so leave out window
trigger=manual after=staging                            | trigger: manual goes out by pulley deploy alone, so leave out after
trigger=manual checks=test                              | trigger: manual goes out by pulley deploy alone, so leave out checks
trigger=manual checks=* window=night                    | trigger: manual goes out by pulley deploy alone, so leave out checks, window
trigger=tag                                             | trigger: must be push, manual or deployment, not 'tag'
trigger=deployment checks=test                          | checks: trigger is deployment, and GitHub judged the checks when that deployment was made, so leave out checks
soak=10m                                                | soak: needs after, the targets that must be well for so long
soak=10m window=office                                  | soak: needs after, the targets that must be well for so long
after=staging soak=30s                                  | soak: must be a length of time like "6h", 1m to 20d, not '30s'
after=staging soak=21d                                  | soak: must be a length of time like "6h", 1m to 20d, not '21d'
after=production                                        | after: must not have the target itself
after=staging+production                                | after: must not have the target itself
tag=v* trigger=manual window=office                     | trigger: manual goes out by pulley deploy alone, so leave out window
tag=v* trigger=manual after=staging                     | trigger: manual goes out by pulley deploy alone, so leave out after
tag=v* trigger=manual after=staging soak=10m            | trigger: manual goes out by pulley deploy alone, so leave out after
tag=v* trigger=manual checks=test                       | trigger: manual goes out by pulley deploy alone, so leave out checks
tag=v* trigger=deployment checks=test                   | checks: trigger is deployment, and GitHub judged the checks when that deployment was made, so leave out checks
tag=v* soak=10m                                         | soak: needs after, the targets that must be well for so long
tag=v* trigger=tag                                      | trigger: must be push, manual or deployment, not 'tag'
tag=v* releases=* trigger=manual window=office          | trigger: manual goes out by pulley deploy alone, so leave out window
tag=v* releases=* trigger=manual after=staging          | trigger: manual goes out by pulley deploy alone, so leave out after
tag=v* releases=* trigger=manual after=staging soak=10m | trigger: manual goes out by pulley deploy alone, so leave out after
tag=v* releases=* trigger=manual checks=test            | trigger: manual goes out by pulley deploy alone, so leave out checks
tag=v* releases=* trigger=deployment checks=test        | checks: trigger is deployment, and GitHub judged the checks when that deployment was made, so leave out checks
tag=v* releases=* soak=10m                              | soak: needs after, the targets that must be well for so long
tag=v* releases=* trigger=tag                           | trigger: must be push, manual or deployment, not 'tag'
trigger=manual after=staging soak=10m                   | trigger: manual goes out by pulley deploy alone, so leave out after
trigger=deployment checks=*                             | checks: trigger is deployment, and GitHub judged the checks when that deployment was made, so leave out checks
trigger=deployment checks=test window=office            | checks: trigger is deployment, and GitHub judged the checks when that deployment was made, so leave out checks
trigger=deployment soak=10m                             | soak: needs after, the targets that must be well for so long
trigger=release                                         | trigger: must be push, manual or deployment, not 'release'
branch=main tag=v*                                      | tag: must not stand beside branch: a target follows one of them
branch=main tag=v* releases=*                           | tag: must not stand beside branch: a target follows one of them
branch=main tag=v* update=reset                         | tag: must not stand beside branch: a target follows one of them; update: is for a branch: hosts go to the tag's commit, detached
branch=                                                 | branch: is missing (or tag, like v*)
branch= releases=*                                      | branch: is missing (or tag, like v*); releases: needs tag, like v*
branch=main releases=*                                  | releases: needs tag, like v*
branch=main releases=* trigger=manual                   | releases: needs tag, like v*
tag=v* releases=yes                                     | releases: must be true or false, not 'yes'
tag=v* update=rebase                                    | update: is for a branch: hosts go to the tag's commit, detached
tag=v* update=reset                                     | update: is for a branch: hosts go to the tag's commit, detached
tag=v* update=reset after=staging                       | update: is for a branch: hosts go to the tag's commit, detached
tag=v* releases=* update=reset                          | update: is for a branch: hosts go to the tag's commit, detached
branch=refs/heads/main                                  | branch: must be a branch's short name, like main or release/1.2 (letters, digits and _ . / @ + = , # % -), not 'refs/heads/main'
tag=refs/tags/v*                                        | tag: must be a tag's name or a pattern, like v* or release/1.* (letters, digits and _ . / @ + = , # % - * ?), not 'refs/tags/v*'
tag=v[1]                                                | tag: must be a tag's name or a pattern, like v* or release/1.* (letters, digits and _ . / @ + = , # % - * ?), not 'v[1]'
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

# What a push of each ref does: it sends the commit at once, it only wakes a round, or it waits for
# somebody (`waits`); `-`: the target does not follow the ref. Update is the document's, whenever a
# commit goes out; "waits for" is the answer to the push.
PUSHES = """
# keys                                                           | main  | other | branch v1.2 | tag v1.2 | tag w1 | tag main | Update    | waits for
# A branch, push.
branch=main                                                      | sends | -     | -           | -        | -      | -        | rebase    |
branch=main window=office                                        | wakes | -     | -           | -        | -      | -        | rebase-to | Mon-Fri 09:00-17:00 UTC
branch=main after=staging                                        | wakes | -     | -           | -        | -      | -        | rebase-to | staging
branch=main after=staging soak=10m                               | wakes | -     | -           | -        | -      | -        | rebase-to | staging to be well for 10m
branch=main checks=test                                          | wakes | -     | -           | -        | -      | -        | rebase-to | test
branch=main checks=*                                             | wakes | -     | -           | -        | -      | -        | rebase-to | every check
branch=main window=office after=staging checks=test              | wakes | -     | -           | -        | -      | -        | rebase-to | test, staging, Mon-Fri 09:00-17:00 UTC
# A branch, manual.
branch=main trigger=manual                                       | waits | -     | -           | -        | -      | -        | rebase-to | pulley deploy (trigger is manual)
# A branch, deployment.
branch=main trigger=deployment                                   | waits | -     | -           | -        | -      | -        | rebase-to | a GitHub deployment of its environment
branch=main trigger=deployment window=office                     | waits | -     | -           | -        | -      | -        | rebase-to | a GitHub deployment of its environment, Mon-Fri 09:00-17:00 UTC
branch=main trigger=deployment after=staging                     | waits | -     | -           | -        | -      | -        | rebase-to | a GitHub deployment of its environment, staging
branch=main trigger=deployment after=staging soak=10m            | waits | -     | -           | -        | -      | -        | rebase-to | a GitHub deployment of its environment, staging to be well for 10m
branch=main trigger=deployment window=office after=staging       | waits | -     | -           | -        | -      | -        | rebase-to | a GitHub deployment of its environment, staging, Mon-Fri 09:00-17:00 UTC
# A branch, push.
branch=main update=reset                                         | sends | -     | -           | -        | -      | -        | reset     |
branch=main update=reset window=office                           | wakes | -     | -           | -        | -      | -        | reset-to  | Mon-Fri 09:00-17:00 UTC
# A branch, manual.
branch=main update=reset trigger=manual                          | waits | -     | -           | -        | -      | -        | reset-to  | pulley deploy (trigger is manual)
# A branch, deployment.
branch=main update=reset trigger=deployment                      | waits | -     | -           | -        | -      | -        | reset-to  | a GitHub deployment of its environment
branch=main update=reset trigger=deployment window=office        | waits | -     | -           | -        | -      | -        | reset-to  | a GitHub deployment of its environment, Mon-Fri 09:00-17:00 UTC
# A tag, push.
tag=v*                                                           | -     | -     | -           | wakes    | -      | -        | tag       | a round, which takes the highest version of v*
tag=v* window=office                                             | -     | -     | -           | wakes    | -      | -        | tag-to    | Mon-Fri 09:00-17:00 UTC
tag=v* after=staging                                             | -     | -     | -           | wakes    | -      | -        | tag-to    | staging
tag=v* after=staging soak=10m                                    | -     | -     | -           | wakes    | -      | -        | tag-to    | staging to be well for 10m
tag=v* checks=test                                               | -     | -     | -           | wakes    | -      | -        | tag-to    | test
tag=v* checks=*                                                  | -     | -     | -           | wakes    | -      | -        | tag-to    | every check
tag=v* window=office after=staging checks=test                   | -     | -     | -           | wakes    | -      | -        | tag-to    | test, staging, Mon-Fri 09:00-17:00 UTC
# A tag, manual.
tag=v* trigger=manual                                            | -     | -     | -           | waits    | -      | -        | tag-to    | pulley deploy (trigger is manual)
# A tag, deployment.
tag=v* trigger=deployment                                        | -     | -     | -           | wakes    | -      | -        | tag-to    | a GitHub deployment of its environment
tag=v* trigger=deployment window=office                          | -     | -     | -           | wakes    | -      | -        | tag-to    | a GitHub deployment of its environment, Mon-Fri 09:00-17:00 UTC
tag=v* trigger=deployment after=staging                          | -     | -     | -           | wakes    | -      | -        | tag-to    | a GitHub deployment of its environment, staging
tag=v* trigger=deployment after=staging soak=10m                 | -     | -     | -           | wakes    | -      | -        | tag-to    | a GitHub deployment of its environment, staging to be well for 10m
tag=v* trigger=deployment window=office after=staging            | -     | -     | -           | wakes    | -      | -        | tag-to    | a GitHub deployment of its environment, staging, Mon-Fri 09:00-17:00 UTC
# A released tag, push.
tag=v* releases=*                                                | -     | -     | -           | wakes    | -      | -        | tag       | a round, which takes the highest version of v*
tag=v* releases=* window=office                                  | -     | -     | -           | wakes    | -      | -        | tag-to    | Mon-Fri 09:00-17:00 UTC
tag=v* releases=* after=staging                                  | -     | -     | -           | wakes    | -      | -        | tag-to    | staging
tag=v* releases=* after=staging soak=10m                         | -     | -     | -           | wakes    | -      | -        | tag-to    | staging to be well for 10m
tag=v* releases=* checks=test                                    | -     | -     | -           | wakes    | -      | -        | tag-to    | test
tag=v* releases=* checks=*                                       | -     | -     | -           | wakes    | -      | -        | tag-to    | every check
tag=v* releases=* window=office after=staging checks=test        | -     | -     | -           | wakes    | -      | -        | tag-to    | test, staging, Mon-Fri 09:00-17:00 UTC
# A released tag, manual.
tag=v* releases=* trigger=manual                                 | -     | -     | -           | waits    | -      | -        | tag-to    | pulley deploy (trigger is manual)
# A released tag, deployment.
tag=v* releases=* trigger=deployment                             | -     | -     | -           | wakes    | -      | -        | tag-to    | a GitHub deployment of its environment
tag=v* releases=* trigger=deployment window=office               | -     | -     | -           | wakes    | -      | -        | tag-to    | a GitHub deployment of its environment, Mon-Fri 09:00-17:00 UTC
tag=v* releases=* trigger=deployment after=staging               | -     | -     | -           | wakes    | -      | -        | tag-to    | a GitHub deployment of its environment, staging
tag=v* releases=* trigger=deployment after=staging soak=10m      | -     | -     | -           | wakes    | -      | -        | tag-to    | a GitHub deployment of its environment, staging to be well for 10m
tag=v* releases=* trigger=deployment window=office after=staging | -     | -     | -           | wakes    | -      | -        | tag-to    | a GitHub deployment of its environment, staging, Mon-Fri 09:00-17:00 UTC
# A branch, push.
branch=v1.2                                                      | -     | -     | sends       | -        | -      | -        | rebase    |
branch=v1.2 trigger=push window=office                           | -     | -     | wakes       | -        | -      | -        | rebase-to | Mon-Fri 09:00-17:00 UTC
# A branch, manual.
branch=v1.2 trigger=manual                                       | -     | -     | waits       | -        | -      | -        | rebase-to | pulley deploy (trigger is manual)
# A branch, deployment.
branch=v1.2 trigger=deployment                                   | -     | -     | waits       | -        | -      | -        | rebase-to | a GitHub deployment of its environment
# A tag, push.
tag=main                                                         | -     | -     | -           | -        | -      | wakes    | tag       | a round, which takes the highest version of main
tag=main trigger=push window=office                              | -     | -     | -           | -        | -      | wakes    | tag-to    | Mon-Fri 09:00-17:00 UTC
# A tag, manual.
tag=main trigger=manual                                          | -     | -     | -           | -        | -      | waits    | tag-to    | pulley deploy (trigger is manual)
# A tag, deployment.
tag=main trigger=deployment                                      | -     | -     | -           | -        | -      | wakes    | tag-to    | a GitHub deployment of its environment
# A tag, push.
tag=v1.2                                                         | -     | -     | -           | wakes    | -      | -        | tag       | a round, which takes the highest version of v1.2
tag=v1.2 trigger=push window=office                              | -     | -     | -           | wakes    | -      | -        | tag-to    | Mon-Fri 09:00-17:00 UTC
# A tag, manual.
tag=v1.2 trigger=manual                                          | -     | -     | -           | waits    | -      | -        | tag-to    | pulley deploy (trigger is manual)
# A tag, deployment.
tag=v1.2 trigger=deployment                                      | -     | -     | -           | wakes    | -      | -        | tag-to    | a GitHub deployment of its environment
# A tag, push.
tag=*                                                            | -     | -     | -           | wakes    | wakes  | wakes    | tag       | a round, which takes the highest version of *
tag=* trigger=push window=office                                 | -     | -     | -           | wakes    | wakes  | wakes    | tag-to    | Mon-Fri 09:00-17:00 UTC
# A tag, manual.
tag=* trigger=manual                                             | -     | -     | -           | waits    | waits  | waits    | tag-to    | pulley deploy (trigger is manual)
# A tag, deployment.
tag=* trigger=deployment                                         | -     | -     | -           | wakes    | wakes  | wakes    | tag-to    | a GitHub deployment of its environment
"""  # noqa: E501 - a row is a line

# EVENTS has the events; all others wake no round. No event of these sends anything.
WAKES = """
# keys                                                           | wakes
# A branch, push.
branch=main                                                      | nothing
branch=main window=office                                        | nothing
branch=main after=staging                                        | nothing
branch=main after=staging soak=10m                               | nothing
branch=main checks=test                                          | test, test of a tag, suite
branch=main checks=*                                             | test, lint, test of a tag, suite
branch=main window=office after=staging checks=test              | test, test of a tag, suite
# A branch, manual.
branch=main trigger=manual                                       | nothing
# A branch, deployment.
branch=main trigger=deployment                                   | asked, approved
branch=main trigger=deployment window=office                     | asked, approved
branch=main trigger=deployment after=staging                     | asked, approved
branch=main trigger=deployment after=staging soak=10m            | asked, approved
branch=main trigger=deployment window=office after=staging       | asked, approved
# A tag, push.
tag=v*                                                           | nothing
tag=v* window=office                                             | nothing
tag=v* after=staging                                             | nothing
tag=v* after=staging soak=10m                                    | nothing
tag=v* checks=test                                               | test, test elsewhere, test of a tag, suite
tag=v* checks=*                                                  | test, lint, test elsewhere, test of a tag, suite
tag=v* window=office after=staging checks=test                   | test, test elsewhere, test of a tag, suite
# A tag, manual.
tag=v* trigger=manual                                            | nothing
# A tag, deployment.
tag=v* trigger=deployment                                        | asked, approved
tag=v* trigger=deployment window=office                          | asked, approved
tag=v* trigger=deployment after=staging                          | asked, approved
tag=v* trigger=deployment after=staging soak=10m                 | asked, approved
tag=v* trigger=deployment window=office after=staging            | asked, approved
# A released tag, push.
tag=v* releases=*                                                | release v1.2
tag=v* releases=* window=office                                  | release v1.2
tag=v* releases=* after=staging                                  | release v1.2
tag=v* releases=* after=staging soak=10m                         | release v1.2
tag=v* releases=* checks=test                                    | test, test elsewhere, test of a tag, suite, release v1.2
tag=v* releases=* checks=*                                       | test, lint, test elsewhere, test of a tag, suite, release v1.2
tag=v* releases=* window=office after=staging checks=test        | test, test elsewhere, test of a tag, suite, release v1.2
# A released tag, manual.
tag=v* releases=* trigger=manual                                 | nothing
# A released tag, deployment.
tag=v* releases=* trigger=deployment                             | asked, approved, release v1.2
tag=v* releases=* trigger=deployment window=office               | asked, approved, release v1.2
tag=v* releases=* trigger=deployment after=staging               | asked, approved, release v1.2
tag=v* releases=* trigger=deployment after=staging soak=10m      | asked, approved, release v1.2
tag=v* releases=* trigger=deployment window=office after=staging | asked, approved, release v1.2
# A tag, push.
tag=*                                                            | nothing
tag=* trigger=push window=office                                 | nothing
# A tag, manual.
tag=* trigger=manual                                             | nothing
# A tag, deployment.
tag=* trigger=deployment                                         | asked, approved
# A released tag, push.
tag=w* releases=*                                                | release w1
tag=v* releases=* trigger=push checks=test+lint                  | test, lint, test elsewhere, test of a tag, suite, release v1.2
# A branch, push.
branch=main checks=lint                                          | lint, suite
"""  # noqa: E501 - a row is a line

# What a round sends: Update, Branch and Commit of the command, `-` if a gate is not open, `nothing`
# without a commit that may go out. Production was sent A, and B is new; with tags, A is v1.1 and B
# is v1.2. "Asked on GitHub" are deployments of somebody else, the oldest first, with their state.
# The commit C has no tag. Staging is `unread` if no command tells since when it is well.
# A branch without gates does not wait for a round: see PUSHES.
WALK = """
# keys                                                           | now       | asked on GitHub | before it                 | checks                | gates                   | is sent          | reason
# A branch, push.
branch=main                                                      | Mon 10:00 |                 |                           |                       |                         | rebase main B    |
branch=main window=office                                        | Mon 10:00 |                 |                           |                       | window+                 | rebase-to main B |
branch=main window=office                                        | Mon 08:00 |                 |                           |                       | window-                 | -                | waits for its window, which opens Mon 2030-01-07 09:00 UTC
branch=main after=staging                                        | Mon 10:00 |                 | staging well              |                       | after+                  | rebase-to main B |
branch=main after=staging                                        | Mon 10:00 |                 | staging failed            |                       | after-                  | -                | waits for staging: web-1: rolled back
branch=main after=staging                                        | Mon 10:00 |                 |                           |                       | after-                  | -                | waits for staging: it could not be read
branch=main after=staging soak=10m                               | Mon 10:00 |                 | staging well 09:50        |                       | after+                  | rebase-to main B |
branch=main after=staging soak=10m                               | Mon 10:00 |                 | staging well 09:51        |                       | after-                  | -                | waits until staging has been well for 10 min, since 09:51 UTC
branch=main after=staging soak=10m                               | Mon 10:00 |                 | staging well 09:00 unread |                       | after?                  | -                | staging is well, but since when is not known
branch=main checks=test                                          | Mon 10:00 |                 |                           | green                 | checks+                 | rebase-to main B |
branch=main checks=test                                          | Mon 10:00 |                 |                           | closed: test: pending | checks-                 | -                | waits for test: pending
branch=main checks=test                                          | Mon 10:00 |                 |                           | unknown               | checks?                 | -                | waits for test
branch=main window=office after=staging checks=test              | Mon 10:00 |                 | staging well              | green                 | window+ after+ checks+  | rebase-to main B |
branch=main window=office after=staging checks=test              | Mon 08:00 |                 | staging behind            | closed                | window- after- checks-  | -                | waits for its window, which opens Mon 2030-01-07 09:00 UTC; waits for staging, which is at aaaaaaa; waits for test
# A branch, manual.
branch=main trigger=manual                                       | Mon 10:00 |                 |                           |                       | trigger-                | -                | waits for pulley deploy
# A branch, deployment.
branch=main trigger=deployment                                   | Mon 10:00 |                 |                           |                       |                         | nothing          |
branch=main trigger=deployment                                   | Mon 10:00 | B               |                           |                       | trigger+                | rebase-to main B |
branch=main trigger=deployment                                   | Mon 10:00 | B pending       |                           |                       | trigger+                | rebase-to main B |
branch=main trigger=deployment                                   | Mon 10:00 | B queued        |                           |                       | trigger+                | rebase-to main B |
branch=main trigger=deployment                                   | Mon 10:00 | B in_progress   |                           |                       | trigger+                | rebase-to main B |
branch=main trigger=deployment                                   | Mon 10:00 | B waiting       |                           |                       | trigger-                | -                | waits until deployment 7001 is approved on GitHub
branch=main trigger=deployment                                   | Mon 10:00 | B success       |                           |                       |                         | nothing          |
branch=main trigger=deployment                                   | Mon 10:00 | B failure       |                           |                       |                         | nothing          |
branch=main trigger=deployment                                   | Mon 10:00 | B error         |                           |                       |                         | nothing          |
branch=main trigger=deployment                                   | Mon 10:00 | B inactive      |                           |                       |                         | nothing          |
branch=main trigger=deployment                                   | Mon 10:00 | B served        |                           |                       |                         | nothing          |
branch=main trigger=deployment                                   | Mon 10:00 | B forgotten     |                           |                       |                         | nothing          |
branch=main trigger=deployment                                   | Mon 10:00 | B by Pulley     |                           |                       |                         | nothing          |
branch=main trigger=deployment                                   | Mon 10:00 | B; B by Pulley  |                           |                       | trigger+                | rebase-to main B |
branch=main trigger=deployment                                   | Mon 10:00 | A               |                           |                       | trigger+                | rebase-to main A |
branch=main trigger=deployment                                   | Mon 10:00 | C               |                           |                       | trigger+                | rebase-to main C |
branch=main trigger=deployment                                   | Mon 10:00 | A; B            |                           |                       | trigger+                | rebase-to main B |
branch=main trigger=deployment                                   | Mon 10:00 | B; A            |                           |                       | trigger+                | rebase-to main A |
branch=main trigger=deployment                                   | Mon 10:00 | B; A waiting    |                           |                       | trigger-                | -                | waits until deployment 7002 is approved on GitHub
branch=main trigger=deployment                                   | Mon 10:00 | B; A success    |                           |                       |                         | nothing          |
branch=main trigger=deployment                                   | Mon 10:00 | B; A served     |                           |                       |                         | nothing          |
branch=main trigger=deployment window=office                     | Mon 10:00 | B waiting       |                           |                       | trigger- window+        | -                | waits until deployment 7001 is approved on GitHub
branch=main trigger=deployment window=office                     | Mon 10:00 | B               |                           |                       | trigger+ window+        | rebase-to main B |
branch=main trigger=deployment window=office                     | Mon 08:00 | B waiting       |                           |                       | trigger- window-        | -                | waits until deployment 7001 is approved on GitHub; waits for its window, which opens Mon 2030-01-07 09:00 UTC
branch=main trigger=deployment window=office                     | Mon 08:00 | B               |                           |                       | trigger+ window-        | -                | waits for its window, which opens Mon 2030-01-07 09:00 UTC
branch=main trigger=deployment after=staging                     | Mon 10:00 | B waiting       | staging well              |                       | trigger- after+         | -                | waits until deployment 7001 is approved on GitHub
branch=main trigger=deployment after=staging                     | Mon 10:00 | B               | staging well              |                       | trigger+ after+         | rebase-to main B |
branch=main trigger=deployment after=staging                     | Mon 10:00 | B waiting       | staging failed            |                       | trigger- after-         | -                | waits until deployment 7001 is approved on GitHub; waits for staging: web-1: rolled back
branch=main trigger=deployment after=staging                     | Mon 10:00 | B               | staging failed            |                       | trigger+ after-         | -                | waits for staging: web-1: rolled back
branch=main trigger=deployment after=staging                     | Mon 10:00 | B waiting       |                           |                       | trigger- after-         | -                | waits until deployment 7001 is approved on GitHub; waits for staging: it could not be read
branch=main trigger=deployment after=staging                     | Mon 10:00 | B               |                           |                       | trigger+ after-         | -                | waits for staging: it could not be read
branch=main trigger=deployment after=staging soak=10m            | Mon 10:00 | B waiting       | staging well 09:50        |                       | trigger- after+         | -                | waits until deployment 7001 is approved on GitHub
branch=main trigger=deployment after=staging soak=10m            | Mon 10:00 | B               | staging well 09:50        |                       | trigger+ after+         | rebase-to main B |
branch=main trigger=deployment after=staging soak=10m            | Mon 10:00 | B waiting       | staging well 09:51        |                       | trigger- after-         | -                | waits until deployment 7001 is approved on GitHub; waits until staging has been well for 10 min, since 09:51 UTC
branch=main trigger=deployment after=staging soak=10m            | Mon 10:00 | B               | staging well 09:51        |                       | trigger+ after-         | -                | waits until staging has been well for 10 min, since 09:51 UTC
branch=main trigger=deployment after=staging soak=10m            | Mon 10:00 | B waiting       | staging well 09:00 unread |                       | trigger- after?         | -                | waits until deployment 7001 is approved on GitHub; staging is well, but since when is not known
branch=main trigger=deployment after=staging soak=10m            | Mon 10:00 | B               | staging well 09:00 unread |                       | trigger+ after?         | -                | staging is well, but since when is not known
branch=main trigger=deployment window=office after=staging       | Mon 10:00 | B waiting       | staging well              |                       | trigger- window+ after+ | -                | waits until deployment 7001 is approved on GitHub
branch=main trigger=deployment window=office after=staging       | Mon 10:00 | B               | staging well              |                       | trigger+ window+ after+ | rebase-to main B |
branch=main trigger=deployment window=office after=staging       | Mon 08:00 | B waiting       | staging failed            |                       | trigger- window- after- | -                | waits until deployment 7001 is approved on GitHub; waits for its window, which opens Mon 2030-01-07 09:00 UTC; waits for staging: web-1: rolled back
branch=main trigger=deployment window=office after=staging       | Mon 08:00 | B               | staging failed            |                       | trigger+ window- after- | -                | waits for its window, which opens Mon 2030-01-07 09:00 UTC; waits for staging: web-1: rolled back
# A tag, push.
tag=v*                                                           | Mon 10:00 |                 |                           |                       |                         | tag v1.2 B       |
tag=v* window=office                                             | Mon 10:00 |                 |                           |                       | window+                 | tag-to v1.2 B    |
tag=v* window=office                                             | Mon 08:00 |                 |                           |                       | window-                 | -                | waits for its window, which opens Mon 2030-01-07 09:00 UTC
tag=v* after=staging                                             | Mon 10:00 |                 | staging well              |                       | after+                  | tag-to v1.2 B    |
tag=v* after=staging                                             | Mon 10:00 |                 | staging failed            |                       | after-                  | -                | waits for staging: web-1: rolled back
tag=v* after=staging                                             | Mon 10:00 |                 |                           |                       | after-                  | -                | waits for staging: it could not be read
tag=v* after=staging soak=10m                                    | Mon 10:00 |                 | staging well 09:50        |                       | after+                  | tag-to v1.2 B    |
tag=v* after=staging soak=10m                                    | Mon 10:00 |                 | staging well 09:51        |                       | after-                  | -                | waits until staging has been well for 10 min, since 09:51 UTC
tag=v* after=staging soak=10m                                    | Mon 10:00 |                 | staging well 09:00 unread |                       | after?                  | -                | staging is well, but since when is not known
tag=v* checks=test                                               | Mon 10:00 |                 |                           | green                 | checks+                 | tag-to v1.2 B    |
tag=v* checks=test                                               | Mon 10:00 |                 |                           | closed: test: pending | checks-                 | -                | waits for test: pending
tag=v* checks=test                                               | Mon 10:00 |                 |                           | unknown               | checks?                 | -                | waits for test
tag=v* window=office after=staging checks=test                   | Mon 10:00 |                 | staging well              | green                 | window+ after+ checks+  | tag-to v1.2 B    |
tag=v* window=office after=staging checks=test                   | Mon 08:00 |                 | staging behind            | closed                | window- after- checks-  | -                | waits for its window, which opens Mon 2030-01-07 09:00 UTC; waits for staging, which is at aaaaaaa; waits for test
# A tag, manual.
tag=v* trigger=manual                                            | Mon 10:00 |                 |                           |                       | trigger-                | -                | waits for pulley deploy
# A tag, deployment.
tag=v* trigger=deployment                                        | Mon 10:00 |                 |                           |                       |                         | nothing          |
tag=v* trigger=deployment                                        | Mon 10:00 | B               |                           |                       | trigger+                | tag-to v1.2 B    |
tag=v* trigger=deployment                                        | Mon 10:00 | B pending       |                           |                       | trigger+                | tag-to v1.2 B    |
tag=v* trigger=deployment                                        | Mon 10:00 | B queued        |                           |                       | trigger+                | tag-to v1.2 B    |
tag=v* trigger=deployment                                        | Mon 10:00 | B in_progress   |                           |                       | trigger+                | tag-to v1.2 B    |
tag=v* trigger=deployment                                        | Mon 10:00 | B waiting       |                           |                       | trigger-                | -                | waits until deployment 7001 is approved on GitHub
tag=v* trigger=deployment                                        | Mon 10:00 | B success       |                           |                       |                         | nothing          |
tag=v* trigger=deployment                                        | Mon 10:00 | B failure       |                           |                       |                         | nothing          |
tag=v* trigger=deployment                                        | Mon 10:00 | B error         |                           |                       |                         | nothing          |
tag=v* trigger=deployment                                        | Mon 10:00 | B inactive      |                           |                       |                         | nothing          |
tag=v* trigger=deployment                                        | Mon 10:00 | B served        |                           |                       |                         | nothing          |
tag=v* trigger=deployment                                        | Mon 10:00 | B forgotten     |                           |                       |                         | nothing          |
tag=v* trigger=deployment                                        | Mon 10:00 | B by Pulley     |                           |                       |                         | nothing          |
tag=v* trigger=deployment                                        | Mon 10:00 | B; B by Pulley  |                           |                       | trigger+                | tag-to v1.2 B    |
tag=v* trigger=deployment                                        | Mon 10:00 | A               |                           |                       | trigger+                | tag-to v1.1 A    |
tag=v* trigger=deployment                                        | Mon 10:00 | C               |                           |                       | trigger-                | -                | waits until ccccccc has a tag that the target follows
tag=v* trigger=deployment                                        | Mon 10:00 | A; B            |                           |                       | trigger+                | tag-to v1.2 B    |
tag=v* trigger=deployment                                        | Mon 10:00 | B; A            |                           |                       | trigger+                | tag-to v1.1 A    |
tag=v* trigger=deployment                                        | Mon 10:00 | B; A waiting    |                           |                       | trigger-                | -                | waits until deployment 7002 is approved on GitHub
tag=v* trigger=deployment                                        | Mon 10:00 | B; A success    |                           |                       |                         | nothing          |
tag=v* trigger=deployment                                        | Mon 10:00 | B; A served     |                           |                       |                         | nothing          |
tag=v* trigger=deployment window=office                          | Mon 10:00 | B waiting       |                           |                       | trigger- window+        | -                | waits until deployment 7001 is approved on GitHub
tag=v* trigger=deployment window=office                          | Mon 10:00 | B               |                           |                       | trigger+ window+        | tag-to v1.2 B    |
tag=v* trigger=deployment window=office                          | Mon 08:00 | B waiting       |                           |                       | trigger- window-        | -                | waits until deployment 7001 is approved on GitHub; waits for its window, which opens Mon 2030-01-07 09:00 UTC
tag=v* trigger=deployment window=office                          | Mon 08:00 | B               |                           |                       | trigger+ window-        | -                | waits for its window, which opens Mon 2030-01-07 09:00 UTC
tag=v* trigger=deployment after=staging                          | Mon 10:00 | B waiting       | staging well              |                       | trigger- after+         | -                | waits until deployment 7001 is approved on GitHub
tag=v* trigger=deployment after=staging                          | Mon 10:00 | B               | staging well              |                       | trigger+ after+         | tag-to v1.2 B    |
tag=v* trigger=deployment after=staging                          | Mon 10:00 | B waiting       | staging failed            |                       | trigger- after-         | -                | waits until deployment 7001 is approved on GitHub; waits for staging: web-1: rolled back
tag=v* trigger=deployment after=staging                          | Mon 10:00 | B               | staging failed            |                       | trigger+ after-         | -                | waits for staging: web-1: rolled back
tag=v* trigger=deployment after=staging                          | Mon 10:00 | B waiting       |                           |                       | trigger- after-         | -                | waits until deployment 7001 is approved on GitHub; waits for staging: it could not be read
tag=v* trigger=deployment after=staging                          | Mon 10:00 | B               |                           |                       | trigger+ after-         | -                | waits for staging: it could not be read
tag=v* trigger=deployment after=staging soak=10m                 | Mon 10:00 | B waiting       | staging well 09:50        |                       | trigger- after+         | -                | waits until deployment 7001 is approved on GitHub
tag=v* trigger=deployment after=staging soak=10m                 | Mon 10:00 | B               | staging well 09:50        |                       | trigger+ after+         | tag-to v1.2 B    |
tag=v* trigger=deployment after=staging soak=10m                 | Mon 10:00 | B waiting       | staging well 09:51        |                       | trigger- after-         | -                | waits until deployment 7001 is approved on GitHub; waits until staging has been well for 10 min, since 09:51 UTC
tag=v* trigger=deployment after=staging soak=10m                 | Mon 10:00 | B               | staging well 09:51        |                       | trigger+ after-         | -                | waits until staging has been well for 10 min, since 09:51 UTC
tag=v* trigger=deployment after=staging soak=10m                 | Mon 10:00 | B waiting       | staging well 09:00 unread |                       | trigger- after?         | -                | waits until deployment 7001 is approved on GitHub; staging is well, but since when is not known
tag=v* trigger=deployment after=staging soak=10m                 | Mon 10:00 | B               | staging well 09:00 unread |                       | trigger+ after?         | -                | staging is well, but since when is not known
tag=v* trigger=deployment window=office after=staging            | Mon 10:00 | B waiting       | staging well              |                       | trigger- window+ after+ | -                | waits until deployment 7001 is approved on GitHub
tag=v* trigger=deployment window=office after=staging            | Mon 10:00 | B               | staging well              |                       | trigger+ window+ after+ | tag-to v1.2 B    |
tag=v* trigger=deployment window=office after=staging            | Mon 08:00 | B waiting       | staging failed            |                       | trigger- window- after- | -                | waits until deployment 7001 is approved on GitHub; waits for its window, which opens Mon 2030-01-07 09:00 UTC; waits for staging: web-1: rolled back
tag=v* trigger=deployment window=office after=staging            | Mon 08:00 | B               | staging failed            |                       | trigger+ window- after- | -                | waits for its window, which opens Mon 2030-01-07 09:00 UTC; waits for staging: web-1: rolled back
# A released tag, push.
tag=v* releases=*                                                | Mon 10:00 |                 |                           |                       |                         | tag v1.2 B       |
tag=v* releases=* window=office                                  | Mon 10:00 |                 |                           |                       | window+                 | tag-to v1.2 B    |
tag=v* releases=* window=office                                  | Mon 08:00 |                 |                           |                       | window-                 | -                | waits for its window, which opens Mon 2030-01-07 09:00 UTC
tag=v* releases=* after=staging                                  | Mon 10:00 |                 | staging well              |                       | after+                  | tag-to v1.2 B    |
tag=v* releases=* after=staging                                  | Mon 10:00 |                 | staging failed            |                       | after-                  | -                | waits for staging: web-1: rolled back
tag=v* releases=* after=staging                                  | Mon 10:00 |                 |                           |                       | after-                  | -                | waits for staging: it could not be read
tag=v* releases=* after=staging soak=10m                         | Mon 10:00 |                 | staging well 09:50        |                       | after+                  | tag-to v1.2 B    |
tag=v* releases=* after=staging soak=10m                         | Mon 10:00 |                 | staging well 09:51        |                       | after-                  | -                | waits until staging has been well for 10 min, since 09:51 UTC
tag=v* releases=* after=staging soak=10m                         | Mon 10:00 |                 | staging well 09:00 unread |                       | after?                  | -                | staging is well, but since when is not known
tag=v* releases=* checks=test                                    | Mon 10:00 |                 |                           | green                 | checks+                 | tag-to v1.2 B    |
tag=v* releases=* checks=test                                    | Mon 10:00 |                 |                           | closed: test: pending | checks-                 | -                | waits for test: pending
tag=v* releases=* checks=test                                    | Mon 10:00 |                 |                           | unknown               | checks?                 | -                | waits for test
tag=v* releases=* window=office after=staging checks=test        | Mon 10:00 |                 | staging well              | green                 | window+ after+ checks+  | tag-to v1.2 B    |
tag=v* releases=* window=office after=staging checks=test        | Mon 08:00 |                 | staging behind            | closed                | window- after- checks-  | -                | waits for its window, which opens Mon 2030-01-07 09:00 UTC; waits for staging, which is at aaaaaaa; waits for test
# A released tag, manual.
tag=v* releases=* trigger=manual                                 | Mon 10:00 |                 |                           |                       | trigger-                | -                | waits for pulley deploy
# A released tag, deployment.
tag=v* releases=* trigger=deployment                             | Mon 10:00 |                 |                           |                       |                         | nothing          |
tag=v* releases=* trigger=deployment                             | Mon 10:00 | B               |                           |                       | trigger+                | tag-to v1.2 B    |
tag=v* releases=* trigger=deployment                             | Mon 10:00 | B waiting       |                           |                       | trigger-                | -                | waits until deployment 7001 is approved on GitHub
tag=v* releases=* trigger=deployment                             | Mon 10:00 | B success       |                           |                       |                         | nothing          |
tag=v* releases=* trigger=deployment                             | Mon 10:00 | B served        |                           |                       |                         | nothing          |
tag=v* releases=* trigger=deployment                             | Mon 10:00 | C               |                           |                       | trigger-                | -                | waits until ccccccc has a tag that the target follows
tag=v* releases=* trigger=deployment window=office               | Mon 10:00 | B waiting       |                           |                       | trigger- window+        | -                | waits until deployment 7001 is approved on GitHub
tag=v* releases=* trigger=deployment window=office               | Mon 10:00 | B               |                           |                       | trigger+ window+        | tag-to v1.2 B    |
tag=v* releases=* trigger=deployment window=office               | Mon 08:00 | B waiting       |                           |                       | trigger- window-        | -                | waits until deployment 7001 is approved on GitHub; waits for its window, which opens Mon 2030-01-07 09:00 UTC
tag=v* releases=* trigger=deployment window=office               | Mon 08:00 | B               |                           |                       | trigger+ window-        | -                | waits for its window, which opens Mon 2030-01-07 09:00 UTC
tag=v* releases=* trigger=deployment after=staging               | Mon 10:00 | B waiting       | staging well              |                       | trigger- after+         | -                | waits until deployment 7001 is approved on GitHub
tag=v* releases=* trigger=deployment after=staging               | Mon 10:00 | B               | staging well              |                       | trigger+ after+         | tag-to v1.2 B    |
tag=v* releases=* trigger=deployment after=staging               | Mon 10:00 | B waiting       | staging failed            |                       | trigger- after-         | -                | waits until deployment 7001 is approved on GitHub; waits for staging: web-1: rolled back
tag=v* releases=* trigger=deployment after=staging               | Mon 10:00 | B               | staging failed            |                       | trigger+ after-         | -                | waits for staging: web-1: rolled back
tag=v* releases=* trigger=deployment after=staging               | Mon 10:00 | B waiting       |                           |                       | trigger- after-         | -                | waits until deployment 7001 is approved on GitHub; waits for staging: it could not be read
tag=v* releases=* trigger=deployment after=staging               | Mon 10:00 | B               |                           |                       | trigger+ after-         | -                | waits for staging: it could not be read
tag=v* releases=* trigger=deployment after=staging soak=10m      | Mon 10:00 | B waiting       | staging well 09:50        |                       | trigger- after+         | -                | waits until deployment 7001 is approved on GitHub
tag=v* releases=* trigger=deployment after=staging soak=10m      | Mon 10:00 | B               | staging well 09:50        |                       | trigger+ after+         | tag-to v1.2 B    |
tag=v* releases=* trigger=deployment after=staging soak=10m      | Mon 10:00 | B waiting       | staging well 09:51        |                       | trigger- after-         | -                | waits until deployment 7001 is approved on GitHub; waits until staging has been well for 10 min, since 09:51 UTC
tag=v* releases=* trigger=deployment after=staging soak=10m      | Mon 10:00 | B               | staging well 09:51        |                       | trigger+ after-         | -                | waits until staging has been well for 10 min, since 09:51 UTC
tag=v* releases=* trigger=deployment after=staging soak=10m      | Mon 10:00 | B waiting       | staging well 09:00 unread |                       | trigger- after?         | -                | waits until deployment 7001 is approved on GitHub; staging is well, but since when is not known
tag=v* releases=* trigger=deployment after=staging soak=10m      | Mon 10:00 | B               | staging well 09:00 unread |                       | trigger+ after?         | -                | staging is well, but since when is not known
tag=v* releases=* trigger=deployment window=office after=staging | Mon 10:00 | B waiting       | staging well              |                       | trigger- window+ after+ | -                | waits until deployment 7001 is approved on GitHub
tag=v* releases=* trigger=deployment window=office after=staging | Mon 10:00 | B               | staging well              |                       | trigger+ window+ after+ | tag-to v1.2 B    |
tag=v* releases=* trigger=deployment window=office after=staging | Mon 08:00 | B waiting       | staging failed            |                       | trigger- window- after- | -                | waits until deployment 7001 is approved on GitHub; waits for its window, which opens Mon 2030-01-07 09:00 UTC; waits for staging: web-1: rolled back
tag=v* releases=* trigger=deployment window=office after=staging | Mon 08:00 | B               | staging failed            |                       | trigger+ window- after- | -                | waits for its window, which opens Mon 2030-01-07 09:00 UTC; waits for staging: web-1: rolled back
"""  # noqa: E501 - a row is a line

# The tags on GitHub, in any order, each with its commit; and the tag that was sent last.
NEWER_TAGS = """
# tag | on GitHub                   | sent last    | newer, the highest first
v*    |                             |              |
v*    | v1.1=A v1.2=B               |              | v1.2=B v1.1=A
v*    | v1.1=A v1.2=B               | v1.1=A       | v1.2=B
v*    | v1.1=A v1.2=B               | v1.2=B       |
v*    | v1.9=A v1.10=B              | v1.9=A       | v1.10=B
v*    | v1.10-rc.1=A v1.10=B v1.9=A | v1.9=A       | v1.10=B v1.10-rc.1=A
v*    | v1.10-rc.1=A v1.10=A        | v1.10-rc.1=A | v1.10=A
v*    | v1.10-rc.1=A v1.10=A        | v1.10=A      |
# Moved, and deleted.
v*    | v1.1=A v1.2=C               | v1.2=B       | v1.2=C
v*    | v1.1=C v1.2=B               | v1.2=B       |
v*    | v1.1=A                      | v1.2=B       |
v*    |                             | v1.2=B       |
# Other tags do not count.
v*    | w1=C v1.1=A                 |              | v1.1=A
v*    | w2=C main=C v1.2=B          | v1.1=A       | v1.2=B
v1.?  | v1.2=B v1.10=C v2=C         | v1.1=A       | v1.2=B
v1.2  | v1.1=A v1.2=B v1.3=C        |              | v1.2=B
*     | w1=C v1.1=A                 | v1.1=A       | w1=C
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


def entry_of(keys: str, name: str = "production") -> dict[str, object]:
    """The stored target with keys like `tag=v* after=staging+canary soak=10m`; `key=*` is true.

    Without a line it follows the branch main; `branch=` is a target without a branch.
    """
    entry = target_json(name)
    for key, _, value in (part.partition("=") for part in keys.split()):
        listed = value.split("+")
        entry[key] = listed if key in {"checks", "after"} else value
        if key == "window":
            entry[key] = [WINDOWS[one] for one in listed]
        elif value == "*" and key in {"checks", "releases"}:
            entry[key] = True
    if "branch=" in keys.split() or ("tag" in entry and "branch=" not in keys):
        del entry["branch"]
    return entry


def production(keys: str) -> Target:
    """The target with these keys: see entry_of."""
    return parse_target("targets.production", entry_of(keys))


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
    return replace(waiting, gates=(*waiting.gates, told_checks(target, checks)))


def told_checks(target: Target, says: str) -> Gate:
    """The gate `checks` after GitHub said this."""
    word, _, reason = says.partition(": ")
    state = {"green": OPEN, "closed": CLOSED, "unknown": UNKNOWN}[word]
    return checks_gate(target.gates, state, reason)


# --- Deliveries ----------------------------------------------------------------------------------

PUSHED = {
    "main": "refs/heads/main",
    "other": "refs/heads/other",
    "branch v1.2": "refs/heads/v1.2",
    "tag v1.2": "refs/tags/v1.2",
    "tag w1": "refs/tags/w1",
    "tag main": "refs/tags/main",
}


def green(name: str, branch: str | None, conclusion: str = "success") -> Mapping[str, object]:
    suite = {"head_branch": branch}
    return {"check_run": {"name": name, "conclusion": conclusion, "check_suite": suite}}


def status(state: str, **changes: object) -> Mapping[str, object]:
    """A status that a workflow posted on somebody else's deployment."""
    made = {"deployment": {"id": 1, "environment": "production", "payload": ""} | changes}
    return made | {"deployment_status": {"state": state}, "workflow_run": {"id": 5}}


def asks(environment: str, payload: object = "") -> Mapping[str, object]:
    return {"deployment": {"id": 1, "environment": environment, "payload": payload}}


def released(tag: str, action: str = "published") -> Mapping[str, object]:
    return {"action": action, "release": {"tag_name": tag}}


EVENTS: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "test": ("check_run", green("test", "main")),
    "lint": ("check_run", green("lint", "main")),
    "test elsewhere": ("check_run", green("test", "feature")),
    "test of a tag": ("check_run", green("test", None)),
    "test failed": ("check_run", green("test", "main", "failure")),
    "suite": ("check_suite", {"check_suite": {"conclusion": "success", "head_branch": "main"}}),
    "asked": ("deployment", asks("production")),
    "asked elsewhere": ("deployment", asks("staging")),
    "asked by Pulley": ("deployment", asks("production", {"stage": STAGE, "target": "production"})),
    "approved": ("deployment_status", status("queued")),
    "not approved yet": ("deployment_status", status("waiting")),
    "approved elsewhere": ("deployment_status", status("queued", environment="staging")),
    "release v1.2": ("release", released("v1.2")),
    "release w1": ("release", released("w1")),
    "draft v1.2": ("release", released("v1.2", "created")),
    "deleted v1.2": ("release", released("v1.2", "deleted")),
}


def house_of(keys: str) -> House:
    """A stage with production, and with the targets that it may wait for, on another branch."""
    house = House()
    others = [target_json(name, branch="forerunners") for name in ("staging", "canary")]
    house.store(NAMES.targets(SITE), [entry_of(keys), *others])
    return house


def follows(keys: str, ref: str) -> str:
    """What a push of the full ref does: `sends`, `wakes`, `waits` (for a person) or `-`."""
    target, house = production(keys), house_of(keys)
    outcome = house.push(ref=ref)
    is_followed = match_targets([target], ref) == (target,)
    assert is_followed == target.follows(ref)
    if house.sent:
        assert isinstance(outcome, Accepted)
        assert (house.sent, house.waker.woken, is_followed) == (["production"], [], True)
        (request,) = house.commands.sent
        assert request.parameters["Update"] == target.sent_update
        return "sends"
    assert not isinstance(outcome, Accepted)
    if is_followed:
        assert outcome.reason == f"production: it waits for {target.waits_for}"
        return "wakes" if house.waker.woken == [SITE] else "waits"
    assert outcome.reason == f"no target of octo/site follows '{ref}'"
    assert house.waker.woken == []
    return "-"


def is_woken(keys: str, name: str) -> bool:
    """Whether a delivery of the event wakes a round; it never sends anything."""
    event, payload = EVENTS[name]
    house = house_of(keys)
    house.receive(delivery_of({**push_json(), **payload}, event=event))
    names, _ = targets_that_wait(event, payload, [production(keys)])
    assert house.sent == []
    assert house.waker.woken == [SITE] * len(names)
    return names == ["production"]


# --- A round -------------------------------------------------------------------------------------

# The commits on GitHub, the newest first. Production was sent A, or its tag v1.1.
TAGS = (TaggedCommit("v1.2", B), TaggedCommit("v1.1", A))
COMMITS = {"A": A, "B": B, "C": C}


@dataclass(frozen=True)
class Told(Reader):
    """A reader that was told each target's facts."""

    told: Mapping[str, TargetFacts]

    def facts(self, target: Target, snapshot: Snapshot) -> TargetFacts:
        return self.told[target.name]


def asked_on_github(words: str, now: datetime) -> tuple[FakeDeployments, Sequence[Run]]:
    """Deployments on GitHub like `A; B waiting`, the oldest first, and the commands for them.

    A word is a state that somebody else posted, or `served`, `forgotten` or `by Pulley`.
    """
    github, runs = FakeDeployments(now - timedelta(hours=1)), []
    for part in filter(None, words.split("; ")):
        letter, _, word = part.partition(" ")
        own = ("dev", "production") if word == "by Pulley" else ("", "")
        made = github.add(COMMITS[letter].sha, "production", *own)
        if word == "forgotten":
            github.made[made.id] = replace(made, created=now - timedelta(days=30))
        elif word == "served":
            runs.append(sent_to_production(COMMITS[letter], now, deployment=made.id))
        elif word and word != "by Pulley":
            github.log[made.id].append(DeploymentStatus(word, ""))
    return github, runs


def sent_to_production(
    commit: CommitSha, now: datetime, *, branch: str = "main", deployment: int | None = None
) -> Run:
    roll_out = replace(
        ROLL_OUT,
        target="production",
        commit=commit,
        branch=branch,
        update="rebase-to" if branch == "main" else "tag-to",
        deployment=deployment,
    )
    id_ = f"production-{deployment}"
    at = now - timedelta(hours=2)
    return Run(sent(id_, roll_out, at, status="Success", details="Success", count=1), ())


def walked(
    keys: str, now: str, asked: str, before: str, checks: str
) -> tuple[Target, Waiting | None]:
    """What a round finds for production: the newest commit that it may get, and its gates."""
    target, at = production(keys), time_of(now)
    github, served = asked_on_github(asked, at)
    known = sent_to_production(A, at, branch="v1.1" if target.tag else "main")
    runs, told, others = [known, *served], dict[str, TargetFacts](), list[Target]()
    for part in filter(None, before.split("; ")):
        name, _, words = part.partition(" ")
        told[name] = standing(name, words.removesuffix(" unread"), at)
        others.append(told[name].target)
        if not words.endswith(" unread"):
            runs += told[name].runs
    reading = FakeReading()
    reader = Told(
        STAGE, FakeParameters(), FakeDirectory(), FakeHistory(), reading.of, FakeJournal(), told
    )
    snapshot = Snapshot(
        now=at,
        fleet=Fleet((), STAGE),
        commands=sorted((one.command for one in runs), key=lambda one: one.requested)[::-1],
        pins=StoredPins({}),
        state=RoundState(),
        branches=Branches(reading.of, {}, FakeJournal()),
        read={one.command.id: one.invocations for one in runs},
    )
    facts = TargetFacts(
        target,
        hosts=(),
        runs=(),
        asked=[one.roll_out for one in (known, *served)],
        commits=() if target.tag else (B, A),
        tags=[one for one in TAGS if target.tag and target.tag.fits(one.tag)],
    )
    found = GateReader(reader).waiting(facts, github, snapshot, others)
    if not found:
        return target, None
    waiting = found[0]
    if checks:
        waiting = replace(waiting, gates=(*waiting.gates, told_checks(target, checks)))
    return target, waiting


def sent_of(target: Target, waiting: Waiting) -> str:
    """The document's Update, Branch and Commit, like `rebase-to main B`; `-` if it waits."""
    if not waiting.is_open:
        return "-"
    parameters = build_send_request(
        target, stage=STAGE, commit=waiting.commit, issued=1, cause="push", tag=waiting.tag
    ).parameters
    letter = next(name for name, one in COMMITS.items() if one.sha == parameters["Commit"])
    return f"{parameters['Update']} {parameters['Branch']} {letter}"


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
        problems = [one.removeprefix("targets.production.") for one in raised.value.problems]
        assert "; ".join(problems) == problem

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


class TestDelivery:
    @table_of("keys main other branch_v1_2 tag_v1_2 tag_w1 tag_main update waits", PUSHES)
    def test_push(
        self,
        keys: str,
        main: str,
        other: str,
        branch_v1_2: str,
        tag_v1_2: str,
        tag_w1: str,
        tag_main: str,
        update: str,
        waits: str,
    ) -> None:
        target = production(keys)
        found = [follows(keys, ref) for ref in PUSHED.values()]
        assert found == [main, other, branch_v1_2, tag_v1_2, tag_w1, tag_main]
        assert (target.sent_update, target.waits_for) == (update, waits)
        assert target.is_decided_by_rounds == ("sends" not in found)

    @table_of("keys wakes", WAKES)
    def test_event(self, keys: str, wakes: str) -> None:
        found = [name for name in EVENTS if is_woken(keys, name)]
        assert (", ".join(found) or "nothing") == wakes
        if found:  # a round that is woken must be able to send something
            assert production(keys).needs_github


class TestRound:
    @table_of("keys now asked before checks gates sent reason", WALK)
    def test_round(
        self,
        keys: str,
        now: str,
        asked: str,
        before: str,
        checks: str,
        gates: str,
        sent: str,
        reason: str,
    ) -> None:
        target, waiting = walked(keys, now, asked, before, checks)
        if waiting is None:
            assert (gates, sent, reason) == ("", "nothing", "")
            return
        assert (states(waiting), str(waiting)) == (gates, reason)
        assert sent_of(target, waiting) == sent
        assert (waiting.deployment is not None) == (target.gates.trigger == DEPLOYMENT)


class TestNewerTags:
    @table_of("tag there last newer", NEWER_TAGS)
    def test_higher_and_moved_tags_are_newer(
        self, tag: str, there: str, last: str, newer: str
    ) -> None:
        glob, commits = TagGlob.parse(tag), dict(one.split("=") for one in there.split())
        fitting = highest_first(one for one in commits if glob.fits(one))
        listed = [TaggedCommit(one, COMMITS[commits[one]]) for one in fitting]
        name, _, letter = last.partition("=")
        found = newer_tags(listed, TaggedCommit(name, COMMITS[letter]) if last else None)
        assert [f"{one.tag}={commits[one.tag]}" for one in found] == newer.split()


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

    def test_walk_has_each_trigger_with_each_line_and_each_gate_in_each_state(self) -> None:
        found = set()
        for keys, *_, gates, _, _ in rows(WALK):
            target = production(keys)
            for gate in gates.split() or ["none"]:
                soaks = gate.startswith("after") and target.gates.soak
                name = gate.replace("after", "soak") if soaks else gate
                found.add((target.line, target.gates.trigger, name))
        both = ["window+", "window-", "after+", "after-", "soak+", "soak-", "soak?"]
        states_of = {
            PUSH: ["none", *both, "checks+", "checks-", "checks?"],
            MANUAL: ["trigger-"],
            DEPLOYMENT: ["none", "trigger+", "trigger-", *both],
        }
        lines = ["branch main", "tag v*", "released tag v*"]
        assert found == {
            (line, trigger, state)
            for line in lines
            for trigger, listed in states_of.items()
            for state in listed
        }

    def test_tables_of_deliveries_have_each_trigger_and_each_gate_with_each_line(self) -> None:
        walk = {production(row[0]) for row in rows(WALK)}
        assert walk <= {production(row[0]) for row in rows(PUSHES)}
        assert walk <= {production(row[0]) for row in rows(WAKES)}
