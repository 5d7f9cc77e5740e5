"""git over HTTP, served by git's own backend: what goes wrong is told, and no credential is."""

from collections.abc import Callable, Iterator

import pytest

from tests.host.conftest import Run, Site
from tests.host.remotes.forge import Answer, Fault, Forge, serving
from tests.host.remotes.news import assert_updated, commit_large

TRIES = 4
SECRET = "hunter2-s3cr3t"
REFS, PACK = "/info/refs", "/git-upload-pack"
AssertUnreachable = Callable[[Run, str], None]


@pytest.fixture
def forge(site: Site) -> Iterator[Forge]:
    with serving(site) as forge:
        yield forge


@pytest.fixture
def commit(site: Site, forge: Forge) -> str:
    return commit_large(site, 500_000)


def assert_secret(site: Site, run: Run) -> None:
    """Neither in the result, nor in what the agent gets, nor in the log on the host."""
    assert SECRET not in f"{run}"
    for log in (site.checkout / ".git/pulley").glob("log*"):
        assert SECRET not in log.read_text()


def test_a_host_is_updated(site: Site, forge: Forge, commit: str) -> None:
    assert_updated(site, commit)
    assert len(forge.requests) <= 3


class TestAnswers:
    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            (Answer(401, {"WWW-Authenticate": "Basic"}, b""), "could not read Username"),
            (Answer(404, {}, b""), "not found"),
            (Answer(500, {}, b""), "The requested URL returned error: 500"),
            (Answer(200, {"Content-Type": "text/html"}, b"<h1>\nLog in\n</h1>\n"), "not valid"),
        ],
        ids=["401", "404", "500", "a page for people"],
    )
    def test_one_that_is_not_git_s_is_unreachable_with_the_reason(
        self,
        site: Site,
        forge: Forge,
        commit: str,
        assert_unreachable: AssertUnreachable,
        answer: Answer,
        reason: str,
    ) -> None:
        forge.faults = [Fault(REFS, answer=answer)]
        assert_unreachable(site.pull(), reason)
        assert len(forge.requests) >= TRIES
        forge.faults = []
        assert_updated(site, commit)

    def test_one_that_is_a_fault_but_once_is_asked_for_again(
        self, site: Site, forge: Forge, commit: str
    ) -> None:
        forge.faults = [Fault(PACK, times=1, answer=Answer(502, {}, b""))]
        assert_updated(site, commit)

    def test_what_the_forge_says_for_people_is_in_the_log(
        self, site: Site, forge: Forge, commit: str, assert_unreachable: AssertUnreachable
    ) -> None:
        words = b"Your deploy token has expired."
        forge.faults = [Fault(REFS, answer=Answer(403, {"Content-Type": "text/plain"}, words))]
        run = site.pull()
        assert_unreachable(run, "The requested URL returned error: 403")
        assert words.decode() in run.stderr


class TestBody:
    @pytest.mark.parametrize("sent", [0, 300_000])
    def test_one_that_is_always_cut(
        self,
        site: Site,
        forge: Forge,
        commit: str,
        assert_unreachable: AssertUnreachable,
        sent: int,
    ) -> None:
        forge.faults = [Fault(PACK, sent=sent)]
        assert_unreachable(site.pull(), "")
        forge.faults = []
        assert_updated(site, commit)

    def test_one_that_stops_is_given_up_as_too_slow_and_asked_for_again(
        self, site: Site, forge: Forge, commit: str
    ) -> None:
        forge.faults = [Fault(PACK, times=2, sent=300_000, then="hangs")]
        # Git takes the environment's number before that of the script, for which nobody would wait.
        site.pull(more_environ={"GIT_HTTP_LOW_SPEED_TIME": "1"}).must_be("updated", after=commit)
        assert forge.is_stuck.is_set()

    @pytest.mark.parametrize("then", ["hangs", "trickles"])
    def test_one_that_never_ends_is_given_up_when_the_time_is_over(
        self,
        site: Site,
        forge: Forge,
        commit: str,
        assert_unreachable: AssertUnreachable,
        then: str,
    ) -> None:
        forge.faults = [Fault(PACK, sent=300_000, then=then)]
        assert_unreachable(site.pull(Timeout="20", late=8), "did not answer within")
        assert forge.is_stuck.is_set()
        forge.faults = []
        assert_updated(site, commit)


class TestCredentials:
    def test_those_in_the_address_open_the_repository(
        self, site: Site, forge: Forge, commit: str
    ) -> None:
        forge.credentials = f"deploy:{SECRET}"
        forge.use(forge.credentials)
        assert_updated(site, commit)
        assert_secret(site, site.pull())

    @pytest.mark.parametrize("update", ["rebase", "check"])
    def test_those_that_are_refused_are_told_to_nobody(
        self, site: Site, forge: Forge, assert_unreachable: AssertUnreachable, update: str
    ) -> None:
        site.pull()
        forge.credentials = "deploy:another"
        forge.use(f"deploy:{SECRET}")
        run = site.pull(Update=update)
        assert_unreachable(run, "Authentication failed")
        assert_secret(site, run)

    @pytest.mark.parametrize("where", [REFS, PACK])
    def test_a_forge_that_repeats_them_is_not_heard(
        self,
        site: Site,
        forge: Forge,
        commit: str,
        assert_unreachable: AssertUnreachable,
        where: str,
    ) -> None:
        forge.use(f"deploy:{SECRET}")
        words = f"{SECRET} is not known. See http://deploy:{SECRET}@127.0.0.1/."
        answer = Answer(403, {"Content-Type": "text/plain"}, words.encode())
        forge.faults = [Fault(where, answer=answer)]
        run = site.pull()
        assert_unreachable(run, "403")
        assert_secret(site, run)

    def test_those_of_the_owner_s_helper_work_and_stay_with_it(
        self, site: Site, forge: Forge, commit: str
    ) -> None:
        forge.credentials = f"deploy:{SECRET}"
        store = site.write("credentials", forge.url(forge.credentials) + "\n", where=site.root)
        site.git("config", "credential.helper", f"store --file={store}")
        assert_updated(site, commit)
        assert SECRET not in (site.checkout / ".git/config").read_text()
