"""The health check beside a proxy, and its words."""

import http.server
import shutil
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.host.conftest import Site
from tests.host.programs import folder_without

PROXIES = ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy")
Serve = Callable[[int], int]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves a port, on all of 127.0.0.0/8, that answers each request with the given status."""
    servers = []

    def start(status: int) -> int:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        server = http.server.ThreadingHTTPServer(("", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return int(server.server_port)

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(params=["curl", "wget"])
def asked_with(request: pytest.FixtureRequest, site: Site) -> str:
    """The program that the host has for it. curl is taken where both are."""
    program = str(request.param)
    if not shutil.which(program):
        pytest.skip(f"{program} is not here")
    return program


def environ_with_only(site: Site, program: str) -> dict[str, str]:
    """A PATH on which the other of the two is not."""
    other = {"curl": "wget", "wget": "curl"}[program]
    return {"PATH": f"{site.tools}:{folder_without(other)}"}


class TestProxy:
    @pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost", "LOCALHOST"])
    def test_this_host_is_asked_without_it(
        self, site: Site, serve: Serve, asked_with: str, host: str
    ) -> None:
        proxy = f"http://127.0.0.1:{serve(503)}"
        environ = environ_with_only(site, asked_with) | dict.fromkeys(PROXIES, proxy)
        environ["no_proxy"] = "169.254.169.254"
        site.commit({"app.txt": "two\n"})
        url = f"http://{host}:{serve(204)}/health?a=b@c"
        run = site.pull(HealthCheck=url, more_environ=environ)
        assert run.result.outcome == "updated", run.stderr

    def test_nor_by_its_name_with_a_dot_which_not_each_resolver_knows(
        self, site: Site, serve: Serve, asked_with: str
    ) -> None:
        proxy = f"http://127.0.0.1:{serve(503)}"
        environ = environ_with_only(site, asked_with) | dict.fromkeys(PROXIES, proxy)
        url = f"http://localhost.:{serve(204)}/"
        run = site.pull(HealthCheck=url, more_environ=environ, Timeout="20", late=9)
        assert "503" not in run.result.detail

    @pytest.mark.parametrize("host", ["site.example.invalid", "127.example.invalid"])
    def test_another_is_asked_by_it(
        self, site: Site, serve: Serve, asked_with: str, host: str
    ) -> None:
        proxy = f"http://127.0.0.1:{serve(204)}"
        environ = environ_with_only(site, asked_with) | dict.fromkeys(PROXIES, proxy)
        site.commit({"app.txt": "two\n"})
        run = site.pull(HealthCheck=f"http://{host}/health", more_environ=environ)
        assert run.result.outcome == "updated", run.stderr


class TestWords:
    """All of them fail, and there is a second for that."""

    def test_what_was_answered_last(self, site: Site, serve: Serve, asked_with: str) -> None:
        run = site.pull(
            HealthCheck=f"http://127.0.0.1:{serve(503)}/",
            more_environ=environ_with_only(site, asked_with),
            Timeout="20",
            late=9,
        )
        assert run.result.step == "health_check"
        assert "the last answer was 503" in run.result.detail
        assert "asked " in run.result.detail
        assert run.stderr.count("the last answer was 503") >= 2
        assert "== health_check failed: the last answer was 503" in run.stderr

    def test_why_there_was_none(self, site: Site, asked_with: str) -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))  # and does not listen
            run = site.pull(
                HealthCheck=f"http://127.0.0.1:{closed.getsockname()[1]}/",
                more_environ=environ_with_only(site, asked_with),
                Timeout="20",
                late=9,
            )
        assert "no answer: " in run.result.detail
        expected = {"curl": "connect", "wget": "refused"}[asked_with]
        assert expected in run.result.detail
        assert expected in run.stderr

    def test_what_was_done_then(self, site: Site, serve: Serve) -> None:
        good = site.commit({"app.txt": "two\n"})
        port = serve(503)
        assert site.pull().result.outcome == "updated"
        site.commit({"app.txt": "three\n"})
        run = site.pull(HealthCheck=f"http://127.0.0.1:{port}/", Timeout="20", late=9)
        assert run.result.outcome == "broken"
        assert f"== rolling back to {good}" in run.stderr
        first = run.stderr.index("health_check failed")
        assert first < run.stderr.index("== rolling back to")
