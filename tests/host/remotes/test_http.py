"""git over HTTP, served by git's own backend: faults are reported, and credentials stay hidden."""

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


def assert_secret_is_hidden(site: Site, run: Run) -> None:
    """The secret is not in the result, in the agent's output, or in the host's log."""
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
        ids=["401", "404", "500", "an HTML page"],
    )
    def test_error_or_page_is_unreachable_with_the_reason(
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

    def test_error_that_occurs_once_is_retried(self, site: Site, forge: Forge, commit: str) -> None:
        forge.faults = [Fault(PACK, times=1, answer=Answer(502, {}, b""))]
        assert_updated(site, commit)

    def test_message_of_the_forge_is_in_the_log(
        self, site: Site, forge: Forge, commit: str, assert_unreachable: AssertUnreachable
    ) -> None:
        words = b"Your deploy token has expired."
        forge.faults = [Fault(REFS, answer=Answer(403, {"Content-Type": "text/plain"}, words))]
        run = site.pull()
        assert_unreachable(run, "The requested URL returned error: 403")
        assert words.decode() in run.stderr


class TestBody:
    @pytest.mark.parametrize("sent", [0, 300_000])
    def test_body_that_is_always_cut_is_unreachable(
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

    def test_body_that_stops_is_given_up_as_too_slow_and_retried(
        self, site: Site, forge: Forge, commit: str
    ) -> None:
        forge.faults = [Fault(PACK, times=2, sent=300_000, then="hangs")]
        # Git prefers the environment's limit to the script's, which is too long for a test.
        site.pull(more_environ={"GIT_HTTP_LOW_SPEED_TIME": "1"}).must_be("updated", after=commit)
        assert forge.is_stuck.is_set()

    @pytest.mark.parametrize("then", ["hangs", "trickles"])
    def test_body_that_never_ends_is_given_up_at_the_time_limit(
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
    def test_credentials_in_the_address_work_and_stay_hidden(
        self, site: Site, forge: Forge, commit: str
    ) -> None:
        forge.credentials = f"deploy:{SECRET}"
        forge.use(forge.credentials)
        assert_updated(site, commit)
        assert_secret_is_hidden(site, site.pull())

    @pytest.mark.parametrize("update", ["rebase", "check"])
    def test_refused_credentials_stay_hidden(
        self, site: Site, forge: Forge, assert_unreachable: AssertUnreachable, update: str
    ) -> None:
        site.pull()
        forge.credentials = "deploy:another"
        forge.use(f"deploy:{SECRET}")
        run = site.pull(Update=update)
        assert_unreachable(run, "Authentication failed")
        assert_secret_is_hidden(site, run)

    @pytest.mark.parametrize("where", [REFS, PACK])
    def test_credentials_in_a_message_of_the_forge_stay_hidden(
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
        assert_secret_is_hidden(site, run)

    def test_credentials_of_the_owners_helper_work_and_are_not_in_the_git_config(
        self, site: Site, forge: Forge, commit: str
    ) -> None:
        forge.credentials = f"deploy:{SECRET}"
        store = site.write("credentials", forge.url(forge.credentials) + "\n", where=site.root)
        site.git("config", "credential.helper", f"store --file={store}")
        assert_updated(site, commit)
        assert SECRET not in (site.checkout / ".git/config").read_text()
