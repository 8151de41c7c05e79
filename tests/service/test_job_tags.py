"""The user's own tags of jobs: at IBM, in the journal, in lists and on pages; never part of what a job is."""

from __future__ import annotations

import json
import threading

import numpy as np
import pennylane as qml
import pytest
from click.testing import CliRunner
from qiskit_ibm_runtime import QiskitRuntimeService

from pennylane_threaded_ibmq import IBMQExecutor, qelectron
from pennylane_threaded_ibmq.cli import main
from pennylane_threaded_ibmq.cli.pages.render import Pages
from pennylane_threaded_ibmq.exceptions import ConfigurationError
from pennylane_threaded_ibmq.settings import load_settings

WHERE = {
    "option": {"job_tags": ["night-run", "vqe"]},
    "environment": {"environment": {"job_tags": ["night-run", "vqe"]}},
    "primitive_options": {"primitive_options": {"environment": {"job_tags": ["night-run", "vqe"]}}},
    "each primitive": {
        "primitive_options": {
            name: {"environment": {"job_tags": ["night-run", "vqe"], "log_level": "INFO"}}
            for name in ("estimator", "sampler")
        }
    },
}
"""Ways to give the same tags."""


def tapes(count=1, shots=500):
    return [
        qml.tape.QuantumScript([qml.RY(x, 0), qml.CNOT([0, 1])], [qml.expval(qml.Z(1))], shots=shots)
        for x in np.linspace(0, np.pi, count)
    ]


def own(job):
    """Tags of a job that are not those by which the package finds it."""
    return [tag for tag in job.tags if not tag.startswith("threaded-ibmq-")]


def told(*arguments):
    done = CliRunner().invoke(main, list(arguments))
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("options", WHERE.values(), ids=WHERE)
@pytest.mark.parametrize("primitive", ["estimator", "sampler"])
def test_jobs_carry_the_tags_of_their_device(loopback, device, options, primitive):
    service = loopback()
    dev = device(primitive=primitive, shard_size=1, **options)
    dev.batch_execute(tapes(2))
    assert [own(job) for job in service.jobs] == [["night-run", "vqe"]] * 2
    assert len(QiskitRuntimeService().jobs(job_tags=["night-run", "vqe"])) == 2
    (batch,) = dev.batches()
    assert batch.tags == ("night-run", "vqe")
    assert "job_tags" not in json.dumps(batch.options)


def test_a_block_adds_tags_in_every_thread_and_for_devices_made_of_this_one(loopback, device):
    service = loopback()
    dev = device(job_tags=["mine"])
    other = dev.with_options(resilience_level=0)
    renamed = dev.with_options(job_tags=["other"])
    with dev.job_tags("outer"):
        with dev.job_tags("inner", "outer"):
            thread = threading.Thread(target=dev.batch_execute, args=(tapes(),))
            thread.start()
            thread.join()
        other.batch_execute(tapes())
        renamed.batch_execute(tapes())
    with pytest.raises(ZeroDivisionError), dev.job_tags("broken"):
        _ = 1 / 0
    dev.batch_execute(tapes())
    assert [own(job) for job in sorted(service.jobs, key=lambda job: job.created)] == [
        ["mine", "outer", "inner"],
        ["mine", "outer"],
        ["other", "outer"],
        ["mine"],
    ]


def test_another_tag_is_the_same_job(loopback, device):
    """A rerun under another tag takes what is there: nothing is paid for twice because of a name."""
    service = loopback()
    service.hold()
    first = device(**WHERE["environment"])
    handle = first.submit(tapes(2))
    while not handle.job_ids:
        handle.progress  # noqa: B018 - the service is asked meanwhile
    handle.detach()
    first.close()
    service.release()
    second = device(environment={"job_tags": ["again"]})
    again = second.submit(tapes(2))
    again.result()
    assert again.job_ids == handle.job_ids
    assert service.counters.jobs == 1
    assert [batch.tags for batch in second.batches()] == [("again",), ("night-run", "vqe")]
    third = device().resume(handle.batch_id)
    third.result()
    assert third.job_ids == handle.job_ids


def test_what_is_sent_again_keeps_the_tags_of_its_batch(loopback, device):
    service = loopback()
    dev = device(job_tags=["first"])
    with pytest.raises(ConfigurationError):
        dev.job_tags()
    service.hold()
    handle = dev.submit(tapes())
    while not handle.job_ids:
        handle.progress  # noqa: B018 - the service is asked meanwhile
    handle.cancel()
    service.release()
    with dev.job_tags("second"):
        dev.with_options(job_tags=[]).resume(handle.batch_id).result()
    assert [own(job) for job in sorted(service.jobs, key=lambda job: job.created)] == [
        ["first"],
        ["first", "second"],
    ]


def test_an_executor_tags_its_jobs(loopback, monkeypatch, tmp_path):
    service = loopback()
    monkeypatch.setenv("THREADED_IBMQ_HOME", str(tmp_path))

    @qelectron(executors=IBMQExecutor(backend="ibm_manila", shots=100, job_tags=["paper", "fig-2"]))
    @qml.qnode(qml.device("default.qubit", wires=1))
    def circuit():
        return qml.expval(qml.Z(0))

    assert circuit() == pytest.approx(1, abs=0.2)
    (job,) = service.jobs
    assert own(job) == ["paper", "fig-2"]


def test_batches_are_found_by_their_tags_wherever_they_are_shown(loopback, device, tmp_path):
    loopback()
    evil = "<b>x</b> 100%"
    dev = device(job_tags=["night-run"])
    dev.batch_execute(tapes())
    with dev.job_tags(evil):
        dev.batch_execute(tapes(shots=400))
    both, plain = dev.batches()
    assert [b.id for b in dev.batches(tags=["night-run", evil])] == [both.id]
    assert dev.batches(tags=["night"]) == ()
    with pytest.raises(ConfigurationError, match=r"^tags: .*\['night-run'\]"):
        dev.batches(tags="night-run")
    journal = ["--journal", str(tmp_path / "journal.sqlite")]
    listed = json.loads(told("batches", "--tag", "night-run", "--json", *journal))
    assert [(b["id"], b["tags"]) for b in listed] == [
        (both.id, ["night-run", evil]),
        (plain.id, ["night-run"]),
    ]
    assert plain.id not in told("batches", "--tag", evil, *journal)
    assert told("batches", "--tag", "none", *journal) == "The journal has no batch with these tags.\n"
    assert f"night-run, {evil}" in told("show", both.id, "--offline", *journal)
    assert "night-run, &lt;b&gt;x&lt;/b&gt; 100%" in dev.batches()._repr_html_()
    assert "night-run" in dev._repr_html_()
    pages = Pages(tmp_path / "journal.sqlite", 10)
    for page in (pages.index(), pages.batch(both.id)):
        assert "night-run, &lt;b&gt;x&lt;/b&gt; 100%" in page


WRONG = {
    "text": ("night-run", r"list of texts.*\['night-run'\]"),
    "number": ([3], "3 is of type int"),
    "empty": ([""], "at least"),
    "blank": ([" a"], "no blank at its ends"),
    "line": (["a\nb"], "cannot be printed"),
    "long": (["x" * 129], "at most 128 characters"),
    "many": ([str(n) for n in range(31)], "31 tags are given, and 0 to 30"),
    "ours": (["threaded-ibmq-0123456789ab"], "by which this package finds its jobs"),
}


@pytest.mark.parametrize(("tags", "said"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("way", ["option", "primitive_options"])
def test_a_wrong_tag_is_refused_before_anything_is_sent(loopback, device, tags, said, way):
    service = loopback()
    options = {"job_tags": tags} if way == "option" else {"environment": {"job_tags": tags}}
    with pytest.raises(ConfigurationError, match=rf"job_tags.*{said}.*Nothing was sent") as caught:
        device(**options)
    assert caught.value.argument == "job_tags"
    assert service.counters.jobs == 0


def test_tags_may_be_given_twice_and_by_the_environment(monkeypatch):
    assert load_settings({"job_tags": ("a", "b", "a")}).job_tags == ["a", "b"]
    both = load_settings({"job_tags": ["a"], "environment": {"job_tags": ["b"], "log_level": "INFO"}})
    assert (both.job_tags, both.primitive_options) == (["a", "b"], {"environment": {"log_level": "INFO"}})
    assert load_settings({"environment": {"job_tags": None}}).job_tags == []
    monkeypatch.setenv("THREADED_IBMQ_JOB_TAGS", "night-run, vqe")
    assert load_settings({}).job_tags == ["night-run", "vqe"]
    assert load_settings({"job_tags": ["mine"]}).job_tags == ["mine"]
    mixed = {
        "estimator": {"environment": {"job_tags": ["a"]}},
        "sampler": {"environment": {"job_tags": ["b"]}},
    }
    with pytest.raises(ConfigurationError, match="Give job_tags="):
        load_settings({"primitive_options": mixed})
