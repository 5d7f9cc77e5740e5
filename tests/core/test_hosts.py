"""Hosts: a target has the hosts that SendCommand would find, and only hosts of its stage."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.hosts import Fleet, Host
from chalicelib.core.refs import Branch
from chalicelib.core.targets import Instances, Target
from tests.fakes import SITE

WEB = Target(
    name="web",
    repository=SITE,
    branch=Branch("main"),
    instances=Instances(tags=(("role", ("web",)),)),
    checkout="/srv/site",
)
TAGS = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz"))
SELECTED = st.dictionaries(
    st.sampled_from("abc"), st.lists(st.sampled_from("xyz"), min_size=1), min_size=1
)


def host(number: int, name: str = "", *, stage: str = "dev", **tags: str) -> Host:
    return Host(f"i-{number:017x}", name or f"web-{number}", {"pulley": stage} | tags)


def names(fleet: Fleet, instances: Instances) -> list[str]:
    return [one.name for one in fleet.of(replace(WEB, instances=instances))]


class TestFleetOf:
    def test_hosts_with_the_target_s_tag_are_returned_in_order_of_name(self) -> None:
        fleet = Fleet(
            [
                host(1, "web-b", role="web"),
                host(2, "web-a", role="web"),
                host(3, "api", role="api"),
                host(4, "bare"),
            ],
            "dev",
        )
        assert [one.name for one in fleet.of(WEB)] == ["web-a", "web-b"]

    def test_hosts_with_the_same_name_are_returned_in_order_of_id(self) -> None:
        fleet = Fleet([host(2, "web", role="web"), host(1, "web", role="web")], "dev")
        assert [one.instance_id[-1] for one in fleet.of(WEB)] == ["1", "2"]

    def test_offline_host_is_included(self) -> None:
        asleep = replace(host(1, role="web"), is_online=False)
        assert Fleet([asleep], "dev").of(WEB) == [asleep]

    def test_host_of_another_stage_is_excluded_even_by_its_id(self) -> None:
        other = host(1, role="web", stage="prod")
        untagged = Host("i-0", "bare", {"role": "web"})
        fleet = Fleet([other, untagged], "dev")
        assert list(fleet.of(WEB)) == []
        assert names(fleet, Instances(ids=(other.instance_id, "i-0"))) == []

    def test_hosts_with_the_target_s_ids_are_included_with_any_tags(self) -> None:
        fleet = Fleet([host(1), host(2, role="web"), host(3)], "dev")
        ids = Instances(ids=(host(3).instance_id, host(1).instance_id))
        assert names(fleet, ids) == ["web-1", "web-3"]

    def test_id_without_a_host_is_ignored(self) -> None:
        ids = Instances(ids=(host(1).instance_id, host(2).instance_id))
        assert names(Fleet([host(2)], "dev"), ids) == ["web-2"]

    def test_host_must_match_one_value_of_each_tag(self) -> None:
        fleet = Fleet(
            [
                host(1, role="web", zone="a"),
                host(2, role="web", zone="b"),
                host(3, role="web", zone="c"),
                host(4, role="api", zone="a"),
                host(5, zone="a"),
            ],
            "dev",
        )
        tags = Instances(tags=(("role", ("web",)), ("zone", ("a", "b"))))
        assert names(fleet, tags) == ["web-1", "web-2"]

    def test_duplicate_tag_value_finds_a_host_once(self) -> None:
        fleet = Fleet([host(1, role="web")], "dev")
        assert names(fleet, Instances(tags=(("role", ("web", "web")),))) == ["web-1"]

    def test_tags_that_no_host_has_find_no_host(self) -> None:
        assert list(Fleet([host(1)], "dev").of(WEB)) == []

    def test_target_without_tags_and_ids_has_no_hosts(self) -> None:
        assert names(Fleet([host(1)], "dev"), Instances()) == []

    @given(st.lists(TAGS), SELECTED)
    def test_hosts_found_by_tags_equal_a_search_through_all_hosts(
        self, tags: list[dict[str, str]], selected: dict[str, list[str]]
    ) -> None:
        hosts = [host(number, **of_host) for number, of_host in enumerate(tags)]
        instances = Instances(tags=tuple((key, tuple(of)) for key, of in selected.items()))
        found = {
            one.instance_id for one in Fleet(hosts, "dev").of(replace(WEB, instances=instances))
        }
        assert found == {
            one.instance_id
            for one in hosts
            if all(one.tags.get(key) in values for key, values in selected.items())
        }
