"""The command line without a service: help, usage, plain values, and what it says without an account."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import click
import numpy as np
import pytest
from click.testing import CliRunner

from pennylane_threaded_ibmq._version import __version__
from pennylane_threaded_ibmq.cli import main
from pennylane_threaded_ibmq.cli.journal import positions
from pennylane_threaded_ibmq.cli.options import duration, share
from pennylane_threaded_ibmq.cli.output import say_table, writing
from pennylane_threaded_ibmq.cli.rehearse import NEEDED
from pennylane_threaded_ibmq.cli.report import Rehearsal, make_report, say_report
from pennylane_threaded_ibmq.cli.resume import plain
from pennylane_threaded_ibmq.loopback import Counters, JobRecord, JobStatus, LoopbackConfig
from pennylane_threaded_ibmq.store.journal import Journal
from pennylane_threaded_ibmq.store.records import NewShard

SECRET = "a-key-that-nobody-may-see"  # pragma: allowlist secret


@pytest.fixture(autouse=True)
def no_account(monkeypatch, tmp_path):
    """No account, an empty home."""
    for name in (
        "IBMQX_TOKEN",
        "QISKIT_IBM_TOKEN",
        "QISKIT_IBM_INSTANCE",
        "QISKIT_IBM_URL",
        "THREADED_IBMQ_ESTIMATE",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("THREADED_IBMQ_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("pennylane_threaded_ibmq.service.saved.saved_account", lambda: False)


def run(*arguments, **options):
    return CliRunner().invoke(main, list(arguments), prog_name="threaded-ibmq", **options)


# ------------------------------------------------------------------------------------------------------- help


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999"])
@pytest.mark.parametrize("option", ["--secs", "--days"])
def test_a_budget_is_of_finite_numbers(tmp_path, option, value):
    path = tmp_path / "journal.sqlite"
    values = {"--secs": "3", "--days": "1", option: value}
    words = [word for pair in values.items() for word in pair]
    done = CliRunner().invoke(main, ["budget", "--journal", str(path), "--instance", "x", *words])
    assert done.exit_code == 2
    assert f"Invalid value for '{option}'" in done.output
    assert not path.exists()


def test_a_journal_that_is_a_folder_is_one_clear_error(tmp_path, monkeypatch):
    monkeypatch.setenv("THREADED_IBMQ_JOURNAL", str(tmp_path))
    done = CliRunner().invoke(main, ["batches"])
    assert done.exit_code == 1
    assert (
        done.output
        == f"Error: The journal {tmp_path} cannot be used: it is a folder, and a file is needed.\n"
    )


def test_an_option_that_cannot_be_given_shows_no_secret():
    done = CliRunner().invoke(main, ["backends", "--option", "ibmqx_token=of-somebody"])
    assert done.exit_code == 2
    assert "ibmqx_token=**********" in done.output
    assert "of-somebody" not in done.output


def test_help_imports_nothing_heavy():
    program = (
        "import sys\n"
        "from pennylane_threaded_ibmq.cli import main\n"
        "main(['--help'], standalone_mode=False)\n"
        "heavy = {'pennylane', 'qiskit', 'qiskit_ibm_runtime', 'rich', 'numpy', 'pydantic', 'starlette'}\n"
        "print('LOADED', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "Usage:" in done.stdout
    assert "LOADED []" in done.stdout


LOADED = """
import sys
from pennylane_threaded_ibmq.cli import main

main(sys.argv[1:], standalone_mode=False)
heavy = {"pennylane", "qiskit", "qiskit_ibm_runtime", "numpy", "scipy", "matplotlib", "starlette"}
print("LOADED", sorted(heavy & set(sys.modules)), "OF", len(sys.modules))
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["config"],
        ["config", "--json"],
        ["batches"],
        ["show", "{id}"],
        ["timeline", "{id}"],
        ["timeline", "{id}", "--json"],
        ["prune"],
        ["completion", "bash"],
    ],
    ids=" ".join,
)
def test_commands_that_only_look_load_neither_pennylane_nor_qiskit(arguments, tmp_path):
    journal = Journal(tmp_path / "home" / "journal.sqlite")
    batch, _ = journal.begin("ibm_manila", "crn", [], [NewShard("hash", 1, (0,), "tag")])
    journal.close()
    words = [word.format(id=batch) for word in arguments]
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *words], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    said, _, number = done.stdout.splitlines()[-1].partition(" OF ")
    assert said == "LOADED []"
    # all of PennyLane is 1500 modules more
    assert int(number) < 500


def test_errors_of_circuits_are_where_they_always_were():
    """They are PennyLane's errors too, and imported only when somebody asks for them."""
    from pennylane.exceptions import DeviceError, WireError

    from pennylane_threaded_ibmq import exceptions

    wrong = exceptions.UnknownWireError("no such wire", tape=3)
    for base in (exceptions.ThreadedIBMQError, DeviceError, WireError):
        assert isinstance(wrong, base)
    again = pickle.loads(pickle.dumps(wrong))
    assert (type(again), again.tape) == (exceptions.UnknownWireError, 3)
    assert set(exceptions.__all__) <= set(dir(exceptions))
    assert "pennylane_threaded_ibmq.exceptions.UnknownWireError" in repr(type(wrong))
    with pytest.raises(AttributeError, match="NoSuchError"):
        _ = exceptions.NoSuchError


@pytest.mark.parametrize("file", [True, False])
def test_a_saved_account_is_only_looked_for_where_there_is_a_file(file, tmp_path, monkeypatch):
    from pennylane_threaded_ibmq.service import saved

    asked = []
    client = SimpleNamespace(
        QiskitRuntimeService=SimpleNamespace(saved_accounts=lambda: asked.append(1) or {"a": 1})
    )
    monkeypatch.undo()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delitem(sys.modules, "qiskit_ibm_runtime", raising=False)
    if file:
        (tmp_path / ".qiskit").mkdir()
        (tmp_path / ".qiskit" / "qiskit-ibm.json").write_text("{}")
        monkeypatch.setattr(saved, "import_module", lambda _: client)
    assert saved.saved_account() is file
    assert bool(asked) is file


@pytest.mark.parametrize("name", list(main.commands))
def test_every_command_has_help_with_examples_and_json(name):
    done = run(name, "--help")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert any(f"threaded-ibmq {name}" in line for line in lines[lines.index("  Examples:") + 1 :])
    assert "\\b" not in done.stdout
    assert ("--json" in done.stdout) == (name not in {"completion", "serve"})


def test_help_lists_the_commands_in_order():
    whole = run("--help").stdout
    text = whole[whole.index("Commands:") :]
    assert "..." not in text, "no summary is cut"
    assert text.index("doctor") < text.index("rehearse") < text.index("batches")
    assert run("-h").stdout == whole
    assert run("--version").stdout == f"threaded-ibmq, version {__version__}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell):
    assert "_THREADED_IBMQ_COMPLETE" in run("completion", shell).stdout


def test_commands_complete():
    variables = {
        "_THREADED_IBMQ_COMPLETE": "bash_complete",
        "COMP_WORDS": "threaded-ibmq re",
        "COMP_CWORD": "1",
    }
    assert run(env=variables).stdout.split() == ["plain,rehearse", "plain,report", "plain,resume"]


# ------------------------------------------------------------------------------------------------------ usage


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["prune", "--older-than", "soon"], "write 500ms, 30s, 2m, 1h or 90d"),
        (["rehearse", "--faults", "lots", "--", "true"], "write 5% or 0.05"),
        (["rehearse"], "Missing argument"),
        (["rehearse", "--backend", "a", "--backend", "a", "--", "true"], "distinct names"),
        (["resume", "3f2a", "--option", "shard_size"], "write NAME=VALUE"),
        (["resume", "3f2a", "--option", "backend=ibm_x"], "the batch says it"),
        (["estimate", "no-such-file.py"], "does not exist"),
        (["reheasre"], "Did you mean 'rehearse'?"),
        (["backends", "--qubits", "0"], "0 is not in the range"),
        (["budget", "--secs", "3"], "Give --instance with --secs and --off"),
        (["budget", "--instance", "crn", "--secs", "3", "--off"], "give one of them"),
        (["budget", "--instance", "crn", "--days", "3"], "--days is the time for --secs"),
        (
            ["resume", "3f2a", "-o", "nowhere/r.json"],
            "nowhere/r.json cannot be written: there is no folder nowhere",
        ),
        (
            ["timeline", "3f2a", "-o", "nowhere/t.png"],
            "nowhere/t.png cannot be written: there is no folder nowhere",
        ),
        (
            ["rehearse", "-o", "nowhere/r.json", "--", "true"],
            "nowhere/r.json cannot be written: there is no folder",
        ),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments, said):
    done = run(*arguments)
    assert done.exit_code == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("30s", 30), ("2m", 120), ("2min", 120), ("1h", 3600), ("1.5", 1.5)]
)
def test_lengths_of_time(text, seconds):
    assert duration(text) == pytest.approx(seconds)


def test_shares():
    assert share("5%") == pytest.approx(0.05) == share("0.05")
    for wrong in ("120%", "-1", "nan"):
        with pytest.raises(click.BadParameter):
            share(wrong)


def test_an_expected_error_has_no_traceback():
    done = run("show", "3f2a")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: batch '3f2a' is not in the journal")
    done = run("timeline", "3f2a", "-o", "timeline.png")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: batch '3f2a' is not in the journal")
    done = run("show", "3f2a", "--journal", "no-such-file.sqlite")
    assert (done.exit_code, done.stderr) == (1, "Error: there is no journal no-such-file.sqlite.\n")


def test_what_cannot_be_written_is_one_clear_error():
    full = Path("/dev/full")  # every write to it finds no space
    with pytest.raises(click.ClickException) as caught, writing(full):
        full.write_text("results")
    assert (
        caught.value.message
        == "/dev/full cannot be written: No space left on device. Choose another place with -o."
    )


@pytest.mark.parametrize("arguments", [["config"], ["config", "--json"], ["batches"]])
def test_a_full_output_is_one_clear_error(arguments):
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "pennylane_threaded_ibmq.cli", *arguments]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        1,
        "Error: standard output cannot be used: No space left on device.\n",
    )


def test_without_an_output_a_table_is_no_error(monkeypatch):
    monkeypatch.setattr("sys.stdout", None)
    say_table(("A", "B"), [("1", "2")])


def test_pages_of_a_journal_that_is_not_there_are_not_served():
    done = run("serve", "--journal", "no-such-file.sqlite")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "Error: there is no journal no-such-file.sqlite.\n"


def test_an_error_of_the_package_has_no_traceback(tmp_path):
    damaged = tmp_path / "journal.sqlite"
    damaged.write_text("this is no database, and long enough to be seen as none" * 20)
    done = run("batches", "--journal", str(damaged))
    assert done.exit_code == 1
    assert done.stderr.startswith(f"Error: The journal {damaged} cannot be used")


def test_a_missing_package_has_no_traceback(monkeypatch):
    monkeypatch.setitem(sys.modules, "pennylane_threaded_ibmq.stacks.current.overview", None)
    done = run("backends", "--local")
    assert done.exit_code == 1
    assert "threaded-ibmq doctor tells" in done.stderr


# --------------------------------------------------------------------------------------------- without an account


def test_config_tells_sources_and_never_the_token(monkeypatch):
    monkeypatch.setenv("QISKIT_IBM_TOKEN", SECRET)
    monkeypatch.setenv("QISKIT_IBM_INSTANCE", "my-instance")
    for arguments in (["config"], ["config", "--json"]):
        done = run(*arguments)
        assert done.exit_code == 0
        assert SECRET not in done.stdout
    told = json.loads(done.stdout)
    assert told["ibmqx_token"] == {"value": "set", "source": "environment QISKIT_IBM_TOKEN"}
    assert told["instance"] == {"value": "my-instance", "source": "environment QISKIT_IBM_INSTANCE"}
    assert told["max_jobs"] == {"value": 20, "source": "default"}
    monkeypatch.setenv("IBMQX_TOKEN", SECRET)
    assert json.loads(run("config", "--json").stdout)["ibmqx_token"]["source"] == "environment IBMQX_TOKEN"


def test_config_tells_of_a_saved_account(monkeypatch):
    monkeypatch.setattr("pennylane_threaded_ibmq.service.saved.saved_account", lambda: True)
    told = json.loads(run("config", "--json").stdout)
    assert told["ibmqx_token"] == {"value": "set", "source": "account saved by Qiskit's IBM client"}


def test_doctor_without_an_account_is_content():
    done = run("doctor")
    assert done.exit_code == 0, done.stdout
    assert "note  account: none; circuits run on this machine" in done.stdout
    assert done.stdout.endswith("Everything is ready.\n")


def test_doctor_deep_without_an_account_runs_here():
    told = json.loads(run("doctor", "--deep", "--json").stdout)
    (made,) = told["runs"]
    assert told["ok"]
    assert made["good"]
    assert sum(made["counts"].values()) == 100


def test_doctor_misses_an_account_for_a_real_system():
    done = run("doctor", "--backend", "ibm_torino")
    assert done.exit_code == 1
    assert "BAD   account: none" in done.stdout
    assert done.stdout.endswith("1 to fix.\n")


def test_doctor_sees_that_a_journal_could_not_be_made(monkeypatch, tmp_path):
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("THREADED_IBMQ_HOME", str(file))
    done = run("doctor")
    assert done.exit_code == 1
    assert (
        f"BAD   journal: {file}/journal.sqlite cannot be made: {file} is no folder to write in" in done.stdout
    )
    assert "Choose another folder with THREADED_IBMQ_HOME." in done.stdout


def test_doctor_says_that_no_journal_is_kept(monkeypatch):
    monkeypatch.setenv("THREADED_IBMQ_JOURNAL", "false")
    assert "note  journal: none is kept: journal=False is configured" in run("doctor").stdout


def test_doctor_tells_of_a_setting_that_cannot_work(monkeypatch):
    monkeypatch.setenv("THREADED_IBMQ_MAX_JOBS", "many")
    done = run("doctor", "--json")
    assert done.exit_code == 1
    last = json.loads(done.stdout)["checks"][-1]
    assert (last["name"], last["state"]) == ("settings", "bad")
    assert "environment variable THREADED_IBMQ_MAX_JOBS: max_jobs='many'" in last["found"]


def test_doctor_finds_a_package_that_is_missing_or_too_old(monkeypatch):
    from importlib import metadata

    versions = {"qiskit": "1.4.0"}

    def version(name):
        if name == "qiskit-aer":
            raise metadata.PackageNotFoundError(name)
        return versions.get(name, "99.0")

    monkeypatch.setattr(metadata, "version", version)
    done = run("doctor")
    assert done.exit_code == 1
    assert "BAD   qiskit: is 1.4.0, and >=2.2 is needed" in done.stdout
    assert "BAD   qiskit-aer: is not installed" in done.stdout
    assert "BAD   stack: current, incomplete" in done.stdout
    assert "pip install -U pennylane-threaded-ibmq" in done.stdout
    assert "pip install 'pennylane-threaded-ibmq[classic]'" in done.stdout
    assert "account" not in done.stdout


def test_backends_without_an_account_are_those_of_this_machine():
    done = run("backends", "--json")
    told = {b["name"]: b for b in json.loads(done.stdout)}
    assert "No account" in done.stderr
    assert told["fake_torino"]["qubits"] == 133
    assert told["fake_torino"]["basis"] == ["cz", "id", "rz", "sx", "x"]
    assert {b["where"] for b in told.values()} == {"here"}
    assert "aer_simulator" in told


def test_in_a_pipe_tables_are_plain_columns():
    lines = run("backends", "--local", "--qubits", "133").stdout.splitlines()
    assert lines[0].split() == ["BACKEND", "WHERE", "QUBITS", "QUEUE", "BASIS", "HERE"]
    assert any(line.split()[0] == "fake_torino" for line in lines)
    assert all(line.isascii() for line in lines)
    assert run("backends", "--local", "--qubits", "9999").stdout == "No backend has 9999 qubits.\n"


def test_a_narrow_terminal_folds_words_and_no_ids(monkeypatch, capsys):
    rows = [("2fbc79564a994988", "2026-11-29 00:18:18", "delivered")] * 2
    columns = ("BATCH", "CREATED", "STATE")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    for width, is_whole in ((60, True), (44, True), (30, False)):
        monkeypatch.setenv("COLUMNS", str(width))
        say_table(columns, rows)
        shown = click.unstyle(capsys.readouterr().out)
        assert max(map(len, shown.splitlines())) <= width
        assert (shown.count("2fbc79564a994988") == 2) is is_whole
        assert ("2026-11-29 00:18:18" in shown) is (width == 60)


def test_looking_makes_no_journal(tmp_path):
    assert run("batches").stdout == "The journal has no batch.\n"
    assert json.loads(run("batches", "--json").stdout) == []
    assert run("prune").stdout == "0 batches forgotten.\n"
    assert not (tmp_path / "home").exists()


def test_a_program_that_sends_nothing_has_no_estimate(tmp_path):
    script = tmp_path / "local.py"
    script.write_text("import sys; print('ran', sys.argv[1:])")
    command = [sys.executable, "-m", "pennylane_threaded_ibmq.cli", "estimate"]
    done = subprocess.run([*command, str(script), "--steps", "3"], capture_output=True, text=True, check=True)
    assert done.stdout == "ran ['--steps', '3']\nThe program ended and sent nothing to IBM Quantum.\n"
    done = subprocess.run([*command, "--json", str(script)], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["first_batch"] is None
    assert done.stderr == "ran []\n"
    script.write_text("raise SystemExit(7)")
    done = subprocess.run([*command, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "failed with exit status 7 before it sent anything" in done.stderr


def test_a_rehearsal_without_its_packages_names_the_command(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name in NEEDED else object())
    done = run("rehearse", "--", "true")
    assert done.exit_code == 1
    assert 'pip install "pennylane-threaded-ibmq[loopback]"' in done.stderr


# ------------------------------------------------------------------------------------------------- plain values


def test_results_become_json():
    results = (
        np.float64(0.5),
        (np.array([0.25, 0.75]), {"00": np.int64(3)}),
        np.array([[1 + 2j]]),
        None,
        3,
    )
    assert json.loads(json.dumps(plain(results))) == [0.5, [[0.25, 0.75], {"00": 3}], [[[1.0, 2.0]]], None, 3]


def test_positions():
    assert positions((0, 1, 2, 3, 7, 9, 10)) == "0-3, 7, 9-10"
    assert positions(()) == ""


# -------------------------------------------------------------------------------------------------- the report


def job(status, **fields):
    start = datetime(2026, 1, 1, tzinfo=UTC)
    given = {
        "started": start + timedelta(seconds=30),
        "finished": start + timedelta(seconds=32),
        "results_read": 1,
        **fields,
    }
    return JobRecord(
        id="j",
        program_id="sampler",
        backend="ibm_torino",
        instance="crn",
        created=start,
        status=status,
        **given,
    )


def rehearsal(jobs=(), exit_code=0, config=None, **counted):
    counters = Counters(jobs=len(jobs), **counted)
    return Rehearsal(("python", "x.py"), exit_code, 1.5, config or LoopbackConfig(), counters, tuple(jobs))


def test_a_good_rehearsal():
    made = rehearsal([job(JobStatus.COMPLETED)] * 2, by_route={"POST /jobs": 2}, usage_secs=4.5)
    report = make_report(made)
    assert report["problems"] == []
    assert report["queued_secs"] == {"total": 60.0, "longest": 30.0}
    assert report["usage_secs"] == 4.5
    assert report["submissions_not_accepted"] == 0


def test_a_rehearsal_with_troubles(capsys):
    jobs = [
        job(JobStatus.COMPLETED, results_read=0),
        job(JobStatus.FAILED, reason="Error code 1234; it broke."),
        job(JobStatus.QUEUED, started=None, finished=None),
    ]
    made = rehearsal(
        jobs,
        exit_code=3,
        config=LoopbackConfig(usage_limit_secs=5),
        by_route={"POST /jobs": 5},
        usage_secs=6.0,
        refused=2,
        faults={"reset": 4},
    )
    report = make_report(made)
    assert report["submissions_not_accepted"] == 2
    text = "\n".join(report["problems"])
    for said in (
        "exit code 3",
        "Failed: Error code 1234",
        "1 job ran, and nobody",
        "1 job still waited",
        "6.0 s of 5 s",
        "2 requests to other hosts",
    ):
        assert said in text
    say_report(report)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "4 reset" in shown.err
    assert "2 submissions, by limits or faults" in shown.err


def test_a_rehearsal_without_a_job_says_why():
    assert "does the program use one of the backends" in make_report(rehearsal())["problems"][0]


def test_the_loopback_service_without_its_packages_names_the_extra():
    code = "import sys; sys.modules['uvicorn'] = None; import pennylane_threaded_ibmq.loopback"
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    assert done.stderr.endswith(
        "ModuleNotFoundError: the loopback service needs uvicorn: pip install 'pennylane-threaded-ibmq[loopback]'\n"
    )
