"""The API key is handed to IBM's client and is nowhere else: no file, no log, no repr, no pickle, no error."""

from __future__ import annotations

import inspect
import logging
import os
import pickle
import sys
import tempfile
import traceback
from pathlib import Path

import numpy as np
import pennylane as qml
import pytest

import pennylane_threaded_ibmq
from pennylane_threaded_ibmq import exceptions
from pennylane_threaded_ibmq.execution import watcher
from pennylane_threaded_ibmq.loopback import Fault, JobStatus

KEY = "apikey-7Qm2-of-the-right-kind"
WRONG = "apikey-9Xw4-of-nobody"
SECRETS = (KEY, WRONG)
OURS = str(Path(pennylane_threaded_ibmq.__file__).parent)
PLAIN = (str, bytes, int, float, complex, bool, type(None), type(sys), type, np.ndarray)


def ladder(count):
    return [
        qml.tape.QuantumScript([qml.RY(angle, 0)], [qml.expval(qml.Z(0))], shots=100)
        for angle in np.linspace(0, np.pi, count)
    ]


def leaves(value, depth=8, seen=None):
    """Every text that can be reached from an object through its attributes and items."""
    seen = set() if seen is None else seen
    if isinstance(value, (str, bytes)):
        yield str(value)
        return
    if depth == 0 or id(value) in seen or isinstance(value, PLAIN) or inspect.isroutine(value):
        return
    seen.add(id(value))
    yield _repr(value)
    parts = list(getattr(value, "__dict__", {}).values())
    if isinstance(value, dict):
        parts += [*value.keys(), *value.values()]
    elif isinstance(value, (list, tuple, set, frozenset)):
        parts += list(value)
    if isinstance(value, BaseException):
        parts += [value.args, value.__cause__, value.__context__, *getattr(value, "__notes__", [])]
    for part in parts:
        yield from leaves(part, depth - 1, seen)


def texts_of(error):
    """What an error tells, what it holds, what a printed traceback shows of our own variables, and its pickle."""
    yield from leaves(error)
    yield "".join(traceback.format_exception(error))
    pending, done = [error], set()
    while pending:
        one = pending.pop()
        if one is None or id(one) in done:
            continue
        done.add(id(one))
        pending += [one.__cause__, one.__context__]
        # TracebackException(capture_locals=True) shows the same, but ends at the first object without a repr
        for frame, _ in traceback.walk_tb(one.__traceback__):
            if frame.f_code.co_filename.startswith(OURS):
                yield from map(_repr, frame.f_locals.values())
    yield str(pickle.dumps(error))


def _repr(value):
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001 - an object that was not made to its end
        return repr(error)


def files_below(*folders):
    for folder in folders:
        for path in Path(folder).rglob("*"):
            if path.is_file() and not path.is_symlink():
                yield path, path.read_bytes()


@pytest.fixture
def failures(loopback, device, monkeypatch):
    """One error of each kind, raised on the way that users meet it."""

    def collect():
        service = loopback(tokens=(KEY,))
        caught = {}

        def fails(kind, call):
            with pytest.raises(kind) as info:
                call()
            assert type(info.value) is kind
            caught[kind.__name__, len(caught)] = info.value

        def fresh(**options):
            return device(ibmqx_token=KEY, **options)

        def broken(fault, kind, tapes=2, **options):
            service.inject(fault)
            dev = fresh(**options)
            fails(kind, lambda: dev.batch_execute(ladder(tapes)))
            service.clear_faults()

        dev = fresh()
        dev.batch_execute(ladder(2))
        fails(exceptions.BackendError, lambda: fresh(backend="ibm_none"))
        fails(exceptions.CredentialsError, lambda: device(ibmqx_token=WRONG))
        fails(exceptions.CredentialsError, lambda: fresh(instance="nobody"))
        fails(exceptions.ConfigurationError, lambda: fresh(shrd_size=3))
        fails(exceptions.ConfigurationError, lambda: fresh(shard_size="large"))
        fails(exceptions.ConfigurationError, lambda: device(ibmqx_token=[KEY]))
        fails(exceptions.UsageLimitError, lambda: fresh(max_usage_secs=0.1).batch_execute(ladder(2)))
        fails(exceptions.UnsupportedCircuitError, lambda: dev.submit("no tape"))
        fails(exceptions.JournalError, lambda: dev.resume("nothing"))
        job = {"on": "POST /jobs$"}
        broken(
            Fault(effect="status", status=400, message="No.", times=None, **job), exceptions.SubmissionError
        )
        broken(Fault(effect="job", reason="No.", **job), exceptions.JobFailedError)
        broken(Fault(effect="job", job_status="Cancelled", **job), exceptions.JobCancelledError)
        broken(Fault(effect="job", reason="No.", **job), exceptions.ShardFailedError, shard_size=1)
        broken(Fault(effect="rows", on=r"GET /jobs/\{id\}/results", times=None), exceptions.ResultError)
        monkeypatch.setattr(watcher, "MOST_REFUSALS", 2)
        broken(Fault(effect="status", status=400, on="GET /jobs", times=None), exceptions.ServiceError)
        service.hold()
        fails(exceptions.WaitTimeoutError, lambda: fresh(timeout_secs=0.5).batch_execute(ladder(3)))
        handle = dev.submit(ladder(4))
        service.wait_for_jobs(1, JobStatus.QUEUED)
        dev.close()
        fails(exceptions.DeviceClosedError, lambda: handle.result(120))
        return service, dev, caught

    return collect


def test_the_key_is_nowhere(failures, caplog, capfd, tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr(tempfile, "tempdir", None)
    with caplog.at_level(logging.DEBUG):
        service, dev, caught = failures()
    texts = {f"{name} {n}": texts_of(error) for (name, n), error in caught.items()}
    texts["device"] = iter([repr(dev), str(dev), repr(vars(dev)), repr(dev._settings), str(dev._settings)])
    texts["settings"] = iter(
        [str(pickle.dumps(dev._settings)), dev._settings.model_dump_json(include={"ibmqx_token"})]
    )
    texts["workplace"] = iter(
        [repr(vars(dev._open())), repr(vars(dev._open().runner)), repr(vars(dev._open().jobs))]
    )
    texts["logs"] = (
        f"{r.getMessage()} {r.args} {r.exc_text}"
        for r in caplog.records
        if r.name.startswith("pennylane_threaded_ibmq")
    )
    texts["output"] = iter(capfd.readouterr())
    texts["jobs"] = (job.model_dump_json() for job in service.jobs)
    found = [where for where, told in texts.items() for text in told if any(s in text for s in SECRETS)]
    assert sorted(set(found)) == []
    # the journal's folder, the temporary folder and the home
    places = [tmp_path, os.environ["HOME"]]
    assert [
        str(p) for p, content in files_below(*places) if any(s.encode() in content for s in SECRETS)
    ] == []
    assert any(p.name == "journal.sqlite" for p, _ in files_below(tmp_path))


def test_errors_survive_a_pickle(failures):
    _, _, caught = failures()
    for error in caught.values():
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is type(error)
        assert str(copy) == str(error)
        assert set(vars(copy)) == set(vars(error))


def test_the_environments_key_is_hidden_as_well(monkeypatch):
    monkeypatch.setenv("IBMQX_TOKEN", KEY)
    from pennylane_threaded_ibmq.settings import load_settings

    with pytest.raises(exceptions.ConfigurationError) as info:
        load_settings({"shard_size": "large"})
    assert not [text for text in texts_of(info.value) if KEY in text]


@pytest.mark.parametrize("source", ["argument", "environment", "file"])
def test_an_executor_that_is_refused_shows_no_key(monkeypatch, tmp_path, source):
    from pennylane_threaded_ibmq import IBMQExecutor

    monkeypatch.setenv("THREADED_IBMQ_HOME", str(tmp_path))
    fields = {"max_jobs": 0}
    if source == "argument":
        fields["ibmqx_token"] = KEY
    elif source == "environment":
        monkeypatch.setenv("IBMQX_TOKEN", KEY)
    else:
        (tmp_path / "config.toml").write_text(f'[qelectron.IBMQExecutor]\nibmqx_token = "{KEY}"\n')
    with pytest.raises(exceptions.ConfigurationError) as info:
        IBMQExecutor(**fields)
    # the frame of this test holds it, and is no business of ours
    assert not [text for text in texts_of(info.value) if KEY in text]
    assert IBMQExecutor(**{**fields, "max_jobs": 1}).ibmqx_token.get_secret_value() == KEY


def test_a_broken_file_with_a_key_shows_no_key(monkeypatch, tmp_path):
    from pennylane_threaded_ibmq import IBMQExecutor

    monkeypatch.setenv("THREADED_IBMQ_HOME", str(tmp_path))
    (tmp_path / "config.toml").write_text(
        f'[qelectron.IBMQExecutor]\nibmqx_token = "{KEY}"\nmax_jobs = = 3\n'
    )
    with pytest.raises(exceptions.ConfigurationFileError) as info:
        IBMQExecutor()
    assert not [text for text in texts_of(info.value) if KEY in text]


PASSWORD = "pass-3Kd8-of-a-proxy"
PROXIES = {"urls": {"https": f"http://me:{PASSWORD}@proxy:3128"}}
NESTED = [
    {"proxies": PROXIES},
    {"proxies": {"username_ntlm": "me", "password_ntlm": PASSWORD}},
    {"proxies": {"https": f"http://me:{PASSWORD}@proxy:3128"}},
    {"simulator_options": {"token": PASSWORD}},
    {"primitive_options": {"environment": {"api_key": PASSWORD}}},
    {"options": {"sampler": {"environment": {"apikeys": [PASSWORD]}}}},
    {"environment": {"token": PASSWORD, "log_level": "INFO"}},
    {"transpile_options": {"password": PASSWORD}},
    {"run_options": {"token": PASSWORD}},
]


def attempts(options):
    """What is made of the options, and the errors of those that are refused, some for another reason."""
    from pennylane_threaded_ibmq import IBMQExecutor, QCluster
    from pennylane_threaded_ibmq.settings import load_settings

    def one():
        return IBMQExecutor(persist_data=False, **options)

    for make in (
        lambda: load_settings(options),
        lambda: qml.device("threaded.ibmq", wires=1, **options),
        lambda: qml.device("threaded.ibmq", wires=1).with_options(max_jobs=0, **options),
        lambda: qml.device("threaded.ibmq", wires=1, max_jobs=0, **options),
        lambda: qml.device("threaded.ibmq", wires=1, max_jbos=0, **options),
        one,
        lambda: QCluster(executors=[one(), one()]),
        lambda: IBMQExecutor(max_jobs=0, **options),
        lambda: one().batch_submit(ladder(1))[0].result(60),
    ):
        try:
            yield make()
        except exceptions.ThreadedIBMQError as error:
            yield error


@pytest.mark.parametrize("options", NESTED, ids=lambda options: next(iter(options)))
def test_secrets_within_options_are_shown_by_nothing(options):
    def is_shown(told):
        return any(PASSWORD in text for text in told)

    kinds = set()
    for one in attempts(options):
        kinds.add(type(one).__name__)
        if isinstance(one, BaseException):
            assert not is_shown(texts_of(one)), one
            continue
        assert not is_shown([repr(one), str(one)])
        if hasattr(one, "model_dump"):
            assert not is_shown([repr(one.model_dump()), one.model_dump_json(), str(pickle.dumps(one))])
    assert kinds >= {"Settings", "ConfigurationError", "IBMQExecutor", "QCluster"}


@pytest.mark.parametrize(
    ("proxies", "text"),
    [
        ({"https": f"http://me:{PASSWORD}@proxy"}, "'https' is none of its keys"),
        ({"urls": f"http://me:{PASSWORD}@proxy"}, "urls must be a dictionary"),
        ({"urls": {"https": 3128}}, "urls must be a dictionary"),
        ({"password_ntlm": PASSWORD}, "go together"),
        ({"username_ntlm": "me", "password_ntlm": 5}, "go together"),
    ],
)
def test_proxies_that_the_client_does_not_take_are_refused_without_their_passwords(proxies, text):
    with pytest.raises(exceptions.ConfigurationError, match=text) as info:
        qml.device("threaded.ibmq", wires=1, backend="ibm_none", ibmqx_token=KEY, proxies=proxies)
    assert info.value.argument == "proxies"
    assert not [told for told in (str(info.value), repr(info.value.value)) if PASSWORD in told]


def test_secrets_within_options_reach_those_who_need_them():
    from pennylane_threaded_ibmq import IBMQExecutor
    from pennylane_threaded_ibmq.settings import load_settings

    assert load_settings({"proxies": PROXIES}).client_arguments["proxies"] == PROXIES
    executor = IBMQExecutor(proxies=PROXIES, job_tags=["night"])
    assert executor.proxies == executor.model_copy().proxies == PROXIES
    assert executor._device()._settings.proxies == PROXIES
    # as a token: looked up where the pickle is used, and not told that there is none
    again = pickle.loads(pickle.dumps(executor))
    assert "proxies" not in again.model_dump()
    assert again.job_tags == ["night"]


def test_options_without_secrets_are_those_that_were_given():
    from pennylane_threaded_ibmq import IBMQExecutor

    options = {"environment": {"log_level": "INFO"}}
    executor = IBMQExecutor(primitive_options=options)
    assert executor.primitive_options is options
    assert pickle.loads(pickle.dumps(executor)).primitive_options == options


def test_secrets_within_options_are_in_no_file(loopback, device, tmp_path, caplog):
    from pennylane_threaded_ibmq import IBMQExecutor

    loopback()
    # of a protocol that nobody speaks here
    proxies = {"urls": {"ftp": PROXIES["urls"]["https"]}}
    with caplog.at_level(logging.DEBUG):
        dev = device(experimental={"token": PASSWORD}, proxies=proxies)
        dev.batch_execute(ladder(2))
        with IBMQExecutor(proxies=proxies) as executor:
            executor.batch_submit(ladder(1))[0].result(60)
    ours = (r for r in caplog.records if r.name.startswith("pennylane_threaded_ibmq"))
    shown = [f"{name}: {value!r}" for name, value in vars(dev._open()).items()]
    assert [text for text in (*shown, *(r.getMessage() for r in ours)) if PASSWORD in text] == []
    names = {p.name for p, _ in files_below(tmp_path, os.environ["HOME"])}
    assert {"journal.sqlite", "qelectron.sqlite3"} <= names
    assert not [p for p, content in files_below(tmp_path, os.environ["HOME"]) if PASSWORD.encode() in content]


def test_the_command_shows_no_secret_within_options(monkeypatch):
    import json

    from click.testing import CliRunner

    from pennylane_threaded_ibmq.cli.app import main

    monkeypatch.setenv("THREADED_IBMQ_PROXIES", json.dumps(PROXIES))
    monkeypatch.setenv("THREADED_IBMQ_IBMQX_URL", f"https://me:{PASSWORD}@cloud.ibm.com")
    for arguments in (["config"], ["config", "--json"]):
        done = CliRunner().invoke(main, arguments)
        assert done.exit_code == 0
        assert PASSWORD not in done.output
        assert "proxy:3128" in done.output
    # text that is no JSON, and so no dictionary
    monkeypatch.setenv("THREADED_IBMQ_PROXIES", f"http://me:{PASSWORD}@proxy")
    done = CliRunner().invoke(main, ["config"])
    assert "proxies='http://**********@proxy': Input should be a valid dictionary" in done.output
