"""Where fields come from: argument, environment, our file, Covalent's file, default."""

import warnings

import pennylane as qml
import pytest

from pennylane_threaded_ibmq import IBMQExecutor, QiskitExecutor
from pennylane_threaded_ibmq.config import covalent_file, own_file
from pennylane_threaded_ibmq.exceptions import (
    ConfigurationError,
    ConfigurationFileError,
    ConfigurationWarning,
    UnsupportedCircuitError,
)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def table(**values):
    lines = "\n".join(f"{k} = {v!r}".replace("'", '"') for k, v in values.items())
    return f"[qelectron.IBMQExecutor]\n{lines}\n"


def test_precedence_from_argument_to_default(monkeypatch):
    assert IBMQExecutor().hub == "ibm-q"
    write(covalent_file(), table(hub="covalent", group="covalent", ibmqx_token=""))
    assert IBMQExecutor().hub == "covalent"
    write(own_file(), table(hub="ours"))
    executor = IBMQExecutor()
    assert (executor.hub, executor.group) == ("ours", "covalent")
    assert executor.ibmqx_token.get_secret_value() == ""
    monkeypatch.setenv("THREADED_IBMQ_HUB", "environment")
    assert IBMQExecutor().hub == "environment"
    assert IBMQExecutor(hub="argument").hub == "argument"


def test_token_precedence(monkeypatch):
    write(covalent_file(), table(ibmqx_token="covalent"))
    assert IBMQExecutor().ibmqx_token.get_secret_value() == "covalent"
    write(own_file(), table(ibmqx_token="ours"))
    assert IBMQExecutor().ibmqx_token.get_secret_value() == "ours"
    monkeypatch.setenv("QISKIT_IBM_TOKEN", "qiskit")
    assert IBMQExecutor().ibmqx_token.get_secret_value() == "qiskit"
    monkeypatch.setenv("IBMQX_TOKEN", "ibmqx")
    assert IBMQExecutor().ibmqx_token.get_secret_value() == "ibmqx"
    assert IBMQExecutor(ibmqx_token="argument").ibmqx_token.get_secret_value() == "argument"
    assert IBMQExecutor(ibmqx_token="").ibmqx_token.get_secret_value() == "ibmqx"


def test_the_path_rules_are_those_of_covalent(monkeypatch, home, tmp_path):
    assert covalent_file() == home / ".config" / "covalent" / "covalent.conf"
    monkeypatch.setenv("XDG_CONFIG_DIR", str(tmp_path / "xdg"))
    write(tmp_path / "xdg" / "covalent.conf", table(project="from-xdg"))
    assert IBMQExecutor().project == "from-xdg"
    monkeypatch.setenv("COVALENT_CONFIG_DIR", str(tmp_path / "own"))
    write(tmp_path / "own" / "covalent.conf", table(project="from-covalent-dir"))
    assert IBMQExecutor().project == "from-covalent-dir"


def test_other_tables_of_the_file_are_left_alone():
    text = f'[sdk]\nhub = "no"\nlog_level = 3\n\n[qelectron.BraketQubitExecutor]\nhub = "no"\n\n{table(hub="yes")}'
    path = write(covalent_file(), text)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert IBMQExecutor().hub == "yes"
    assert path.read_text() == text


def test_numbers_and_device_options_can_be_configured(monkeypatch):
    write(
        own_file(),
        "[qelectron.IBMQExecutor]\nmax_jobs = 3\nshots = 50\ntimeout_secs = 9.5\npersist_data = false\n",
    )
    executor = IBMQExecutor()
    assert (executor.max_jobs, executor.shots, executor.timeout_secs) == (3, 50, 9.5)
    assert executor.persist_data is False
    monkeypatch.setenv("THREADED_IBMQ_MAX_JOBS", "7")
    assert IBMQExecutor().max_jobs == 7


def test_options_that_stand_by_themselves_reach_the_device():
    write(
        own_file(), "[threaded.ibmq]\nseed_transpiler = 7\n[qelectron.Routed]\nrouting_method = 'nowhere'\n"
    )

    class Routed(IBMQExecutor):
        """An executor of the user's."""

    tape = qml.tape.QuantumScript([qml.X(0)], [qml.probs(wires=0)], shots=5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        executor = Routed(backend="fake_manila", optimization_level=1)
        with pytest.raises(ConfigurationError, match="optimization_level=9"):
            IBMQExecutor(backend="fake_manila", optimization_level=9).batch_submit([tape])
    assert (executor.seed_transpiler, executor.optimization_level) == (7, 1)
    with pytest.raises(UnsupportedCircuitError, match="plugin name nowhere"):
        executor.batch_get_results(executor.batch_submit([tape]))


def test_an_edit_is_seen_by_the_next_executor():
    write(own_file(), table(hub="one"))
    first = IBMQExecutor()
    write(own_file(), table(hub="two"))
    assert (first.hub, IBMQExecutor().hub) == ("one", "two")


@pytest.mark.parametrize("place", [covalent_file, own_file])
def test_a_broken_file_is_named_with_its_line(place):
    path = write(place(), '[qelectron.IBMQExecutor]\nhub = "a"\ngroup = oops\n')
    with pytest.raises(ConfigurationFileError, match=r"line 3: not valid TOML") as caught:
        IBMQExecutor()
    assert (caught.value.path, caught.value.line) == (path, 3)
    assert str(path) in str(caught.value)


def test_a_file_that_ends_too_early_is_named_with_its_last_line():
    write(own_file(), '[qelectron.IBMQExecutor]\nhub = """a')
    with pytest.raises(ConfigurationFileError, match="line 2") as caught:
        IBMQExecutor()
    assert caught.value.line == 2


def test_a_wrong_value_in_a_file_is_named_with_file_and_line():
    path = write(own_file(), '[qelectron.IBMQExecutor]\nhub = "a"\n\nmax_jobs = 0\n')
    with pytest.raises(ConfigurationFileError, match=r"line 4: max_jobs=0") as caught:
        IBMQExecutor()
    assert (caught.value.path, caught.value.line, caught.value.argument) == (path, 4, "max_jobs")
    assert IBMQExecutor(max_jobs=2).max_jobs == 2


def test_a_wrong_value_in_the_environment_names_the_variable(monkeypatch):
    monkeypatch.setenv("THREADED_IBMQ_MAX_JOBS", "many")
    with pytest.raises(ValueError, match="environment variable THREADED_IBMQ_MAX_JOBS"):
        IBMQExecutor()


def test_a_value_where_the_table_belongs():
    write(own_file(), "\n[qelectron]\nIBMQExecutor = 3\n")
    with pytest.raises(ConfigurationFileError, match=r"line 3: IBMQExecutor must be a table"):
        IBMQExecutor()


def test_a_file_that_is_no_text(tmp_path):
    own_file().parent.mkdir(parents=True)
    own_file().write_bytes(b"# fine\n\xff\xfe\n")
    with pytest.raises(ConfigurationFileError, match="line 2: not UTF-8"):
        IBMQExecutor()


def test_a_folder_in_the_place_of_the_file():
    own_file().mkdir(parents=True)
    with pytest.raises(ConfigurationFileError, match="cannot be read"):
        IBMQExecutor()


def test_a_key_that_does_not_exist_warns_and_is_ignored():
    write(own_file(), '[qelectron.IBMQExecutor]\n\nbackned = "ibm_torino"\n')
    with pytest.warns(ConfigurationWarning, match=r"line 3.*'backned'.*Did you mean 'backend'"):
        executor = IBMQExecutor()
    assert executor.backend == "ibmq_qasm_simulator"


def test_a_secret_in_a_broken_file_is_not_shown():
    write(own_file(), '[qelectron.IBMQExecutor]\nibmqx_token = ["very-secret"]\n')
    with pytest.raises(ConfigurationFileError, match="line 2") as caught:
        IBMQExecutor()
    assert "very-secret" not in f"{caught.value}{caught.value.value!r}"


def test_a_qiskit_executor_reads_its_own_table_first():
    """As Covalent writes it; what only the other table has counts too."""
    write(
        covalent_file(),
        table(hub="of-ibmq", ibmqx_token="t", group="of-ibmq")
        + '[qelectron.QiskitExecutor]\ndevice = "sampler"\nbackend = "ibm_torino"\nibmqx_token = ""\nhub = "of-qiskit"\n'
        + "[qelectron.QiskitExecutor.options]\noptimization_level = 3\nresilience_level = 1\n",
    )
    executor = QiskitExecutor()
    assert (executor.device, executor.backend, executor.hub, executor.group) == (
        "sampler",
        "ibm_torino",
        "of-qiskit",
        "of-ibmq",
    )
    assert executor.ibmqx_token.get_secret_value() == "t"
    assert executor.options == {}  # Covalent's defaults, which nobody wrote
    assert QiskitExecutor(device="local_sampler").backend == "aer_simulator"
    assert (IBMQExecutor().backend, IBMQExecutor().hub) == ("ibmq_qasm_simulator", "of-ibmq")


def test_options_of_a_qiskit_executor_can_be_configured():
    write(
        covalent_file(),
        '[qelectron.QiskitExecutor]\ncloud_instance = "mine"\n[qelectron.QiskitExecutor.options]\noptimization_level = 1\n',
    )
    executor = QiskitExecutor(device="sampler", backend="ibm_torino")
    assert (executor.options, executor.instance) == ({"optimization_level": 1}, "mine")


def test_a_subclass_may_have_a_table_of_its_own():
    class Cheap(IBMQExecutor):
        """An executor of the user's."""

    write(own_file(), table(hub="of-all", group="of-all") + '[qelectron.Cheap]\nhub = "of-cheap"\n')
    assert (Cheap().hub, Cheap().group, IBMQExecutor().hub) == ("of-cheap", "of-all", "of-all")
