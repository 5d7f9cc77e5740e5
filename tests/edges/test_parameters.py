"""Parameter Store: one suite for the fake and the real edge, then tests of the real edge alone."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import NoCredentialsError
from moto import mock_aws

from chalicelib.core.errors import RefusedError, UnavailableError
from chalicelib.core.refs import Repository
from chalicelib.core.stored import StoredPins, StoredReportSettings, StoredSettings
from chalicelib.edges.aws import Deadline, LateError
from chalicelib.edges.parameters import (
    BUDGET,
    NAMES_A_PAGE,
    REMEMBERED_REPOSITORIES,
    REMEMBERED_SECONDS,
    VERIFIED_BUDGET,
    Budget,
    KnownRepositories,
    ParameterStore,
)
from tests.edges.clients import new_ssm
from tests.edges.parameter_store import BY_TOKENS_STORED, OTHER, OWN_SECRET, OWN_TOKEN, Stage
from tests.fakes import NAMES, SITE, STAGE, FakeClock, Reply, Wire, aws_error

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient


def made_up(number: int) -> Repository:
    return Repository("stranger", f"made-up-{number}")


class TestParametersSettings:
    def test_empty_store_gives_no_secret_and_no_targets(self, stage: Stage) -> None:
        assert stage.parameters.settings(SITE) == StoredSettings(
            secrets=(), secret_parameter=NAMES.webhook_secret
        )

    def test_default_secrets_are_read_decrypted_one_per_line(self, stage: Stage) -> None:
        stage.store(NAMES.webhook_secret, "new\nold")
        settings = stage.parameters.settings(SITE)
        assert settings.secrets == (b"new", b"old")
        assert settings.secret_parameter == NAMES.webhook_secret
        assert not settings.known

    def test_own_secret_replaces_the_default_secret(self, stage: Stage) -> None:
        stage.store(NAMES.webhook_secret, "default")
        stage.store(OWN_SECRET, "own")
        settings = stage.parameters.settings(SITE)
        assert settings.secrets == (b"own",)
        assert settings.secret_parameter == OWN_SECRET
        assert settings.known

    def test_blank_own_secret_does_not_fall_back_to_the_default_secret(self, stage: Stage) -> None:
        stage.store(NAMES.webhook_secret, "default")
        stage.store(OWN_SECRET, "\n")
        assert stage.parameters.settings(SITE).secrets == ()

    def test_targets_are_read_as_they_are_stored(self, stage: Stage) -> None:
        stage.store(NAMES.targets(SITE), "not even JSON")
        settings = stage.parameters.settings(SITE)
        assert settings.targets == "not even JSON"
        assert settings.known

    def test_parameters_of_another_repository_are_not_read(self, stage: Stage) -> None:
        stage.store(NAMES.targets(OTHER), "[]")
        stage.store(NAMES.repository_webhook_secret(OTHER), "other")
        assert stage.parameters.settings(SITE) == StoredSettings((), NAMES.webhook_secret)

    def test_without_a_repository_only_the_default_secret_is_read(self, stage: Stage) -> None:
        stage.store(NAMES.webhook_secret, "default")
        stage.store(OWN_SECRET, "own")
        assert stage.parameters.settings(None) == StoredSettings(
            (b"default",), NAMES.webhook_secret
        )

    def test_second_read_gives_the_remembered_settings(self, stage: Stage) -> None:
        stage.store(NAMES.webhook_secret, "before")
        first = stage.parameters.settings(SITE)
        stage.store(NAMES.webhook_secret, "after")
        assert stage.parameters.settings(SITE) == replace(first, remembered=True)
        assert not first.remembered

    def test_each_repository_is_remembered_separately(self, stage: Stage) -> None:
        stage.store(NAMES.targets(SITE), "[]")
        stage.parameters.settings(SITE)
        assert stage.parameters.settings(OTHER).targets is None
        assert stage.parameters.settings(None).targets is None
        assert stage.parameters.settings(SITE).targets == "[]"


class TestParametersToken:
    @pytest.mark.parametrize(("stored", "token"), BY_TOKENS_STORED)
    def test_own_token_of_the_repository_comes_before_the_default_token(
        self, stage: Stage, stored: Mapping[str, str], token: str
    ) -> None:
        for name, value in stored.items():
            stage.store(name, value)
        settings = stage.parameters.settings(SITE)
        assert settings.token == token
        assert stage.parameters.report_settings(SITE).token == token
        assert not settings.known

    def test_without_a_repository_the_token_is_empty(self, stage: Stage) -> None:
        stage.store(NAMES.github_token, "default")
        assert stage.parameters.settings(None).token == ""

    def test_token_is_not_in_the_repr_of_the_settings(self, stage: Stage) -> None:
        stage.store(NAMES.github_token, "ghp_token")
        read = stage.parameters.settings(SITE), stage.parameters.report_settings(SITE)
        assert "ghp_token" not in repr(read)
        assert all(one.token == "ghp_token" for one in read)


class TestParametersReportSettings:
    def test_empty_store_gives_no_token_and_no_targets(self, stage: Stage) -> None:
        assert stage.parameters.report_settings(SITE) == StoredReportSettings("", None)

    def test_targets_are_those_of_the_repository(self, stage: Stage) -> None:
        stage.store(NAMES.targets(SITE), "[]")
        stage.store(NAMES.targets(OTHER), "[1]")
        assert stage.parameters.report_settings(SITE) == StoredReportSettings("", "[]")

    def test_report_settings_are_never_remembered(self, stage: Stage) -> None:
        stage.parameters.settings(SITE)
        stage.parameters.report_settings(SITE)
        stage.store(NAMES.targets(SITE), "[]")
        stage.store(OWN_TOKEN, "new")
        assert stage.parameters.report_settings(SITE) == StoredReportSettings("new", "[]")


class TestParametersSettingsAgain:
    def test_settings_are_read_from_the_store_again(self, stage: Stage) -> None:
        stage.store(NAMES.webhook_secret, "before")
        stage.parameters.settings(SITE)
        stage.store(NAMES.webhook_secret, "after")
        again = stage.parameters.settings_again(SITE)
        assert again == StoredSettings((b"after",), NAMES.webhook_secret)

    def test_settings_read_again_replace_the_remembered_settings(self, stage: Stage) -> None:
        stage.parameters.settings(SITE)
        stage.store(NAMES.webhook_secret, "after")
        stage.parameters.settings_again(SITE)
        assert stage.parameters.settings(SITE).secrets == (b"after",)


class TestParametersPins:
    def test_empty_store_gives_no_pins(self, stage: Stage) -> None:
        assert stage.parameters.pins(["web"]) == StoredPins({}, None)

    def test_pins_of_the_targets_and_the_document_are_read(self, stage: Stage) -> None:
        for name, value in [("web", "a"), ("api", "b"), ("else", "c")]:
            stage.store(NAMES.pin(name), value)
        stage.store(NAMES.document, "d")
        assert stage.parameters.pins(["web", "api", "worker"]) == StoredPins(
            {"web": "a", "api": "b"}, "d"
        )

    @pytest.mark.parametrize("count", [9, 10, 25])
    def test_pins_of_many_targets_are_all_read(self, stage: Stage, count: int) -> None:
        names = [f"web-{number}" for number in range(count)]
        for name in names:
            stage.store(NAMES.pin(name), f"pin of {name}")
        stage.store(NAMES.document, "d")
        assert stage.parameters.pins(names) == StoredPins(
            {name: f"pin of {name}" for name in names}, "d"
        )

    def test_pins_are_never_remembered(self, stage: Stage) -> None:
        stage.parameters.pins(["web"])
        stage.store(NAMES.pin("web"), "new")
        stage.store(NAMES.document, "newer")
        assert stage.parameters.pins(["web"]) == StoredPins({"web": "new"}, "newer")


class Store:
    """A ParameterStore whose calls are counted, on an AWS that stores `values`."""

    def __init__(self, client: "SSMClient", wire: Wire) -> None:
        self.clock = FakeClock()
        self.values: dict[str, str] = {}
        known = KnownRepositories(client, STAGE, self.clock)
        self.edge = ParameterStore(client, STAGE, self.clock, known)
        self.wire = wire
        wire.reply = self._answer

    def _answer(self, operation: str, arguments: Mapping[str, Any]) -> Reply:
        if operation == "DescribeParameters":
            return self._list(arguments)
        names = arguments["Names"]
        found = [
            {"Name": name, "Value": self.values[name]} for name in names if name in self.values
        ]
        missing = [name for name in names if name not in self.values]
        return 200, {"Parameters": found, "InvalidParameters": missing}

    def _list(self, arguments: Mapping[str, Any]) -> Reply:
        """A page of the names of targets parameters; the first page is empty."""
        assert arguments["ParameterFilters"] == [
            {"Key": "Name", "Option": "BeginsWith", "Values": [NAMES.repositories]},
            {"Key": "Type", "Option": "Equals", "Values": ["String"]},
        ]
        start = int(arguments.get("NextToken", "-1"))
        names = [name for name in self.values if name.endswith("/targets")]
        end = start + arguments["MaxResults"] if start >= 0 else 0
        page = [{"Name": name} for name in names[max(start, 0) : end]]
        return 200, {"Parameters": page} | ({"NextToken": str(end)} if end < len(names) else {})

    @property
    def calls(self) -> int:
        """How many calls of GetParameters there were."""
        return len(self.names_asked())

    @property
    def lists(self) -> int:
        """How many calls of DescribeParameters there were: each list starts with an empty page."""
        return len(self.wire.arguments_of("DescribeParameters"))

    def names_asked(self) -> list[list[str]]:
        return [arguments["Names"] for arguments in self.wire.arguments_of("GetParameters")]

    def spend_the_budget(self) -> None:
        for number in range(BUDGET):
            self.edge.settings(Repository("spender", str(number)))

    def refuses(self, repository: Repository | None) -> bool:
        try:
            self.edge.settings(repository)
        except UnavailableError as error:
            assert str(error) == "too many deliveries from repositories not known here"  # noqa: PT017
            return True
        return False


@pytest.fixture(scope="module")
def counted_client() -> tuple["SSMClient", Wire]:
    client, wire = new_ssm(), Wire()
    wire.attach(client.meta.events)
    return client, wire


@pytest.fixture
def store(counted_client: tuple["SSMClient", Wire]) -> Store:
    client, wire = counted_client
    wire.attempts.clear()
    return Store(client, wire)


class TestParameterStoreSettings:
    def test_settings_are_read_decrypted_in_one_call(self, store: Store) -> None:
        store.edge.settings(SITE)
        assert store.wire.attempts == [
            (
                "GetParameters",
                {
                    "Names": [
                        NAMES.webhook_secret,
                        OWN_SECRET,
                        NAMES.targets(SITE),
                        OWN_TOKEN,
                        NAMES.github_token,
                    ],
                    "WithDecryption": True,
                },
            )
        ]

    def test_report_settings_are_read_in_one_call_without_secrets(self, store: Store) -> None:
        store.spend_the_budget()
        before = store.calls
        store.edge.report_settings(SITE)
        assert store.names_asked()[before:] == [
            [OWN_TOKEN, NAMES.github_token, NAMES.targets(SITE), NAMES.page_url]
        ]

    def test_without_a_repository_only_the_default_secret_is_requested(self, store: Store) -> None:
        store.edge.settings(None)
        assert store.names_asked() == [[NAMES.webhook_secret]]

    @pytest.mark.parametrize("stored", [{NAMES.targets(SITE): "[]"}, {}])
    def test_remembered_settings_cost_no_call_even_if_nothing_is_stored(
        self, store: Store, stored: dict[str, str]
    ) -> None:
        store.values |= stored
        for _ in range(100):
            store.edge.settings(SITE)
        assert store.calls == 1

    def test_settings_are_remembered_until_just_before_they_expire(self, store: Store) -> None:
        store.edge.settings(SITE)
        store.clock.now += REMEMBERED_SECONDS - 0.001
        assert store.edge.settings(SITE).remembered
        assert store.calls == 1

    def test_expired_settings_are_read_again(self, store: Store) -> None:
        store.edge.settings(SITE)
        store.values[NAMES.targets(SITE)] = "[]"
        store.clock.now += REMEMBERED_SECONDS
        settings = store.edge.settings(SITE)
        assert (settings.targets, settings.remembered) == ("[]", False)
        assert store.calls == 2

    def test_use_does_not_prolong_the_memory(self, store: Store) -> None:
        for _ in range(3):
            store.edge.settings(SITE)
            store.clock.now += REMEMBERED_SECONDS / 2
        store.edge.settings(SITE)
        assert store.calls == 2


class TestParameterStoreBudget:
    def test_thousand_made_up_repositories_cost_only_the_budget(self, store: Store) -> None:
        refused = sum(store.refuses(made_up(number)) for number in range(1000))
        assert store.calls == BUDGET
        assert refused == 1000 - BUDGET

    def test_budget_grows_by_one_a_second_up_to_its_size(self, store: Store) -> None:
        store.spend_the_budget()
        store.clock.now += 2
        assert [store.refuses(made_up(number)) for number in range(3)] == [False, False, True]
        store.clock.now += 3600
        refused = sum(store.refuses(made_up(number)) for number in range(100, 200))
        assert refused == 100 - BUDGET

    def test_known_repository_stays_readable_over_the_budget(self, store: Store) -> None:
        store.values[NAMES.targets(SITE)] = "[]"
        store.edge.settings(SITE)
        for hour in range(1, 5):
            store.clock.now += 3600
            for number in range(BUDGET):
                store.edge.settings(made_up(hour * 100 + number))
            assert store.refuses(OTHER)
            store.values[NAMES.targets(SITE)] = f"[{hour}]"
            assert store.edge.settings(SITE).targets == f"[{hour}]"

    def test_pins_stay_readable_over_the_budget(self, store: Store) -> None:
        store.spend_the_budget()
        store.values[NAMES.pin("web")] = "pin"
        assert store.edge.pins(["web"]).by_target == {"web": "pin"}

    def test_reading_again_leaves_half_of_the_budget_to_others(self, store: Store) -> None:
        store.values[NAMES.targets(SITE)] = "[]"
        again = [store.edge.settings_again(SITE) for _ in range(100)]
        assert sum(settings is not None for settings in again) == BUDGET / 2
        assert store.calls == BUDGET / 2
        refused = [store.refuses(made_up(number)) for number in range(100)]
        assert refused.count(False) == BUDGET / 2

    def test_verified_sender_reads_again_when_strangers_spent_the_budget(
        self, store: Store
    ) -> None:
        store.spend_the_budget()
        again = [store.edge.settings_again(SITE, is_verified=True) for _ in range(100)]
        assert sum(settings is not None for settings in again) == VERIFIED_BUDGET
        assert store.calls == BUDGET + VERIFIED_BUDGET
        store.clock.now += 1
        assert store.edge.settings_again(SITE, is_verified=True) is not None

    def test_verified_senders_do_not_spend_the_budget_of_strangers(self, store: Store) -> None:
        for _ in range(100):
            store.edge.settings_again(SITE, is_verified=True)
        assert not any(store.refuses(made_up(number)) for number in range(BUDGET))

    def test_unverified_sender_reads_nothing_again_over_the_budget(self, store: Store) -> None:
        store.spend_the_budget()
        assert store.edge.settings_again(SITE) is None
        assert store.calls == BUDGET

    def test_settings_without_a_repository_stay_readable_over_the_budget(
        self, store: Store
    ) -> None:
        store.spend_the_budget()
        store.values[NAMES.webhook_secret] = "default"
        for _ in range(100):
            assert store.edge.settings(None).secrets == (b"default",)
        assert store.calls == BUDGET + 1


class TestParameterStoreList:
    """When the budget is spent, the store lists the repositories that have targets."""

    SECOND = 1 / 50  # strangers send fifty deliveries a second

    def send_made_up(self, store: Store, seconds: int, first: int = 0) -> None:
        """Deliveries for made-up repositories, without a pause."""
        for number in range(round(seconds / self.SECOND)):
            store.clock.now += self.SECOND
            store.refuses(made_up(first + number))

    @pytest.mark.parametrize("seconds", [0, 1, 45, 600])
    def test_known_repository_is_read_among_any_number_of_made_up_ones(
        self, store: Store, seconds: int
    ) -> None:
        store.values[NAMES.targets(SITE)] = "[]"
        store.spend_the_budget()
        self.send_made_up(store, seconds)
        assert store.refuses(OTHER)
        assert store.edge.settings(SITE).targets == "[]"

    def test_made_up_repositories_cost_the_budget_and_a_list_a_minute(self, store: Store) -> None:
        store.values[NAMES.targets(SITE)] = "[]"
        self.send_made_up(store, 600)
        assert store.calls <= BUDGET + 600
        assert store.lists <= 2 * (600 / REMEMBERED_SECONDS)

    def test_nothing_is_listed_until_the_budget_is_spent(self, store: Store) -> None:
        for number in range(BUDGET):
            store.edge.settings(made_up(number))
        assert store.lists == 0

    def test_each_known_repository_is_read_at_most_once_a_minute(self, store: Store) -> None:
        for number in range(REMEMBERED_REPOSITORIES):
            store.values[NAMES.targets(made_up(number))] = "[]"
        store.spend_the_budget()
        before = store.calls
        for number in range(4 * REMEMBERED_REPOSITORIES):
            store.clock.now += REMEMBERED_SECONDS / 2 / REMEMBERED_REPOSITORIES
            store.edge.settings(made_up(number % REMEMBERED_REPOSITORIES))
        assert store.calls - before <= 2 * REMEMBERED_REPOSITORIES

    def test_wrong_signatures_do_not_block_a_known_repository(self, store: Store) -> None:
        store.values[NAMES.targets(SITE)] = "[]"
        for _ in range(round(180 / self.SECOND)):
            store.clock.now += self.SECOND
            store.edge.settings(SITE)
            store.edge.settings_again(SITE)
            assert store.edge.settings(SITE).targets == "[]"

    def test_targets_stored_meanwhile_are_listed_a_minute_later(self, store: Store) -> None:
        store.spend_the_budget()
        assert store.refuses(OTHER)
        store.values[NAMES.targets(SITE)] = "[]"
        assert store.refuses(SITE)
        self.send_made_up(store, round(REMEMBERED_SECONDS) + 1)
        assert not store.refuses(SITE)

    def test_list_is_read_page_by_page_up_to_a_limit(self, store: Store) -> None:
        for number in range(REMEMBERED_REPOSITORIES + 200):
            store.values[NAMES.targets(made_up(number))] = "[]"
        store.spend_the_budget()
        assert not store.refuses(made_up(REMEMBERED_REPOSITORIES - 1))
        assert store.refuses(made_up(REMEMBERED_REPOSITORIES + 199))
        assert store.lists == 1 + REMEMBERED_REPOSITORIES / NAMES_A_PAGE

    def test_failing_list_raises_and_is_tried_again_once_a_second(self, store: Store) -> None:
        store.values[NAMES.targets(SITE)] = "[]"
        store.spend_the_budget()
        answer = store.wire.reply
        store.wire.reply = aws_error("AccessDeniedException")
        told = []
        for _ in range(round(3 / self.SECOND)):
            with pytest.raises((RefusedError, UnavailableError)) as caught:
                store.edge.settings(SITE)
            told.append(str(caught.value))
            store.clock.now += self.SECOND
        words = "AWS refused listing the repositories (AccessDeniedException)"
        assert told.count(words) == store.lists <= 3
        assert told[0] == words
        store.wire.reply = answer
        store.clock.now += 1
        store.edge.settings(OTHER)
        assert not store.refuses(SITE)

    @mock_aws
    def test_filters_of_aws_find_only_targets_of_the_stage(self) -> None:
        client = new_ssm()
        for name in (
            NAMES.targets(SITE),
            NAMES.pin("web"),
            "/pulley/other/repositories/a/b/targets",
        ):
            client.put_parameter(Name=name, Value="[]", Type="String")
        client.put_parameter(Name=OWN_TOKEN, Value="token", Type="SecureString")
        known = KnownRepositories(client, STAGE, FakeClock())
        store = ParameterStore(client, STAGE, FakeClock(), known)
        for number in range(BUDGET):
            store.settings(made_up(number))
        assert store.settings(SITE).targets == "[]"
        assert known._listed == {NAMES.targets(SITE)}
        with pytest.raises(UnavailableError):
            store.settings(OTHER)


class TestParameterStoreMemory:
    def test_memory_is_bounded_for_any_number_of_made_up_repositories(self, store: Store) -> None:
        for number in range(2 * REMEMBERED_REPOSITORIES):
            store.clock.now += 1
            store.edge.settings(made_up(number))
        assert len(store.edge._memory) == REMEMBERED_REPOSITORIES

    def test_made_up_repositories_never_evict_a_known_repository(self, store: Store) -> None:
        store.values[NAMES.targets(SITE)] = "[]"
        store.edge.settings(SITE)
        for number in range(2 * REMEMBERED_REPOSITORIES):
            store.clock.now += 1
            store.edge.settings(made_up(number))
        store.clock.now += BUDGET
        store.spend_the_budget()
        assert store.refuses(OTHER)
        assert store.edge.settings(SITE).targets == "[]"

    def test_least_recently_used_known_repository_is_evicted(self, store: Store) -> None:
        for number in range(REMEMBERED_REPOSITORIES + 1):
            store.values[NAMES.targets(made_up(number))] = "[]"
        for number in range(REMEMBERED_REPOSITORIES):
            store.clock.now += 1
            store.edge.settings(made_up(number))
        store.edge.settings(made_up(0))
        store.clock.now += 1
        store.edge.settings(made_up(REMEMBERED_REPOSITORIES))
        assert made_up(0) in store.edge._memory
        assert made_up(1) not in store.edge._memory


class TestParameterStorePins:
    @pytest.mark.parametrize(("count", "calls"), [(0, 1), (9, 1), (10, 2), (19, 2), (20, 3)])
    def test_names_are_requested_ten_a_call(self, store: Store, count: int, calls: int) -> None:
        targets = [f"web-{number}" for number in range(count)]
        store.edge.pins(targets)
        pages = store.names_asked()
        assert len(pages) == calls
        assert all(len(page) <= 10 for page in pages)
        assert [name for page in pages for name in page] == [
            NAMES.document,
            *(NAMES.pin(target) for target in targets),
        ]

    def test_failing_page_fails_the_whole_read(self, store: Store) -> None:
        answer, pages = store.wire.reply, iter([True, False])
        assert callable(answer)
        store.wire.reply = lambda operation, arguments: (
            answer(operation, arguments) if next(pages) else aws_error("AccessDeniedException")
        )
        with pytest.raises(RefusedError):
            store.edge.pins([f"web-{number}" for number in range(10)])


class TestParameterStoreErrors:
    @pytest.mark.parametrize("read", ["settings", "settings_again", "pins", "report_settings"])
    def test_refusal_has_the_message_of_aws_only_in_its_detail(
        self, store: Store, read: str
    ) -> None:
        store.wire.reply = aws_error("AccessDeniedException", message=f"on {NAMES.webhook_secret}")
        with pytest.raises(RefusedError) as caught:
            getattr(store.edge, read)(["web"] if read == "pins" else SITE)
        assert str(caught.value) == "AWS refused reading parameters (AccessDeniedException)"
        assert NAMES.webhook_secret in caught.value.detail

    @pytest.mark.parametrize(
        "answer",
        [
            {"Parameters": [], "InvalidParameters": []},
            {"Parameters": [{"Name": NAMES.document, "Value": "x"}], "InvalidParameters": []},
            {"Parameters": [{"Name": NAMES.pin("web"), "Value": 7}], "InvalidParameters": []},
            {"Parameters": []},
        ],
        ids=["empty", "partial", "no text", "cut"],
    )
    def test_incomplete_answer_for_a_pin_is_unavailable(
        self, store: Store, answer: dict[str, object]
    ) -> None:
        store.wire.reply = 200, answer
        with pytest.raises(UnavailableError, match="cannot be read for reading parameters"):
            store.edge.pins(["web"])

    def test_failure_before_the_network_is_unavailable(self, store: Store) -> None:
        store.wire.reply = NoCredentialsError()
        with pytest.raises(UnavailableError, match="AWS could not be reached for reading"):
            store.edge.settings(SITE)

    def test_failure_is_not_remembered(self, store: Store) -> None:
        answer = store.wire.reply
        store.wire.reply = aws_error("AccessDeniedException")
        with pytest.raises(RefusedError):
            store.edge.settings(SITE)
        store.wire.reply = answer
        store.values[NAMES.targets(SITE)] = "[]"
        assert store.edge.settings(SITE).targets == "[]"

    def test_failure_keeps_a_known_repository_and_costs_no_budget(self, store: Store) -> None:
        answer = store.wire.reply
        store.values[NAMES.targets(SITE)] = "[]"
        store.edge.settings(SITE)
        store.clock.now += REMEMBERED_SECONDS
        store.wire.reply = aws_error("AccessDeniedException")
        for _ in range(2 * BUDGET):
            with pytest.raises(RefusedError):
                store.edge.settings(SITE)
        store.wire.reply = answer
        assert store.edge.settings(SITE).targets == "[]"

    def test_attempt_past_the_deadline_raises_late_error(self, store: Store) -> None:
        deadline = Deadline(store.clock)
        deadline.restart(0)
        events = store.edge._client.meta.events
        events.register_first("before-send.ssm", deadline.check, unique_id="late")
        try:
            with pytest.raises(LateError):
                store.edge.settings(SITE)
        finally:
            events.unregister("before-send.ssm", unique_id="late")
        assert store.calls == 0


class TestBudget:
    def test_new_budget_allows_exactly_its_size(self) -> None:
        budget = Budget(FakeClock(), size=3)
        assert [budget.spend() for _ in range(5)] == [True, True, True, False, False]

    def test_reserve_stays_for_callers_without_a_reserve(self) -> None:
        budget = Budget(FakeClock(), size=3)
        assert [budget.spend(reserve=2) for _ in range(3)] == [True, False, False]
        assert [budget.spend() for _ in range(3)] == [True, True, False]

    def test_frequent_attempts_do_not_lose_parts_of_a_second(self) -> None:
        clock = FakeClock()
        budget = Budget(clock, size=1)
        assert budget.spend()
        answers = []
        for _ in range(8):
            clock.now += 0.25
            answers.append(budget.spend())
        assert answers == [False, False, False, True] * 2

    def test_refused_attempt_costs_nothing(self) -> None:
        clock = FakeClock()
        budget = Budget(clock, size=1)
        budget.spend()
        for _ in range(100):
            budget.spend()
        clock.now += 1
        assert budget.spend()
