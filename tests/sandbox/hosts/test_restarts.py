"""A restart that hurts: the site is down for a while, and requests under way are cut."""

import subprocess
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, RemoteDisconnected
from pathlib import Path
from threading import Timer
from threading import enumerate as enumerate_threads

import pytest

from pulley.sandbox.hosts.machine import install_systemctl
from pulley.sandbox.hosts.restarts import Restarts
from pulley.sandbox.hosts.site import Site, open_sites
from pulley.sandbox.hosts.users import give_to_owner
from tests.processes import HANG_SECONDS

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    (tmp_path / "build").mkdir()
    (tmp_path / "build/health").write_text("ok\n")
    give_to_owner(tmp_path / "build")
    (opened,) = open_sites([tmp_path / "build"])
    yield opened
    opened.close()


@pytest.fixture
def restarts(site: Site, tmp_path: Path) -> Iterator[Restarts]:
    made = Restarts(site, HANG_SECONDS)
    made.install(tmp_path, install_systemctl(tmp_path))
    yield made
    made.close()


def get(site: Site) -> bytes:
    with urllib.request.urlopen(f"{site.url}health", timeout=HANG_SECONDS) as answer:
        content: bytes = answer.read()
    return content


def is_refused(site: Site) -> bool:
    connection = HTTPConnection(site.address, site.port, timeout=HANG_SECONDS)
    try:
        connection.connect()
    except ConnectionRefusedError:
        return True
    finally:
        connection.close()
    return False


def wait_until_up(site: Site) -> None:
    while is_refused(site):
        pass


def systemctl(root: Path, *arguments: str) -> None:
    subprocess.run([root / "bin/systemctl", *arguments], check=True, timeout=HANG_SECONDS)


class TestSite:
    def test_stopped_site_refuses_and_started_it_serves_at_the_same_port(self, site: Site) -> None:
        url = site.url
        for _ in range(3):
            site.stop()
            site.stop()
            assert is_refused(site)
            site.start()
            site.start()
            assert (get(site), site.url) == (b"ok\n", url)

    def test_stop_cuts_what_is_under_way(self, site: Site) -> None:
        site.pause = HANG_SECONDS
        connection = HTTPConnection(site.address, site.port, timeout=HANG_SECONDS)
        connection.request("GET", "/health")
        with ThreadPoolExecutor() as pool:
            answer = pool.submit(connection.getresponse)
            site.stop()
            with pytest.raises((RemoteDisconnected, ConnectionResetError)):
                answer.result()
        connection.close()

    def test_closed_site_does_not_start_again(self, site: Site) -> None:
        site.restart(HANG_SECONDS)
        site.close()
        site.start()
        assert is_refused(site)

    def test_site_that_is_stopped_during_a_restart_stays_down(self, site: Site) -> None:
        site.restart(HANG_SECONDS)
        (timer,) = (one for one in enumerate_threads() if isinstance(one, Timer))
        site.stop()
        timer.join()
        assert is_refused(site)
        site.start()
        assert get(site) == b"ok\n"

    def test_restarted_site_comes_back_with_what_is_built_now(
        self, site: Site, tmp_path: Path
    ) -> None:
        (tmp_path / "build/health").write_text("new\n")
        site.restart(0.01)
        wait_until_up(site)
        assert get(site) == b"new\n"


class TestSystemctl:
    def test_site_is_down_when_it_returns(
        self, site: Site, restarts: Restarts, tmp_path: Path
    ) -> None:
        systemctl(tmp_path, "reload-or-restart", "--", "worker.service", "site.service")
        assert is_refused(site)
        log = (tmp_path / "systemctl.log").read_text()
        assert "systemctl reload-or-restart -- worker.service site.service\n" in log

    def test_site_is_up_again_after_the_time(
        self, site: Site, restarts: Restarts, tmp_path: Path
    ) -> None:
        restarts.seconds = 0.01
        systemctl(tmp_path, "reload-or-restart", "site.service")
        wait_until_up(site)
        assert get(site) == b"ok\n"

    def test_other_units_and_verbs_leave_it_up(
        self, site: Site, restarts: Restarts, tmp_path: Path
    ) -> None:
        systemctl(tmp_path, "reload-or-restart", "--", "worker.service")
        systemctl(tmp_path, "status", "site.service")
        assert not is_refused(site)
        assert len((tmp_path / "systemctl.log").read_text().splitlines()) == 2
