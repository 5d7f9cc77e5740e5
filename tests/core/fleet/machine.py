"""A host that behaves as docs/host.md says."""

from dataclasses import dataclass, field

from chalicelib.core.history import RollOut
from chalicelib.core.wanted import Wanted
from tests.core.fleet.upstream import Upstream

FIRST = f"{1:040x}"  # the branch's first commit


@dataclass
class Machine:
    """A host. `ran` is its marker: the commit deployed last. `failure` is how its runs fail.

    `head` is the commit in the checkout, which somebody may have moved. `lies` is the kind of false
    result that it prints: "old", "done", "drift" or "nonsense". `reported` is the commit that its
    newest run reported, `is_honest` whether that was true. `ran_at` is when its last run ended.
    """

    id: str
    ran: str = ""
    is_detached: bool = False
    is_awake: bool = True
    is_alive: bool = True
    failure: str = ""
    newest: int = 0
    known: set[str] = field(default_factory=set)
    deployed: list[str] = field(default_factory=list)
    reached_pin: int = 0  # the pin that an exact run brought it to
    head: str = ""
    ran_for: str = ""  # the target
    lies: str = ""
    clock_is_off: int = 0  # seconds
    reported: str = ""
    is_honest: bool = True
    reported_by: tuple[int, int] = (0, 0)  # when its newest run was issued and requested
    ran_at: int = 0

    def run(self, roll_out: RollOut, upstream: Upstream) -> tuple[str, str]:
        """One run of the script: its outcome and upstream. docs/host.md has the steps."""
        commit, is_exact = roll_out.commit.sha, roll_out.update == "exact"
        stops = is_exact or roll_out.update in {"rebase-to", "reset-to"}  # at the commit
        if self.failure == "busy":
            return "busy", ""
        if roll_out.issued < self.newest:
            return "superseded", self.ran
        self.newest = roll_out.issued
        if self.failure == "unreachable":
            return "unreachable", ""
        self.known |= set(upstream.line_of(upstream.tip))
        if not self._has(commit, upstream, stops=stops):
            return "missing_commit", upstream.tip
        to = commit if stops else upstream.tip
        is_left = not upstream.has(to, commit)
        well = "superseded" if is_left else ""
        return self._go(to, upstream, target=roll_out.target, is_exact=is_exact, well=well), to

    def check(self, target: str) -> tuple[str, str]:
        """One check by the script: the deployed commit, and the drift since.

        It finds a moved checkout only for the target of the last run.
        """
        is_moved = self.ran_for == target and self.head != self.ran
        if self.lies == "old":
            return FIRST, ""
        if self.lies == "done":
            return self.reported, ""
        return self.ran, "head" if is_moved or self.lies == "drift" else ""

    def true_finding(self, target: str, tip: str) -> str:
        """The finding of a check, if the check and the run before it are honest; else ""."""
        if self.lies or not self.is_honest:
            return ""
        if self.reported and self.reported != self.ran:
            return "drift"
        if self.ran_for != target:
            return ""
        if self.head != self.ran:
            return "drift"
        return "well" if self.ran == tip else "behind"

    def is_at(self, wanted: Wanted | None) -> bool:
        """Whether it runs the wanted commit, and nobody moved it."""
        return (
            wanted is not None
            and self.ran == self.head == wanted.commit.sha
            and self.ran_for == "web"
            and (self.is_detached == wanted.is_exact or wanted.is_way_back)
        )

    def note_run(self, roll_out: RollOut, reported: str, *, at: int, requested: int) -> None:
        """Record that a run ended. Its result counts, unless a newer run has ended."""
        self.ran_at = at
        if (roll_out.issued, requested) >= self.reported_by:
            self.reported, self.reported_by = reported, (roll_out.issued, requested)
            self.is_honest = not self.lies

    def lose_marker(self) -> None:
        """Somebody replaces the checkout by a fresh clone."""
        self.ran = self.ran_for = ""

    def _has(self, commit: str, upstream: Upstream, *, stops: bool) -> bool:
        """Whether the commit is in the branch, or was in it as far as this host knows."""
        if upstream.has(upstream.tip, commit):
            return True
        if stops:
            return any(upstream.has(one, commit) for one in self.deployed[-10:])
        return commit in self.known and not upstream.has(commit, upstream.tip)

    def _go(self, to: str, upstream: Upstream, *, target: str, is_exact: bool, well: str) -> str:
        """Move the checkout, run the steps, and go back if a step fails."""
        is_done = (self.ran, self.head, self.ran_for) == (to, to, target)
        is_done = is_done and self.is_detached == is_exact
        if self.ran != to:
            if self.failure == "rolled_back" or to in upstream.bad:
                self.head = self.ran
                return "rolled_back" if self.ran else "broken"
            self.deployed.append(to)
        self.ran = self.head = to
        self.is_detached, self.ran_for = is_exact, target
        return well or ("unchanged" if is_done else "updated")
