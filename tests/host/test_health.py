"""The health check with a proxy, and the reasons that it reports."""

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
def http_client(request: pytest.FixtureRequest, site: Site) -> str:
    """The HTTP client that the host has. With both, the script uses curl."""
    program = str(request.param)
    if not shutil.which(program):
        pytest.skip(f"{program} is not here")
    return program


def environ_with_only(site: Site, program: str) -> dict[str, str]:
    """A PATH without the other client."""
    other = {"curl": "wget", "wget": "curl"}[program]
    return {"PATH": f"{site.tools}:{folder_without(other)}"}


class TestProxy:
    @pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost", "LOCALHOST"])
    def test_health_check_of_this_host_bypasses_the_proxy(
        self, site: Site, serve: Serve, http_client: str, host: str
    ) -> None:
        proxy = f"http://127.0.0.1:{serve(503)}"
        environ = environ_with_only(site, http_client) | dict.fromkeys(PROXIES, proxy)
        environ["no_proxy"] = "169.254.169.254"
        site.commit({"app.txt": "two\n"})
        url = f"http://{host}:{serve(204)}/health?a=b@c"
        run = site.pull(HealthCheck=url, more_environ=environ)
        assert run.result.outcome == "updated", run.stderr

    def test_health_check_of_localhost_with_a_trailing_dot_bypasses_the_proxy(
        self, site: Site, serve: Serve, http_client: str
    ) -> None:
        proxy = f"http://127.0.0.1:{serve(503)}"
        environ = environ_with_only(site, http_client) | dict.fromkeys(PROXIES, proxy)
        url = f"http://localhost.:{serve(204)}/"
        run = site.pull(HealthCheck=url, more_environ=environ, Timeout="20", late=9)
        assert "503" not in run.result.detail

    @pytest.mark.parametrize("host", ["site.example.invalid", "127.example.invalid"])
    def test_health_check_of_another_host_uses_the_proxy(
        self, site: Site, serve: Serve, http_client: str, host: str
    ) -> None:
        proxy = f"http://127.0.0.1:{serve(204)}"
        environ = environ_with_only(site, http_client) | dict.fromkeys(PROXIES, proxy)
        site.commit({"app.txt": "two\n"})
        run = site.pull(HealthCheck=f"http://{host}/health", more_environ=environ)
        assert run.result.outcome == "updated", run.stderr


class TestReason:
    """Each health check fails; `late` leaves it one second."""

    def test_last_answer_is_in_the_result_and_the_log(
        self, site: Site, serve: Serve, http_client: str
    ) -> None:
        run = site.pull(
            HealthCheck=f"http://127.0.0.1:{serve(503)}/",
            more_environ=environ_with_only(site, http_client),
            Timeout="20",
            late=9,
        )
        assert run.result.step == "health_check"
        assert "the last answer was 503" in run.result.detail
        assert "asked " in run.result.detail
        assert run.stderr.count("the last answer was 503") >= 2
        assert "== health_check failed: the last answer was 503" in run.stderr

    def test_connection_error_is_in_the_result_and_the_log(
        self, site: Site, http_client: str
    ) -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))  # and does not listen
            run = site.pull(
                HealthCheck=f"http://127.0.0.1:{closed.getsockname()[1]}/",
                more_environ=environ_with_only(site, http_client),
                Timeout="20",
                late=9,
            )
        assert "no answer: " in run.result.detail
        expected = {"curl": "connect", "wget": "refused"}[http_client]
        assert expected in run.result.detail
        assert expected in run.stderr

    def test_roll_back_is_logged_after_the_failed_health_check(
        self, site: Site, serve: Serve
    ) -> None:
        good = site.commit({"app.txt": "two\n"})
        port = serve(503)
        assert site.pull().result.outcome == "updated"
        site.commit({"app.txt": "three\n"})
        run = site.pull(HealthCheck=f"http://127.0.0.1:{port}/", Timeout="20", late=9)
        assert run.result.outcome == "broken"
        assert f"== rolling back to {good}" in run.stderr
        first = run.stderr.index("health_check failed")
        assert first < run.stderr.index("== rolling back to")
