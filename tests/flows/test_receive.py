"""A delivery becomes a deploy, is ignored, or is refused: each branch, against the fakes."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.errors import PulleyError, RefusedError, UnavailableError
from chalicelib.core.refs import CommitSha, Repository
from chalicelib.core.stored import SigningSecret
from chalicelib.core.unverified import MAX_PARSED_UNVERIFIED
from chalicelib.core.webhook import (
    FORM,
    JSON,
    ContentTypeError,
    Delivery,
    DeliveryError,
    SignatureError,
    TooLargeError,
)
from chalicelib.flows.deploy import GITHUB_SECONDS, Deployer
from chalicelib.flows.receive import Accepted, Ignored, Receiver
from chalicelib.flows.verify import Verifier
from tests.fakes import (
    COMMIT,
    GUID,
    NAMES,
    SECRET,
    SITE,
    STAGE,
    TOKEN,
    FakeAnnouncements,
    FakeCommands,
    FakeDeployments,
    FakeJournal,
    FakeParameters,
    FakeWaker,
    delivery_of,
    push_json,
    sign,
    target_json,
    targets_text,
)
from tests.forges import gitea_headers, gitea_json, gitea_push, gitea_user, in_form

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
OWN_SECRET = NAMES.repository_webhook_secret(SITE)


class House:
    """A receiver between fakes: one repository, one secret, the target web."""

    def __init__(self, *, allow_sha1: bool = False) -> None:
        self.parameters = FakeParameters(
            {NAMES.webhook_secret: SECRET, NAMES.targets(SITE): targets_text()}
        )
        self.commands = FakeCommands()
        self.github = FakeDeployments()
        self.announcements = FakeAnnouncements(self.github)
        self.waker = FakeWaker()
        self.journal = FakeJournal()
        self.receiver = Receiver(
            verifier=Verifier(allow_sha1, self.parameters),
            deployer=Deployer(
                stage=STAGE,
                pins=self.parameters,
                commands=self.commands,
                announcements=self.announcements,
                journal=self.journal,
            ),
            waker=self.waker,
            journal=self.journal,
        )

    def receive(self, delivery: Delivery) -> Ignored | Accepted:
        return self.receiver.receive(delivery, now=NOW)

    def push(self, **changes: object) -> Ignored | Accepted:
        return self.receive(delivery_of(push_json(**changes)))

    def accept(self, **changes: object) -> Accepted:
        outcome = self.push(**changes)
        assert isinstance(outcome, Accepted)
        return outcome

    def store(self, name: str, value: object) -> None:
        self.parameters.values[name] = value if isinstance(value, str) else json.dumps(value)

    def store_targets(self, *names: str) -> None:
        self.store(NAMES.targets(SITE), [target_json(name) for name in names])

    @property
    def sent(self) -> list[str]:
        return [request.target for request in self.commands.sent]


@pytest.fixture
def house() -> House:
    return House()


class TestReceiveAPush:
    def test_push_to_a_followed_branch_is_sent_to_its_target(self, house: House) -> None:
        assert house.push() == Accepted(
            delivery=GUID,
            commit=CommitSha(COMMIT),
            sent=(("web", "command-1"),),
            skipped=(),
            failed=(),
        )
        (request,) = house.commands.sent
        assert request.document == "pulley-dev-pull"
        assert request.document_pin is None
        assert request.parameters["Commit"] == COMMIT
        assert request.parameters["Branch"] == "main"
        assert request.parameters["Delivery"] == GUID
        assert request.parameters["Cause"] == "push"
        assert request.parameters["Issued"] == str(int(NOW.timestamp() * 1000))

    def test_push_is_sent_to_all_targets_of_its_branch_and_no_other(self, house: House) -> None:
        house.store(
            NAMES.targets(SITE),
            [target_json("web"), target_json("old", branch="release/1.2"), target_json("api")],
        )
        assert house.accept().sent == (("web", "command-1"), ("api", "command-2"))
        assert house.sent == ["web", "api"]

    def test_redelivery_is_sent_like_the_first_delivery(self, house: House) -> None:
        first, again = house.accept(), house.accept()
        assert first.delivery == again.delivery
        assert house.sent == ["web", "web"]

    def test_first_push_of_a_new_branch_is_sent(self, house: House) -> None:
        assert house.accept(created=True, before="0" * 40).sent == (("web", "command-1"),)

    def test_payload_as_a_form_is_accepted(self, house: House) -> None:
        body = b"payload=" + quote_plus(json.dumps(push_json())).encode()
        delivery = Delivery(
            body, content_type=FORM, event="push", id=GUID, signature_256=sign(body)
        )
        assert isinstance(house.receive(delivery), Accepted)

    def test_repository_name_ignores_upper_and_lower_case(self, house: House) -> None:
        assert house.accept(repository={"full_name": "Octo/SITE"}).sent

    def test_command_is_issued_at_the_delivery_time_in_milliseconds(self, house: House) -> None:
        house.receiver.receive(delivery_of(push_json()), now=NOW + timedelta(milliseconds=1500))
        issued = int(house.commands.sent[0].parameters["Issued"])
        assert issued == int(NOW.timestamp() * 1000) + 1500


class TestReceiveFromGiteaAndForgejo:
    """tests/core/test_forges.py has what a form may be, and what an attacker may try with it."""

    def delivery(self, payload: object, content_type: str, *, forgejo: bool = False) -> Delivery:
        body = gitea_json(payload)
        headers = gitea_headers(body, content_type=content_type, forgejo=forgejo)
        named = {name.lower(): value for name, value in headers.items()}
        return Delivery.from_http(named, in_form(body) if content_type == FORM else body)

    @pytest.mark.parametrize("forgejo", [False, True])
    @pytest.mark.parametrize("content_type", [JSON, FORM])
    def test_push_is_sent(self, house: House, content_type: str, *, forgejo: bool) -> None:
        outcome = house.receive(self.delivery(gitea_push(), content_type, forgejo=forgejo))
        assert isinstance(outcome, Accepted)
        assert (outcome.delivery, outcome.sent) == (GUID, (("web", "command-1"),))
        assert house.commands.sent[0].parameters["By"] == "mona"

    @pytest.mark.parametrize("content_type", [JSON, FORM])
    def test_large_push_of_an_owner_named_like_a_repository_is_sent(
        self, house: House, content_type: str
    ) -> None:
        house.store(NAMES.repository_webhook_secret(Repository("evil", "site")), "another")
        owner = gitea_user(full_name="evil/site")
        commits = [{"id": COMMIT, "message": "x" * MAX_PARSED_UNVERIFIED}]
        payload = gitea_push(owner=owner, commits=commits)
        assert isinstance(house.receive(self.delivery(payload, content_type)), Accepted)

    @pytest.mark.parametrize("event", ["create", "delete", "pull_request"])
    def test_other_event_is_ignored(self, house: House, event: str) -> None:
        delivery = replace(self.delivery(gitea_push(), JSON), event=event)
        outcome = Ignored(GUID, f"{event} events are not acted on")
        assert house.receive(delivery) == outcome

    @pytest.mark.parametrize("content_type", [JSON, FORM])
    def test_wrong_signature_or_form_is_refused_before_anything_is_looked_up(
        self, house: House, content_type: str
    ) -> None:
        delivery = self.delivery(gitea_push(), content_type)
        for body in (delivery.body + b"%", delivery.body.replace(b"main", b"mainn")):
            with pytest.raises(SignatureError):
                house.receive(replace(delivery, body=body))
        assert house.sent == []


class TestReceiveAndIgnore:
    @pytest.mark.parametrize(
        "ref", ["refs/heads/other", "refs/tags/main", "refs/heads/Main", "refs/heads/main/x"]
    )
    def test_ref_that_no_target_follows_is_ignored(self, house: House, ref: str) -> None:
        assert house.push(ref=ref) == Ignored(GUID, f"no target of octo/site follows {ref!r}")
        assert house.sent == []

    @pytest.mark.parametrize(
        "ref", ["refs/heads/$(id)", "refs/heads/--upload-pack=x", "refs/heads/ä\n", "refs/heads/'"]
    )
    def test_ref_with_odd_characters_is_ignored_and_shown_in_ascii(
        self, house: House, ref: str
    ) -> None:
        outcome = house.push(ref=ref)
        assert isinstance(outcome, Ignored)
        assert outcome.reason == f"no target of octo/site follows {ref!a}"
        assert house.sent == []

    def test_push_without_a_target_reads_no_pins(self, house: House) -> None:
        house.push(ref="refs/heads/other")
        assert house.parameters.looked_up == [SITE]

    def test_repository_without_targets_is_ignored(self, house: House) -> None:
        del house.parameters.values[NAMES.targets(SITE)]
        outcome = house.push()
        assert outcome == Ignored(GUID, "no target of octo/site follows 'refs/heads/main'")

    @pytest.mark.parametrize(
        "changes", [{"deleted": True, "after": "0" * 40}, {"after": "0" * 40}, {"deleted": True}]
    )
    def test_push_of_a_deleted_branch_is_ignored(
        self, house: House, changes: dict[str, object]
    ) -> None:
        assert house.push(**changes) == Ignored(GUID, "'refs/heads/main' was deleted")
        assert house.sent == []

    @pytest.mark.parametrize("payload", [push_json(), {"zen": "Design for failure."}])
    def test_ping_never_deploys(self, house: House, payload: dict[str, object]) -> None:
        outcome = house.receive(delivery_of(payload, event="ping"))
        words = "ping: the webhook is set up, a push will deploy; signed with the newest secret of "
        secret = SigningSecret(NAMES.webhook_secret, 0)
        assert outcome == Ignored(GUID, f"{words}dev/webhook-secret", secret)
        assert house.sent == []

    def test_other_event_is_ignored_and_named(self, house: House) -> None:
        outcome = house.receive(delivery_of(push_json(), event="issues"))
        assert outcome == Ignored(GUID, "issues events are not acted on")
        assert house.sent == []

    @pytest.mark.parametrize("event", ["installation", "projects_v2_item"])
    def test_event_without_a_repository_is_ignored_and_named(
        self, house: House, event: str
    ) -> None:
        outcome = house.receive(delivery_of({"organization": {"login": "octo"}}, event=event))
        assert outcome == Ignored(GUID, f"{event} events are not acted on")
        assert house.parameters.looked_up == [None]


class TestReceiveWithPins:
    def test_push_with_all_targets_frozen_is_ignored_with_each_reason(self, house: House) -> None:
        house.store_targets("web", "api")
        house.store(NAMES.pin("web"), {"state": "frozen"})
        house.store(NAMES.pin("api"), {"state": "frozen", "reason": "the fair"})
        assert house.push() == Ignored(GUID, "web: frozen; api: frozen: the fair")

    def test_frozen_target_is_skipped_and_the_other_is_sent(self, house: House) -> None:
        house.store_targets("web", "api")
        house.store(NAMES.pin("web"), {"state": "frozen"})
        outcome = house.accept()
        assert outcome.skipped == (("web", "frozen"),)
        assert outcome.sent == (("api", "command-1"),)

    def test_push_whose_only_target_has_an_unreadable_pin_fails(self, house: House) -> None:
        house.store(NAMES.pin("web"), "{")
        outcome = house.accept()
        assert (outcome.sent, outcome.skipped) == ((), ())
        assert [name for name, _ in outcome.failed] == ["web"]
        assert house.sent == []

    def test_pins_are_read_for_every_push(self, house: House) -> None:
        house.push()
        house.store(NAMES.pin("web"), {"state": "frozen"})
        assert isinstance(house.push(), Ignored)
        assert house.sent == ["web"]


class TestReceiveWithFailures:
    def test_one_target_s_failure_does_not_stop_the_others(self, house: House) -> None:
        house.store_targets("web", "api", "worker")
        refused = RefusedError("AWS refused the command to api")
        house.commands.refused["api"] = refused
        outcome = house.accept()
        assert outcome.sent == (("web", "command-1"), ("worker", "command-2"))
        assert outcome.failed == (("api", refused),)

    @pytest.mark.parametrize("error", [RefusedError("no"), UnavailableError("not now")])
    def test_settings_error_is_raised_and_nothing_is_sent(
        self, house: House, error: PulleyError
    ) -> None:
        house.parameters.error = error
        with pytest.raises(type(error)) as caught:
            house.push()
        assert caught.value is error
        assert house.sent == []

    def test_pins_error_is_raised_and_nothing_is_sent(self, house: House) -> None:
        house.push()
        house.parameters.error = UnavailableError("not now")
        with pytest.raises(UnavailableError, match="not now"):
            house.push()
        assert house.parameters.looked_up == [SITE, "pins", "pins"]
        assert house.sent == ["web"]

    def test_invalid_targets_are_detailed_for_the_log_and_not_for_the_sender(
        self, house: House
    ) -> None:
        house.store(NAMES.targets(SITE), [target_json(timeout=1, checkout="srv")])
        with pytest.raises(UnavailableError) as caught:
            house.push()
        assert str(caught.value) == "the repository's stored targets are not valid"
        assert caught.value.detail.startswith("the stored targets of octo/site are not valid: ")
        assert "targets.web.timeout: must be" in caught.value.detail
        assert "targets.web.checkout: must be" in caught.value.detail
        assert house.sent == []

    def test_invalid_targets_do_not_stop_another_repository(self, house: House) -> None:
        house.store(NAMES.targets(SITE), "{")
        other = Repository("octo", "other")
        house.store(NAMES.targets(other), [target_json(repository="octo/other")])
        assert house.accept(repository={"full_name": "octo/other"}).sent == (("web", "command-1"),)

    def test_invalid_targets_do_not_fail_a_ping(self, house: House) -> None:
        house.store(NAMES.targets(SITE), "{")
        assert isinstance(house.receive(delivery_of(push_json(), event="ping")), Ignored)


class TestReceiveAndAnnounce:
    def test_push_is_announced_with_the_token_of_the_repository(self, house: House) -> None:
        house.store(NAMES.github_token, TOKEN)
        house.push()
        assert house.announcements.tokens == [(SITE, TOKEN)]
        (request,) = house.announcements.opened
        assert (request.commit.sha, request.delivery) == (COMMIT, GUID)
        assert house.announcements.seconds == [GITHUB_SECONDS]

    def test_without_a_token_the_push_is_sent_and_github_is_not_called(self, house: House) -> None:
        assert house.accept().sent
        assert house.announcements.tokens == []

    @pytest.mark.parametrize("event", ["ping", "check_run"])
    def test_ignored_event_is_not_announced(self, house: House, event: str) -> None:
        house.store(NAMES.github_token, TOKEN)
        house.receive(delivery_of(push_json(), event=event))
        assert house.announcements.tokens == []

    def test_command_comment_has_time_and_author_of_the_push(self, house: House) -> None:
        house.push(repository={"full_name": "octo/site", "pushed_at": 1_896_091_190})
        comment = house.commands.sent[0].comment
        assert comment == "push at 2030-01-31T11:59:50Z by mona: octo/site 4d5e6f7 to web"


class TestReceiveALargeBody:
    """A large body is not parsed before its signature is verified."""

    TEXT = "x" * MAX_PARSED_UNVERIFIED

    def large(self, **changes: object) -> dict[str, object]:
        return push_json(commits=[{"message": self.TEXT}], **changes)

    def test_push_is_sent(self, house: House) -> None:
        outcome = house.receive(delivery_of(self.large()))
        assert isinstance(outcome, Accepted)
        assert outcome.sent == (("web", "command-1"),)

    def test_own_secret_opens_its_repository_and_no_other(self, house: House) -> None:
        house.store(OWN_SECRET, "own")
        assert isinstance(house.receive(delivery_of(self.large(), secret="own")), Accepted)
        with pytest.raises(SignatureError):
            house.receive(delivery_of(self.large()))

    def test_forged_body_is_refused_unparsed(self, house: House) -> None:
        body = b'{"repository": {"full_name": "octo/site"}, ' + self.TEXT.encode()
        with pytest.raises(SignatureError):
            house.receive(delivery_of(body, secret="guessed"))

    def test_event_without_a_top_level_repository_is_ignored(self, house: House) -> None:
        payload = {"repositories": [{"full_name": "octo/site"}], "text": self.TEXT}
        outcome = house.receive(delivery_of(payload, event="installation"))
        assert outcome == Ignored(GUID, "installation events are not acted on")

    def test_push_without_a_top_level_repository_is_refused(self, house: House) -> None:
        payload = {"decoy": {"full_name": "octo/site"}, **self.large(repository=None)}
        with pytest.raises(DeliveryError, match=r"repository.full_name: must be"):
            house.receive(delivery_of(payload))
        assert house.sent == []

    def test_push_that_names_another_repository_first_is_refused(self, house: House) -> None:
        house.store(NAMES.repository_webhook_secret(Repository("octo", "other")), "other's")
        payload = {"decoy": {"full_name": "octo/other"}, **self.large()}
        with pytest.raises(DeliveryError, match=r"^repository.full_name: not the first"):
            house.receive(delivery_of(payload, secret="other's"))
        assert house.sent == []

    def test_default_secret_does_not_open_a_repository_with_its_own_secret(
        self, house: House
    ) -> None:
        house.store(OWN_SECRET, "own")
        payload = {"decoy": {"full_name": "octo/other"}, **self.large()}
        with pytest.raises(DeliveryError):
            house.receive(delivery_of(payload))
        assert house.sent == []

    def test_verified_sender_learns_that_the_body_is_not_json(self, house: House) -> None:
        body = b'{"repository": {"full_name": "octo/site"}, ' + self.TEXT.encode()
        with pytest.raises(DeliveryError, match="not JSON"):
            house.receive(delivery_of(body))

    def test_push_without_a_repository_is_verified_with_the_default_secret(
        self, house: House
    ) -> None:
        with pytest.raises(DeliveryError, match=r"repository\.full_name: must be"):
            house.receive(delivery_of(self.large(repository=None)))


class TestReceiveAndNote:
    def test_push_is_noted_and_counted(self, house: House) -> None:
        house.push()
        (noted,) = house.journal.of("delivery", "accepted")
        assert noted.level == "info"
        assert noted.metrics == {"Deliveries": (1, "Count")}
        assert {name: str(fact) for name, fact in noted.facts.items()} == {
            "delivery": GUID,
            "repository": "octo/site",
            "commit": COMMIT,
        }

    def test_ignored_push_is_noted_with_its_reason_and_counted(self, house: House) -> None:
        house.push(ref="refs/heads/other")
        (noted,) = house.journal.decisions
        assert (noted.about, noted.outcome, noted.level) == ("delivery", "ignored", "info")
        assert noted.facts["reason"] == "no target of octo/site follows 'refs/heads/other'"
        assert noted.metrics == {"Deliveries": (1, "Count")}

    def test_push_that_failed_for_a_target_is_noted_as_an_error(self, house: House) -> None:
        house.store_targets("web", "api")
        house.commands.refused["api"] = RefusedError("no")
        house.push()
        (noted,) = house.journal.of("delivery", "failed")
        assert noted.level == "error"
        assert noted.metrics == {"Deliveries": (1, "Count")}

    def test_refused_delivery_is_not_noted_by_the_receiver(self, house: House) -> None:
        with pytest.raises(SignatureError):
            house.receive(delivery_of(push_json(), secret="guessed"))
        assert house.journal.decisions == []

    def test_secret_and_token_are_never_noted(self, house: House) -> None:
        house.store(NAMES.github_token, TOKEN)
        house.store_targets("web", "api")
        house.commands.refused["api"] = RefusedError("no")
        house.push()
        house.push(ref="refs/heads/other")
        settings = house.parameters.settings(SITE)
        assert settings.token == TOKEN
        written = repr(house.journal.decisions) + repr(settings)
        assert TOKEN not in written
        assert SECRET not in written


class TestReceiveVerifies:
    def test_forged_delivery_is_refused_and_nothing_is_sent(self, house: House) -> None:
        with pytest.raises(SignatureError, match="does not match"):
            house.receive(delivery_of(push_json(), secret="guessed"))
        assert house.sent == []

    @given(st.binary(min_size=1), st.integers(0))
    def test_body_with_changed_bytes_is_refused(self, changes: bytes, place: int) -> None:
        house = House()
        delivery = delivery_of(push_json())
        at = place % len(delivery.body)
        body = delivery.body[:at] + changes + delivery.body[at + len(changes) :]
        if body == delivery.body:
            assert isinstance(house.receive(delivery), Accepted)
            return
        with pytest.raises(SignatureError):
            house.receive(replace(delivery, body=body))
        assert house.sent == []

    def test_unsigned_delivery_is_refused_before_parameters_are_read(self, house: House) -> None:
        with pytest.raises(SignatureError, match="is missing"):
            house.receive(replace(delivery_of(push_json()), signature_256=""))
        assert house.parameters.looked_up == []

    def test_wrong_content_type_is_refused_before_parameters_are_read(self, house: House) -> None:
        with pytest.raises(ContentTypeError):
            house.receive(replace(delivery_of(push_json()), content_type="text/plain"))
        assert house.parameters.looked_up == []

    def test_body_too_large_is_refused_before_parameters_are_read(self, house: House) -> None:
        with pytest.raises(TooLargeError):
            house.receive(delivery_of(b" " * 6_000_000))
        assert house.parameters.looked_up == []

    def test_sha1_signature_is_accepted_only_if_allowed(self) -> None:
        body = json.dumps(push_json()).encode()
        delivery = Delivery(body, event="push", id=GUID, signature_1=sign(body, algorithm="sha1"))
        assert isinstance(House(allow_sha1=True).receive(delivery), Accepted)
        with pytest.raises(SignatureError):
            House().receive(delivery)

    @pytest.mark.parametrize("secret", ["new", "old"])
    def test_old_and_new_secret_open_during_a_rotation(self, house: House, secret: str) -> None:
        house.store(NAMES.webhook_secret, "new\nold")
        assert isinstance(house.receive(delivery_of(push_json(), secret=secret)), Accepted)

    def test_own_secret_opens_its_repository(self, house: House) -> None:
        house.store(OWN_SECRET, "own")
        assert isinstance(house.receive(delivery_of(push_json(), secret="own")), Accepted)

    def test_default_secret_does_not_open_a_repository_with_an_own_secret(
        self, house: House
    ) -> None:
        house.store(OWN_SECRET, "own")
        with pytest.raises(SignatureError):
            house.push()

    def test_own_secret_opens_no_other_repository(self, house: House) -> None:
        house.store(OWN_SECRET, "own")
        payload = push_json(repository={"full_name": "octo/other"})
        with pytest.raises(SignatureError):
            house.receive(delivery_of(payload, secret="own"))
        assert isinstance(house.receive(delivery_of(payload)), Ignored)

    def test_blank_own_secret_opens_its_repository_to_no_secret(self, house: House) -> None:
        house.store(OWN_SECRET, "\n")
        with pytest.raises(UnavailableError, match=r"^no webhook secret is stored$") as caught:
            house.push()
        assert caught.value.detail.endswith(OWN_SECRET)

    @pytest.mark.parametrize("stored", [None, "", " \n "])
    def test_missing_secret_names_its_parameter_in_the_log_only(
        self, house: House, stored: str | None
    ) -> None:
        del house.parameters.values[NAMES.webhook_secret]
        if stored is not None:
            house.store(NAMES.webhook_secret, stored)
        with pytest.raises(UnavailableError) as caught:
            house.receive(delivery_of(push_json(), secret=""))
        assert str(caught.value) == "no webhook secret is stored"
        assert caught.value.detail == (
            f"no webhook secret is stored: put one into {NAMES.webhook_secret}"
        )


class TestReceiveAfterARotation:
    def test_signature_that_does_not_match_reads_the_secret_again(self, house: House) -> None:
        house.push()
        house.store(NAMES.webhook_secret, "rotated")
        outcome = house.receive(delivery_of(push_json(), secret="rotated"))
        assert isinstance(outcome, Accepted)
        assert house.parameters.looked_up == [SITE, "pins", SITE, "pins"]

    def test_targets_read_again_with_the_secret_are_used(self, house: House) -> None:
        house.push()
        house.store(NAMES.webhook_secret, "rotated")
        house.store_targets("api")
        house.receive(delivery_of(push_json(), secret="rotated"))
        assert house.sent == ["web", "api"]

    def test_secret_stored_later_opens(self, house: House) -> None:
        del house.parameters.values[NAMES.webhook_secret]
        with pytest.raises(UnavailableError):
            house.push()
        house.store(NAMES.webhook_secret, SECRET)
        assert house.accept().sent == (("web", "command-1"),)

    def test_newly_read_secret_is_not_read_again(self, house: House) -> None:
        with pytest.raises(SignatureError):
            house.receive(delivery_of(push_json(), secret="guessed"))
        assert house.parameters.looked_up == [SITE]

    def test_forged_delivery_reads_the_secret_once_more_and_is_refused(self, house: House) -> None:
        house.push()
        with pytest.raises(SignatureError):
            house.receive(delivery_of(push_json(), secret="guessed"))
        assert house.parameters.looked_up == [SITE, "pins", SITE]

    def test_over_the_budget_the_remembered_secret_decides(self, house: House) -> None:
        house.push()
        house.store(NAMES.webhook_secret, "rotated")
        house.parameters.may_look_again = False
        with pytest.raises(SignatureError):
            house.receive(delivery_of(push_json(), secret="rotated"))
        assert house.accept().sent == (("web", "command-2"),)

    def test_remembered_secret_that_matches_is_not_read_again(self, house: House) -> None:
        house.push()
        house.push()
        assert house.parameters.looked_up == [SITE, "pins", "pins"]


class TestReceiveAPingDuringARotation:
    def ping(self, house: House, secret: str) -> SigningSecret | None:
        outcome = house.receive(delivery_of(push_json(), event="ping", secret=secret))
        assert isinstance(outcome, Ignored)
        words = "ping: the webhook is set up, a push will deploy"
        assert outcome.reason == (f"{words}; {outcome.secret}" if outcome.secret else words)
        return outcome.secret

    @pytest.mark.parametrize(
        ("secret", "position", "words"),
        [
            ("new", 0, "signed with the newest secret of dev/webhook-secret"),
            ("old", 1, "signed with an older secret of dev/webhook-secret"),
            ("oldest", 2, "signed with an older secret of dev/webhook-secret"),
        ],
    )
    def test_answer_names_newest_or_older_secret_as_the_signer(
        self, house: House, secret: str, position: int, words: str
    ) -> None:
        house.store(NAMES.webhook_secret, "new\nold\noldest")
        told = self.ping(house, secret)
        assert told == SigningSecret(NAMES.webhook_secret, position)
        assert str(told) == words

    def test_answer_names_the_own_parameter_of_the_repository(self, house: House) -> None:
        house.store(OWN_SECRET, "own")
        assert self.ping(house, "own") == SigningSecret(OWN_SECRET, 0)

    def test_newest_secret_is_the_stored_one_and_not_the_remembered_one(self, house: House) -> None:
        house.push()
        house.store(NAMES.webhook_secret, f"new\n{SECRET}")
        assert self.ping(house, SECRET) == SigningSecret(NAMES.webhook_secret, 1)
        assert self.ping(house, "new") == SigningSecret(NAMES.webhook_secret, 0)

    def test_deleted_secret_is_refused_though_it_is_remembered(self, house: House) -> None:
        house.push()
        house.store(NAMES.webhook_secret, "new")
        with pytest.raises(SignatureError):
            self.ping(house, SECRET)

    def test_ping_is_answered_when_strangers_have_spent_their_budget(self, house: House) -> None:
        house.push()
        house.parameters.may_look_again = False
        assert self.ping(house, SECRET) == SigningSecret(NAMES.webhook_secret, 0)

    def test_ping_over_the_verified_budget_is_answered_without_a_secret(self, house: House) -> None:
        house.push()
        house.parameters.may_verified = False
        assert self.ping(house, SECRET) is None

    def test_answer_to_another_event_does_not_name_the_secret(self, house: House) -> None:
        house.store(NAMES.webhook_secret, "new\nold")
        outcome = house.receive(delivery_of(push_json(), event="issues", secret="old"))
        assert outcome == Ignored(GUID, "issues events are not acted on")


class TestReceiveAfterTargetsWereStored:
    def test_target_stored_later_is_sent(self, house: House) -> None:
        targets = house.parameters.values.pop(NAMES.targets(SITE))
        assert isinstance(house.push(), Ignored)
        house.store(NAMES.targets(SITE), targets)
        assert house.accept().sent == (("web", "command-1"),)

    def test_redelivery_after_the_targets_were_fixed_is_sent(self, house: House) -> None:
        house.store(NAMES.targets(SITE), "{")
        with pytest.raises(UnavailableError):
            house.push()
        house.store_targets("web")
        assert house.accept().sent == (("web", "command-1"),)

    def test_newly_read_targets_are_not_read_again(self, house: House) -> None:
        assert isinstance(house.push(ref="refs/heads/other"), Ignored)
        assert house.parameters.looked_up == [SITE]

    def test_remembered_targets_that_follow_the_branch_are_not_read_again(
        self, house: House
    ) -> None:
        house.push()
        house.push()
        assert house.parameters.looked_up == [SITE, "pins", "pins"]

    def test_verified_push_reads_new_targets_when_strangers_spent_the_budget(
        self, house: House
    ) -> None:
        house.push()
        house.store(NAMES.targets(SITE), targets_text(target_json(branch="next")))
        house.parameters.may_look_again = False
        assert house.accept(ref="refs/heads/next").sent == (("web", "command-2"),)

    def test_over_the_verified_budget_the_remembered_targets_decide(self, house: House) -> None:
        house.store(NAMES.targets(SITE), "{")
        with pytest.raises(UnavailableError):
            house.push()
        house.parameters.may_verified = False
        with pytest.raises(UnavailableError, match="stored targets are not valid"):
            house.push()
        assert house.parameters.looked_up == [SITE]

    def test_own_secret_stored_meanwhile_refuses_the_default_secret(self, house: House) -> None:
        targets = house.parameters.values.pop(NAMES.targets(SITE))
        house.push()
        house.store(NAMES.targets(SITE), targets)
        house.store(OWN_SECRET, "own")
        with pytest.raises(SignatureError):
            house.push()
        assert house.sent == []


class TestReceiveUnreadableBodies:
    UNREADABLE = (b"", b"{", b"[]", b"\xff", b"[" * 10_000, b'{"a": 1, "a": 2}')

    @pytest.mark.parametrize("body", UNREADABLE)
    def test_unreadable_body_with_the_default_secret_raises_delivery_error(
        self, house: House, body: bytes
    ) -> None:
        with pytest.raises(DeliveryError) as caught:
            house.receive(delivery_of(body))
        assert not isinstance(caught.value, SignatureError)
        assert house.parameters.looked_up == [None]

    @pytest.mark.parametrize("body", UNREADABLE)
    def test_unreadable_body_with_a_wrong_secret_raises_signature_error(
        self, house: House, body: bytes
    ) -> None:
        with pytest.raises(SignatureError):
            house.receive(delivery_of(body, secret="guessed"))

    def test_repository_with_an_invalid_name_is_not_opened_by_the_own_secret(
        self, house: House
    ) -> None:
        house.store(OWN_SECRET, "own")
        payload = push_json(repository={"full_name": "octo/site/.."})
        with pytest.raises(SignatureError):
            house.receive(delivery_of(payload, secret="own"))

    def test_push_without_a_readable_repository_is_refused(self, house: House) -> None:
        with pytest.raises(DeliveryError, match=r"repository.full_name"):
            house.push(repository=None)

    def test_all_problems_of_the_payload_are_in_one_error(self, house: House) -> None:
        with pytest.raises(DeliveryError, match=r"^ref: .*; after: "):
            house.push(ref="main", after="HEAD")

    @given(st.binary(), st.sampled_from([JSON, FORM]))
    def test_no_body_raises_anything_but_a_delivery_error(
        self, body: bytes, content_type: str
    ) -> None:
        house = House()
        with pytest.raises(DeliveryError):
            house.receive(replace(delivery_of(body), content_type=content_type))
        assert house.sent == []


class TestReceiveAPushToATargetWithGates:
    @pytest.fixture
    def house(self) -> House:
        house = House()
        house.store(NAMES.targets(SITE), [target_json("web", checks=["test", "lint"])])
        return house

    def test_push_sends_nothing_says_what_it_waits_for_and_wakes_a_round(
        self, house: House
    ) -> None:
        assert house.push() == Ignored(GUID, "web: it waits for test and lint")
        assert (house.sent, house.waker.woken) == ([], [SITE])

    def test_push_makes_no_deployment_on_github(self, house: House) -> None:
        house.store(NAMES.github_token, TOKEN)
        house.push()
        assert (house.announcements.tokens, house.github.made) == ([], {})

    def test_push_reads_no_pins_so_an_error_of_aws_cannot_lose_the_wake(self, house: House) -> None:
        house.push()
        assert house.parameters.looked_up == [SITE]

    def test_redelivery_of_an_old_push_sends_nothing(self, house: House) -> None:
        for commit in (COMMIT, "a" * 40, COMMIT):
            house.push(after=commit)
        assert (house.sent, house.waker.woken) == ([], [SITE] * 3)

    def test_push_that_cannot_wake_a_round_is_answered_and_the_reason_is_noted(
        self, house: House
    ) -> None:
        house.waker.error = RefusedError("AWS refuses", detail="AccessDenied")
        assert isinstance(house.push(), Ignored)
        (note,) = house.journal.of("round", "not_woken")
        assert (note.level, note.facts) == (
            "warning",
            {"repository": "octo/site", "reason": "AWS refuses: AccessDenied"},
        )

    def test_target_without_gates_is_sent_and_the_other_is_skipped(self, house: House) -> None:
        house.store(
            NAMES.targets(SITE),
            [target_json("staging"), target_json("web", after=["staging"], soak="10m")],
        )
        outcome = house.accept()
        assert outcome.sent == (("staging", "command-1"),)
        assert outcome.skipped == (("web", "it waits for staging to be well for 10m"),)
        assert house.waker.woken == [SITE]

    def test_frozen_and_waiting_targets_are_both_skipped_with_their_reasons(
        self, house: House
    ) -> None:
        house.store(
            NAMES.targets(SITE), [target_json("staging"), target_json("web", after=["staging"])]
        )
        house.store(NAMES.pin("staging"), {"state": "frozen", "reason": "the fair"})
        assert house.push() == Ignored(GUID, "staging: frozen: the fair; web: it waits for staging")

    def test_manual_target_waits_for_a_person_and_wakes_no_round(self, house: House) -> None:
        house.store(NAMES.targets(SITE), [target_json("web", trigger="manual")])
        reason = "web: it waits for pulley deploy (trigger is manual)"
        assert house.push() == Ignored(GUID, reason)
        assert house.waker.woken == []

    def test_push_of_another_branch_wakes_no_round(self, house: House) -> None:
        house.push(ref="refs/heads/other")
        assert house.waker.woken == []


def check_run(conclusion: object = "success", branch: object = "main") -> dict[str, object]:
    """A payload of GitHub's event check_run: the fields that Pulley reads."""
    run = {
        "name": "test",
        "head_sha": COMMIT,
        "status": "completed",
        "conclusion": conclusion,
        "check_suite": {"head_branch": branch, "head_sha": COMMIT},
    }
    return {
        "action": "completed",
        "check_run": run,
        "repository": {"full_name": "octo/site"},
    }


class TestReceiveACheck:
    """Events of checks only wake the round, which asks GitHub."""

    @pytest.fixture
    def house(self) -> House:
        house = House()
        gated = target_json("web", checks=["test"]), target_json("api", checks=True)
        other = target_json("old", branch="v1", checks=["test"]), target_json("plain")
        house.store(NAMES.targets(SITE), [*gated, *other])
        return house

    def deliver(self, house: House, payload: object, event: str = "check_run") -> str:
        outcome = house.receive(delivery_of(payload, event=event))
        assert isinstance(outcome, Ignored)
        assert (house.sent, house.announcements.opened) == ([], [])
        return outcome.reason

    def test_green_check_of_a_followed_branch_wakes_a_round(self, house: House) -> None:
        reason = self.deliver(house, check_run())
        assert reason == "check_run: a round looks whether it opens a gate of web, api"
        assert house.waker.woken == [SITE]

    @pytest.mark.parametrize(
        ("event", "payload"),
        [
            ("check_suite", {"check_suite": {"conclusion": "success", "head_branch": "main"}}),
            ("workflow_run", {"workflow_run": {"conclusion": "success", "head_branch": "main"}}),
            ("status", {"state": "success", "branches": [{"name": "x"}, {"name": "main"}]}),
            ("status", {"state": "success", "branches": []}),
            ("check_suite", {"check_suite": {"conclusion": "success", "head_branch": None}}),
        ],
    )
    def test_other_events_of_green_checks_wake_a_round_too(
        self, house: House, event: str, payload: dict[str, object]
    ) -> None:
        self.deliver(house, payload | {"repository": {"full_name": "octo/site"}}, event)
        assert house.waker.woken == [SITE]

    @pytest.mark.parametrize("conclusion", ["failure", "skipped", "neutral", None, ["success"]])
    def test_check_that_is_not_green_wakes_no_round(self, house: House, conclusion: object) -> None:
        reason = self.deliver(house, check_run(conclusion))
        assert reason == "check_run: no check became green"
        assert house.waker.woken == []

    @pytest.mark.parametrize("branch", ["feature", "Main", "refs/heads/main"])
    def test_check_of_a_branch_that_no_target_waits_for_wakes_no_round(
        self, house: House, branch: str
    ) -> None:
        reason = self.deliver(house, check_run(branch=branch))
        assert reason == "check_run: no target waits for this check"
        assert house.waker.woken == []

    def test_repository_without_checks_wakes_no_round(self, house: House) -> None:
        house.store(NAMES.targets(SITE), [target_json("web", trigger="manual")])
        self.deliver(house, check_run())
        assert house.waker.woken == []

    def test_repository_without_targets_wakes_no_round(self, house: House) -> None:
        del house.parameters.values[NAMES.targets(SITE)]
        self.deliver(house, check_run())
        assert house.waker.woken == []

    def test_organization_s_event_without_a_repository_wakes_no_round(self, house: House) -> None:
        reason = self.deliver(house, {"action": "completed"})
        assert reason == "check_run events are not acted on"
        assert house.waker.woken == []

    def test_forged_check_wakes_no_round(self, house: House) -> None:
        with pytest.raises(SignatureError):
            house.receive(delivery_of(check_run(), event="check_run", secret="guessed"))
        assert house.waker.woken == []

    def test_round_that_cannot_be_woken_does_not_fail_the_delivery(self, house: House) -> None:
        house.waker.error = UnavailableError("AWS throttles")
        self.deliver(house, check_run())
        assert house.journal.lines == [("round", "not_woken"), ("delivery", "ignored")]

    @given(
        st.dictionaries(
            st.sampled_from(["check_run", "check_suite", "state", "branches", "action"]),
            JSON_VALUES,
        ),
        st.sampled_from(["check_run", "check_suite", "workflow_run", "status"]),
    )
    def test_check_of_any_shape_is_answered(self, payload: dict[str, object], event: str) -> None:
        house = House()
        house.store(NAMES.targets(SITE), [target_json("web", checks=["test"])])
        site = {"repository": {"full_name": "octo/site"}}
        assert isinstance(house.receive(delivery_of(payload | site, event=event)), Ignored)
