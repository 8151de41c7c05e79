"""When something is tried again: pauses, numbers of tries, and for how long an answer is waited for."""

from __future__ import annotations

import pytest
from urllib3.exceptions import MaxRetryError, ProtocolError

from pennylane_threaded_ibmq.service.asking import ask_within, secs_left
from pennylane_threaded_ibmq.service.errors import NoAnswerError
from pennylane_threaded_ibmq.service.retry import RetryPolicy
from pennylane_threaded_ibmq.service.sessions import BoundedRepeats, SendOnce


class Attempts:
    """Fails with some errors, and then succeeds."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.pauses = []
        self.failed = []

    def __call__(self):
        if self.errors:
            raise self.errors.pop(0)
        return "done"

    def run(self, policy, **more):
        return policy.run(
            self,
            passes=lambda error: isinstance(error, OSError),
            pause=self.pauses.append,
            failed=self.failed.append,
            **more,
        )


def test_pauses_double_up_to_the_longest():
    policy = RetryPolicy(0.5, 3.0)
    assert [policy.pause_secs(failures) for failures in range(1, 6)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    assert policy.pause_secs(10**6) == 3.0


def test_what_passes_is_tried_again_after_those_pauses():
    errors = [OSError(str(number)) for number in range(5)]
    attempts = Attempts(*errors)
    policy = RetryPolicy(0.5, 3.0)
    assert attempts.run(policy) == "done"
    assert attempts.pauses == [policy.pause_secs(failures) for failures in range(1, 6)]
    assert attempts.failed == errors


def test_drawn_pauses_are_never_longer():
    attempts = Attempts(*map(OSError, range(200)))
    policy = RetryPolicy(0.5, 3.0, spread=True)
    attempts.run(policy)
    longest = [policy.pause_secs(failures) for failures in range(1, 201)]
    assert all(0 <= pause <= most for pause, most in zip(attempts.pauses, longest, strict=True))
    assert len(set(attempts.pauses)) > 100


def test_what_does_not_pass_is_raised_at_once():
    attempts = Attempts(OSError(), ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        attempts.run(RetryPolicy(0.5, 3.0))
    assert len(attempts.pauses) == 1


@pytest.mark.parametrize("most", [1, 3])
def test_the_last_of_so_many_tries_is_raised_without_a_pause(most):
    attempts = Attempts(*(OSError(number) for number in range(5)))
    with pytest.raises(OSError) as caught:
        attempts.run(RetryPolicy(0.5, 3.0, attempts=most))
    assert caught.value.args == (most - 1,)
    assert len(attempts.pauses) == len(attempts.failed) == most - 1


def test_it_is_over_for_another_reason_too():
    attempts = Attempts(*(OSError(number) for number in range(5)))
    with pytest.raises(OSError, match="3"):
        attempts.run(RetryPolicy(0.5, 3.0), over=lambda error: error.args == (3,))
    assert len(attempts.pauses) == 3


# ------------------------------------------------------------------------------------------------- how long one try takes


def raises(error):
    raise error


def test_an_outage_within_the_time_is_what_it_is():
    with pytest.raises(OSError, match="refused"):
        ask_within(90.0, lambda: raises(OSError("refused")), "a question")


def test_an_outage_at_the_end_of_the_time_is_no_answer():
    with pytest.raises(NoAnswerError, match="no answer to a question within 0 s") as caught:
        ask_within(0.0, lambda: raises(OSError("timed out")), "a question")
    assert isinstance(caught.value.__cause__, OSError)


def test_what_is_no_outage_stays_what_it_is_at_any_time():
    with pytest.raises(ValueError, match="odd"):
        ask_within(0.0, lambda: raises(ValueError("odd")), "a question")


def test_whoever_asks_for_another_has_the_shorter_time():
    assert secs_left() == float("inf")
    assert 80 < ask_within(90.0, secs_left, "a question") <= 90
    assert ask_within(5.0, lambda: ask_within(90.0, secs_left, "another"), "a question") <= 5
    assert ask_within(90.0, lambda: ask_within(5.0, secs_left, "another"), "a question") <= 5
    assert secs_left() == float("inf")


def test_a_client_repeats_nothing_for_which_there_is_no_time():
    rules = BoundedRepeats(total=5, backoff_factor=1000.0, status_forcelist=(503,))

    def fail(rules):
        return rules.increment("GET", "/jobs", error=ProtocolError("broken"))

    first = ask_within(5.0, lambda: fail(rules), "a question")
    assert (first.total, first.get_backoff_time()) == (4, 0)
    assert fail(first).total == 3
    with pytest.raises(MaxRetryError):  # after a pause that is longer
        ask_within(5.0, lambda: fail(first), "a question")
    with pytest.raises(MaxRetryError):
        ask_within(0.0, lambda: fail(rules), "a question")


def test_answers_to_which_a_request_is_repeated():
    usual, once = (kind(total=5, status_forcelist=(503,)) for kind in (BoundedRepeats, SendOnce))
    assert usual.is_retry("GET", 503)
    assert usual.is_retry("POST", 503)
    assert not usual.is_retry("POST", 500)
    assert not usual.is_retry("PATCH", 503)
    assert once.is_retry("GET", 503)
    assert not once.is_retry("POST", 503)
    with pytest.raises(ProtocolError):
        once.increment("POST", "/jobs", error=ProtocolError("broken"))
