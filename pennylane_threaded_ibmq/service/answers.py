"""Errors of IBM's service in words: code, message and advice in place of the raw JSON of its answer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from .errors import causes, status_code

MOST_TEXT = 600
"""Longest text of an answer that is no error of IBM's, such as the page of a proxy."""

_BODY = re.compile(r"\{.*\}", re.DOTALL)

_UPGRADE = "pip install -U qiskit-ibm-runtime qiskit qiskit-aer"


@dataclass(frozen=True)
class Answer:
    """An error that the service answered.

    Attributes:
        status: HTTP status; ``None`` if it is not known.
        code: Code of IBM's list, https://quantum.cloud.ibm.com/docs/errors; empty if there is none.
        message: What is wrong.
        solution: IBM's advice; may be empty.
    """

    status: int | None
    code: str
    message: str
    solution: str


def read_answer(error: BaseException) -> Answer | None:
    """The error that a service answered, from an error of the client's; ``None`` if it is not in IBM's form."""
    for text in _texts(error):
        match = _BODY.search(text)
        try:
            body = json.loads(match[0]) if match else None
        except ValueError:
            continue
        problems = body.get("errors") if isinstance(body, dict) else None
        first = problems[0] if isinstance(problems, list) and problems else None
        if isinstance(first, dict) and first.get("message"):
            code, solution = first.get("code"), first.get("solution")
            return Answer(
                status_code(error),
                "" if code is None else str(code),
                str(first["message"]).strip(),
                str(solution or "").strip(),
            )
    return None


def in_words(error: BaseException) -> str:
    """An error of the client's for people: what IBM said, its code, and what to do."""
    answer = read_answer(error)
    if answer is None:
        text = str(error)
        return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]} ..."
    origin = [f"HTTP {answer.status}"] if answer.status else []
    origin += [f"IBM's code {answer.code}"] if answer.code else []
    message = answer.message.rstrip(".") + (f" ({', '.join(origin)})" if origin else "")
    return " ".join(filter(None, (f"{message}.", _sentence(answer.solution), _advice(answer))))


def _advice(answer: Answer) -> str:
    """Advice to users of this package beside what IBM says."""
    if answer.status == 413:
        return "The job is too large for one request: let fewer tapes share one, with shard_size=."
    if answer.status == 409 and "usage" in answer.message.lower():
        return (
            "threaded-ibmq doctor shows what is left on the instance; another one is chosen with instance=, and "
            "max_usage_secs= refuses such batches before they are sent."
        )
    if answer.status == 403:
        return (
            "The API key has no right to this on that instance: check instance=, and the access policy of the key at "
            "https://cloud.ibm.com/iam."
        )
    if answer.status == 400 and answer.code == "1208":
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
