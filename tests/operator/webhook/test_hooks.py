"""A webhook on GitHub: its differences, its address, and the answer to its ping."""

import json
from collections.abc import Sequence

import pytest

from chalicelib.answers import answer_to
from chalicelib.core.refs import Repository
from chalicelib.core.stored import SigningSecret
from chalicelib.flows.receive import Ignored
from pulley.operator.webhook.connect import plan_connection
from pulley.operator.webhook.hooks import RepositoryHook, Webhooks, is_webhook_url
from pulley.operator.webhook.pings import NOT_RECORDED, Ping, mend_of
from tests.fakes import SITE, FakeClock

URL = "https://abc.execute-api.eu-west-1.amazonaws.com/api/github"
GOOD = RepositoryHook(7, URL, "json", "0", ("push",), active=True, has_secret=True)


class FakeApi:
    """GitHub: a webhook, and the deliveries that each look shows."""

    def __init__(self, looks: Sequence[object], answer: object = None) -> None:
        self.looks = list(looks)
        self.answer = answer
        self.asked: list[str] = []

    def call(self, method: str, _repository: Repository, path: str, **_: object) -> object:
        self.asked.append(f"{method} {path.partition('?')[0]}")
        if path.startswith("/hooks/7/deliveries?"):
            return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        return self.answer


def ping(api: FakeApi) -> Ping:
    clock = FakeClock()

    def sleep(seconds: float) -> None:
        clock.now += seconds

    webhooks = Webhooks(api, SITE, "token", clock=clock, sleep=sleep)  # type: ignore[arg-type]
    return webhooks.ping(GOOD, 5)


def delivery(id_: int, event: str = "ping") -> dict[str, object]:
    return {"id": id_, "event": event}


class TestPing:
    ANSWER = {"status_code": 200, "status": "OK", "response": {"payload": '{"ignored": "ping"}'}}  # noqa: RUF012

    def test_answer_to_this_ping_is_read_and_not_to_an_earlier_ping(self) -> None:
        api = FakeApi([[delivery(1)], [delivery(1)], [delivery(2), delivery(1)]], self.ANSWER)
        assert ping(api) == Ping(200, "OK", "ping")
        assert api.asked[-1] == "GET /hooks/7/deliveries/2"

    def test_push_during_the_ping_is_ignored(self) -> None:
        api = FakeApi([[], [delivery(2, "push")], [delivery(3), delivery(2, "push")]], self.ANSWER)
        ping(api)
        assert api.asked[-1] == "GET /hooks/7/deliveries/3"

    def test_missing_answer_is_reported_as_not_recorded(self) -> None:
        assert ping(FakeApi([[]])) == NOT_RECORDED

    @pytest.mark.parametrize(
        "look", [None, {}, [None], [{"event": "ping"}], [{"event": "ping", "id": "x"}]]
    )
    def test_unreadable_deliveries_are_ignored(self, look: object) -> None:
        assert ping(FakeApi([look])) == NOT_RECORDED

    @pytest.mark.parametrize(
        ("payload", "said"),
        [
            (json.dumps({"error": "the signature does not match"}), "the signature does not match"),
            (json.dumps({"message": "Forbidden"}), "Forbidden"),
            ({"error": "parsed already"}, "parsed already"),
            ("<html>" * 100, ("<html>" * 100)[:300]),
            ("[" * 10_000, "[" * 300),
            (None, ""),
        ],
    )
    def test_failed_answer_is_shown_and_cut_to_300_characters(
        self, payload: object, said: str
    ) -> None:
        answer = {"status_code": 403, "status": "Invalid", "response": {"payload": payload}}
        found = ping(FakeApi([[], [delivery(1)]], answer))
        assert found == Ping(403, "Invalid", said)
        assert not found.is_green

    @pytest.mark.parametrize("answer", [None, [], {}, {"status_code": "200"}, {"response": 7}])
    def test_unreadable_answer_has_the_code_0(self, answer: object) -> None:
        assert ping(FakeApi([[], [delivery(1)]], answer)).code == 0


class TestOpenedBy:
    NAME = "/pulley/dev/webhook-secret"

    def answered(self, body: object, code: int = 200) -> Ping:
        answer = {"status_code": code, "response": {"payload": json.dumps(body)}}
        return ping(FakeApi([[], [delivery(1)]], answer))

    def signed(self, position: int, code: int = 200) -> Ping:
        secret = SigningSecret(self.NAME, position)
        _, body = answer_to(Ignored("a-guid", "words that may change", secret))
        return self.answered(body, code)

    @pytest.mark.parametrize("position", [0, 1, 7])
    def test_parameter_is_read_from_the_fields_of_a_successful_answer(self, position: int) -> None:
        assert self.signed(position).opened_by == self.NAME
        assert not self.signed(position, 401).opened_by

    def test_only_the_newest_secret_of_the_same_parameter_counts(self) -> None:
        assert self.signed(0).has_newest_of(self.NAME)
        assert not self.signed(1).has_newest_of(self.NAME)
        assert not self.signed(0).has_newest_of("/pulley/prod/webhook-secret")
        assert not self.signed(0).has_newest_of("/pulley/dev/webhook")
        assert not self.signed(0, 401).has_newest_of(self.NAME)

    @pytest.mark.parametrize(
        "secret",
        [
            None,
            "dev/webhook-secret",
            {},
            {"parameter": "dev/webhook-secret"},
            {"parameter": 7, "position": 0},
            {"parameter": "dev/webhook-secret", "position": "0"},
            {"parameter": "dev/webhook-secret", "position": False},
        ],
    )
    def test_unreadable_fields_name_no_parameter(self, secret: object) -> None:
        assert not self.answered({"ignored": "ping: ...", "secret": secret}).opened_by

    def test_answer_of_an_older_lambda_is_read_from_its_words(self) -> None:
        newest, older = (
            self.answered({"ignored": f"ping: ...; signed with {which} secret of {place}"})
            for which, place in [("the newest", "dev/webhook-secret"), ("an older", "dev/x")]
        )
        assert newest.has_newest_of(self.NAME)
        assert older.opened_by == "/pulley/dev/x"
        assert not older.has_newest_of("/pulley/dev/x")
        more = "ping: ...; signed with the newest secret of dev/webhook-secret and more"
        assert not self.answered({"ignored": more}).opened_by


class TestAll:
    def test_malformed_webhooks_are_left_out(self) -> None:
        whole = {"id": 7, "config": {"url": URL}, "events": ["push"], "active": True}
        odd = [None, {}, whole | {"config": None}, whole | {"id": "x"}]
        webhooks = Webhooks(
            FakeApi([], [*odd, whole]),  # type: ignore[arg-type]
            SITE,
            "token",
            clock=FakeClock(),
            sleep=lambda _seconds: None,
        )
        assert webhooks.all() == [RepositoryHook(7, URL, "form", "0", ("push",), True, False)]  # noqa: FBT003


class TestIsWebhookUrl:
    @pytest.mark.parametrize(
        "url", [URL, f"{URL}/", "http://127.0.0.1:8000/github", "http://localhost:8000/github"]
    )
    def test_pulley_s_addresses_are_accepted(self, url: str) -> None:
        assert is_webhook_url(url)

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "github",
            "https:///github",
            "http://example.com/github",
            "http://127.0.0.1.example.com/github",
            "http://127.0.0.1:80@evil.example/github",
            "http://localhost:80@evil.example/github",
            "http://mona:word@127.0.0.1/github",
            "https://example.com/",
            "https://example.com/?x=/github",
            "https://[/github",
        ],
    )
    def test_other_addresses_are_refused(self, url: str) -> None:
        assert not is_webhook_url(url)


class TestPlanConnection:
    def test_missing_webhook_is_made(self) -> None:
        plan = plan_connection([], URL, force=False)
        assert (plan.action, plan.hook) == ("made", None)

    def test_correct_webhook_is_left_as_it_is(self) -> None:
        assert plan_connection([GOOD], f"{URL}/", force=False).action == "left as it is"

    def test_force_sets_the_secret_again(self) -> None:
        plan = plan_connection([GOOD], URL, force=True)
        assert (plan.action, plan.differences) == ("updated", ["secret: set again"])

    def test_webhook_of_another_stage_is_listed_and_other_webhooks_are_not(self) -> None:
        other = RepositoryHook(8, "https://other/prod/github", "json", "0", ("push",), True, True)  # noqa: FBT003
        chat = RepositoryHook(9, "https://chat/x", "json", "0", ("push",), True, True)  # noqa: FBT003
        plan = plan_connection([other, chat], URL, force=False)
        assert (plan.action, plan.elsewhere) == ("made", ["https://other/prod/github"])

    def test_active_webhook_is_chosen_if_two_have_the_address(self) -> None:
        off = RepositoryHook(3, URL, "json", "0", ("push",), False, True)  # noqa: FBT003
        assert plan_connection([off, GOOD], URL, force=False).hook == GOOD


class TestMendOf:
    @pytest.mark.parametrize(
        ("code", "words"),
        [
            (0, "can GitHub reach the address?"),
            (401, "pulley connect octo/site --force"),
            (403, "chalice deploy --stage prod"),
            (404, "chalice deploy --stage prod"),
            (500, "/aws/lambda/pulley-prod"),
            (502, "pulley doctor"),
            (503, "pulley setup"),
        ],
    )
    def test_each_answer_has_its_fix(self, code: int, words: str) -> None:
        assert words in mend_of(Ping(code, ""), "prod", SITE)
