"""What hosts say of what they have saved, and which commit is meant by how it begins."""

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
    """What is made of a host's answer, beside those of others."""
    answers = Answers([(WEB, TWO, SAVED)] if others else [], [(WEB, one) for one in refused])
    if answer or (host.is_online and not refused):
        answers.by_target.append((WEB, host, answer))
    checker = SimpleNamespace(ask=lambda *_args, **_options: answers)
    now = datetime(2030, 1, 1, tzinfo=UTC)
    told, _ = ask(cast("Checker", checker), WEB, [host], Question("saved"), now=now)
    return told[0]


class TestAsk:
    def test_host_that_answers_has_what_it_lists(self) -> None:
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
    def test_host_that_does_not_says_why(
        self, host: Host, answer: Invocation | None, words: str
    ) -> None:
        told = told_by(host, answer)
        assert told.problem.startswith(words)
        assert (told.result, told.saved) == (None, SavedRefs(0, ()))

    def test_agent_that_refuses_an_older_document_s_value_leads_to_setup(self) -> None:
        assert "pulley setup" in told_by(ONE, replace(SAVED, is_refused=True)).problem

    def test_host_that_could_not_be_asked_says_why_where_others_could(self) -> None:
        assert told_by(ONE, None, REFUSED).problem == REFUSED.in_full

    def test_where_no_host_could_be_asked_it_is_an_error(self) -> None:
        with pytest.raises(RefusedError):
            told_by(ONE, None, REFUSED, others=False)


class TestChooseHosts:
    def test_by_name_or_instance_id_and_all_of_a_name(self) -> None:
        twin = replace(TWO, name="web-1")
        assert choose_hosts([ONE, TWO], ONE.instance_id) == [ONE]
        assert choose_hosts([ONE, twin], "web-1") == [ONE, twin]

    def test_none_names_those_that_there_are(self) -> None:
        with pytest.raises(UnavailableError, match="its hosts are web-1, web-2"):
            choose_hosts([ONE, TWO], "db")
        with pytest.raises(UnavailableError, match="its hosts are none"):
            choose_hosts([], "db")


class TestFindCommit:
    def told(self, *refs: SavedRef, count: int = 0) -> Told:
        result = parse_result(SAVED.output)
        return Told(ONE, result, saved=SavedRefs(count or len(refs), refs))

    def test_listed_one_is_found_by_how_it_begins(self) -> None:
        assert find_commit(self.told(NEW), "4d5e6f7") == NEW
        assert find_commit(self.told(NEW, OLD), NEW.commit[:8]) == NEW

    def test_two_refs_of_one_commit_are_one(self) -> None:
        assert find_commit(self.told(NEW, replace(OLD, commit=NEW.commit)), "4d5e6f7").commit

    def test_two_that_begin_so_are_not_guessed_between(self) -> None:
        with pytest.raises(UnavailableError, match="begins several commits: "):
            find_commit(self.told(NEW, OLD), "4d5e6f7")

    def test_whole_id_need_not_be_listed(self) -> None:
        assert find_commit(self.told(count=9), OLD.commit).commit == OLD.commit

    def test_one_that_is_not_listed_is_an_error_that_says_what_is_not(self) -> None:
        with pytest.raises(UnavailableError) as caught:
            find_commit(self.told(NEW, count=9), "0123456")
        assert str(caught.value) == (
            "web-1 lists no saved commit that begins 0123456; 8 older ones are not listed, and "
            "take their whole id"
        )

    def test_host_without_an_answer_is_an_error(self) -> None:
        with pytest.raises(UnavailableError, match="web-1: it is offline"):
            find_commit(Told(ONE, problem="it is offline"), "4d5e6f7")


class TestWords:
    def test_time_is_in_the_ref_and_not_in_one_of_another_name(self) -> None:
        assert saved_at(NEW) == datetime(2026, 11, 20, 23, 12, 13, tzinfo=UTC)
        assert saved_at(replace(NEW, ref="mine")) is None

    def test_line_that_brings_back_can_be_pasted(self) -> None:
        target = replace(WEB, checkout="/srv/the site")
        assert line_that_brings_back(target, NEW) == (
            "sudo -u \"$(stat -c %U '/srv/the site')\" git -C '/srv/the site' update-ref "
            f"refs/pulley/saved/{NEW.ref} {NEW.commit}"
        )
        assert line_that_brings_back(target, replace(NEW, ref="")).endswith(
            f"refs/pulley/saved/{NEW.commit} {NEW.commit}"
        )
