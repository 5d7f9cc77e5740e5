"""The host leaves its load balancer around the restart, and comes back only when it is healthy.

`aws` stands in for the AWS command line: a target group is a file with a line for each target. The
sandbox has the same with the real command line and a balancer that requests go through.
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.host.conftest import Run, Site, own
from tests.processes import HANG_SECONDS

HOST, OTHER = "i-0123456789abcdef0", "i-0fedcba9876543210"
ARN = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup"
WEB, API = f"{ARN}/web/0123456789abcdef", f"{ARN}/api/0123456789abcdef"
UNIT = "site.service"
AWS = """
folder={folder}
verb=$2; shift 2
while [ $# -gt 0 ]; do
    case $1 in
        --region) region=$2 ;;
        --target-group-arn) group=${{2##*:targetgroup/}}; group=$folder/${{group%%/*}} ;;
        --targets) id=${{2%,*}} id=${{id#Id=}} port=${{2##*=}} ;;
    esac
    shift
done
[ "$region" = eu-west-1 ] || {{ echo "wrong region $region" >&2; exit 255; }}
fail() {{
    printf '\\nAn error occurred (%s)\\n' "$1" >&2
    exit 254
}}
[ ! -e "$folder/refuses-$verb" ] || fail "AccessDenied): not you"
[ -e "$group" ] || fail TargetGroupNotFound
case $verb in
    describe-target-health)
        tr ' ' '\\t' <"$group"
        # What was leaving has left at the next look, and what is new is healthy, if it may be.
        sed -i -e '/ draining/d' -e "s/ initial.*/ $(cat "$folder/health")/" "$group"
        ;;
    deregister-targets)
        echo "out ${{group##*/}} $port" >>{seen}
        sed -i "s/^$id $port .*/$id $port draining Target.DeregistrationInProgress/" "$group"
        ;;
    register-targets)
        echo "in ${{group##*/}} $port" >>{seen}
        sed -i "/^$id $port /d" "$group"
        echo "$id $port initial Elb.RegistrationInProgress" >>"$group"
        ;;
esac
"""


class Balancer:
    """The host's target groups, and what happened on the host, in order."""

    def __init__(self, site: Site) -> None:
        self.site, self.folder = site, site.root / "balancer"
        self.seen_file = site.root / "seen"
        self.folder.mkdir()
        own(self.folder)
        self.seen_file.touch()
        self.seen_file.chmod(0o666)
        site.tool("aws", AWS.format(folder=self.folder, seen=self.seen_file))
        self.restarts("exit 0")
        self.write("health", "healthy")
        for name in ("web", "api"):
            self.write(name, f"{HOST} 80 healthy\n{OTHER} 80 healthy\n")

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)
        own(self.folder / name)

    def restarts(self, script: str) -> None:
        self.site.tool("systemctl", f"echo restart >>{self.seen_file}\n{script}")

    def edits_aws(self, old: str, new: str) -> None:
        text = (self.site.tools / "aws").read_text()
        assert old in text
        self.site.write("aws", text.replace(old, new, 1), where=self.site.tools)

    def group(self, name: str = "web") -> str:
        return (self.folder / name).read_text()

    def seen(self) -> Sequence[str]:
        lines = self.seen_file.read_text().splitlines()
        self.seen_file.write_text("")
        return lines

    def pull(self, groups: str = WEB, **parameters: str) -> Run:
        values: dict[str, Any] = {"Restart": UNIT, "Drain": groups, **parameters}
        return self.site.pull(more_environ={"AWS_SSM_INSTANCE_ID": HOST}, **values)

    @property
    def note(self) -> Path:
        return self.site.checkout / ".git/pulley/drained"

    def is_in(self, name: str = "web") -> bool:
        return f"{HOST} 80 healthy" in self.group(name)


@pytest.fixture
def balancer(site: Site) -> Balancer:
    made = Balancer(site)
    made.pull().must_be("updated")
    made.seen()
    site.commit({"app.txt": "two\n"})
    return made


def is_noted(balancer: Balancer) -> bool:
    return balancer.note.exists() and balancer.note.stat().st_size > 0


class TestDrain:
    def test_host_is_out_during_the_restart_and_comes_back(self, balancer: Balancer) -> None:
        balancer.pull().must_be("updated")
        assert balancer.seen() == ["out web 80", "restart", "in web 80"]
        assert balancer.is_in()
        assert not is_noted(balancer)

    def test_nothing_new_asks_for_nothing(self, balancer: Balancer) -> None:
        balancer.pull()
        balancer.seen()
        balancer.site.tool("aws", f"echo asked >>{balancer.seen_file}")
        balancer.pull().must_be("unchanged")
        assert balancer.seen() == []

    def test_each_group_and_port_is_left_and_taken_up_again(self, balancer: Balancer) -> None:
        balancer.write("api", f"{HOST} 81 healthy\n{HOST} 82 healthy\n{OTHER} 81 healthy\n")
        balancer.pull(f"{WEB},{API}").must_be("updated")
        out = ["out web 80", "out api 81", "out api 82"]
        assert balancer.seen() == [*out, "restart", *(one.replace("out", "in") for one in out)]

    def test_programs_of_other_balancers_run_around_the_restart_as_the_owner(
        self, balancer: Balancer
    ) -> None:
        for name in ("before", "after"):
            script = f"#!/bin/sh\necho {name} $(id -u) >>{balancer.seen_file}\n"
            balancer.site.commit({f"deploy/{name}": script})
        balancer.pull("", BeforeRestart="deploy/before", AfterHealthy="deploy/after")
        uid = balancer.note.parent.stat().st_uid
        assert balancer.seen() == [f"before {uid}", "restart", f"after {uid}"]
        balancer.pull("", BeforeRestart="deploy/before", AfterHealthy="deploy/after").must_be(
            "unchanged"
        )
        # Another program is another setting of the steps: they run again.
        balancer.pull("", BeforeRestart="deploy/before")
        assert balancer.seen() == [f"before {uid}", "restart"]


class TestWhoStaysIn:
    def test_last_healthy_host_of_a_group_is_not_taken_out(self, balancer: Balancer) -> None:
        for others in ("", f"{OTHER} 80 unhealthy Target.FailedHealthChecks\n"):
            balancer.write("web", f"{HOST} 80 healthy\n{others}")
            balancer.site.commit({"app.txt": f"{others!r}\n"})
            balancer.pull().must_be("updated")
            assert balancer.seen() == ["restart"]
        assert (
            "web/0123456789abcdef has no other healthy host"
            in (balancer.site.checkout / ".git/pulley/log").read_text()
        )

    def test_host_that_is_in_no_group_is_put_into_none(self, balancer: Balancer) -> None:
        balancer.write("web", f"{OTHER} 80 healthy\n")
        balancer.pull().must_be("updated")
        assert balancer.seen() == ["restart"]

    def test_group_that_no_load_balancer_uses_has_no_health(self, balancer: Balancer) -> None:
        balancer.write("health", "unused Target.NotInUse")
        balancer.pull().must_be("updated")
        assert balancer.seen() == ["out web 80", "restart", "in web 80"]


class TestBeforeAnythingMoves:
    def test_missing_command_line(self, balancer: Balancer) -> None:
        before = balancer.site.head()
        (balancer.site.tools / "aws").unlink()
        done = balancer.pull()
        if done.result.outcome != "updated":  # unless this machine has one
            done.must_be("no_checkout", "drain needs the AWS command line")
            assert (balancer.site.head(), balancer.seen()) == (before, [])

    def test_host_that_may_not_ask(self, balancer: Balancer) -> None:
        before = balancer.site.head()
        balancer.write("refuses-describe-target-health", "")
        balancer.pull().must_be("no_checkout", "drain: An error occurred (AccessDenied): not you")
        assert (balancer.site.head(), balancer.seen()) == (before, [])

    def test_unknown_group(self, balancer: Balancer) -> None:
        balancer.pull(f"{ARN}/gone/0123456789abcdef").must_be("no_checkout", "TargetGroupNotFound")
        assert balancer.seen() == []

    @pytest.mark.parametrize(
        "drain",
        ["x", f"{WEB} {API}", "arn:aws:s3:::x;id", "a" * 520],
    )
    def test_wrong_value(self, balancer: Balancer, drain: str) -> None:
        run = balancer.pull(drain)
        assert run.result.outcome in {"bad_parameter", "no_checkout"}
        assert balancer.seen() == []

    @pytest.mark.parametrize("name", ["BeforeRestart", "AfterHealthy"])
    @pytest.mark.parametrize("value", ["../x", "a/../b", ".git/hooks/x", "/bin/sh", "-x", "a b"])
    def test_program_outside_the_repository(
        self, balancer: Balancer, name: str, value: str
    ) -> None:
        balancer.pull(**{name: value}).must_be("bad_parameter", name)


class TestFailure:
    def test_failed_restart_comes_back_with_the_old_commit(self, balancer: Balancer) -> None:
        old = balancer.site.head()
        balancer.restarts(f"grep -q two {balancer.site.checkout}/app.txt && exit 1; exit 0")
        balancer.pull().must_be("rolled_back", step="restart")
        assert balancer.site.head() == old
        # It stays out until the old commit runs again.
        assert balancer.seen() == ["out web 80", "restart", "restart", "in web 80"]
        assert balancer.is_in()
        assert not is_noted(balancer)

    def test_host_whose_health_check_fails_does_not_come_back(self, balancer: Balancer) -> None:
        balancer.restarts("exit 1")
        balancer.pull().must_be("broken", "it may be out of its load balancer: ", step="restart")
        assert balancer.seen() == ["out web 80", "restart", "restart"]
        assert HOST not in balancer.group()
        assert is_noted(balancer)
        # The next run that ends well puts it back.
        balancer.restarts("exit 0")
        balancer.pull().must_be("updated")
        assert balancer.seen() == ["restart", "in web 80"]
        assert balancer.is_in()

    def test_unhealthy_for_the_balancer_is_a_failure(self, balancer: Balancer) -> None:
        balancer.write("health", "unhealthy Target.FailedHealthChecks")
        run = balancer.pull(Timeout="20")
        run.must_be("broken", "the load balancer calls it unhealthy Target.FailedHealthChecks")
        assert run.result.step == "drain"

    def test_connections_that_do_not_end_are_a_failure(self, balancer: Balancer) -> None:
        balancer.edits_aws("-e '/ draining/d' ", "")
        balancer.pull(Timeout="20").must_be("rolled_back", "it still has connections", step="drain")
        assert balancer.seen() == ["out web 80", "restart", "in web 80"]

    def test_host_that_may_not_leave_stays_in(self, balancer: Balancer) -> None:
        balancer.write("refuses-deregister-targets", "")
        balancer.pull().must_be("rolled_back", "AccessDenied", step="drain")
        assert balancer.is_in()

    def test_host_that_may_not_come_back_is_put_back_by_the_next_run(
        self, balancer: Balancer
    ) -> None:
        balancer.write("refuses-register-targets", "")
        balancer.pull().must_be("broken", "AccessDenied", "may be out of its load balancer: ")
        (balancer.folder / "refuses-register-targets").unlink()
        balancer.pull().must_be("updated")
        assert balancer.is_in()

    @pytest.mark.parametrize("groups", [API, ""])
    def test_group_that_was_deleted_meanwhile_is_owed_nothing(
        self, balancer: Balancer, groups: str
    ) -> None:
        balancer.restarts("exit 1")
        balancer.pull().must_be("broken")
        balancer.restarts("exit 0")
        (balancer.folder / "web").unlink()
        balancer.seen()
        balancer.pull(groups).must_be("updated")
        assert balancer.is_in("api")
        assert not is_noted(balancer)

    def test_host_is_back_only_when_each_of_its_ports_is_healthy(self, balancer: Balancer) -> None:
        balancer.write("web", f"{HOST} 81 healthy\n{HOST} 82 healthy\n{OTHER} 81 healthy\n")
        balancer.edits_aws(" initial.*/", " 82 initial.*/ 82")
        balancer.pull(Timeout="20").must_be("broken", "calls it initial", step="drain")

    def test_program_that_the_old_commit_lacks_does_not_stop_the_way_back(
        self, balancer: Balancer
    ) -> None:
        old = balancer.site.head()
        balancer.site.commit({"deploy/before": "#!/bin/sh\nexit 1\n"})
        balancer.pull(BeforeRestart="deploy/before").must_be("rolled_back", step="before_restart")
        assert (balancer.site.head(), balancer.is_in()) == (old, True)

    def test_host_that_lacks_the_program_of_another_balancer_is_back_all_the_same(
        self, balancer: Balancer
    ) -> None:
        balancer.site.commit({"deploy/after": "#!/bin/sh\nexit 1\n"})
        run = balancer.pull(AfterHealthy="deploy/after")
        run.must_be("broken", "deploy/after is not an executable file", step="after_healthy")
        assert "load balancer" not in run.result.detail
        assert balancer.is_in()
        assert not is_noted(balancer)

    def test_silent_aws_leaves_time_for_the_way_back(self, balancer: Balancer) -> None:
        """It answers when the run asks for permission, and is silent from then on."""
        hang = f"[ ! -e {balancer.folder}/silent ] || exec sleep 100"
        balancer.edits_aws("case $verb in", f"{hang}\ncase $verb in")
        script = (
            f"#!/bin/sh\ngrep -q bad app.txt || exit 0\ntouch {balancer.folder}/silent\nexit 1\n"
        )
        balancer.site.commit({"deploy/build": script})
        balancer.pull(AfterPull="deploy/build").must_be("updated")
        balancer.site.commit({"app.txt": "bad\n"})
        balancer.restarts(f"sleep 2\necho restarted >>{balancer.seen_file}")
        balancer.seen()
        balancer.pull(AfterPull="deploy/build", Timeout="40").must_be("rolled_back")
        assert balancer.seen() == ["restart", "restarted"]

    def test_slow_drain_leaves_time_for_the_way_back(self, balancer: Balancer) -> None:
        script = "#!/bin/sh\n! grep -q bad app.txt\n"
        balancer.site.commit({"deploy/build": script})
        balancer.pull(AfterPull="deploy/build").must_be("updated")
        balancer.site.commit({"app.txt": "bad\n"})
        balancer.edits_aws("-e '/ draining/d' ", "")
        balancer.restarts(f"sleep 2\necho restarted >>{balancer.seen_file}")
        balancer.seen()
        balancer.pull(AfterPull="deploy/build", Timeout="40").must_be("rolled_back")
        assert balancer.seen() == ["out web 80", "restart", "restarted", "in web 80"]

    def test_target_without_drain_any_more_puts_the_host_back_all_the_same(
        self, balancer: Balancer
    ) -> None:
        balancer.restarts("exit 1")
        balancer.pull()
        balancer.restarts("exit 0")
        balancer.pull("").must_be("updated")
        assert balancer.is_in()


@pytest.mark.parametrize("at", ["out", "restart", "in"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_next_run_puts_the_host_back_after_a_kill(balancer: Balancer, at: str, when: str) -> None:
    kill = "kill -9 -$PULLEY_GROUP"
    name = "systemctl" if at == "restart" else "aws"
    tool = balancer.site.tools / name
    text = tool.read_text()
    if name == "systemctl":
        killing = text.replace("exit 0", kill) if when == "after" else f"#!/bin/sh\n{kill}\n"
    else:
        verb = {"out": "deregister-targets", "in": "register-targets"}[at]
        test = f'case "$*" in *" {verb} "*) {kill} ;; esac\n'
        lines = text.split("\n")
        killing = "\n".join([lines[0], test, *lines[1:]]) if when == "before" else f"{text}{test}"
        if when == "after":  # its arguments are used up
            killing = text.replace(f"    {verb})", f"    {verb}) trap '{kill}' EXIT", 1)
    balancer.site.write(name, killing, where=balancer.site.tools)
    command, environ = balancer.site.command(Restart=UNIT, Drain=WEB)
    run = subprocess.Popen(
        ["/bin/sh", "-c", 'export PULLEY_GROUP=$$; exec "$@"', "sh", *command],
        cwd="/",
        env=environ | {"AWS_SSM_INSTANCE_ID": HOST},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,
    )
    assert run.wait(HANG_SECONDS) != 0
    balancer.site.write(name, text, where=balancer.site.tools)
    balancer.seen()
    mine = [line for line in balancer.group().splitlines() if line.startswith(HOST)]
    leaves = ["out web 80" for line in mine if "draining" not in line]
    balancer.pull().must_be("updated")
    # The run looks where the host is, and does not trust the killed run's note.
    assert balancer.seen()[: len(leaves) + 1] == [*leaves, "restart"]
    assert balancer.is_in()
    assert not is_noted(balancer)
    balancer.pull().must_be("unchanged")
