"""Hosts' answers about saved edits, and how a short id selects a saved commit."""

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import cast

import pytest

from chalicelib.core.errors import PulleyError, RefusedError, UnavailableError
from chalicelib.core.history import Invocation
from chalicelib.core.hosts import Host
from chalicelib.core.results import parse_result
from pulley.operator.hosts.ask import Answers, Checker, Question
from pulley.operator.hosts.saved import (
    Told,
    ask,
    choose_hosts,
    find_commit,
    line_that_brings_back,
    saved_at,
)
from pulley.operator.hosts.saved_refs import SavedRef, SavedRefs
from tests.operator.doctor.test_hosts import ONE, TAGS, WEB, line

TWO = Host("i-0123456789abcdef1", "web-2", TAGS)
NEW = SavedRef("20261120T231213Z-802-1", "4d5e6f7" + "a" * 33, 2, "app.ini")
OLD = SavedRef("20261119T000000Z-802-1", "4d5e6f7" + "b" * 33, 1, "app.ini")
SAVED = line(saved_refs=[list(vars(NEW).values())], saved_count=1)
REFUSED = RefusedError("AWS refused sending (AccessDenied)")


def told_by(
    host: Host, answer: Invocation | None, *refused: PulleyError, others: bool = True
) -> Told:
    """How a host's answer is read, beside the answers of others."""
    answers = Answers([(WEB, TWO, SAVED)] if others else [], [(WEB, one) for one in refused])
    if answer or (host.is_online and not refused):
        answers.by_target.append((WEB, host, answer))
    checker = SimpleNamespace(ask=lambda *_args, **_options: answers)
    now = datetime(2030, 1, 1, tzinfo=UTC)
    told, _ = ask(cast("Checker", checker), WEB, [host], Question("saved"), now=now)
    return told[0]


class TestAsk:
    def test_host_that_answers_has_its_listed_refs(self) -> None:
        told = told_by(ONE, SAVED)
        assert (told.problem, told.saved) == ("", SavedRefs(1, (NEW,)))

    @pytest.mark.parametrize(
        ("host", "answer", "words"),
        [
            (replace(ONE, is_online=False), None, "it is offline"),
            (ONE, None, "it did not answer"),
            (ONE, replace(SAVED, output="", details="TimedOut"), "it did not answer: TimedOut"),
            (ONE, line("no_checkout", "cannot enter /srv/site"), "no checkout: cannot enter"),
            (ONE, replace(SAVED, is_refused=True), "its SSM agent refused the document"),
        ],
    )
    def test_host_without_a_usable_answer_has_the_reason(
        self, host: Host, answer: Invocation | None, words: str
    ) -> None:
        told = told_by(host, answer)
        assert told.problem.startswith(words)
        assert (told.result, told.saved) == (None, SavedRefs(0, ()))

    def test_refusal_by_the_agent_names_setup(self) -> None:
        assert "pulley setup" in told_by(ONE, replace(SAVED, is_refused=True)).problem

    def test_refused_host_has_the_reason_if_other_hosts_answered(self) -> None:
        assert told_by(ONE, None, REFUSED).problem == REFUSED.in_full

    def test_refusal_for_all_hosts_is_an_error(self) -> None:
        with pytest.raises(RefusedError):
            told_by(ONE, None, REFUSED, others=False)


class TestChooseHosts:
    def test_hosts_are_chosen_by_instance_id_or_by_a_shared_name(self) -> None:
        twin = replace(TWO, name="web-1")
        assert choose_hosts([ONE, TWO], ONE.instance_id) == [ONE]
        assert choose_hosts([ONE, twin], "web-1") == [ONE, twin]

    def test_unknown_host_is_refused_with_the_existing_hosts(self) -> None:
        with pytest.raises(UnavailableError, match="its hosts are web-1, web-2"):
            choose_hosts([ONE, TWO], "db")
        with pytest.raises(UnavailableError, match="its hosts are none"):
            choose_hosts([], "db")


class TestFindCommit:
    def told(self, *refs: SavedRef, count: int = 0) -> Told:
        result = parse_result(SAVED.output)
        return Told(ONE, result, saved=SavedRefs(count or len(refs), refs))

    def test_listed_commit_is_found_by_its_first_digits(self) -> None:
        assert find_commit(self.told(NEW), "4d5e6f7") == NEW
        assert find_commit(self.told(NEW, OLD), NEW.commit[:8]) == NEW

    def test_two_refs_of_one_commit_are_unambiguous(self) -> None:
        assert find_commit(self.told(NEW, replace(OLD, commit=NEW.commit)), "4d5e6f7").commit

    def test_digits_of_two_commits_are_refused(self) -> None:
        with pytest.raises(UnavailableError, match="begins several commits: "):
            find_commit(self.told(NEW, OLD), "4d5e6f7")

    def test_full_id_need_not_be_listed(self) -> None:
        assert find_commit(self.told(count=9), OLD.commit).commit == OLD.commit

    def test_unlisted_commit_is_an_error_with_the_number_of_unlisted_refs(self) -> None:
        with pytest.raises(UnavailableError) as caught:
            find_commit(self.told(NEW, count=9), "0123456")
        assert str(caught.value) == (
            "web-1 lists no saved commit that begins 0123456; 8 older ones are not listed: name "
            "one of those by its full 40-digit id"
        )

    def test_host_without_an_answer_is_an_error(self) -> None:
        with pytest.raises(UnavailableError, match="web-1: it is offline"):
            find_commit(Told(ONE, problem="it is offline"), "4d5e6f7")


class TestWords:
    def test_time_is_read_from_a_ref_name_that_pulley_gave(self) -> None:
        assert saved_at(NEW) == datetime(2026, 11, 20, 23, 12, 13, tzinfo=UTC)
        assert saved_at(replace(NEW, ref="mine")) is None

    def test_command_to_restore_is_quoted_for_the_shell(self) -> None:
        target = replace(WEB, checkout="/srv/the site")
        assert line_that_brings_back(target, NEW) == (
            "sudo -u \"$(stat -c %U '/srv/the site')\" git -C '/srv/the site' update-ref "
            f"refs/pulley/saved/{NEW.ref} {NEW.commit}"
        )
        assert line_that_brings_back(target, replace(NEW, ref="")).endswith(
            f"refs/pulley/saved/{NEW.commit} {NEW.commit}"
        )
