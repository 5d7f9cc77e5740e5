"""Parameter Store for a round: one suite for fake and real edge, then the real edge alone."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from botocore import xform_name
from botocore.exceptions import NoCredentialsError
from botocore.stub import Stubber

from chalicelib.core.errors import PulleyError, RefusedError, UnavailableError
from chalicelib.core.holds import Hold, RoundState
from chalicelib.core.refs import CommitSha, Repository
from chalicelib.core.stored import StoredPins, StoredReportSettings
from chalicelib.edges.parameters import BUDGET, NAMES_A_PAGE
from chalicelib.edges.round_parameters import RoundParameters
from tests.edges.clients import new_ssm
from tests.edges.parameter_store import BY_TOKENS_STORED, OTHER, OWN_SECRET, OWN_TOKEN, Stage
from tests.fakes import NAMES, SITE, STAGE, FakeClock, Reply, Wire, aws_error


class TestStoredEveryRepository:
    def test_stage_without_targets_gives_no_repository(self, stage: Stage) -> None:
        stage.store(NAMES.github_token, "default")
        stage.store(NAMES.pin("web"), "{}")
        assert stage.parameters.every_repository() == {}

    def test_repositories_with_targets_are_sorted_by_name(self, stage: Stage) -> None:
        stage.store(NAMES.targets(OTHER), "[1]")
        stage.store(NAMES.targets(SITE), "not even JSON")
        third = Repository("acme", "api")
        stage.store(NAMES.targets(third), "[3]")
        found = stage.parameters.every_repository()
        assert list(found.items()) == [
            (third, StoredReportSettings("", "[3]")),
            (OTHER, StoredReportSettings("", "[1]")),
            (SITE, StoredReportSettings("", "not even JSON")),
        ]

    def test_repository_without_targets_is_left_out(self, stage: Stage) -> None:
        stage.store(OWN_TOKEN, "own")
        stage.store(NAMES.repository_webhook_secret(OTHER), "secret")
        assert stage.parameters.every_repository() == {}

    @pytest.mark.parametrize("pruned", ["[]", " [\n]\n"])
    def test_repository_with_an_empty_list_of_targets_is_left_out(
        self, stage: Stage, pruned: str
    ) -> None:
        stage.store(NAMES.targets(SITE), pruned)
        stage.store(NAMES.targets(OTHER), "[1]")
        assert list(stage.parameters.every_repository()) == [OTHER]

    @pytest.mark.parametrize(("stored", "token"), BY_TOKENS_STORED)
    def test_own_token_of_the_repository_comes_before_the_default_token(
        self, stage: Stage, stored: Mapping[str, str], token: str
    ) -> None:
        stage.store(NAMES.targets(SITE), "[1]")
        for name, value in stored.items():
            stage.store(name, value)
        assert stage.parameters.every_repository() == {SITE: StoredReportSettings(token, "[1]")}

    def test_each_repository_gets_its_own_or_the_default_token(self, stage: Stage) -> None:
        stage.store(NAMES.targets(SITE), "[1]")
        stage.store(NAMES.targets(OTHER), "[1]")
        stage.store(NAMES.github_token, "default")
        stage.store(OWN_TOKEN, "own")
        found = stage.parameters.every_repository()
        assert [found[one].token for one in (SITE, OTHER)] == ["own", "default"]

    def test_repositories_are_never_remembered(self, stage: Stage) -> None:
        stage.parameters.every_repository()
        stage.store(NAMES.targets(SITE), "[1]")
        assert list(stage.parameters.every_repository()) == [SITE]

    def test_repositories_of_several_pages_are_all_read(self, stage: Stage) -> None:
        repositories = [Repository("octo", f"site-{number:03}") for number in range(60)]
        for number, repository in enumerate(repositories):
            stage.store(NAMES.targets(repository), f"[{number}]")
            stage.store(NAMES.repository_github_token(repository), f"token-{number}")
        assert stage.parameters.every_repository() == {
            repository: StoredReportSettings(f"token-{number}", f"[{number}]")
            for number, repository in enumerate(repositories)
        }


class TestStoredPins:
    def test_pins_of_targets_and_document_are_read_without_a_memory(self, stage: Stage) -> None:
        assert stage.parameters.pins(["web", "api"]) == StoredPins({}, None)
        stage.store(NAMES.pin("web"), "a")
        stage.store(NAMES.pin("else"), "c")
        stage.store(NAMES.document, "d")
        assert stage.parameters.pins(["web", "api"]) == StoredPins({"web": "a"}, "d")


class TestStoredState:
    def test_missing_state_is_empty(self, stage: Stage) -> None:
        assert stage.parameters.state() == RoundState()

    def test_last_stored_state_is_read(self, stage: Stage) -> None:
        hold = Hold(CommitSha("a" * 40), "cancelled", 5, good=CommitSha("b" * 40))
        for state in (RoundState("web"), RoundState("api", {"web": hold})):
            stage.parameters.store_state(state)
        assert stage.parameters.state() == state

    def test_name_stored_by_an_older_release_is_read_as_the_place(self, stage: Stage) -> None:
        stage.store(NAMES.reconcile, " web\n")
        assert stage.parameters.state() == RoundState("web")


class Listed:
    """RoundParameters on an AWS with these parameters, in pages of `page` names."""

    def __init__(self, values: Mapping[str, str], page: int = NAMES_A_PAGE) -> None:
        self.values = dict(values)
        self.page = page
        client = new_ssm()
        self.wire = Wire(self.answer)
        self.wire.attach(client.meta.events)
        self.edge = RoundParameters(client, STAGE, FakeClock())

    def answer(self, operation: str, arguments: Mapping[str, Any]) -> Reply:
        if operation == "GetParameters":
            known = [name for name in arguments["Names"] if name in self.values]
            found = [{"Name": name, "Value": self.values[name]} for name in known]
            missing = [name for name in arguments["Names"] if name not in known]
            return 200, {"Parameters": found, "InvalidParameters": missing}
        assert operation == "DescribeParameters"
        ((begin,),) = (one["Values"] for one in arguments["ParameterFilters"])
        names = [name for name in self.values if name.startswith(begin)]
        start = int(arguments.get("NextToken", 0))
        answer: dict[str, object] = {
            "Parameters": [{"Name": name} for name in names[start : start + self.page]]
        }
        if start + self.page < len(names):
            answer["NextToken"] = str(start + self.page)
        return 200, answer


class TestRoundParametersEveryRepository:
    def test_names_are_listed_by_prefix_and_not_by_path(self) -> None:
        store = Listed({NAMES.targets(SITE): "[1]", OWN_SECRET: "secret", OWN_TOKEN: "own"})
        store.edge.every_repository()
        assert store.wire.attempts == [
            (
                "DescribeParameters",
                {
                    "ParameterFilters": [
                        {
                            "Key": "Name",
                            "Option": "BeginsWith",
                            "Values": ["/pulley/dev/repositories/"],
                        }
                    ],
                    "MaxResults": 50,
                },
            ),
            (
                "GetParameters",
                {
                    "Names": [NAMES.github_token, NAMES.targets(SITE), OWN_TOKEN],
                    "WithDecryption": True,
                },
            ),
        ]

    @pytest.mark.parametrize("page", [1, 7, NAMES_A_PAGE])
    def test_all_pages_are_read_with_ten_values_a_call(self, page: int) -> None:
        count = 120
        repositories = [Repository("octo", f"site-{number:03}") for number in range(count)]
        store = Listed({NAMES.targets(one): f"of {one}" for one in repositories}, page)
        found = store.edge.every_repository()
        assert found == {one: StoredReportSettings("", f"of {one}") for one in repositories}
        assert store.wire.operations.count("DescribeParameters") == -(-count // page)
        asked = [one["Names"] for one in store.wire.arguments_of("GetParameters")]
        assert all(len(names) <= 10 for names in asked)
        assert len(asked) == 13

    def test_empty_page_does_not_end_the_list(self) -> None:
        store = Listed({NAMES.targets(SITE): "[1]"})

        def reply(operation: str, arguments: Mapping[str, Any]) -> Reply:
            if operation == "DescribeParameters" and "NextToken" not in arguments:
                return 200, {"Parameters": [], "NextToken": "0"}
            return store.answer(operation, arguments)

        store.wire.reply = reply
        assert list(store.edge.every_repository()) == [SITE]

    def test_stage_without_repositories_costs_one_call(self) -> None:
        store = Listed({NAMES.github_token: "default"})
        assert store.edge.every_repository() == {}
        assert store.wire.operations == ["DescribeParameters"]

    @pytest.mark.parametrize(
        "name",
        [
            "/pulley/dev/repositories/targets",
            "/pulley/dev/repositories/octo/targets",
            "/pulley/dev/repositories/octo/site/more/targets",
            "/pulley/dev/repositories/Octo/Site/targets",
            "/pulley/dev/repositories/octo/site/targets-of-old",
            "/pulley/dev/repositories/octo/../targets",
            "/pulley/dev/repositories//site/targets",
            "/pulley/prod/repositories/octo/site/targets",
        ],
    )
    def test_parameter_with_an_invalid_name_is_ignored(self, name: str) -> None:
        store = Listed({name: "[1]", NAMES.targets(OTHER): "[1]"})
        assert list(store.edge.every_repository()) == [OTHER]

    def test_targets_deleted_during_the_read_are_left_out(self) -> None:
        store = Listed({NAMES.targets(SITE): "[1]", NAMES.targets(OTHER): "[1]"})

        def reply(operation: str, arguments: Mapping[str, Any]) -> Reply:
            answer = store.answer(operation, arguments)
            store.values.pop(NAMES.targets(SITE), None)
            return answer

        store.wire.reply = reply
        assert list(store.edge.every_repository()) == [OTHER]

    def test_round_does_not_spend_the_budget_of_deliveries(self) -> None:
        store = Listed({NAMES.targets(SITE): "[1]"})
        for _ in range(2 * BUDGET):
            store.edge.every_repository()
        assert store.edge.settings(OTHER)


ROUND_READS: dict[str, tuple[str, Callable[[RoundParameters], object]]] = {
    "listing the parameters": ("DescribeParameters", lambda store: store.every_repository()),
    "reading parameters": ("GetParameters", lambda store: store.every_repository()),
    "storing what the next round needs": (
        "PutParameter",
        lambda store: store.store_state(RoundState("web")),
    ),
}


@pytest.mark.parametrize(("what", "failing"), ROUND_READS.items(), ids=ROUND_READS.keys())
class TestRoundParametersErrors:
    def error(
        self, failing: tuple[str, Callable[[RoundParameters], object]], failure: Reply
    ) -> PulleyError:
        """The error of a failed call; for paged calls, the second page fails."""
        operation, call = failing
        repositories = [Repository("octo", f"site-{number:03}") for number in range(20)]
        store = Listed({NAMES.targets(one): "[1]" for one in repositories}, page=10)
        asked: list[str] = []

        def reply(name: str, arguments: Mapping[str, Any]) -> Reply:
            asked.append(name)
            is_late = name == "PutParameter" or asked.count(name) > 1
            return failure if name == operation and is_late else store.answer(name, arguments)

        store.wire.reply = reply
        with pytest.raises(PulleyError) as caught:
            call(store.edge)
        return caught.value

    def test_refusal_names_the_call_and_keeps_the_message_in_its_detail(
        self, what: str, failing: tuple[str, Callable[[RoundParameters], object]]
    ) -> None:
        error = self.error(failing, aws_error("AccessDeniedException", message="on arn:aws:ssm"))
        assert isinstance(error, RefusedError)
        assert str(error) == f"AWS refused {what} (AccessDeniedException)"
        assert "on arn:aws:ssm" in error.detail

    def test_failure_before_the_network_is_unavailable(
        self, what: str, failing: tuple[str, Callable[[RoundParameters], object]]
    ) -> None:
        error = self.error(failing, NoCredentialsError())
        assert isinstance(error, UnavailableError)
        assert str(error) == f"AWS could not be reached for {what}"


@pytest.mark.parametrize(("what", "failing"), ROUND_READS.items(), ids=ROUND_READS.keys())
@pytest.mark.parametrize(
    ("code", "status"), [("ThrottlingException", 400), ("InternalServerError", 500)]
)
def test_busy_aws_is_unavailable_for_a_round(
    what: str,
    failing: tuple[str, Callable[[RoundParameters], object]],
    code: str,
    status: int,
) -> None:
    client = new_ssm()
    operation, call = failing
    with Stubber(client) as stubber:
        if operation == "GetParameters":
            names = [{"Name": NAMES.targets(SITE)}]
            stubber.add_response("describe_parameters", {"Parameters": names})
        stubber.add_client_error(xform_name(operation), code, http_status_code=status)
        edge = RoundParameters(client, STAGE, FakeClock())
        with pytest.raises(UnavailableError, match=f"AWS is too busy for {what}"):
            call(edge)
