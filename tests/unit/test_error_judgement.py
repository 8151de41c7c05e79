"""What an error of the client calls for: its status and its texts decide, wherever they are hidden."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

from pennylane_threaded_ibmq.exceptions import ServiceError
from pennylane_threaded_ibmq.service.errors import (
    PASSING_JOB_CODES,
    NoAnswerError,
    Trouble,
    all_text,
    is_cut,
    is_outage,
    is_unknown_job,
    is_unreachable,
    judge_submission,
    retry_after,
    service_error,
    status_code,
)


class OwnError(ServiceError):
    """What a question makes of its failures."""


class ClientError(Exception):
    """An error of IBM's client."""


def error(text="", status=None, *, headers=None, cause=None, kind=ClientError, where="error"):
    """An error with a status, in itself or in its response, caused by another one."""
    made = kind(text)
    if where == "error" and status is not None:
        made.status_code = status
    if where == "response" or headers is not None:
        made.response = SimpleNamespace(status_code=status, headers=headers or {})
    made.__cause__ = cause
    return made


def named(name, base=Exception):
    return type(name, (base,), {})


PENDING = "You have reached the limit of 3 pending jobs."


@pytest.mark.parametrize(
    ("text", "status", "trouble"),
    [
        (PENDING, 400, Trouble.PENDING_LIMIT),
        (PENDING.upper(), 400, Trouble.PENDING_LIMIT),
        (PENDING, 503, Trouble.PENDING_LIMIT),
        (PENDING, None, Trouble.PENDING_LIMIT),
        ("pending job limit", 400, Trouble.PENDING_LIMIT),
        ("Error code 3458; Reached", 400, Trouble.PENDING_LIMIT),
        ("job 13458a", 400, Trouble.REFUSED),
        # an id of a request that may have arrived: it was sent again without a look for its job
        ('"trace":"0a1b2c3d-3458-4e5f-8a9b-0c1d2e3f4a5b"', 502, Trouble.UNKNOWN),
        ('"trace":"0a1b2c3d-3458-4e5f-8a9b-0c1d2e3f4a5b"', 400, Trouble.REFUSED),
        ('"trace":"0a1b2c3d-1202-1217-8a9b-0c1d2e3f4a5b"', 400, Trouble.REFUSED),
        ('"code":3458,"message":""', 400, Trouble.PENDING_LIMIT),
        ("maximum number (5) of concurrent jobs", 400, Trouble.PENDING_LIMIT),
        # a limit of pending jobs comes first, also where the status says too many requests
        (PENDING, 429, Trouble.PENDING_LIMIT),
        ("", 429, Trouble.RATE_LIMIT),
        ("too many requests", 400, Trouble.RATE_LIMIT),
        ("Rate Limit", 403, Trouble.RATE_LIMIT),
        ("5 jobs per minute", 400, Trouble.RATE_LIMIT),
        ("jobs a minute", 400, Trouble.RATE_LIMIT),
        ("code 1202", 403, Trouble.RATE_LIMIT),
        ("too many qubits", 404, Trouble.REFUSED),
        ("too many", 500, Trouble.UNKNOWN),
        ("", None, Trouble.UNKNOWN),
        ("", 399, Trouble.UNKNOWN),
        ("", 302, Trouble.UNKNOWN),
        ("", 500, Trouble.UNKNOWN),
        ("", 503, Trouble.UNKNOWN),
        ("Session abc is closed.", 400, Trouble.CLOSED),
        ("The batch has expired", 400, Trouble.CLOSED),
        ("session x is not accepting jobs", 409, Trouble.CLOSED),
        ("error 1217", 400, Trouble.CLOSED),
        ("error 12170", 400, Trouble.REFUSED),
        ("session" + "." * 81 + "closed", 400, Trouble.REFUSED),
        ("session" + "." * 80 + "closed", 400, Trouble.CLOSED),
        ("Session abc is closed.", 500, Trouble.UNKNOWN),
        ("Usage exceeds the instance limit.", 400, Trouble.USAGE_LIMIT),
        ("usage" + "." * 40 + "limit", 400, Trouble.USAGE_LIMIT),
        ("usage" + "." * 42 + "limit", 400, Trouble.REFUSED),
        ("", 409, Trouble.USAGE_LIMIT),
        ("", 400, Trouble.REFUSED),
        ("", 401, Trouble.REFUSED),
        ("", 404, Trouble.REFUSED),
        ("", 499, Trouble.REFUSED),
    ],
)
@pytest.mark.parametrize("where", ["error", "response"])
def test_what_a_refused_submission_calls_for(text, status, trouble, where):
    assert judge_submission(error(text, status, where=where)) is trouble


def test_the_text_of_a_cause_counts():
    assert judge_submission(error("outer", cause=error(PENDING, 400))) is Trouble.PENDING_LIMIT
    assert all_text(error("outer", cause=error("inner"))) == "outer\ninner"
    assert all_text(None) == ""


@pytest.mark.parametrize("name", ["IBMInputValueError", "IBMBackendValueError"])
def test_what_the_client_itself_refuses_was_never_sent(name):
    assert judge_submission(error(PENDING, 503, cause=named(name)())) is Trouble.REFUSED
    assert judge_submission(error("", None, cause=named("OtherError")())) is Trouble.UNKNOWN


def test_a_backend_that_the_client_misses_was_asked_for_after_the_job_but_for_a_mock():
    missing = named("QiskitBackendNotFoundError")
    assert judge_submission(error(cause=missing("Unable to use `dry_run` mode"))) is Trouble.REFUSED
    assert judge_submission(error(cause=missing("No backend matches the criteria"))) is Trouble.UNKNOWN


def test_a_status_is_found_wherever_it_is():
    assert status_code(None) is None
    assert status_code(error()) is None
    assert status_code(error(status=503)) == 503
    assert status_code(error(status="503")) == 503
    assert status_code(error(status=404, where="response")) == 404
    # -1 and 0 are what clients write where there was no answer
    assert status_code(error(status=-1)) is None
    assert status_code(error(status=0)) is None
    assert status_code(error(status=1)) == 1
    assert status_code(error(status=-1, cause=error(status=502))) == 502
    # what stands on top is what was raised last
    assert status_code(error(status=500, cause=error(status=404))) == 500
    contextual = error()
    contextual.__context__ = error(status=418)
    assert status_code(contextual) == 418


@pytest.mark.parametrize(
    ("header", "secs"),
    [
        ("5", 5.0),
        ("0.5", 0.5),
        ("0", 0.0),
        ("-3", 0.0),
        ("300", 300.0),
        ("301", 300.0),
        ("inf", 300.0),
        ("nan", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", None),
        ("", None),
        (None, None),
    ],
)
def test_how_long_a_service_asks_to_wait(header, secs):
    headers = {} if header is None else {"Retry-After": header}
    assert retry_after(error(headers=headers)) == secs
    assert retry_after(error("outer", cause=error(headers=headers))) == secs


def test_nothing_asks_to_wait_where_there_was_no_answer():
    assert retry_after(None) is None
    assert retry_after(error()) is None
    # the first that says something counts
    assert retry_after(error(headers={"Retry-After": "2"}, cause=error(headers={"Retry-After": "9"}))) == 2.0
    assert not math.isnan(retry_after(error(headers={"Retry-After": "1e400"})))


@pytest.mark.parametrize(
    ("trouble", "outage"),
    [
        (None, False),
        (error(status=429), True),
        (error(status=500), True),
        (error(status=503), True),
        (error(status=499), False),
        (error(status=430), False),
        (error(status=428), False),
        (error(status=404), False),
        (error(), False),
        (NoAnswerError("silence"), True),
        (OSError("network"), True),
        (error("outer", cause=ConnectionResetError()), True),
        (named("JSONDecodeError", OSError)(), False),
        (error(cause=named("JSONDecodeError", OSError)()), False),
        (error(cause=named("RuntimeJobNotFound")()), False),
        # an answer with a status decides, whatever caused it
        (error(status=403, cause=OSError()), False),
        # a job that the service does not know is an answer, not an outage
        (error(status=503, cause=named("RuntimeJobNotFound")()), False),
    ],
)
def test_what_is_an_outage(trouble, outage):
    assert is_outage(trouble) is outage


@pytest.mark.parametrize(
    ("look", "names", "others"),
    [
        (is_cut, ["ChunkedEncodingError", "IncompleteRead"], ["ConnectionError", "JSONDecodeError"]),
        (is_unknown_job, ["RuntimeJobNotFound"], ["RuntimeJobFailureError"]),
        (is_unreachable, ["ConnectionError", "ProxyError"], ["ReadTimeout", "SSLError"]),
    ],
)
def test_errors_that_are_known_by_their_names(look, names, others):
    assert look(None) is False
    for name in names:
        assert look(named(name)()) is True
        assert look(error(cause=error(cause=named(name)()))) is True
        contextual = error()
        contextual.__context__ = named(name)()
        assert look(contextual) is True
    for name in others:
        assert look(named(name)()) is False


def test_errors_that_are_known_by_their_status_or_class():
    assert is_unknown_job(error(status=404)) is True
    assert is_unknown_job(error(status=405)) is False
    assert is_unknown_job(error(cause=error(status=404))) is True
    assert is_unreachable(ConnectionRefusedError()) is True
    assert is_unreachable(OSError()) is False


@pytest.mark.parametrize("code", [1006, 1008, 1010, 1011, 1217, 9000, 9500, 9999])
def test_codes_whose_advice_is_to_try_again(code):
    assert code in PASSING_JOB_CODES


@pytest.mark.parametrize("code", [1000, 1002, 1007, 1009, 1012, 3458, 8999, 10000])
def test_codes_that_come_again(code):
    assert code not in PASSING_JOB_CODES


@pytest.mark.parametrize(("status", "kind"), [(404, OwnError), (503, NoAnswerError)])
def test_what_a_question_that_failed_raises(status, kind):
    made = service_error(error("no", status), "in words", OwnError)
    assert type(made) is kind
    assert str(made) == "in words"
    assert made.status_code == status
