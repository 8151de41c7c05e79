"""Errors of IBM's service in words: code, message and advice in place of the raw JSON of its answer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from .errors import causes, status_code

MOST_TEXT = 600
"""Longest text of an answer that is no error of IBM's, such as the page of a proxy."""

_BODY = re.compile(r"\{.*\}", re.DOTALL)

_UPGRADE = "pip install -U qiskit-ibm-runtime qiskit qiskit-aer"


def in_words(error: BaseException) -> str:
    """An error of the client's for people: what IBM said, its code, and what to do."""
    problem = _problem(error)
    if problem is None:
        text = str(error)
        return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]} ..."
    status, code = status_code(error), problem.get("code")
    message, solution = str(problem["message"]).strip(), str(problem.get("solution") or "").strip()
    origin = [f"HTTP {status}"] if status else []
    origin += [] if code in (None, "") else [f"IBM's code {code}"]
    sentence = message.rstrip(".") + (f" ({', '.join(origin)})" if origin else "")
    return " ".join(filter(None, (f"{sentence}.", _sentence(solution), _advice(status, str(code), message))))


def _problem(error: BaseException) -> dict[str, Any] | None:
    """The first problem in what the service answered, in the form of IBM's list, https://quantum.cloud.ibm.com/docs/errors."""
    for text in _texts(error):
        match = _BODY.search(text)
        try:
            body = json.loads(match[0]) if match else None
        except ValueError:
            continue
        problems = body.get("errors") if isinstance(body, dict) else None
        first = problems[0] if isinstance(problems, list) and problems else None
        if isinstance(first, dict) and first.get("message"):
            return first
    return None


def _advice(status: int | None, code: str, message: str) -> str:
    """Advice to users of this package beside what IBM says."""
    if status == 413:
        return "The job is too large for one request: let fewer tapes share one, with shard_size=."
    if status == 409 and "usage" in message.lower():
        return (
            "threaded-ibmq doctor shows what is left on the instance; another one is chosen with instance=, and "
            "max_usage_secs= refuses such batches before they are sent."
        )
    if status == 403:
        return (
            "The API key has no right to this on that instance: check instance=, and the access policy of the key at "
            "https://cloud.ibm.com/iam."
        )
    if status == 400 and code == "1208":
        return (
            f"An old client sends what IBM does not take any more: {_UPGRADE}. Or check primitive_options=."
        )
    return ""


def _sentence(text: str) -> str:
    return text if not text or text[-1] in ".!?" else f"{text}."


def _texts(error: BaseException) -> Iterator[str]:
    """The service's own texts, as they came: the bodies of answers, then the texts of errors that hold them."""
    for one in causes(error):
        body = getattr(getattr(one, "response", None), "text", None)
        if isinstance(body, str):
            yield body
    yield from map(str, causes(error))
