"""Parameter Store: one suite for the fake and the real edge, then what only the real one keeps."""

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
    def test_nothing_stored_is_no_secret_and_no_targets(self, stage: Stage) -> None:
        assert stage.parameters.settings(SITE) == StoredSettings(
            secrets=(), secret_parameter=NAMES.webhook_secret
        )

    def test_default_secrets_are_read_decrypted_one_a_line(self, stage: Stage) -> None:
        stage.store(NAMES.webhook_secret, "new\nold")
        settings = stage.parameters.settings(SITE)
        assert settings.secrets == (b"new", b"old")
        assert settings.secret_parameter == NAMES.webhook_secret
        assert not settings.known

    def test_own_secret_is_read_and_the_default_one_is_not(self, stage: Stage) -> None:
        stage.store(NAMES.webhook_secret, "default")
        stage.store(OWN_SECRET, "own")
        settings = stage.parameters.settings(SITE)
        assert settings.secrets == (b"own",)
        assert settings.secret_parameter == OWN_SECRET
        assert settings.known

    def test_blank_own_secret_does_not_fall_back_to_the_default_one(self, stage: Stage) -> None:
        stage.store(NAMES.webhook_secret, "default")
        stage.store(OWN_SECRET, "\n")
        assert stage.parameters.settings(SITE).secrets == ()

    def test_targets_are_read_as_they_are_stored(self, stage: Stage) -> None:
        stage.store(NAMES.targets(SITE), "not even JSON")
        settings = stage.parameters.settings(SITE)
        assert settings.targets == "not even JSON"
        assert settings.known

    def test_another_repository_s_are_not(self, stage: Stage) -> None:
        stage.store(NAMES.targets(OTHER), "[]")
        stage.store(NAMES.repository_webhook_secret(OTHER), "other")
        assert stage.parameters.settings(SITE) == StoredSettings((), NAMES.webhook_secret)

    def test_without_a_repository_only_the_default_secret_is_read(self, stage: Stage) -> None:
        stage.store(NAMES.webhook_secret, "default")
        stage.store(OWN_SECRET, "own")
        assert stage.parameters.settings(None) == StoredSettings(
            (b"default",), NAMES.webhook_secret
        )

    def test_second_time_they_are_remembered_as_they_were(self, stage: Stage) -> None:
        stage.store(NAMES.webhook_secret, "before")
        first = stage.parameters.settings(SITE)
        stage.store(NAMES.webhook_secret, "after")
        assert stage.parameters.settings(SITE) == replace(first, remembered=True)
        assert not first.remembered

    def test_each_repository_is_remembered_for_itself(self, stage: Stage) -> None:
        stage.store(NAMES.targets(SITE), "[]")
        stage.parameters.settings(SITE)
        assert stage.parameters.settings(OTHER).targets is None
        assert stage.parameters.settings(None).targets is None
        assert stage.parameters.settings(SITE).targets == "[]"


class TestParametersToken:
    @pytest.mark.parametrize(("stored", "token"), BY_TOKENS_STORED)
    def test_repository_s_own_token_comes_before_the_default_one(
        self, stage: Stage, stored: Mapping[str, str], token: str
    ) -> None:
        for name, value in stored.items():
            stage.store(name, value)
        settings = stage.parameters.settings(SITE)
        assert settings.token == token
        assert stage.parameters.report_settings(SITE).token == token
        assert not settings.known

    def test_without_a_repository_there_is_none(self, stage: Stage) -> None:
        stage.store(NAMES.github_token, "default")
        assert stage.parameters.settings(None).token == ""

    def test_it_is_in_no_repr(self, stage: Stage) -> None:
        stage.store(NAMES.github_token, "ghp_token")
        read = stage.parameters.settings(SITE), stage.parameters.report_settings(SITE)
        assert "ghp_token" not in repr(read)
        assert all(one.token == "ghp_token" for one in read)


class TestParametersReportSettings:
    def test_nothing_stored_is_nothing(self, stage: Stage) -> None:
        assert stage.parameters.report_settings(SITE) == StoredReportSettings("", None)

    def test_targets_are_the_repository_s(self, stage: Stage) -> None:
        stage.store(NAMES.targets(SITE), "[]")
        stage.store(NAMES.targets(OTHER), "[1]")
        assert stage.parameters.report_settings(SITE) == StoredReportSettings("", "[]")

    def test_they_are_never_remembered(self, stage: Stage) -> None:
        stage.parameters.settings(SITE)
        stage.parameters.report_settings(SITE)
        stage.store(NAMES.targets(SITE), "[]")
        stage.store(OWN_TOKEN, "new")
        assert stage.parameters.report_settings(SITE) == StoredReportSettings("new", "[]")


class TestParametersSettingsAgain:
    def test_they_are_newly_read(self, stage: Stage) -> None:
        stage.store(NAMES.webhook_secret, "before")
        stage.parameters.settings(SITE)
        stage.store(NAMES.webhook_secret, "after")
        again = stage.parameters.settings_again(SITE)
        assert again == StoredSettings((b"after",), NAMES.webhook_secret)

    def test_they_are_remembered_instead_of_the_first(self, stage: Stage) -> None:
        stage.parameters.settings(SITE)
        stage.store(NAMES.webhook_secret, "after")
        stage.parameters.settings_again(SITE)
        assert stage.parameters.settings(SITE).secrets == (b"after",)


class TestParametersPins:
    def test_nothing_stored_is_no_pins(self, stage: Stage) -> None:
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

    def test_they_are_never_remembered(self, stage: Stage) -> None:
        stage.parameters.pins(["web"])
        stage.store(NAMES.pin("web"), "new")
        stage.store(NAMES.document, "newer")
        assert stage.parameters.pins(["web"]) == StoredPins({"web": "new"}, "newer")


class Store:
    """A ParameterStore whose calls are counted, on an AWS that has what `values` has."""

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
        """A page of the targets' names, which the filters ask for, with one empty page at first."""
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
        """Those that read: GetParameters."""
        return len(self.names_asked())

    @property
    def lists(self) -> int:
        """Those that list: each has an empty page, and the names'."""
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
    def test_one_call_reads_all_that_a_repository_needs_decrypted(self, store: Store) -> None:
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

    def test_one_call_reads_all_that_a_report_needs_and_no_secret(self, store: Store) -> None:
        store.spend_the_budget()
        before = store.calls
        store.edge.report_settings(SITE)
        assert store.names_asked()[before:] == [
            [OWN_TOKEN, NAMES.github_token, NAMES.targets(SITE)]
        ]

    def test_without_a_repository_no_stranger_s_name_is_asked_for(self, store: Store) -> None:
        store.edge.settings(None)
        assert store.names_asked() == [[NAMES.webhook_secret]]

    @pytest.mark.parametrize("stored", [{NAMES.targets(SITE): "[]"}, {}])
    def test_what_is_remembered_costs_no_call_misses_included(
        self, store: Store, stored: dict[str, str]
    ) -> None:
        store.values |= stored
        for _ in range(100):
            store.edge.settings(SITE)
        assert store.calls == 1

    def test_just_before_their_time_is_over_they_are_remembered(self, store: Store) -> None:
        store.edge.settings(SITE)
        store.clock.now += REMEMBERED_SECONDS - 0.001
        assert store.edge.settings(SITE).remembered
        assert store.calls == 1

    def test_when_their_time_is_over_they_are_read_again(self, store: Store) -> None:
        store.edge.settings(SITE)
        store.values[NAMES.targets(SITE)] = "[]"
        store.clock.now += REMEMBERED_SECONDS
        settings = store.edge.settings(SITE)
        assert (settings.targets, settings.remembered) == ("[]", False)
        assert store.calls == 2

    def test_being_asked_for_does_not_make_them_live_longer(self, store: Store) -> None:
        for _ in range(3):
            store.edge.settings(SITE)
            store.clock.now += REMEMBERED_SECONDS / 2
        store.edge.settings(SITE)
        assert store.calls == 2


class TestParameterStoreBudget:
    def test_thousand_made_up_repositories_make_no_more_calls_than_the_budget(
        self, store: Store
    ) -> None:
        refused = sum(store.refuses(made_up(number)) for number in range(1000))
        assert store.calls == BUDGET
        assert refused == 1000 - BUDGET

    def test_budget_grows_back_by_one_a_second_and_not_beyond_its_size(self, store: Store) -> None:
        store.spend_the_budget()
        store.clock.now += 2
        assert [store.refuses(made_up(number)) for number in range(3)] == [False, False, True]
        store.clock.now += 3600
        refused = sum(store.refuses(made_up(number)) for number in range(100, 200))
        assert refused == 100 - BUDGET

    def test_over_the_budget_known_repositories_stay_readable_for_ever(self, store: Store) -> None:
        store.values[NAMES.targets(SITE)] = "[]"
        store.edge.settings(SITE)
        for hour in range(1, 5):
            store.clock.now += 3600
            for number in range(BUDGET):
                store.edge.settings(made_up(hour * 100 + number))
            assert store.refuses(OTHER)
            store.values[NAMES.targets(SITE)] = f"[{hour}]"
            assert store.edge.settings(SITE).targets == f"[{hour}]"

    def test_over_the_budget_pins_stay_readable(self, store: Store) -> None:
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

    def test_verified_sender_reads_again_though_strangers_have_spent_the_budget(
        self, store: Store
    ) -> None:
        store.spend_the_budget()
        again = [store.edge.settings_again(SITE, is_verified=True) for _ in range(100)]
        assert sum(settings is not None for settings in again) == VERIFIED_BUDGET
        assert store.calls == BUDGET + VERIFIED_BUDGET
        store.clock.now += 1
        assert store.edge.settings_again(SITE, is_verified=True) is not None

    def test_verified_senders_spend_nothing_of_the_others_budget(self, store: Store) -> None:
        for _ in range(100):
            store.edge.settings_again(SITE, is_verified=True)
        assert not any(store.refuses(made_up(number)) for number in range(BUDGET))

    def test_over_the_budget_nothing_is_read_again(self, store: Store) -> None:
        store.spend_the_budget()
        assert store.edge.settings_again(SITE) is None
        assert store.calls == BUDGET

    def test_without_a_repository_there_is_one_name_and_no_stranger_s(self, store: Store) -> None:
        store.spend_the_budget()
        store.values[NAMES.webhook_secret] = "default"
        for _ in range(100):
            assert store.edge.settings(None).secrets == (b"default",)
        assert store.calls == BUDGET + 1


class TestParameterStoreList:
    """The repositories that have targets, listed where the budget is spent."""

    SECOND = 1 / 50  # strangers send fifty a second

    def made_up_ones(self, store: Store, seconds: int, first: int = 0) -> None:
        """Deliveries of made-up repositories, all the time."""
        for number in range(round(seconds / self.SECOND)):
            store.clock.now += self.SECOND
            store.refuses(made_up(first + number))

    @pytest.mark.parametrize("seconds", [0, 1, 45, 600])
    def test_known_repository_is_read_however_many_are_made_up(
        self, store: Store, seconds: int
    ) -> None:
        store.values[NAMES.targets(SITE)] = "[]"
        store.spend_the_budget()
        self.made_up_ones(store, seconds)
        assert store.refuses(OTHER)
        assert store.edge.settings(SITE).targets == "[]"

    def test_made_up_ones_cost_the_budget_and_a_list_a_minute(self, store: Store) -> None:
        store.values[NAMES.targets(SITE)] = "[]"
        self.made_up_ones(store, 600)
        assert store.calls <= BUDGET + 600
        assert store.lists <= 2 * (600 / REMEMBERED_SECONDS)

    def test_where_the_budget_is_not_spent_nothing_is_listed(self, store: Store) -> None:
        for number in range(BUDGET):
            store.edge.settings(made_up(number))
        assert store.lists == 0

    def test_known_ones_that_strangers_name_are_each_read_once_a_minute(self, store: Store) -> None:
        for number in range(REMEMBERED_REPOSITORIES):
            store.values[NAMES.targets(made_up(number))] = "[]"
        store.spend_the_budget()
        before = store.calls
        for number in range(4 * REMEMBERED_REPOSITORIES):
            store.clock.now += REMEMBERED_SECONDS / 2 / REMEMBERED_REPOSITORIES
            store.edge.settings(made_up(number % REMEMBERED_REPOSITORIES))
        assert store.calls - before <= 2 * REMEMBERED_REPOSITORIES

    def test_wrong_signatures_of_a_known_one_keep_it_from_nothing(self, store: Store) -> None:
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
        self.made_up_ones(store, round(REMEMBERED_SECONDS) + 1)
        assert not store.refuses(SITE)

    def test_so_many_are_listed_page_by_page_and_no_more(self, store: Store) -> None:
        for number in range(REMEMBERED_REPOSITORIES + 200):
            store.values[NAMES.targets(made_up(number))] = "[]"
        store.spend_the_budget()
        assert not store.refuses(made_up(REMEMBERED_REPOSITORIES - 1))
        assert store.refuses(made_up(REMEMBERED_REPOSITORIES + 199))
        assert store.lists == 1 + REMEMBERED_REPOSITORIES / NAMES_A_PAGE

    def test_list_that_fails_is_told_and_asked_for_once_a_second(self, store: Store) -> None:
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
    def test_aws_s_own_filters_find_them_among_all_else(self) -> None:
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
    def test_memory_is_bounded_however_many_repositories_are_made_up(self, store: Store) -> None:
        for number in range(2 * REMEMBERED_REPOSITORIES):
            store.clock.now += 1
            store.edge.settings(made_up(number))
        assert len(store.edge._memory) == REMEMBERED_REPOSITORIES

    def test_made_up_repositories_never_push_a_known_one_out(self, store: Store) -> None:
        store.values[NAMES.targets(SITE)] = "[]"
        store.edge.settings(SITE)
        for number in range(2 * REMEMBERED_REPOSITORIES):
            store.clock.now += 1
            store.edge.settings(made_up(number))
        store.clock.now += BUDGET
        store.spend_the_budget()
        assert store.refuses(OTHER)
        assert store.edge.settings(SITE).targets == "[]"

    def test_among_known_ones_the_longest_unused_goes(self, store: Store) -> None:
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
    def test_names_are_asked_for_in_pages_of_ten(
        self, store: Store, count: int, calls: int
    ) -> None:
        targets = [f"web-{number}" for number in range(count)]
        store.edge.pins(targets)
        pages = store.names_asked()
        assert len(pages) == calls
        assert all(len(page) <= 10 for page in pages)
        assert [name for page in pages for name in page] == [
            NAMES.document,
            *(NAMES.pin(target) for target in targets),
        ]

    def test_page_that_fails_fails_all_because_a_pin_may_be_on_it(self, store: Store) -> None:
        answer, pages = store.wire.reply, iter([True, False])
        assert callable(answer)
        store.wire.reply = lambda operation, arguments: (
            answer(operation, arguments) if next(pages) else aws_error("AccessDeniedException")
        )
        with pytest.raises(RefusedError):
            store.edge.pins([f"web-{number}" for number in range(10)])


class TestParameterStoreErrors:
    @pytest.mark.parametrize("read", ["settings", "settings_again", "pins", "report_settings"])
    def test_refusal_is_told_without_aws_s_words_and_logged_with_them(
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
    def test_answer_that_leaves_a_pin_out_is_none_since_it_may_say_frozen(
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

    def test_failure_keeps_what_was_known_before_and_needs_no_budget(self, store: Store) -> None:
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

    def test_late_attempt_is_told_as_it_is(self, store: Store) -> None:
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
    def test_it_has_its_size_at_once_and_no_more(self) -> None:
        budget = Budget(FakeClock(), size=3)
        assert [budget.spend() for _ in range(5)] == [True, True, True, False, False]

    def test_reserve_is_left_to_those_who_ask_for_none(self) -> None:
        budget = Budget(FakeClock(), size=3)
        assert [budget.spend(reserve=2) for _ in range(3)] == [True, False, False]
        assert [budget.spend() for _ in range(3)] == [True, True, False]

    def test_part_of_a_second_is_not_lost_to_being_asked_often(self) -> None:
        clock = FakeClock()
        budget = Budget(clock, size=1)
        assert budget.spend()
        answers = []
        for _ in range(8):
            clock.now += 0.25
            answers.append(budget.spend())
        assert answers == [False, False, False, True] * 2

    def test_asking_in_vain_costs_nothing(self) -> None:
        clock = FakeClock()
        budget = Budget(clock, size=1)
        budget.spend()
        for _ in range(100):
            budget.spend()
        clock.now += 1
        assert budget.spend()
