"""Targets: what an operator may write. All problems are reported together, each with its path."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.gates import Gates
from chalicelib.core.refs import Branch, Repository
from chalicelib.core.targets import (
    Instances,
    Target,
    TargetsError,
    match_targets,
    parse_stored_targets,
    parse_target,
)
from chalicelib.core.windows import Window
from tests.fakes import SITE, target_json

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
REQUIRED = ("name", "repository", "branch", "instances", "checkout")
STEPS = ("update", "after_pull", "restart", "health_check")
ROLL_OUT = (
    "max_concurrency",
    "max_errors",
    "environment",
    "timeout",
    "log_group",
    "recheck",
    "saved",
    "paths",
    "url",
    "badge",
    "clone",
    "owner",
    "launch",
    "drain",
    "before_restart",
    "after_healthy",
    "layout",
)
GROUP, OTHER_GROUP = (
    f"arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/{name}/0123456789abcdef"
    for name in ("web", "api")
)
GATES = ("checks", "after", "soak", "trigger", "window")
TAGS = ("tag", "releases")
RELEASES = ("keep", "shared")
KEYS = REQUIRED + TAGS + STEPS + ROLL_OUT + GATES + RELEASES


def problems_of(**changes: object) -> tuple[str, ...]:
    """The problems of a target with these changes; empty if the target is valid."""
    try:
        parse_target("targets.web", target_json(**{"name": "web"} | changes))
    except TargetsError as error:
        return error.problems
    return ()


class TestParseTarget:
    def test_required_keys_alone_get_the_defaults(self) -> None:
        assert parse_target("targets.web", target_json()) == Target(
            name="web",
            repository=SITE,
            branch=Branch("main"),
            instances=Instances(tags=(("role", ("web",)),)),
            checkout="/srv/site",
            update="rebase",
            after_pull="",
            restart=(),
            health_check="",
            max_concurrency="50",
            max_errors="0",
            environment="web",
            timeout=600,
            log_group="",
        )

    def test_every_key_is_read(self) -> None:
        entry = {
            "name": "web-2",
            "repository": "Octo/Site",
            "branch": "release/1.2",
            "instances": {"ids": ["i-0123456789abcdef0", "mi-0123456789abcdef0", "i-01234567"]},
            "checkout": "/srv/site",
            "update": "reset",
            "after_pull": "deploy/after-pull",
            "restart": ["site.service", "worker@1.service"],
            "health_check": "http://127.0.0.1:8000/health",
            "max_concurrency": "25%",
            "max_errors": 1,
            "environment": "production (eu)",
            "timeout": 900,
            "log_group": "/pulley/site",
            "recheck": "90m",
            "saved": "fail",
            "paths": ["site/**", ":!site/docs/**"],
            "url": "https://site.example.com:8443/home?a=1",
            "badge": True,
            "clone": "git@github.com:octo/site.git",
            "owner": "deploy",
            "launch": "continue",
            "drain": {"target_group": [GROUP, OTHER_GROUP]},
            "before_restart": "deploy/before",
            "after_healthy": "deploy/after",
            "layout": "checkout",
            "checks": ["test", "ci/lint"],
            "after": ["staging"],
            "soak": "10m",
            "trigger": "push",
            "window": "Mon-Fri 09:00-17:00 Europe/Berlin",
        }
        # Some stand in place of a branch, and some go with the other layout.
        assert sorted([*entry, *TAGS, *RELEASES]) == sorted(KEYS)
        assert parse_target("targets.web-2", entry) == Target(
            name="web-2",
            repository=SITE,
            branch=Branch("release/1.2"),
            instances=Instances(ids=("i-0123456789abcdef0", "mi-0123456789abcdef0", "i-01234567")),
            checkout="/srv/site",
            update="reset",
            after_pull="deploy/after-pull",
            restart=("site.service", "worker@1.service"),
            health_check="http://127.0.0.1:8000/health",
            max_concurrency="25%",
            max_errors="1",
            environment="production (eu)",
            timeout=900,
            log_group="/pulley/site",
            recheck="90m",
            saved="fail",
            paths=("site/**", ":!site/docs/**"),
            url="https://site.example.com:8443/home?a=1",
            badge=True,
            clone="git@github.com:octo/site.git",
            owner="deploy",
            launch="continue",
            drain=(GROUP, OTHER_GROUP),
            before_restart="deploy/before",
            after_healthy="deploy/after",
            gates=Gates(
                checks=("test", "ci/lint"),
                after=("staging",),
                soak="10m",
                trigger="push",
                windows=(Window.parse("Mon-Fri 09:00-17:00 Europe/Berlin"),),
            ),
        )

    @pytest.mark.parametrize(
        "url",
        ["http://x.org", "https://", "https://x.org/a b", "javascript:alert(1)", "https://u@x"],
    )
    def test_url_that_is_not_plain_https_is_refused(self, url: str) -> None:
        (problem,) = problems_of(url=url)
        assert problem.startswith("targets.web.url: must be an https:// URL")

    def test_tags_are_sorted_and_one_value_is_a_list_of_one(self) -> None:
        target = parse_target(
            "targets.web", target_json(instances={"tags": {"role": ["a", "b"], "env": "x"}})
        )
        assert target.instances.tags == (("env", ("x",)), ("role", ("a", "b")))

    @pytest.mark.parametrize("entry", [None, [], "web", 1, [[]]])
    def test_anything_but_an_object_is_refused(self, entry: object) -> None:
        with pytest.raises(TargetsError, match=r"^targets\.web: must be an object, not "):
            parse_target("targets.web", entry)

    def test_all_missing_keys_are_reported_together(self) -> None:
        with pytest.raises(TargetsError) as caught:
            parse_target("targets.web", {})
        assert caught.value.problems == (
            "targets.web.name: is missing",
            "targets.web.repository: is missing",
            "targets.web.instances: is missing",
            "targets.web.checkout: is missing",
            "targets.web.branch: is missing (or tag, like v*)",
        )

    def test_unknown_key_is_refused_with_the_list_of_known_keys(self) -> None:
        known = ", ".join(sorted(KEYS))
        assert problems_of(brnach="main") == (
            f"targets.web: unknown key 'brnach'; the keys are {known}",
        )

    def test_all_problems_are_reported_together_each_with_its_path(self) -> None:
        problems = problems_of(
            repository="site",
            branch="-main",
            instances={"tags": {"role": [], "env": 1}},
            checkout="srv/site",
            update="merge",
            after_pull="../x",
            restart="site.service",
            health_check="ftp://x",
            max_concurrency=0,
            max_errors="-1",
            environment="",
            timeout="600",
            log_group="a b",
            more=1,
        )
        assert [problem.partition(": ")[0] for problem in problems] == [
            "targets.web.repository",
            "targets.web.branch",
            "targets.web.instances.tags.role",
            "targets.web.instances.tags.env",
            "targets.web.checkout",
            "targets.web.update",
            "targets.web.after_pull",
            "targets.web.restart",
            "targets.web.health_check",
            "targets.web.max_concurrency",
            "targets.web.max_errors",
            "targets.web.environment",
            "targets.web.timeout",
            "targets.web.log_group",
            "targets.web",
        ]

    def test_problem_has_the_path_the_rule_and_the_value(self) -> None:
        assert problems_of(checkout="srv/site") == (
            "targets.web.checkout: must be an absolute path, not 'srv/site'",
        )

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("name", "a"),
            ("name", "0" * 50),
            ("checkout", "/a"),
            ("checkout", "/" + "a" * 400),
            ("checkout", "/srv/..site/a..b"),
            ("after_pull", ""),
            ("after_pull", ".pulley/after"),
            ("restart", []),
            ("restart", ["a" * 100] * 3 + ["b" * 98]),
            ("restart", ["a" * 100 + ".service"]),
            ("restart", ["a"] * 10),
            ("restart", ["a", "b@1.c.service", "c.socket", "d.timer", "e.path"]),
            ("restart", ["rescue-boat", "my-emergency.service", "rescue.timer.service"]),
            ("health_check", ""),
            ("health_check", "https://example.com/health?deep=1&x=(2)"),
            ("max_concurrency", 1),
            ("max_concurrency", "9999999"),
            ("max_concurrency", "100%"),
            ("max_errors", 0),
            ("max_errors", "0%"),
            ("environment", "e" * 255),
            ("environment", "Produktion, größte"),
            ("environment", "🚀"),
            ("timeout", 30),
            ("timeout", 172_800),
            ("recheck", "15m"),
            ("recheck", "20d"),
            ("clone", ""),
            ("owner", ""),
            ("launch", "abandon"),
            ("launch", "continue"),
            ("log_group", ""),
            ("log_group", "l" * 512),
            ("instances", {"ids": ["i-01234567"] * 50}),
            ("instances", {"tags": {str(number): "x" for number in range(4)}}),
            ("instances", {"tags": {"k" * 128: ["v" * 256] * 50}}),
            (
                "instances",
                {"tags": {"aws:autoscaling:groupName": "web", "Größe @ a/b=c.d_e-f": "x"}},
            ),
        ],
    )
    def test_value_at_its_limit_is_accepted(self, key: str, value: object) -> None:
        assert problems_of(**{key: value}) == ()

    @pytest.mark.parametrize(
        ("key", "value", "reason"),
        [
            ("name", "", "must be up to 50 of a-z, 0-9 and -"),
            ("name", "Web", "must be up to 50 of a-z, 0-9 and -"),
            ("name", "-web", "must be up to 50 of a-z, 0-9 and -"),
            ("name", "0" * 51, "must be up to 50 of a-z, 0-9 and -"),
            ("name", None, "must be up to 50 of a-z, 0-9 and -, not None"),
            ("repository", "site", "must be owner/repository as on GitHub, not 'site'"),
            ("repository", ["octo/site"], "must be a string, not ['octo/site']"),
            ("branch", None, "must be a string, not None"),
            ("branch", 12, "must be a string, not 12"),
            ("branch", True, "must be a string, not True"),
            ("branch", "refs/heads/main", "must be a branch's short name"),
            ("checkout", "/", "must be an absolute path"),
            ("checkout", "/" + "a" * 401, "must be an absolute path"),
            ("checkout", "/srv/../etc", "must not have .. in it"),
            ("checkout", "/srv/..", "must not have .. in it"),
            ("checkout", "/srv/site\n", "must be an absolute path"),
            ("checkout", "/srv/$(id)", "must be an absolute path"),
            ("checkout", 7, "must be an absolute path"),
            ("update", "exact", "must be rebase or reset"),
            ("update", "check", "must be rebase or reset"),
            ("after_pull", "/bin/sh", "must be a path in the repository"),
            ("after_pull", "-x", "must be a path in the repository"),
            ("after_pull", "a/../../b", "must not have .. in it"),
            ("restart", [1], "must be a list of systemd units"),
            ("restart", ["-a"], "must be a list of systemd units"),
            ("restart", [""], "must be a list of systemd units"),
            ("restart", ["a,b"], "must be a list of systemd units"),
            ("restart", ["poweroff.target"], "must be a list of systemd units"),
            ("restart", ["a.service", "b.mount"], "must be a list of systemd units"),
            ("restart", ["a", "systemd-poweroff"], "must not have a unit that stops the machine"),
            ("restart", ["rescue.service"], "must not have a unit that stops the machine"),
            ("restart", ["debug-shell@1.x.timer"], "must not have a unit that stops the machine"),
            ("restart", ["initrd-cleanup.socket"], "must not have a unit that stops the machine"),
            ("restart", ["a" * 101], "must be a list of systemd units"),
            ("restart", ["a"] * 11, "must not have more than 10 units"),
            ("restart", ["a" * 100] * 3 + ["b" * 99], "must not have more than 401 characters"),
            ("health_check", "http://", "must be an http:// or https:// URL"),
            ("health_check", "file:///etc/passwd", "must be an http:// or https:// URL"),
            ("recheck", "14m", "must be a length of time like \"6h\", 15m to 20d, not '14m'"),
            ("recheck", "21d", "must be a length of time"),
            ("recheck", "6", "must be a length of time"),
            ("recheck", 6, "must be a length of time"),
            ("max_concurrency", "0", "must be a count or a percentage from 1, not '0'"),
            ("max_concurrency", "0%", "must be a count or a percentage from 1"),
            ("max_concurrency", "101%", "must be a count or a percentage from 1"),
            ("max_concurrency", "10000000", "must be a count or a percentage from 1"),
            ("max_concurrency", True, "must be a count or a percentage from 1, not True"),
            ("max_concurrency", 2.5, "must be a count or a percentage from 1"),
            ("max_concurrency", "٤", "must be a count or a percentage from 1"),
            ("max_errors", -1, "must be a count or a percentage from 0"),
            ("max_errors", "01", "must be a count or a percentage from 0"),
            ("environment", "e" * 256, "must be 1 to 255 characters on one line"),
            ("environment", "a\nb", "must be 1 to 255 characters on one line"),
            ("environment", "a\n", "must be 1 to 255 characters on one line"),
            ("environment", "a\ud83d", "must be 1 to 255 characters on one line"),
            ("environment", "\udfff", "must be 1 to 255 characters on one line"),
            ("timeout", 29, "must be a whole number of seconds, 30 to 172800, not 29"),
            ("timeout", 172_801, "must be a whole number of seconds, 30 to 172800"),
            ("timeout", 600.0, "must be a whole number of seconds, 30 to 172800"),
            ("timeout", True, "must be a whole number of seconds, 30 to 172800"),
            ("log_group", "l" * 513, "must be a CloudWatch log group"),
            ("launch", "retry", "must be abandon or continue"),
            ("launch", True, "must be abandon or continue"),
            ("instances", [], "must be an object, not []"),
            ("instances", {}, "must have either tags or ids"),
            (
                "instances",
                {"tags": {"role": "web"}, "ids": ["i-01234567"]},
                "must have either tags or ids",
            ),
            ("instances", {"names": ["web-1"]}, "unknown key 'names'; the keys are ids, tags"),
        ],
    )
    def test_value_beyond_its_limit_is_refused_with_the_rule(
        self, key: str, value: object, reason: str
    ) -> None:
        (problem,) = problems_of(**{key: value})
        assert problem.startswith(f"targets.web.{key}: {reason}")

    @pytest.mark.parametrize(
        "clone",
        [
            "git@github.com:octo/site.git",
            "git@github.com:Octo/Site",
            "github-site:octo/site",  # a Host of ~/.ssh/config
            "ssh://git@github.com/octo/site.git",
            "ssh://forgejo@git.example.com:2222/octo/site",
            "ssh://git.example.com/octo/site",
            "https://github.com/octo/site.git",
            "https://git.example.com:8443/octo/site.git",
        ],
    )
    def test_address_that_git_clones_from_is_accepted(self, clone: str) -> None:
        assert problems_of(clone=clone, owner="deploy") == ()

    @pytest.mark.parametrize(
        "clone",
        [
            *(
                "-oProxyCommand=x:octo/site",
                "git@-x:octo/site",
                "ssh://-x/octo/site",
                "a b:octo/site",
            ),
            *("https://x:hunter2@github.com/octo/site", "https://hunter2@github.com/octo/site"),
            *("ssh://git:hunter2@github.com/octo/site", "https://github.com/octo/site?t=hunter2"),
            *("http://github.com/octo/site", "git://github.com/octo/site", "file:///srv/octo/site"),
            *("ext::sh -c x octo/site", "/srv/octo/site", "../octo/site", "octo/site"),
            *("git@github.com:octo/site\n", "git@github.com:octo/$(id)", "git@github.com:octo/'"),
            7,
        ],
    )
    def test_other_address_is_refused_and_not_repeated(self, clone: object) -> None:
        (problem,) = problems_of(clone=clone, owner="deploy")
        assert problem.startswith("targets.web.clone: must be an address without a password, like")
        assert "hunter2" not in problem

    @pytest.mark.parametrize(
        "clone",
        [
            *("git@github.com:octo/other.git", "git@github.com:other/site", "https://x.org/octo/x"),
            # git would take these for a folder, a port or another path.
            *("github.com/octo/site", "ssh://github.com:octo/site", "https://github.com:octo/site"),
            *("github.com:22:octo/site", "github.com:22/octo/site"),
        ],
    )
    def test_address_that_does_not_lead_to_the_repository_is_refused(self, clone: str) -> None:
        assert problems_of(clone=clone, owner="deploy") == (
            "targets.web.clone: must end in the target's repository, after the host",
        )

    def test_long_address_is_refused(self) -> None:
        host = "h" * (180 - len(":octo/site"))
        assert problems_of(clone=f"{host}:octo/site", owner="deploy") == ()
        (problem,) = problems_of(clone=f"h{host}:octo/site", owner="deploy")
        assert problem == "targets.web.clone: must not have more than 180 characters"

    def test_clone_and_owner_need_each_other(self) -> None:
        assert problems_of(clone="git@github.com:octo/site.git") == (
            "targets.web.owner: is missing: clone needs the user who will own the checkout",
        )
        assert problems_of(owner="deploy") == (
            "targets.web.clone: is missing: owner is only for a host without a checkout",
        )

    @pytest.mark.parametrize("owner", ["deploy", "_www", "web-1", "a.b", "Deploy", "d" * 32])
    def test_name_of_a_linux_user_is_accepted(self, owner: str) -> None:
        assert problems_of(clone="git@github.com:octo/site.git", owner=owner) == ()

    @pytest.mark.parametrize(
        "owner", ["-x", "0", "1000", "a b", "a:b", "a/b", "d" * 33, "deploy\n", "größe", 7]
    )
    def test_what_is_no_user_s_name_is_refused(self, owner: object) -> None:
        (problem,) = problems_of(clone="git@github.com:octo/site.git", owner=owner)
        assert problem.startswith("targets.web.owner: must be the name of a Linux user, not ")

    def test_root_is_no_owner(self) -> None:
        (problem,) = problems_of(clone="git@github.com:octo/site.git", owner="root")
        assert problem.startswith("targets.web.owner: must not be root")

    def test_problems_of_a_clone_are_reported_with_the_others(self) -> None:
        problems = problems_of(clone="x", branch="-main", after_pull="../x")
        assert sorted(problem.partition(": ")[0] for problem in problems) == [
            *("targets.web.after_pull", "targets.web.branch"),
            *("targets.web.clone", "targets.web.owner"),
        ]

    @pytest.mark.parametrize(
        ("tags", "problem"),
        [
            ({}, ": must be 1 to 4 tags"),
            ([], ": must be 1 to 4 tags"),
            ("web", ": must be 1 to 4 tags"),
            ({str(number): "x" for number in range(5)}, ": must be 1 to 4 tags"),
            ({"pulley": "prod"}, ": must not have pulley: the stage's own tag is always asked for"),
            ({"": "x"}, ": must have keys that Systems Manager takes"),
            ({"k" * 129: "x"}, ": must have keys that Systems Manager takes"),
            ({"role": "x", "a+b": "x"}, ": must have keys that Systems Manager takes, 1 to 128 l"),
            *(
                ({key: "x"}, ": must have keys that Systems Manager takes")
                for key in ("a#b", "a%b", "a&b", "a,b", "role\n", "a\tb", "a*", "$x", "a'b")
            ),
            ({"role": []}, ".role: must be a tag's value or 1 to 50 of them, not []"),
            ({"role": [""]}, ".role: must be a tag's value or 1 to 50 of them"),
            ({"role": ["v" * 257]}, ".role: must be a tag's value or 1 to 50 of them"),
            ({"role": ["x"] * 51}, ".role: must be a tag's value or 1 to 50 of them"),
            ({"role": [1]}, ".role: must be a tag's value or 1 to 50 of them"),
            ({"role": None}, ".role: must be a tag's value or 1 to 50 of them"),
        ],
    )
    def test_tags_that_systems_manager_cannot_select_are_refused(
        self, tags: object, problem: str
    ) -> None:
        (found,) = problems_of(instances={"tags": tags})
        assert found.startswith("targets.web.instances.tags" + problem)

    @pytest.mark.parametrize(
        "ids",
        [
            [],
            ["i-01234567"] * 51,
            "i-01234567",
            ["i-0123456"],
            ["i-0123456789abcdef01"],
            ["mi-01234567"],
            ["i-0123456G"],
            ["i-01234567\n"],
            [1],
        ],
    )
    def test_invalid_instance_ids_are_refused(self, ids: object) -> None:
        (problem,) = problems_of(instances={"ids": ids})
        assert problem == (
            'targets.web.instances.ids: must be 1 to 50 instance ids, like ["i-0123456789abcdef0"]'
        )


class TestAroundARestart:
    """The keys for load balancers: each needs a restart."""

    @pytest.mark.parametrize(
        ("group", "read"),
        [
            (GROUP, (GROUP,)),
            ([GROUP], (GROUP,)),
            ([GROUP, OTHER_GROUP], (GROUP, OTHER_GROUP)),
            (GROUP.replace("arn:aws:", "arn:aws-us-gov:"),) * 2,
        ],
    )
    def test_target_groups_are_read(self, group: object, read: object) -> None:
        entry = target_json(
            restart=["site.service"], max_concurrency="25%", drain={"target_group": group}
        )
        assert parse_target("", entry).drain == (read if isinstance(read, tuple) else (read,))

    @pytest.mark.parametrize(
        ("key", "value", "words"),
        [
            ("drain", GROUP, "drain: must be an object"),
            ("drain", {}, "drain.target_group: is missing"),
            ("drain", {"target_group": "web"}, "drain.target_group: must be the ARN of a target"),
            ("drain", {"target_group": [GROUP] * 5}, "or 1 to 4 of them"),
            ("drain", {"target_group": []}, "must be the ARN of a target group"),
            ("drain", {"target_group": 7}, "must be the ARN of a target group"),
            ("drain", {"target_group": [GROUP, GROUP]}, "must not have the same target group"),
            (
                "drain",
                {"target_group": [GROUP, OTHER_GROUP.replace("eu-west-1", "eu-west-2")]},
                "drain.target_group: must be of one region",
            ),
            ("drain", {"target_group": f"{GROUP}\n"}, "must be the ARN of a target group"),
            ("before_restart", "../x", "before_restart: must not have .. in it"),
            ("after_healthy", "/bin/sh", "after_healthy: must be a path in the repository"),
        ],
    )
    def test_wrong_value_is_a_problem(self, key: str, value: object, words: str) -> None:
        stored = {"restart": ["site.service"], "max_concurrency": "25%", key: value}
        (problem,) = problems_of(**stored)
        assert words in problem

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("drain", {"target_group": GROUP}),
            ("before_restart", "deploy/before"),
            ("after_healthy", "deploy/after"),
        ],
    )
    def test_what_happens_around_a_restart_needs_one(self, key: str, value: object) -> None:
        words = f"targets.web.{key}: needs restart: it is for what happens around a restart"
        stored = {"max_concurrency": "25%", key: value}
        assert problems_of(**stored) == (words,)
        assert problems_of(**stored, restart=[]) == (words,)

    @pytest.mark.parametrize(
        ("key", "value"),
        [("drain", {"target_group": GROUP}), ("before_restart", "deploy/before")],
    )
    def test_how_many_hosts_leave_at_once_must_be_said(self, key: str, value: object) -> None:
        """Else up to fifty would: each of them sees the others in service."""
        (problem,) = problems_of(restart=["site.service"], **{key: value})
        words = "targets.web.max_concurrency: is needed with drain or before_restart: "
        assert problem.startswith(words)
        assert problems_of(restart=["site.service"], after_healthy="deploy/after") == ()


class TestReleases:
    def test_layout_has_how_many_stay_and_what_they_share(self) -> None:
        entry = target_json(layout="releases", keep=3, shared=["uploads/", ".env"])
        target = parse_target("targets.web", entry)
        assert (target.has_releases, target.keep, target.shared) == (True, 3, ("uploads/", ".env"))
        assert target.sent_update == "reset"

    def test_five_stay_and_nothing_is_shared_if_nothing_is_said(self) -> None:
        target = parse_target("targets.web", target_json(layout="releases", update="reset"))
        assert (target.keep, target.shared) == (5, ())
        assert not parse_target("targets.web", target_json()).has_releases

    def test_target_that_follows_a_tag_gets_it_in_release_folders_too(self) -> None:
        entry = target_json(layout="releases", tag="v*")
        del entry["branch"]
        assert parse_target("targets.web", entry).sent_update == "tag"

    @pytest.mark.parametrize(
        ("stored", "words"),
        [
            ({"layout": "folders"}, "layout: must be checkout or releases"),
            ({"keep": 3}, 'keep: needs layout = "releases"'),
            ({"shared": ["a"], "layout": "checkout"}, 'shared: needs layout = "releases"'),
            ({"update": "rebase", "layout": "releases"}, "update: nothing is rebased"),
            ({"paths": ["a/**"], "layout": "releases"}, "paths: cannot go with releases"),
            ({"keep": 0, "layout": "releases"}, "keep: must be 1 to 99, not 0"),
            ({"keep": True, "layout": "releases"}, "keep: must be 1 to 99"),
            ({"keep": 100, "layout": "releases"}, "keep: must be 1 to 99"),
        ],
    )
    def test_other_values_are_a_problem(self, stored: dict[str, object], words: str) -> None:
        (problem,) = problems_of(**stored)
        assert problem.startswith(f"targets.web.{words}")


class TestParseStoredTargets:
    def parse(self, *entries: object) -> tuple[Target, ...]:
        return parse_stored_targets(json.dumps(entries), SITE)

    def test_list_is_read_in_order(self) -> None:
        targets = self.parse(target_json("web"), target_json("api"))
        assert [target.name for target in targets] == ["web", "api"]

    def test_empty_list_is_no_targets(self) -> None:
        assert self.parse() == ()

    @pytest.mark.parametrize("text", ["", "{", "web", "[" * 10_000, "9" * 5_000])
    def test_text_that_is_not_json_is_refused(self, text: str) -> None:
        with pytest.raises(TargetsError, match=r"^targets: not JSON: "):
            parse_stored_targets(text, SITE)

    @pytest.mark.parametrize("text", ["{}", "null", '"web"', "1"])
    def test_json_that_is_not_a_list_is_refused(self, text: str) -> None:
        with pytest.raises(TargetsError, match=r"^targets: must be a list$"):
            parse_stored_targets(text, SITE)

    def test_problems_of_all_targets_are_reported_together(self) -> None:
        with pytest.raises(TargetsError) as caught:
            self.parse(
                target_json("web", timeout=1),
                target_json("api"),
                target_json("Bad", update="merge"),
                7,
            )
        problems = caught.value.problems
        assert [problem.partition(": ")[0] for problem in problems] == [
            "targets.web.timeout",
            "targets[2].name",
            "targets[2].update",
            "targets[3]",
        ]
        assert str(caught.value) == "; ".join(problems)

    def test_target_of_another_repository_is_refused(self) -> None:
        with pytest.raises(TargetsError) as caught:
            self.parse(target_json(repository="octo/other"))
        assert caught.value.problems == (
            "targets.web.repository: must be octo/site, under which it is stored",
        )

    def test_repository_in_another_case_is_the_same(self) -> None:
        assert self.parse(target_json(repository="Octo/SITE"))[0].repository == SITE

    def test_duplicate_name_is_refused(self) -> None:
        with pytest.raises(TargetsError) as caught:
            self.parse(target_json("web"), target_json("api"), target_json("web"))
        assert caught.value.problems == ("targets.web.name: another target has it already",)

    def test_targets_with_different_environments_are_accepted(self) -> None:
        targets = self.parse(
            target_json("web", environment="production"),
            target_json("api", environment="production (api)"),
            target_json("old"),
        )
        assert [target.environment for target in targets] == [
            "production",
            "production (api)",
            "old",
        ]

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ({"environment": "production"}, {"environment": "production"}),
            ({"environment": "production"}, {"environment": "Production"}),
            ({"environment": "api"}, {}),
            ({"environment": "API"}, {}),
            ({}, {"environment": "web"}),
        ],
    )
    def test_two_targets_with_the_same_environment_are_refused(
        self, first: dict[str, object], second: dict[str, object]
    ) -> None:
        with pytest.raises(TargetsError) as caught:
            self.parse(target_json("web", **first), target_json("api", **second))
        assert caught.value.problems == ("targets.api.environment: is the target web's already",)

    def test_duplicate_environments_are_reported_together_with_other_problems(
        self,
    ) -> None:
        shared = {"environment": "production"}
        with pytest.raises(TargetsError) as caught:
            self.parse(
                target_json("web", **shared),
                target_json("api", **shared),
                target_json("bad", timeout=1),
                target_json("job", **shared),
            )
        assert [problem.partition(": ")[0] for problem in caught.value.problems] == [
            "targets.bad.timeout",
            "targets.api.environment",
            "targets.job.environment",
        ]

    @pytest.mark.parametrize(
        "around",
        ["%s", '[{"name": %s}]', '[{"instances": {"tags": {"a": %s}}}]', '[{"restart": %s}]'],
    )
    @pytest.mark.parametrize("opening", ["[", '{"a":'])
    def test_deeply_nested_json_is_refused(self, around: str, opening: str) -> None:
        closing = "]" if opening == "[" else "}"
        # Nesting that json.loads just accepts may be too deep for the code that writes the problem.
        for depth in (*range(800, 1000), 10_000):
            nested = opening * depth + "1" + closing * depth
            with pytest.raises(TargetsError, match=r"^targets"):
                parse_stored_targets(around % nested, SITE)

    @given(
        JSON_VALUES
        | st.lists(
            st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS, JSON_VALUES))
            | st.tuples(st.sampled_from(KEYS), JSON_VALUES).map(
                lambda change: target_json(**{change[0]: change[1]})
            ),
            min_size=1,
            max_size=3,
        )
    )
    def test_any_stored_json_gives_targets_or_problems_with_paths(self, stored: object) -> None:
        problems: tuple[str, ...] = ()
        try:
            targets = parse_stored_targets(json.dumps(stored), SITE)
        except TargetsError as error:
            targets, problems = (), error.problems
        if problems:
            assert all(
                re.match(r"targets(\[\d+\]|\.[a-z0-9-]+|:)", problem) for problem in problems
            )
            assert all(": " in problem for problem in problems)
        else:
            assert isinstance(stored, list)
            assert len(targets) == len(stored)
            assert all(target.repository == SITE for target in targets)


class TestMatchTargets:
    MAIN = parse_target("", target_json("web"))
    ALSO_MAIN = parse_target("", target_json("api"))
    RELEASE = parse_target("", target_json("old", branch="release/1.2"))

    def match(self, ref: str) -> tuple[Target, ...]:
        return match_targets([self.MAIN, self.RELEASE, self.ALSO_MAIN], ref)

    def test_every_target_that_follows_the_branch_matches(self) -> None:
        assert self.match("refs/heads/main") == (self.MAIN, self.ALSO_MAIN)
        assert self.match("refs/heads/release/1.2") == (self.RELEASE,)

    @pytest.mark.parametrize(
        "ref",
        [
            "main",
            "refs/tags/main",
            "refs/heads/Main",
            "refs/heads/main2",
            "refs/heads/feature/main",
            "refs/heads/main\n",
            "refs/heads/refs/heads/main",
            "refs/heads/",
        ],
    )
    def test_ref_that_only_looks_like_the_branch_matches_nothing(self, ref: str) -> None:
        assert self.match(ref) == ()


class TestProblemsAcrossTargets:
    def test_wrong_repository_and_duplicate_name_are_reported_with_other_problems(self) -> None:
        entries = [
            {"name": "web", "repository": "octo/other", "checkout": "srv"},
            {"name": "web", "repository": "octo/site", "checkout": "srv"},
        ]
        with pytest.raises(TargetsError) as raised:
            parse_stored_targets(json.dumps(entries), Repository.parse("octo/site"))
        places = [problem for problem in raised.value.problems if "checkout: must" in problem]
        assert len(places) == 2
        assert "targets.web.repository: must be octo/site, under which it is stored" in str(
            raised.value
        )
        assert "targets.web.name: another target has it already" in str(raised.value)
