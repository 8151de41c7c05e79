"""Tags that a user gives to jobs: what they may be, and where options of IBM's primitives hide them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .exceptions import ConfigurationError

OWN_PREFIX = "threaded-ibmq-"
"""Begins the tags by which this package finds its own jobs."""

MOST_TAGS = 30
"""Tags of one device or block; IBM publishes no limit, and a list of jobs is asked for by tags in an address."""

MOST_CHARACTERS = 128
"""Length of one tag, for the same reason."""


def check_tags(value: Any, *, least: int = 0) -> list[str]:
    """Tags, each once, in order.

    Args:
        value: Tags; ``None`` for none.
        least: So many there must be.

    Raises:
        ValueError: They are no list of texts, one of them cannot be a tag, or there are too many or too few.
    """
    tags = [] if value is None else value
    problem = _list_problem(tags) or next(filter(None, map(_problem, tags)), "")
    if not problem and not least <= len(set(tags)) <= MOST_TAGS:
        problem = f"{len(set(tags))} tags are given, and {least} to {MOST_TAGS} are taken"
    if problem:
        raise ValueError(problem)
    return list(dict.fromkeys(tags))


def _list_problem(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ""
    example = value if isinstance(value, str) and not _problem(value) else "night-run"
    return f"a list of texts is needed, such as {[example]!r}"


def _problem(tag: Any) -> str:
    """The reason why something cannot be a tag; empty if it can."""
    if not isinstance(tag, str):
        return f"a tag is a text, and {tag!r} is of type {type(tag).__name__}"
    if not tag or tag != tag.strip() or not tag.isprintable():
        return f"{tag!r} is no tag: one has a character at least, none that cannot be printed, and no blank at its ends"
    if len(tag) > MOST_CHARACTERS:
        return f"a tag has at most {MOST_CHARACTERS} characters, and {tag[:20] + '...'!r} has {len(tag)}"
    if tag.startswith(OWN_PREFIX):
        return f"tags that begin with {OWN_PREFIX!r} are those by which this package finds its jobs"
    return ""


def lift_tags(arguments: dict[str, Any]) -> None:
    """Make tags among the options of the primitives tags of the device; as options, they would make other jobs of the same.

    Args:
        arguments: Options of a device, changed in place; ``primitive_options`` as a dictionary.

    Raises:
        ConfigurationError: The primitives have different tags.
    """
    options = arguments.get("primitive_options")
    if not isinstance(options, Mapping):
        return
    rest, tags = _without_tags(options)
    tag_lists = [] if tags is None else [tags]
    for name in ("estimator", "sampler"):
        if isinstance(rest.get(name), Mapping):
            rest[name], tags = _without_tags(rest[name])
            tag_lists += [] if tags is None else [tags]
    if not tag_lists:
        return
    if any(one != tag_lists[0] for one in tag_lists):
        raise ConfigurationError(
            f"primitive_options: environment.job_tags is {tag_lists[0]!r} and {tag_lists[1]!r}; a job has those of its device. Give "
            "job_tags=. Nothing was sent.",
            argument="primitive_options",
            value=dict(options),
        )
    arguments["primitive_options"] = rest
    own = arguments.get("job_tags") or []
    both = isinstance(own, (list, tuple)) and isinstance(tag_lists[0], (list, tuple))
    arguments["job_tags"] = [*own, *tag_lists[0]] if both else own or tag_lists[0]


def _without_tags(options: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    """Options without their tags, and the tags; ``None`` if there are none."""
    environment = options.get("environment")
    if not isinstance(environment, Mapping) or "job_tags" not in environment:
        return dict(options), None
    rest = {name: value for name, value in environment.items() if name != "job_tags"}
    others = {name: value for name, value in options.items() if name != "environment"}
    return {**others, "environment": rest} if rest else others, environment["job_tags"]
