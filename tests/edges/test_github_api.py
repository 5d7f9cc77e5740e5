"""One request to GitHub, against a server on loopback: its content, and each kind of answer."""

import gc
import json
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from chalicelib.core.errors import NotTakenError, PulleyError, UnavailableError
from chalicelib.core.refs import Repository
from chalicelib.edges.aws import Deadline, LateError
from chalicelib.edges.github import GitHub, RepositoryDeployments
from chalicelib.edges.github_api import (
    DEFAULT_WAIT_SECONDS,
    MAX_ANSWER_BYTES,
    MAX_REDIRECTS,
    MAX_WAIT_SECONDS,
    REFUSED_SECONDS,
    RETRY_SECONDS,
    GitHubApi,
    RateLimitError,
    TokenError,
)
from tests.edges.github_server import (
    ASKING,
    FORBIDDEN,
    NOT_FOUND,
    PATH,
    REQUEST,
    TOKEN,
    UNAUTHORIZED,
    Api,
    deployment_of,
    every_method,
    said,
    shown,
)
from tests.edges.scripted_server import Raw, Request, ScriptedServer, answer
from tests.fakes import SITE, FakeClock

pytestmark = pytest.mark.timeout(30)


class TestEveryRequest:
    @every_method
    def test_token_and_version_are_sent(
        self, api: Api, ask: Callable[[RepositoryDeployments], object]
    ) -> None:
        api.script(lambda one: answer(shown() if one.method == "POST" else []))
        ask(api.deployments)
        (request,) = api.server.requests
        sent = {name: request.headers[name] for name in request.headers if name != "host"}
        assert request.target.startswith(PATH)
        assert sent["authorization"] == f"Bearer {TOKEN}"
        assert sent["accept"] == "application/vnd.github+json"
        assert sent["x-github-api-version"] == "2022-11-28"
        assert sent["user-agent"] == "pulley"

    def test_api_address_may_have_a_path_and_a_final_slash(self, api: Api) -> None:
        list(GitHub(f"{api.server.url}/api/v3/").of(SITE, TOKEN).newest("x"))
        assert api.server.requests[0].target.startswith("/api/v3/repos/octo/site/deployments?")

    def test_connection_is_reused(self, api: Api) -> None:
        for _ in range(3):
            api.deployments.find(REQUEST)
        assert len(api.server._connections) == 1

    def test_connection_closed_by_github_is_opened_again(self, api: Api) -> None:
        whole = list(answer([]).parts)
        api.answers(Raw(whole, close=True))
        for _ in range(3):
            assert api.deployments.find(REQUEST) is None
            time.sleep(0.05)
        assert api.calls == 3


REFUSALS = {"401": UNAUTHORIZED, "403": FORBIDDEN, "404 of the collection": NOT_FOUND}
refusals = pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS.keys())


def is_refused_without_a_request(api: Api, deployments: RepositoryDeployments) -> bool:
    """Whether `find` raises without a request to GitHub."""
    before = api.calls
    try:
        deployments.find(REQUEST)
    except PulleyError:
        return api.calls == before
    return False


class TestRefusedToken:
    @refusals
    def test_first_refusal_is_new_and_later_calls_cost_no_request(
        self, api: Api, refusal: Raw
    ) -> None:
        api.answers(refusal)
        with pytest.raises(TokenError) as first:
            api.deployments.find(REQUEST)
        assert not first.value.is_known
        for ask in ASKING.values():
            with pytest.raises(TokenError) as later:
                ask(api.of())
            assert later.value.is_known
            assert str(later.value) == str(first.value)
        assert api.calls == 1

    @pytest.mark.parametrize(
        ("refusal", "words"),
        [
            (UNAUTHORIZED, "401, 'Bad credentials': the token is not valid, or has expired"),
            (FORBIDDEN, "access token': the token needs the permission Deployments: write"),
            (NOT_FOUND, "404, 'Not Found': there is no such repository, or the token needs"),
            (answer(b"<html>", 401), "401, without a message: the token is not valid"),
            (answer(["x"], 401), "401, without a message"),
            (answer({"message": "x" * 5000}, 401), "xxx...: the token is not valid"),
            (answer({"message": "a\nb\x1b[31m"}, 401), r"'a\nb\x1b[31m'"),
        ],
    )
    def test_error_has_the_message_of_github_and_the_reason(
        self, api: Api, refusal: Raw, words: str
    ) -> None:
        api.answers(refusal)
        with pytest.raises(TokenError) as caught:
            api.deployments.create(REQUEST)
        assert words in str(caught.value)
        assert str(caught.value).startswith("POST /deployments: GitHub answered 4")
        assert len(str(caught.value)) < 250

    @refusals
    def test_refused_token_is_not_used_until_the_pause_ends(self, api: Api, refusal: Raw) -> None:
        api.answers(refusal, answer([]))
        with pytest.raises(TokenError):
            api.deployments.find(REQUEST)
        api.clock.now += REFUSED_SECONDS - 0.1
        assert is_refused_without_a_request(api, api.deployments)
        api.clock.now += 0.2
        assert api.deployments.find(REQUEST) is None

    def test_refusal_after_the_pause_is_new_again(self, api: Api) -> None:
        api.answers(UNAUTHORIZED)
        for _ in range(2):
            with pytest.raises(TokenError) as caught:
                api.deployments.find(REQUEST)
            assert not caught.value.is_known
            api.clock.now += REFUSED_SECONDS + 1

    @refusals
    def test_other_repositories_and_tokens_are_still_requested(
        self, api: Api, refusal: Raw
    ) -> None:
        api.answers(refusal)
        with pytest.raises(TokenError):
            api.deployments.find(REQUEST)
        api.answers(answer([]))
        assert is_refused_without_a_request(api, api.deployments)
        assert api.of(Repository("octo", "other")).find(REQUEST) is None
        assert api.of(token="a_new_token").find(REQUEST) is None
        assert is_refused_without_a_request(api, api.deployments)

    @pytest.mark.parametrize("token", ["two\nlines", "a b", "naïve", "€", "", "a\r\nX-Other: b"])
    def test_token_invalid_in_a_header_is_refused_without_a_request_or_echo(
        self, api: Api, token: str
    ) -> None:
        for is_known in (False, True):
            with pytest.raises(TokenError) as caught:
                api.of(token=token).find(REQUEST)
            assert caught.value.is_known is is_known
            assert str(caught.value) == "the stored token is not one line of ASCII without spaces"
        assert api.calls == 0

    def test_many_threads_refused_at_once_all_get_the_error(self, api: Api) -> None:
        api.answers(UNAUTHORIZED)
        told: list[BaseException] = []

        def ask(number: int) -> None:
            try:
                api.of(Repository("octo", f"site-{number}")).find(REQUEST)
            except TokenError as error:
                told.append(error)

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(told) == 24
        assert len(api.github._closed) == 24

    def test_ended_pauses_are_forgotten(self, api: Api) -> None:
        api.answers(UNAUTHORIZED)
        for number in range(20):
            with pytest.raises(TokenError):
                api.of(Repository("octo", f"site-{number}")).find(REQUEST)
            api.clock.now += REFUSED_SECONDS / 2
        assert len(api.github._closed) <= 2


def limit(status: int, **headers: object) -> Raw:
    return said("You have exceeded a secondary rate limit.", status, **headers)


LIMITS = [
    pytest.param(limit(403, Retry_After=17), 17, id="403 and seconds"),
    pytest.param(limit(429, Retry_After=17), 17, id="429 and seconds"),
    pytest.param(said("No.", 403, Retry_After=17), 17, id="403, seconds, another message"),
    pytest.param(
        limit(403, X_RateLimit_Remaining=0, X_RateLimit_Reset=1090), 90, id="403 and a reset"
    ),
    pytest.param(
        limit(429, X_RateLimit_Remaining=0, X_RateLimit_Reset=1090), 90, id="429 and a reset"
    ),
    pytest.param(
        limit(429, Retry_After=17, X_RateLimit_Remaining=0, X_RateLimit_Reset=1090),
        17,
        id="both: Retry-After counts",
    ),
    pytest.param(
        limit(429, X_RateLimit_Remaining=4999, X_RateLimit_Reset=4000),
        DEFAULT_WAIT_SECONDS,
        id="a reset, but some requests left",
    ),
    pytest.param(limit(429), DEFAULT_WAIT_SECONDS, id="429 alone"),
    pytest.param(limit(403), DEFAULT_WAIT_SECONDS, id="403 and a message"),
    pytest.param(
        limit(403, X_RateLimit_Remaining=0), DEFAULT_WAIT_SECONDS, id="nothing left, no reset"
    ),
    pytest.param(
        limit(429, Retry_After="soon"), DEFAULT_WAIT_SECONDS, id="Retry-After is not a number"
    ),
    pytest.param(limit(429, Retry_After=0), 1, id="zero seconds"),
    pytest.param(
        limit(429, X_RateLimit_Remaining=0, X_RateLimit_Reset=3), 1, id="a reset in the past"
    ),
    pytest.param(limit(429, Retry_After="9" * 400), MAX_WAIT_SECONDS, id="a number too large"),
]


class TestRateLimit:
    @pytest.mark.parametrize(("raw", "seconds"), LIMITS)
    def test_rate_limit_pauses_all_requests_for_its_time(
        self, api: Api, raw: Raw, seconds: float
    ) -> None:
        api.answers(raw, answer([]))
        with pytest.raises(RateLimitError) as caught:
            api.deployments.find(REQUEST)
        assert str(caught.value) == "GitHub's rate limit is reached"
        assert caught.value.retry_seconds == seconds
        for name, ask in ASKING.items():
            with pytest.raises(RateLimitError):
                ask(api.of(Repository("octo", name)))
        api.clock.now += seconds - 0.1
        assert is_refused_without_a_request(api, api.deployments)
        assert api.calls == 1
        api.clock.now += 0.2
        assert api.deployments.find(REQUEST) is None

    def test_later_calls_get_the_rest_of_the_wait(self, api: Api) -> None:
        api.answers(limit(429, Retry_After=100))
        for passed in (0, 40, 59):
            api.clock.now += passed
            with pytest.raises(RateLimitError) as caught:
                api.deployments.find(REQUEST)
        assert caught.value.retry_seconds == pytest.approx(1)
        assert "429" in caught.value.detail

    def test_another_token_is_still_requested(self, api: Api) -> None:
        api.answers(limit(429), answer([]))
        with pytest.raises(RateLimitError):
            api.deployments.find(REQUEST)
        assert api.of(token="another").find(REQUEST) is None
        assert is_refused_without_a_request(api, api.deployments)

    def test_retry_after_of_a_busy_server_is_not_waited_for(self, api: Api) -> None:
        api.answers(said("Service Unavailable", 503, Retry_After=20))
        began = time.monotonic()
        with pytest.raises(UnavailableError):
            api.deployments.find(REQUEST)
        assert time.monotonic() - began < 2
        assert api.calls == 1


def head(*lines: str) -> bytes:
    return "\r\n".join(["HTTP/1.1 200 OK", *lines, "", ""]).encode()


BROKEN: dict[str, Raw] = {
    "500": said("Server Error", 500),
    "502 in HTML": answer(b"<html>Unicorn!</html>", 502, Content_Type="text/html"),
    "empty": answer(b""),
    "204": answer(b"", 204),
    "HTML": answer(b"<!DOCTYPE html><html></html>"),
    "truncated JSON": answer(b'[{"id": 1, "sha": "4d5'),
    "deeply nested": answer(b"[" * 200_000),
    "deeply nested and whole": answer(b"[" * 200_000 + b"]" * 200_000),
    "10 MB": answer(b"[" + b" " * 10_000_000 + b"]"),
    "10 MB of text": answer(json.dumps(["x" * 10_000_000]).encode()),
    "more digits than Python parses": answer(b"[" + b"1" * 10_000 + b"]"),
    "not UTF-8": answer(b'["\xff\xfe\xff"]'),
    "cut short": Raw([head("Content-Length: 100"), b'[{"id"']),
    "cut short in a chunk": Raw([head("Transfer-Encoding: chunked"), b"5\r\n[1"]),
    "chunk with an invalid size": Raw([head("Transfer-Encoding: chunked"), b"zz\r\n[1]\r\n"]),
    "wrong length": Raw([head("Content-Length: 2", "Content-Length: 5"), b"[]"]),
    "wrongly labelled as gzip": answer(b"[]", Content_Encoding="gzip"),
    "no HTTP": Raw([b"SSH-2.0-OpenSSH_9.6\r\n"]),
    "endless header": Raw([head("X: " + "x" * 100_000), b"[]"]),
    "many headers": Raw([head(*(f"X-{number}: x" for number in range(200))), b"[]"]),
    "closed at once": Raw([]),
    "reset at once": Raw([], reset=True),
    "reset in the body": Raw([head("Content-Length: 100"), b"[1"], reset=True),
    "switching protocols": Raw([b"HTTP/1.1 101 Switching\r\nConnection: close\r\n\r\n"]),
}


class TestBrokenAnswer:
    @pytest.mark.parametrize("raw", BROKEN.values(), ids=BROKEN.keys())
    @pytest.mark.parametrize("ask", [ASKING["find"], ASKING["create"]], ids=["GET", "POST"])
    def test_broken_answer_is_unavailable_and_the_next_answer_is_read(
        self, api: Api, raw: Raw, ask: Callable[[RepositoryDeployments], object]
    ) -> None:
        api.answers(raw, answer([shown(7)]))
        with pytest.raises(UnavailableError) as caught:
            ask(api.deployments)
        assert caught.value.retry_seconds == RETRY_SECONDS
        assert "GitHub" in str(caught.value)
        assert "/deployments" in caught.value.detail
        assert api.calls == 1
        assert api.deployments.find(REQUEST) == deployment_of(7)

    def test_answer_of_the_maximum_size_is_read(self, api: Api) -> None:
        api.answers(answer(b"[]" + b" " * (MAX_ANSWER_BYTES - 2)))
        assert api.deployments.find(REQUEST) is None
        assert api.deployments.find(REQUEST) is None

    @every_method
    def test_closed_port_is_unavailable(
        self, ask: Callable[[RepositoryDeployments], object], free_port: int
    ) -> None:
        with pytest.raises(UnavailableError, match="GitHub could not be reached") as caught:
            ask(GitHub(f"http://127.0.0.1:{free_port}").of(SITE, TOKEN))
        assert "NewConnectionError" in caught.value.detail

    @pytest.mark.parametrize(
        "url", ["http://nowhere.invalid", "http://127.0.0.1:99999", "http://[::1", "http://a..b"]
    )
    def test_impossible_address_is_unavailable(
        self, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_address: object, **_how: object) -> object:
            raise socket.gaierror(-2, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", refuse)
        with pytest.raises(UnavailableError, match="GitHub could not be reached"):
            GitHub(url).of(SITE, TOKEN).find(REQUEST)

    def test_self_signed_certificate_is_refused_before_the_token_is_sent(
        self, free_port: int, tmp_path: Path
    ) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(make_certificate(tmp_path))
        seen = []

        def serve(listener: socket.socket) -> None:
            connection, _ = listener.accept()
            with connection:
                try:
                    with context.wrap_socket(connection, server_side=True) as secured:
                        seen.append(secured.recv(1000))
                except OSError as error:
                    seen.append(repr(error).encode())

        with socket.create_server(("127.0.0.1", free_port)) as listener:
            thread = threading.Thread(target=serve, args=(listener,))
            thread.start()
            with pytest.raises(UnavailableError) as caught:
                GitHub(f"https://127.0.0.1:{free_port}").of(SITE, TOKEN).find(REQUEST)
            thread.join()
        assert "SSLError" in caught.value.detail
        assert b"SSL" in seen[0]
        assert TOKEN.encode() not in seen[0]


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def make_certificate(directory: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    path = directory / "certificate.pem"
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


class TestRedirect:
    @pytest.mark.parametrize("status", [301, 302, 307, 308])
    def test_redirect_of_a_renamed_repository_is_followed(self, api: Api, status: int) -> None:
        def script(request: Request) -> Raw:
            if request.target.startswith("/repositories/5/"):
                return answer([shown(7)])
            query = request.target.partition("?")[2]
            place = f"{api.server.url}/repositories/5/deployments?{query}"
            return said("Moved Permanently", status, Location=place)

        api.script(script)
        assert api.deployments.find(REQUEST) == deployment_of(7)
        first, second = api.server.requests
        assert second.headers["authorization"] == first.headers["authorization"]
        assert second.target.partition("?")[2] == first.target.partition("?")[2]

    @pytest.mark.parametrize("place", ["/repositories/5/deployments", "{}/repositories/5/deploy"])
    def test_redirected_post_keeps_its_method_and_body(self, api: Api, place: str) -> None:
        moved = said("Temporary Redirect", 307, Location=place.format(api.server.url))
        api.answers(moved, answer(shown(7), 201))
        assert api.deployments.create(REQUEST).id == 7
        first, second = api.server.requests
        assert second.method == "POST"
        assert second.target.startswith("/repositories/5/deploy")
        assert second.json == first.json
        assert second.json["payload"] == REQUEST.payload

    @pytest.mark.parametrize("ask", [ASKING["find"], ASKING["create"]], ids=["GET", "POST"])
    def test_redirect_to_another_host_is_not_followed(
        self, api: Api, ask: Callable[[RepositoryDeployments], object]
    ) -> None:
        with ScriptedServer(lambda _request: answer([])) as other:
            name = other.url.replace("127.0.0.1", "localhost")
            for place in (other.url, name, other.url.removeprefix("http:")):
                api.answers(said("Found", 302, Location=f"{place}/x"))
                with pytest.raises(NotTakenError, match="GitHub answered 302, 'Found'"):
                    ask(api.deployments)
            assert other.requests == []

    @pytest.mark.parametrize(
        "place",
        [
            "https://{}/x",
            "http://{}@127.0.0.1/x",
            "http://{}.example/x",
            "http://{}0/x",
            "ftp://{}/x",
            "http://[::1",
            "",
        ],
    )
    def test_redirect_to_an_address_that_resembles_the_api_is_not_followed(
        self, api: Api, place: str
    ) -> None:
        host = api.server.url.removeprefix("http://")
        api.answers(said("Found", 302, Location=place.format(host)))
        with pytest.raises(NotTakenError, match="GitHub answered 302"):
            api.deployments.find(REQUEST)
        assert api.calls == 1

    def test_endless_redirects_are_followed_up_to_a_limit(self, api: Api) -> None:
        api.answers(said("Found", 302, Location="/again"))
        with pytest.raises(NotTakenError, match="GitHub answered 302"):
            api.deployments.find(REQUEST)
        assert api.calls == MAX_REDIRECTS + 1

    def test_see_other_is_not_followed(self, api: Api) -> None:
        api.answers(said("See Other", 303, Location="/again"))
        with pytest.raises(NotTakenError, match="303"):
            api.deployments.create(REQUEST)
        assert api.calls == 1

    def test_redirect_past_the_deadline_is_not_followed(self, api: Api) -> None:
        clock = FakeClock()
        deadline = Deadline(clock, who="GitHub")
        deadline.restart(1)

        def script(_request: Request) -> Raw:
            clock.now += 2
            return said("Found", 302, Location="/again")

        api.script(script)
        with pytest.raises(LateError):
            api.of(deadline=deadline).find(REQUEST)
        assert api.calls == 1


class TestDeadline:
    @every_method
    def test_past_the_deadline_nothing_is_requested(
        self, api: Api, ask: Callable[[RepositoryDeployments], object]
    ) -> None:
        deadline = Deadline(FakeClock(), who="GitHub")
        deadline.restart(0)
        with pytest.raises(LateError, match="GitHub did not answer in time"):
            ask(api.of(deadline=deadline))
        assert api.calls == 0

    def test_silent_server_is_waited_for_until_the_deadline(self, api: Api) -> None:
        api.script(lambda _one: api.server.silent(30, answer([])))
        deadline = Deadline()
        deadline.restart(0.3)
        began = time.monotonic()
        with pytest.raises(UnavailableError) as caught:
            api.of(deadline=deadline).find(REQUEST)
        assert 0.2 < time.monotonic() - began < 2
        assert "ReadTimeoutError" in caught.value.detail
        assert api.calls == 1


class TestToken:
    @pytest.mark.parametrize("status", [401, 403, 404, 422, 429, 500])
    def test_token_echoed_by_github_is_removed_from_the_message(
        self, api: Api, status: int
    ) -> None:
        api.answers(said(f"Bearer {TOKEN} is odd", status))
        with pytest.raises(PulleyError) as caught:
            api.deployments.create(REQUEST)
        assert "'Bearer ... is odd'" in caught.value.in_full
        assert TOKEN not in caught.value.in_full

    def test_echoed_token_cut_off_by_the_length_limit_leaves_no_part(self, api: Api) -> None:
        token = f"github_pat_{'a' * 22}_{'b' * 59}"  # as long as GitHub's
        api.answers(said(f"Bearer {token} is odd", 422))
        with pytest.raises(NotTakenError) as caught:
            api.of(token=token).create(REQUEST)
        assert token[:20] not in caught.value.in_full

    def test_token_is_not_in_errors_reprs_or_logs(
        self, api: Api, caplog: pytest.LogCaptureFixture, free_port: int
    ) -> None:
        caplog.set_level(logging.DEBUG)
        moved = said("Found", 302, Location="http://127.0.0.1:1/x")
        raws = [*REFUSALS.values(), limit(429), limit(403, Retry_After=3), moved, *BROKEN.values()]
        told = []
        for raw in raws:
            api.answers(raw)
            for ask in ASKING.values():
                api.github._closed.clear()
                try:
                    ask(api.deployments)
                except PulleyError as error:
                    told.append(error)
        for token in (TOKEN, f"{TOKEN}\n{TOKEN}", f"{TOKEN}\u20ac"):
            try:
                GitHub(f"http://127.0.0.1:{free_port}").of(SITE, token).find(REQUEST)
            except PulleyError as error:
                told.append(error)
        assert len(told) > 100
        for one in told:
            chain: BaseException | None = one
            while chain:
                everything = f"{chain!r} {chain} {vars(chain)}"
                assert TOKEN not in everything
                chain = chain.__cause__ or chain.__context__
        assert TOKEN not in repr(api.deployments) + repr(api.github) + caplog.text
        gc.collect()


class TestOperatorCalls:
    """Operators create and change webhooks. Lambda never does."""

    def call(self, api: Api, method: str, path: str, *, has_content: bool = True) -> object:
        github = GitHubApi(api.server.url, api.clock)
        return github.call(
            method,
            SITE,
            path,
            token=TOKEN,
            deadline=Deadline(api.clock),
            body={"a": 1},
            has_content=has_content,
        )

    def test_answer_without_expected_content_is_not_read(self, api: Api) -> None:
        api.answers(answer(b"", 204))
        assert self.call(api, "POST", "/hooks/7/pings", has_content=False) is None

    def test_change_is_sent_with_its_body(self, api: Api) -> None:
        api.answers(answer({"id": 7}))
        assert self.call(api, "PATCH", "/hooks/7") == {"id": 7}
        (request,) = api.server.requests
        assert (request.method, json.loads(request.body)) == ("PATCH", {"a": 1})

    @pytest.mark.parametrize(
        ("method", "permission"), [("GET", "Webhooks: read"), ("PATCH", "Webhooks: write")]
    )
    def test_error_names_the_permission_that_the_call_needs(
        self, api: Api, method: str, permission: str
    ) -> None:
        api.answers(FORBIDDEN)
        with pytest.raises(TokenError, match=f"the token needs the permission {permission} on"):
            self.call(api, method, "/hooks/7")
