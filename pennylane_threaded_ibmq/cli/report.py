"""The report of a rehearsal."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .._quantity import quantity
from .output import note, say_facts, span

if TYPE_CHECKING:
    from ..loopback import Counters, JobRecord, LoopbackConfig

SUBMIT = "POST /jobs"
MOST_PROBLEMS = 10


@dataclass(frozen=True)
class Rehearsal:
    """A program that has run against the service.

    Attributes:
        command: The program.
        exit_code: Its exit code.
        secs: How long it ran.
        config: What the service pretended to be.
        counters: What the service counted.
        jobs: The jobs, oldest first.
    """

    command: tuple[str, ...]
    exit_code: int
    secs: float
    config: LoopbackConfig
    counters: Counters
    jobs: tuple[JobRecord, ...]


def make_report(rehearsal: Rehearsal) -> dict[str, Any]:
    """A rehearsal's report, for programs."""
    counters, jobs, config = rehearsal.counters, rehearsal.jobs, rehearsal.config
    waits = [(job.started - job.created).total_seconds() for job in jobs if job.started is not None]
    runs = [
        (job.finished - job.started).total_seconds()
        for job in jobs
        if job.started and job.finished is not None
    ]
    statuses = Counter(str(job.status) for job in jobs)
    return {
        "command": list(rehearsal.command),
        "exit_code": rehearsal.exit_code,
        "secs": round(rehearsal.secs, 3),
        "backends": list(config.backends),
        "jobs": counters.jobs,
        "jobs_by_status": dict(statuses),
        "pubs": counters.pubs,
        "circuits": counters.rows,
        "shots": counters.shots,
        "usage_secs": round(counters.usage_secs, 6),
        "usage_limit_secs": config.usage_limit_secs,
        "queued_secs": {"total": round(sum(waits), 3), "longest": round(max(waits, default=0.0), 3)},
        "running_secs": {"total": round(sum(runs), 3), "longest": round(max(runs, default=0.0), 3)},
        "most_pending": counters.max_pending,
        "requests": counters.requests,
        "requests_by_route": dict(counters.by_route),
        "submissions": counters.by_route.get(SUBMIT, 0),
        "submissions_not_accepted": max(0, counters.by_route.get(SUBMIT, 0) - counters.jobs),
        "faults": dict(counters.faults),
        "requests_elsewhere": counters.refused,
        "problems": _problems(rehearsal, statuses),
    }


def _problems(rehearsal: Rehearsal, statuses: Counter[str]) -> list[str]:
    """Sentences on what failed, or would have failed."""
    counters, config = rehearsal.counters, rehearsal.config
    problems = []
    if rehearsal.exit_code:
        problems.append(f"The program ended with exit code {rehearsal.exit_code}.")
    bad = [job for job in rehearsal.jobs if str(job.status) not in {"Completed", "Queued", "Running"}]
    problems += [
        f"Job {job.id}: {job.status}{': ' + job.reason if job.reason else ''}" for job in bad[:MOST_PROBLEMS]
    ]
    if len(bad) > MOST_PROBLEMS:
        problems.append(f"{quantity(len(bad) - MOST_PROBLEMS, 'more job')} failed or were cancelled.")
    unread = sum(str(job.status) == "Completed" and not job.results_read for job in rehearsal.jobs)
    if unread:
        problems.append(f"{quantity(unread, 'job')} ran, and nobody fetched the results.")
    unfinished = statuses["Queued"] + statuses["Running"]
    if unfinished:
        problems.append(f"{quantity(unfinished, 'job')} still waited or ran when the program ended.")
    limit = config.usage_limit_secs
    if limit is not None and counters.usage_secs >= limit:
        problems.append(f"The QPU time was used up: {counters.usage_secs:.1f} s of {limit:g} s.")
    if counters.refused:
        requests = quantity(
            counters.refused,
            "request to other hosts than IBM's was",
            "requests to other hosts than IBM's were",
        )
        problems.append(f"{requests} refused; a real run would go there.")
    if not counters.jobs:
        problems.append(
            "No job was sent: does the program use one of the backends above, and not a local one?"
        )
    return problems


def say_report(report: dict[str, Any]) -> None:
    """Print a report for people, on standard error: standard output is the program's."""
    queued, limit = report["queued_secs"], report["usage_limit_secs"]
    refusals = report["submissions_not_accepted"]
    of = "" if limit is None else f" of {span(limit)}"
    facts = {
        "program": f"exit code {report['exit_code']} after {span(report['secs'])}",
        "backends": ", ".join(report["backends"]),
        "jobs": _jobs(report),
        "PUBs": report["pubs"],
        "circuits": report["circuits"],
        "shots": report["shots"],
        "QPU seconds": f"{report['usage_secs']:.2f}{of}",
        "queued": f"{span(queued['total'])} over all jobs, {span(queued['longest'])} the longest",
        "requests": f"{report['requests']}, of them {quantity(report['submissions'], 'submission')}",
        "not accepted": f"{quantity(refusals, 'submission')}, by limits or faults" if refusals else None,
        "faults met": ", ".join(f"{number} {effect}" for effect, number in report["faults"].items()) or None,
    }
    note("\nRehearsal (nothing was sent to IBM)")
    say_facts(facts, indent="  ", err=True)
    if report["problems"]:
        note("What failed, or would have failed:")
        for problem in report["problems"]:
            note(f"  - {problem}")
    else:
        note("Nothing failed.")


def _jobs(report: dict[str, Any]) -> str:
    by_status = ", ".join(f"{number} {status.lower()}" for status, number in report["jobs_by_status"].items())
    text = f"{report['jobs']} ({by_status})" if by_status else str(report["jobs"])
    return f"{text}, at most {report['most_pending']} at a time" if report["jobs"] else text
