from dataclasses import replace
from itertools import permutations

import pytest

from chalicelib.core.hosts import Fleet, Host
from chalicelib.core.targets import Instances, Target, parse_target
from pulley.operator.targets.overlaps import (
    may_meet_on_hosts,
    overlaps_by_selectors,
    overlaps_on_hosts,
    path_of,
)
from tests.fakes import STAGE, target_json

WEB = parse_target("targets.web", target_json())
A, B, C = "i-0000000000000000a", "i-0000000000000000b", "i-0000000000000000c"


def target(
    name: str, checkout: str = "/srv/site", *, ids: tuple[str, ...] = (), **tags: str
) -> Target:
    """A target by ids, or by tags, whose values are separated by a space."""
    chosen = tuple((key, tuple(values.split())) for key, values in sorted(tags.items()))
    return replace(WEB, name=name, checkout=checkout, instances=Instances(chosen, ids))


def how(*targets: Target) -> list[str]:
    return [one.how for one in overlaps_by_selectors(targets)]


def host(number: int, **tags: str) -> Host:
    return Host(f"i-{number:017x}", f"web-{number}", {"pulley": STAGE, **tags})


class TestPathOf:
    @pytest.mark.parametrize("text", ["/srv/site", "/srv/site/", "//srv//site", "/./srv/./site/."])
    def test_spellings_of_one_path_are_equal(self, text: str) -> None:
        assert path_of(text) == "/srv/site"

    @pytest.mark.parametrize("text", ["/srv/Site", "/srv/site.git", "/srv/site/x", "/srv/.site"])
    def test_other_paths_differ(self, text: str) -> None:
        assert path_of(text) != "/srv/site"


class TestOverlapsBySelectors:
    def test_same_selectors_overlap_in_any_order(self) -> None:
        one, other = (
            target("web", role="web cron", env="prod"),
            target("api", role="cron web", env="prod"),
        )
        (overlap,) = overlaps_by_selectors([one, other])
        assert overlap.words == (
            "/srv/site is the checkout of api of octo/site too, and they have the same instances"
        )
        assert overlap.problem().startswith(
            f"targets.web.checkout: {overlap.words}: a checkout has"
        )

    def test_other_checkout_never_overlaps(self) -> None:
        assert how(target("web", role="web"), target("api", "/srv/api", role="web")) == []

    @pytest.mark.parametrize(
        "inner",
        [
            target("inner", role="web"),
            target("inner", role="web cron", env="prod"),
            target("inner", role="cron", env="x"),
        ],
    )
    def test_selectors_that_include_others_overlap(self, inner: Target) -> None:
        wide = target("wide", role="web cron")
        words = ["and the instances of inner are among those of wide"]
        assert [how(*pair) for pair in permutations([wide, inner])] == [words, words]

    def test_targets_with_a_common_id_overlap(self) -> None:
        one, other = target("web", ids=(A, B)), target("api", ids=(B, C))
        assert how(one, other) == [f"and they have {B} in common"]
        assert how(one, target("api", ids=(C,))) == []

    @pytest.mark.parametrize(
        "other",
        [
            target("api", env="prod"),
            target("api", role="api cron"),
            target("api", role="web", env="prod"),
            target("api", ids=(A,)),
        ],
    )
    def test_overlap_that_depends_on_the_instances_is_left_open(self, other: Target) -> None:
        web = target("web", role="web cron", size="big")
        assert how(web, other) == []
        assert may_meet_on_hosts([web, other])

    def test_tags_that_exclude_each_other_need_no_check_of_instances(self) -> None:
        web, api = target("web", role="web", env="prod"), target("api", role="api", size="big")
        assert how(web, api) == []
        assert not may_meet_on_hosts([web, api])

    def test_overlap_with_a_target_missing_in_the_file_suggests_prune(self) -> None:
        (overlap,) = overlaps_by_selectors([target("web", role="web"), target("old", role="web")])
        assert overlap.problem({"old", "x"}).endswith(
            "instances. The file does not have old: --prune removes it"
        )

    def test_overlap_between_two_other_targets_is_not_reported(self) -> None:
        web, api = target("web", role="web"), target("api", role="web")
        assert list(overlaps_by_selectors([], [web, api])) == []
        (overlap,) = overlaps_by_selectors([web], [api])
        assert (overlap.one.name, overlap.other.name) == ("web", "api")


class TestOverlapsOnHosts:
    def on_hosts(self, one: Target, other: Target, *hosts: Host) -> list[str]:
        return [found.how for found in overlaps_on_hosts([one, other], (), Fleet(hosts, STAGE))]

    def test_host_of_both_targets_is_named(self) -> None:
        web, prod = target("web", role="web"), target("prod", env="prod")
        apart = [host(1, role="web"), host(2, env="prod")]
        assert self.on_hosts(web, prod, *apart) == []
        said = self.on_hosts(web, prod, *apart, host(3, role="web", env="prod"))
        assert said == ["and they have the host web-3 (i-00000000000000003) in common"]

    def test_only_some_of_many_hosts_are_named(self) -> None:
        hosts = [host(number, role="web", env="prod") for number in range(5)]
        (said,) = self.on_hosts(target("web", role="web"), target("prod", env="prod"), *hosts)
        assert said.endswith("web-2 (i-00000000000000002), 2 more in common")

    def test_host_with_one_target_s_id_and_the_other_s_tags_belongs_to_both(self) -> None:
        by_id, by_tag = target("one", ids=(host(1).instance_id,)), target("web", role="web")
        assert self.on_hosts(by_id, by_tag, host(1, role="api"), host(2, role="web")) == []
        assert len(self.on_hosts(by_id, by_tag, host(1, role="web"))) == 1

    def test_host_of_another_stage_does_not_count(self) -> None:
        other = replace(host(1), tags={"pulley": "prod", "role": "web", "env": "prod"})
        assert self.on_hosts(target("web", role="web"), target("prod", env="prod"), other) == []

    def test_overlap_by_selectors_is_not_reported_again_for_hosts(self) -> None:
        web, api = target("web", role="web"), target("api", role="web")
        assert self.on_hosts(web, api, host(1, role="web")) == []
