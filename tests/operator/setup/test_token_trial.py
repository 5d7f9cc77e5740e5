from collections.abc import Mapping

import pytest

from chalicelib.core.errors import UnavailableError
from chalicelib.core.refs import Repository
from pulley.operator.setup.token_trial import problem_of
from tests.edges.scripted_server import Raw, ScriptedServer, answer

SITE, OTHER = Repository("octo", "site"), Repository("mona", "other")
REFUSED = answer({"message": "Resource not accessible by personal access token"}, 403)
MISSING = answer({"message": "Not Found"}, 404)


def tried(answers: Mapping[str, Raw], *repositories: Repository) -> str:
    with ScriptedServer(lambda request: answers[request.target]) as server:
        return problem_of(server.url, "t0ken", repositories)


class TestProblemOf:
    @pytest.mark.parametrize("status", [200, 301, 307])
    def test_token_that_opens_one_repository_is_accepted(self, status: int) -> None:
        assert tried({"/repos/octo/site": answer({}, status)}, SITE, OTHER) == ""
        answers = {"/repos/mona/other": MISSING, "/repos/octo/site": answer({}, status)}
        assert tried(answers, OTHER, SITE) == ""

    @pytest.mark.parametrize("refusal", [REFUSED, MISSING])
    def test_token_that_opens_no_repository_is_refused_with_github_s_reason(
        self, refusal: Raw
    ) -> None:
        found = tried({"/repos/octo/site": refusal}, SITE)
        assert found.startswith("GitHub does not take it for octo/site: GitHub says '")

    def test_invalid_token_is_tried_on_one_repository_only(self) -> None:
        bad = answer({"message": "Bad credentials"}, 401)
        assert "'Bad credentials'" in tried({"/repos/octo/site": bad}, SITE, OTHER)

    def test_without_a_repository_the_token_is_tried_on_the_rate_limit(self) -> None:
        assert tried({"/rate_limit": answer({"rate": {}})}) == ""
        assert (
            tried({"/rate_limit": answer({"message": "Rate limiting is not enabled."}, 404)}) == ""
        )
        assert "Bad cred" in tried({"/rate_limit": answer({"message": "Bad credentials"}, 401)})

    @pytest.mark.parametrize(
        "unwell",
        [answer({}, 500), answer({}, 403, Retry_After="60"), answer(b"<html>", 418)],
        ids=["500", "rate limit", "odd"],
    )
    def test_github_error_is_raised_without_a_verdict(self, unwell: Raw) -> None:
        with pytest.raises(UnavailableError):
            tried({"/repos/octo/site": unwell}, SITE)
