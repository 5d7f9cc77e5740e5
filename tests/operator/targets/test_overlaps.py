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
    """By ids, or by tags, whose values are separated by a space."""
    chosen = tuple((key, tuple(values.split())) for key, values in sorted(tags.items()))
    return replace(WEB, name=name, checkout=checkout, instances=Instances(chosen, ids))


def how(*targets: Target) -> list[str]:
    return [one.how for one in overlaps_by_selectors(targets)]


def host(number: int, **tags: str) -> Host:
    return Host(f"i-{number:017x}", f"web-{number}", {"pulley": STAGE, **tags})


class TestPathOf:
    @pytest.mark.parametrize("text", ["/srv/site", "/srv/site/", "//srv//site", "/./srv/./site/."])
    def test_one_path_is_one_path_however_it_is_written(self, text: str) -> None:
        assert path_of(text) == "/srv/site"

    @pytest.mark.parametrize("text", ["/srv/Site", "/srv/site.git", "/srv/site/x", "/srv/.site"])
    def test_another_one_is_another(self, text: str) -> None:
        assert path_of(text) != "/srv/site"


class TestOverlapsBySelectors:
    def test_same_selectors_meet_in_whatever_order_they_are_written(self) -> None:
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

    def test_another_checkout_never_meets(self) -> None:
        assert how(target("web", role="web"), target("api", "/srv/api", role="web")) == []

    @pytest.mark.parametrize(
        "inner",
        [
            target("inner", role="web"),
            target("inner", role="web cron", env="prod"),
            target("inner", role="cron", env="x"),
        ],
    )
    def test_selectors_that_include_others_meet(self, inner: Target) -> None:
        wide = target("wide", role="web cron")
        words = ["and the instances of inner are among those of wide"]
        assert [how(*pair) for pair in permutations([wide, inner])] == [words, words]

    def test_ids_meet_in_one_of_them(self) -> None:
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
    def test_what_only_instances_can_tell_is_left_open(self, other: Target) -> None:
        web = target("web", role="web cron", size="big")
        assert how(web, other) == []
        assert may_meet_on_hosts([web, other])

    def test_tags_that_exclude_each_other_need_no_look_at_instances(self) -> None:
        web, api = target("web", role="web", env="prod"), target("api", role="api", size="big")
        assert how(web, api) == []
        assert not may_meet_on_hosts([web, api])

    def test_target_that_only_the_store_has_is_told_with_what_removes_it(self) -> None:
        (overlap,) = overlaps_by_selectors([target("web", role="web"), target("old", role="web")])
        assert overlap.problem({"old", "x"}).endswith(
            "instances. The file does not have old: --prune removes it"
        )

    def test_others_are_not_looked_at_among_themselves(self) -> None:
        web, api = target("web", role="web"), target("api", role="web")
        assert list(overlaps_by_selectors([], [web, api])) == []
        (overlap,) = overlaps_by_selectors([web], [api])
        assert (overlap.one.name, overlap.other.name) == ("web", "api")


class TestOverlapsOnHosts:
    def on_hosts(self, one: Target, other: Target, *hosts: Host) -> list[str]:
        return [found.how for found in overlaps_on_hosts([one, other], (), Fleet(hosts, STAGE))]

    def test_host_of_both_is_named(self) -> None:
        web, prod = target("web", role="web"), target("prod", env="prod")
        apart = [host(1, role="web"), host(2, env="prod")]
        assert self.on_hosts(web, prod, *apart) == []
        said = self.on_hosts(web, prod, *apart, host(3, role="web", env="prod"))
        assert said == ["and they have the host web-3 (i-00000000000000003) in common"]

    def test_of_many_hosts_some_are_named(self) -> None:
        hosts = [host(number, role="web", env="prod") for number in range(5)]
        (said,) = self.on_hosts(target("web", role="web"), target("prod", env="prod"), *hosts)
        assert said.endswith("web-2 (i-00000000000000002), 2 more in common")

    def test_host_with_one_s_id_and_the_other_s_tags_is_of_both(self) -> None:
        by_id, by_tag = target("one", ids=(host(1).instance_id,)), target("web", role="web")
        assert self.on_hosts(by_id, by_tag, host(1, role="api"), host(2, role="web")) == []
        assert len(self.on_hosts(by_id, by_tag, host(1, role="web"))) == 1

    def test_host_of_another_stage_is_nobody_s(self) -> None:
        other = replace(host(1), tags={"pulley": "prod", "role": "web", "env": "prod"})
        assert self.on_hosts(target("web", role="web"), target("prod", env="prod"), other) == []

    def test_what_selectors_show_is_not_told_twice(self) -> None:
        web, api = target("web", role="web"), target("api", role="web")
        assert self.on_hosts(web, api, host(1, role="web")) == []
