"""A host, which does what docs/host.md says."""

from dataclasses import dataclass, field

from chalicelib.core.history import RollOut
from chalicelib.core.wanted import Wanted
from tests.core.fleet.upstream import Upstream

FIRST = f"{1:040x}"  # the branch's first commit


@dataclass
class Machine:
    """A host. `ran` is its marker: what it last deployed. `ails` is how its runs end, if badly.

    `head` is what is checked out, which somebody may have moved. `lies` is what it says in place of
    what it does: "old", "done", "drift" or "nonsense". `told` is the commit that its newest run
    said it runs, `is_honest` whether that was true. `ran_at` is when any run last ended.
    """

    id: str
    ran: str = ""
    is_detached: bool = False
    is_awake: bool = True
    is_alive: bool = True
    ails: str = ""
    newest: int = 0
    known: set[str] = field(default_factory=set)
    deployed: list[str] = field(default_factory=list)
    reached_pin: int = 0  # the pin that an exact run brought it to
    head: str = ""
    ran_for: str = ""  # the target
    lies: str = ""
    clock_is_off: int = 0  # seconds
    told: str = ""
    is_honest: bool = True
    told_by: tuple[int, int] = (0, 0)  # when its newest run was issued and requested
    ran_at: int = 0

    def run(self, roll_out: RollOut, upstream: Upstream) -> tuple[str, str]:
        """One run of the script: its outcome and upstream. docs/host.md has the steps."""
        commit, is_exact = roll_out.commit.sha, roll_out.update == "exact"
        if self.ails == "busy":
            return "busy", ""
        if roll_out.issued < self.newest:
            return "superseded", self.ran
        self.newest = roll_out.issued
        if self.ails == "unreachable":
            return "unreachable", ""
        self.known |= set(upstream.line_of(upstream.tip))
        if not self._has(commit, upstream, is_exact=is_exact):
            return "missing_commit", upstream.tip
        to = commit if is_exact else upstream.tip
        is_left = not is_exact and not upstream.has(to, commit)
        well = "superseded" if is_left else ""
        return self._go(to, upstream, target=roll_out.target, is_exact=is_exact, well=well), to

    def check(self, target: str) -> tuple[str, str]:
        """One look of the script: what was deployed, and what somebody moved since.

        It looks at what moved for the target of the last run alone.
        """
        is_moved = self.ran_for == target and self.head != self.ran
        if self.lies == "old":
            return FIRST, ""
        if self.lies == "done":
            return self.told, ""
        return self.ran, "head" if is_moved or self.lies == "drift" else ""

    def what_is_seen(self, target: str, tip: str) -> str:
        """What a check says, where it is true and the run before it said the truth."""
        if self.lies or not self.is_honest:
            return ""
        if self.told and self.told != self.ran:
            return "drift"
        if self.ran_for != target:
            return ""
        if self.head != self.ran:
            return "drift"
        return "well" if self.ran == tip else "behind"

    def is_where(self, wanted: Wanted | None) -> bool:
        """Whether it is where it is wanted, and nobody has moved it."""
        return (
            wanted is not None
            and self.ran == self.head == wanted.commit.sha
            and self.ran_for == "web"
            and (self.is_detached == wanted.is_exact or wanted.is_way_back)
        )

    def note_run(self, roll_out: RollOut, told: str, *, at: int, requested: int) -> None:
        """A run ended, and if no newer one has, it is its word that counts."""
        self.ran_at = at
        if (roll_out.issued, requested) >= self.told_by:
            self.told, self.told_by = told, (roll_out.issued, requested)
            self.is_honest = not self.lies

    def lose_marker(self) -> None:
        """Somebody clones the repository anew in its place."""
        self.ran = self.ran_for = ""

    def _has(self, commit: str, upstream: Upstream, *, is_exact: bool) -> bool:
        """Whether the commit is in the branch; or was, which is known here."""
        if upstream.has(upstream.tip, commit):
            return True
        if is_exact:
            return any(upstream.has(one, commit) for one in self.deployed[-10:])
        return commit in self.known and not upstream.has(commit, upstream.tip)

    def _go(self, to: str, upstream: Upstream, *, target: str, is_exact: bool, well: str) -> str:
        """The move and the steps, and the way back if they fail."""
        is_done = (self.ran, self.head, self.ran_for) == (to, to, target)
        is_done = is_done and self.is_detached == is_exact
        if self.ran != to:
            if self.ails == "rolled_back" or to in upstream.bad:
                self.head = self.ran
                return "rolled_back" if self.ran else "broken"
            self.deployed.append(to)
        self.ran = self.head = to
        self.is_detached, self.ran_for = is_exact, target
        return well or ("unchanged" if is_done else "updated")
