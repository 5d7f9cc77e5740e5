"""A host's site, and the stand-in for curl that requests it."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import TCPServer
from threading import Thread

import pytest

from pulley.sandbox.hosts import site as site_module
from pulley.sandbox.hosts.site import Site, open_sites
from pulley.sandbox.hosts.users import AS_ROOT, give_to_owner
from tests.processes import HANG_SECONDS

pytestmark = pytest.mark.timeout(30)

# curl's options in pulley/host/health.sh.
FLAGS = ["-gsS", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "5", "--noproxy", "*", "--"]


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    return [tmp_path / name / "build" for name in ("web-1", "web-2")]


@pytest.fixture
def sites(folders: list[Path]) -> Iterator[list[Site]]:
    opened = open_sites(folders)
    yield opened
    for site in opened:
        site.close()


def put(folder: Path, path: str, content: str) -> Path:
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    give_to_owner(folder)
    return file


def get(site: Site, path: str, method: str = "GET") -> tuple[int, bytes]:
    connection = HTTPConnection(site.address, site.port, timeout=HANG_SECONDS)
    connection.request(method, path)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content


def curl(stand_in: Path, url: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [str(stand_in), *(options or FLAGS), url]
    path = "/usr/bin:/bin"
    return subprocess.run(command, env={"PATH": path}, capture_output=True, text=True, check=False)


class TestSite:
    def test_file_in_the_folder_is_served(self, sites: list[Site], folders: list[Path]) -> None:
        put(folders[0], "health", "ok\n")
        assert get(sites[0], "/health") == (200, b"ok\n")

    def test_folder_is_served_as_its_index_and_never_as_a_list(
        self, sites: list[Site], folders: list[Path]
    ) -> None:
        put(folders[0], "empty/x", "x")
        assert get(sites[0], "/")[0] == get(sites[0], "/empty/")[0] == 404
        put(folders[0], "index.html", "<h1>Hello</h1>\n")
        assert get(sites[0], "/") == (200, b"<h1>Hello</h1>\n")
        assert get(sites[0], "/", "HEAD") == (200, b"")

    def test_missing_file_is_404_before_it_is_made_and_after_it_is_removed(
        self, sites: list[Site], folders: list[Path]
    ) -> None:
        assert get(sites[0], "/health")[0] == 404
        file = put(folders[0], "health", "ok\n")
        assert get(sites[0], "/health")[0] == 200
        file.unlink()
        assert get(sites[0], "/health")[0] == 404

    def test_path_outside_the_folder_and_a_pipe_are_404_at_once(
        self, sites: list[Site], folders: list[Path]
    ) -> None:
        put(folders[0], "health", "ok\n")
        put(folders[0].parent, "secret", "x\n")
        os.mkfifo(folders[0] / "pipe")
        for path in ("/../secret", "/%2e%2e/secret", "/pipe"):
            assert get(sites[0], path)[0] == 404

    @pytest.mark.skipif(not AS_ROOT, reason="only root can read what is another user's")
    def test_link_to_another_user_s_file_is_404(
        self, sites: list[Site], folders: list[Path], tmp_path: Path
    ) -> None:
        (tmp_path / "roots").write_text("secret\n")
        put(folders[0], "health", "ok\n")
        (folders[0] / "link").symlink_to(tmp_path / "roots")
        assert get(sites[0], "/link")[0] == 404

    def test_requests_print_nothing(
        self, sites: list[Site], capfd: pytest.CaptureFixture[str]
    ) -> None:
        get(sites[0], "/nothing")
        assert capfd.readouterr() == ("", "")


class TestOpenSites:
    def test_each_host_has_its_own_address_and_all_have_one_port(self, sites: list[Site]) -> None:
        first, second = sites
        assert first.address != second.address
        assert first.port == second.port
        assert first.health_check == second.health_check == f"http://127.0.0.1:{first.port}/health"

    def test_each_site_serves_its_own_folder(self, sites: list[Site], folders: list[Path]) -> None:
        for folder, words in zip(folders, ("one", "two"), strict=True):
            put(folder, "health", words)
        assert [get(site, "/health")[1] for site in sites] == [b"one", b"two"]

    def test_port_in_use_at_a_later_address_is_replaced_by_another_port(
        self, folders: list[Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        taken: list[Site] = []

        def take_the_first(folder: Path, address: str, port: int = 0) -> Site:
            if port and not taken:
                taken.append(Site(folder, address, port))
            return Site(folder, address, port)

        monkeypatch.setattr(site_module, "Site", take_the_first)
        with ExitStack() as closing:
            sites = open_sites(folders)
            for site in [*sites, *taken]:
                closing.callback(site.close)
            assert len(sites) == 2
            assert sites[0].port == sites[1].port != taken[0].port
            # The site that was opened at the rejected port is closed.
            with pytest.raises(ConnectionRefusedError):
                HTTPConnection(sites[0].address, taken[0].port).connect()

    def test_error_is_raised_if_no_port_is_free(
        self, folders: list[Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(folder: Path, address: str, port: int = 0) -> Site:
            raise OSError("in use")

        monkeypatch.setattr(site_module, "Site", refuse)
        with pytest.raises(OSError, match="in use"):
            open_sites(folders)


class TestCurl:
    def test_same_url_reaches_each_host_s_own_site(
        self, sites: list[Site], folders: list[Path], tmp_path: Path
    ) -> None:
        put(folders[0], "health", "ok\n")
        answers = [
            curl(site.install_curl(tmp_path / site.address), site.health_check) for site in sites
        ]
        assert [(answer.stdout, answer.returncode) for answer in answers] == [
            ("200", 0),
            ("404", 0),
        ]

    def test_closed_site_is_000_with_curl_s_exit_code_7(
        self, sites: list[Site], tmp_path: Path
    ) -> None:
        stand_in = sites[0].install_curl(tmp_path)
        sites[1].close()
        nobody = curl(stand_in, sites[1].url)
        assert (nobody.stdout, nobody.returncode) == ("000", 7)
        assert "refused" in nobody.stderr

    def test_url_of_another_server_is_requested_unchanged(
        self, sites: list[Site], tmp_path: Path
    ) -> None:
        asked: list[tuple[str, str | None]] = []

        class Teapot(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append((self.path, self.headers["Host"]))
                self.send_response(418)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        with TCPServer(("127.0.0.1", 0), Teapot) as elsewhere:
            thread = Thread(target=elsewhere.handle_request)
            thread.start()
            place = f"127.0.0.1:{elsewhere.server_address[1]}"
            answer = curl(sites[0].install_curl(tmp_path), f"http://{place}/pot?of=tea")
            thread.join()
        assert (answer.stdout, answer.returncode) == ("418", 0)
        assert asked == [("/pot?of=tea", place)]

    def test_arguments_that_the_script_does_not_use_are_refused(
        self, sites: list[Site], tmp_path: Path
    ) -> None:
        answer = curl(sites[0].install_curl(tmp_path), sites[0].health_check, "-s")
        assert (answer.stdout, answer.returncode) == ("", 2)
        assert "this stand-in takes" in answer.stderr

    def test_https_is_000_with_a_message(self, sites: list[Site], tmp_path: Path) -> None:
        answer = curl(sites[0].install_curl(tmp_path), "https://127.0.0.1/health")
        assert (answer.stdout, answer.returncode) == ("000", 7)
        assert "not https" in answer.stderr

    def test_host_s_python_is_used_if_the_owner_cannot_run_the_given_python(
        self, sites: list[Site], tmp_path: Path
    ) -> None:
        stand_in = sites[0].install_curl(tmp_path, python=tmp_path / "private/python")
        bin_of_the_host = tmp_path / "usr/bin"
        bin_of_the_host.mkdir(parents=True)
        python = bin_of_the_host / "python3"
        python.write_text("#!/bin/sh\necho the host\\'s\n")
        python.chmod(0o755)
        done = subprocess.run(
            [stand_in, *FLAGS, sites[0].health_check],
            env={"PATH": str(bin_of_the_host)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == "the host's\n"
