"""A wake: what Chalice's handler gets, and which events start a round for one repository."""

from typing import Any

import pytest
from chalice.app import CloudWatchEvent
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.refs import InstanceId, Repository
from chalicelib.core.wake import WakeError, build_wake, parse_wake, reconciler_name
from pulley.operator.stage.settings import RECONCILE, function_name
from pulley.sandbox.sandbox import SCHEDULED
from tests.fakes import SITE

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def wake(**changes: object) -> dict[str, object]:
    return build_wake(SITE) | {name.replace("_", "-"): value for name, value in changes.items()}


class TestBuildWake:
    def test_wake_names_its_source_its_type_and_the_repository(self) -> None:
        event = build_wake(SITE)
        assert (event["source"], event["detail-type"]) == ("pulley", "Wake")
        assert event["detail"] == {"repository": "octo/site"}

    def test_chalice_reads_a_wake_as_the_schedule_s_event(self) -> None:
        event: Any = CloudWatchEvent(build_wake(SITE), None)
        assert (event.source, event.detail_type) == ("pulley", "Wake")
        assert build_wake(SITE).keys() == SCHEDULED.keys()


class TestParseWake:
    def test_wake_gives_its_repository(self) -> None:
        assert parse_wake(build_wake(SITE)) == SITE

    def test_wake_of_a_host_gives_its_instance(self) -> None:
        event = build_wake(InstanceId("i-0123456789abcdef0"))
        assert event["detail"] == {"instance": "i-0123456789abcdef0"}
        found = parse_wake(event)
        assert isinstance(found, InstanceId)
        assert found == "i-0123456789abcdef0"

    @pytest.mark.parametrize("name", ["", "web-1", "i-", "i-0123456789abcdef0\n", "i-*"])
    def test_wake_of_no_instance_is_an_error(self, name: str) -> None:
        with pytest.raises(WakeError, match="the instance of a wake must be like i-0abc"):
            parse_wake(wake(detail={"instance": name}))

    def test_repository_is_read_in_lower_case(self) -> None:
        assert parse_wake(wake(detail={"repository": "Octo/Site"})) == Repository("octo", "site")

    @pytest.mark.parametrize(
        "event",
        [
            SCHEDULED,
            wake(source="aws.events"),
            wake(source=["pulley"]),
            wake(detail_type="Scheduled Event"),
            wake(detail_type=None),
            {},
            [],
            None,
            "Wake",
        ],
    )
    def test_other_event_is_no_wake(self, event: object) -> None:
        assert parse_wake(event) is None

    @given(ANYTHING)
    def test_event_of_any_other_shape_is_no_wake(self, event: object) -> None:
        assert parse_wake(event) is None

    @pytest.mark.parametrize("detail", [None, "octo/site", [], {}, {"repository": None}])
    def test_wake_without_a_repository_is_an_error(self, detail: object) -> None:
        with pytest.raises(WakeError, match="a wake must name a repository, not None"):
            parse_wake(wake(detail=detail))

    @pytest.mark.parametrize("name", ["", "site", "octo/", "octo/../site", "octo/site\n", "*/*"])
    def test_wake_of_an_invalid_repository_is_an_error(self, name: str) -> None:
        with pytest.raises(WakeError, match="the repository of a wake must be owner/repository"):
            parse_wake(wake(detail={"repository": name}))

    @given(ANYTHING.filter(lambda name: not isinstance(name, str)))
    def test_repository_of_any_other_shape_is_an_error(self, name: object) -> None:
        with pytest.raises(WakeError):
            parse_wake(wake(detail={"repository": name}))


class TestReconcilerName:
    @pytest.mark.parametrize("stage", ["dev", "prod", "prod-eu"])
    def test_name_is_the_function_s_name_at_chalice(self, stage: str) -> None:
        assert reconciler_name(stage) == function_name("pulley", stage, RECONCILE)
