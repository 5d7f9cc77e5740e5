"""git-lfs with a server: the host has all LFS objects before anything moves."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator

import pytest

from tests.host.conftest import Run, Site, set_up_lfs
from tests.host.remotes.forge import Answer, Fault, Forge, serving
from tests.host.remotes.processes import left_by_runs
from tests.host.test_processes import wait_for
from tests.processes import HANG_SECONDS

pytestmark = pytest.mark.skipif(
    not shutil.which("git-lfs"), reason="takes git-lfs: install git-lfs"
)
BATCH, OBJECTS = "/info/lfs/objects/batch", " /objects/"
OLD, NEW = "old\n" * 10_000, "new\n" * 50_000
AssertUnreachable = Callable[[Run, str], None]


@pytest.fixture(scope="module")
def like(make_shared_site: Callable[[str], Site]) -> Site:
    """Settings as `git lfs install` makes them, in the repositories; one object is deployed."""
    site = make_shared_site("sh")
    for where in (site.upstream, site.checkout):
        set_up_lfs(site, where)
    site.commit({".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n", "a.bin": OLD})
    with serving(site):
        assert site.pull().result.outcome == "updated"
    return site


@pytest.fixture
def forge(site: Site) -> Iterator[Forge]:
    with serving(site) as forge:
        yield forge


@pytest.fixture
def commit(site: Site, forge: Forge) -> str:
    """A new object upstream."""
    return site.commit({"a.bin": NEW, "app.txt": "two\n"})


def assert_updated(site: Site, commit: str) -> None:
    site.pull().must_be("updated", after=commit)
    assert (site.checkout / "a.bin").read_text() == NEW
    assert not left_by_runs(site)


def test_object_is_fetched_once_and_before_the_move(site: Site, forge: Forge, commit: str) -> None:
    seen = site.write("seen", "", where=site.root)
    site.before_git(f'case " $* " in *" checkout "*) ls -R .git/lfs/objects >{seen} ;; esac')
    assert_updated(site, commit)
    (fetched,) = [line for line in forge.requests if OBJECTS in line]
    assert fetched.rpartition("/")[2] in seen.read_text()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault(BATCH, answer=Answer(503, {}, b"")), "Server error"),
        (Fault(BATCH, answer=Answer(403, {}, b"")), "proper access"),
        (Fault(OBJECTS, answer=Answer(200, {}, b"another")), "expected OID"),
        (Fault(OBJECTS, sent=1000), "EOF"),
    ],
    ids=["down", "closed", "wrong object", "cut object"],
)
def test_failing_server_moves_nothing_and_the_next_run_asks_again(
    site: Site,
    forge: Forge,
    commit: str,
    assert_unreachable: AssertUnreachable,
    fault: Fault,
    reason: str,
) -> None:
    site.git("config", "lfs.transfer.maxRetries", "1")
    forge.faults = [fault]
    run = site.pull()
    assert_unreachable(run, "git-lfs: ")
    assert reason in run.result.detail
    assert "failed to fetch some objects" in run.stderr
    forge.faults = []
    assert_updated(site, commit)


def test_an_object_that_the_server_lacks_is_named_and_nothing_moves(
    site: Site, forge: Forge, commit: str, assert_unreachable: AssertUnreachable
) -> None:
    oid = site.git("show", f"{commit}:a.bin", cwd=site.upstream).split()[3].removeprefix("sha256:")
    aside = forge.object_file(oid).rename(site.root / "aside")
    run = site.pull()
    assert_unreachable(run, f"git-lfs: [{oid}] Object does not exist")
    aside.rename(forge.object_file(oid))
    assert_updated(site, commit)


def test_hanging_server_is_given_up_at_the_time_limit(
    site: Site, forge: Forge, commit: str, assert_unreachable: AssertUnreachable
) -> None:
    forge.faults = [Fault(OBJECTS, sent=1000, then="hangs")]
    run = site.pull(Timeout="20", late=6)
    assert forge.is_stuck.is_set()
    assert_unreachable(run, "git-lfs: the server did not answer within")
    forge.faults = []
    assert_updated(site, commit)


def test_next_run_succeeds_after_a_kill_in_the_middle_of_an_object(
    site: Site, forge: Forge, commit: str
) -> None:
    state = site.state()
    forge.faults = [Fault(OBJECTS, sent=100_000, then="hangs")]
    command, environ = site.command()
    run = subprocess.Popen(
        command,
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,
    )
    assert forge.is_stuck.wait(HANG_SECONDS)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    wait_for(lambda: not left_by_runs(site))
    assert site.state() == state
    forge.faults = []
    assert_updated(site, commit)


def test_credentials_in_the_address_work_for_objects_and_stay_hidden(
    site: Site, forge: Forge, commit: str, assert_unreachable: AssertUnreachable
) -> None:
    secret = "hunter2-s3cr3t"
    forge.credentials = f"deploy:{secret}"
    forge.use(forge.credentials)
    forge.faults = [Fault(BATCH, answer=Answer(503, {}, b""))]
    run = site.pull()
    assert_unreachable(run, "git-lfs: ")
    assert secret not in f"{run}"
    for log in (site.checkout / ".git/pulley").glob("log*"):
        assert secret not in log.read_text()
    forge.faults = []
    assert_updated(site, commit)
