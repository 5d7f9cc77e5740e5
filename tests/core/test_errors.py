"""Errors: what a delivery's sender sees, and what the log has."""

import pytest

from chalicelib.core.errors import NotTakenError, PulleyError, RefusedError, UnavailableError


class TestPulleyError:
    def test_sender_sees_the_message_and_the_log_has_the_detail_too(self) -> None:
        error = PulleyError("the pin is not valid", detail="the parameter pins/web")
        assert str(error) == "the pin is not valid"
        assert error.in_full == "the pin is not valid: the parameter pins/web"

    @pytest.mark.parametrize("error", [PulleyError("no"), RefusedError("no"), NotTakenError("no")])
    def test_error_without_a_detail_has_the_message_in_the_log(self, error: PulleyError) -> None:
        assert error.in_full == str(error) == "no"


class TestNotTakenError:
    def test_reason_that_the_log_has_already_is_known(self) -> None:
        assert NotTakenError("no", is_known=True).is_known
        assert not NotTakenError("no").is_known


class TestUnavailableError:
    def test_time_until_a_retry_is_kept_if_it_is_known(self) -> None:
        assert UnavailableError("away", retry_seconds=2.5).retry_seconds == 2.5
        assert UnavailableError("away").retry_seconds is None
