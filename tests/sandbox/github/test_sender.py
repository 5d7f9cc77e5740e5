"""How deliveries end: late answers, missing answers, addresses outside this machine."""

import socket
import threading
from collections.abc import Iterator

import pytest

from pulley.sandbox.github.hooks import HookConfig, HookDelivery, HostedHook
from pulley.sandbox.github.sender import Hookshot
from tests.sandbox.listener import Listener

pytestmark = pytest.mark.timeout(30)


@pytest.fixture
def hookshot() -> Iterator[Hookshot]:
    opened = Hookshot(answer_seconds=0.2)
    yield opened
    opened.close()


def ended(delivery: HookDelivery) -> tuple[int, str]:
    return delivery.status_code, delivery.status


def hook_of(url: str) -> HostedHook:
    return HostedHook(1, HookConfig(url, "json"))


class TestPost:
    def test_posted_delivery_is_recorded_with_the_webhook(
        self, hookshot: Hookshot, listener: Listener
    ) -> None:
        hook = hook_of(listener.url)
        delivery = hookshot.post(hook, "push", {"ref": "x"})
        assert hook.deliveries == [delivery]
        assert (ended(delivery), delivery.event) == ((202, "OK"), "push")
        assert (delivery.payload, delivery.response) == ({"ref": "x"}, '{"deployments": []}')

    def test_delivery_has_a_new_guid_unless_a_guid_is_given(
        self, hookshot: Hookshot, listener: Listener
    ) -> None:
        hook = hook_of(listener.url)
        guids = [hookshot.post(hook, "push", {}, guid=guid).guid for guid in ("", "", "given")]
        assert len(set(guids)) == 3
        assert guids[2] == "given"
        assert [one.headers["x-github-delivery"] for one in listener.posted] == guids

    def test_query_of_the_url_is_sent(self, hookshot: Hookshot, listener: Listener) -> None:
        hookshot.post(hook_of(f"{listener.url}?a=1"), "push", {})
        assert listener.posted[0].path == "/github?a=1"

    def test_late_answer_is_a_time_out(self, hookshot: Hookshot, listener: Listener) -> None:
        listener.gate.clear()
        assert ended(hookshot.post(hook_of(listener.url), "push", {})) == (0, "timed out")

    def test_slow_answer_times_out_even_if_each_byte_is_in_time(self, hookshot: Hookshot) -> None:
        over = threading.Event()
        with socket.create_server(("127.0.0.1", 0)) as server:

            def drip() -> None:
                connection, _ = server.accept()
                with connection:
                    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                    while not over.wait(0.01):
                        try:
                            connection.sendall(b"x")
                        except OSError:
                            return

            thread = threading.Thread(target=drip)
            thread.start()
            url = f"http://127.0.0.1:{server.getsockname()[1]}/"
            delivery = hookshot.post(hook_of(url), "push", {})
            over.set()
            thread.join()
        assert ended(delivery) == (0, "timed out")

    def test_closed_port_is_a_failed_connection(self, hookshot: Hookshot) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        delivery = hookshot.post(hook_of(f"http://127.0.0.1:{port}/"), "push", {})
        assert ended(delivery) == (0, "failed to connect to host")

    @pytest.mark.parametrize(
        "url", ["http://x.example/github", "https://127.0.0.1/github", "http://127.example/"]
    )
    def test_url_outside_this_machine_is_never_connected(
        self, hookshot: Hookshot, monkeypatch: pytest.MonkeyPatch, url: str
    ) -> None:
        def connect(*_: object, **__: object) -> None:
            pytest.fail("it connected")

        monkeypatch.setattr(socket, "create_connection", connect)
        delivery = hookshot.post(hook_of(url), "push", {})
        assert ended(delivery) == (0, "failed to connect to host")

    def test_redirect_is_not_followed(self, hookshot: Hookshot, listener: Listener) -> None:
        listener.status = 302
        delivery = hookshot.post(hook_of(listener.url), "push", {})
        assert ended(delivery) == (302, "Invalid HTTP Response: 302")
        assert len(listener.posted) == 1


class TestClose:
    def test_close_ends_a_delivery_that_has_no_answer_yet(self, listener: Listener) -> None:
        hookshot = Hookshot(answer_seconds=60)
        listener.gate.clear()
        hook = hook_of(listener.url)
        hookshot.post_later(hook, "push", {})
        while not listener.posted:
            threading.Event().wait(0.005)
        hookshot.close()
        assert [ended(one) for one in hook.deliveries] == [(0, "failed to connect to host")]

    def test_closed_sender_posts_nothing(self, listener: Listener) -> None:
        hookshot = Hookshot()
        hookshot.close()
        hookshot.post_later(hook_of(listener.url), "push", {})
        hookshot.wait_until_idle()
        assert listener.posted == []

    def test_wait_until_idle_raises_after_its_time_out(
        self, hookshot: Hookshot, listener: Listener
    ) -> None:
        listener.gate.clear()
        hookshot.post_later(hook_of(listener.url), "push", {})
        with pytest.raises(TimeoutError, match="1 deliveries"):
            hookshot.wait_until_idle(timeout=0.01)
