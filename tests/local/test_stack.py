"""Which stack is installed, and what is said when it is neither."""

from __future__ import annotations

import configparser
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from pennylane_threaded_ibmq import device, exceptions
from pennylane_threaded_ibmq import stack as module
from pennylane_threaded_ibmq.stack import PACKAGES, Stack, decide, installed, judge, stack
from pennylane_threaded_ibmq.stacks.current import client

ROOT = Path(__file__).resolve().parents[2]

CURRENT = {
    "pennylane": "0.45.1",
    "qiskit": "2.6.2",
    "qiskit-aer": "0.18.2",
    "qiskit-ibm-runtime": "0.51.0",
}
PINNED = {
    "pennylane": "0.45.1",
    "pennylane-qiskit": "0.45.0",
    "qiskit": "2.3.0",
    "qiskit-aer": "0.17.2",
    "qiskit-ibm-runtime": "0.45.1",
}
CLASSIC = {
    "pennylane": "0.37.0",
    "pennylane-qiskit": "0.37.0",
    "qiskit": "1.4.6",
    "qiskit-aer": "0.17.2",
    "qiskit-ibm-runtime": "0.43.1",
    "qiskit-ibm-provider": "0.11.0",
    "autoray": "0.7.2",
    "setuptools": "81.0.0",
}
COVALENT = {
    **CLASSIC,
    "pennylane": "0.31.1",
    "pennylane-qiskit": "0.31.0",
    "qiskit": "0.46.3",
    "qiskit-aer": "0.14.2",
    "qiskit-ibm-runtime": "0.20.0",
    "autoray": "0.6.3",
}


def without(versions, name):
    return {key: value for key, value in versions.items() if key != name}


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        (CURRENT, Stack.CURRENT),
        (PINNED, Stack.CURRENT),
        ({**CURRENT, "pennylane-qiskit": "0.37.0"}, Stack.CURRENT),
        ({**CURRENT, "pennylane": "0.46.0.dev3", "qiskit": "2.7.0rc1"}, Stack.CURRENT),
        ({**CURRENT, "setuptools": "83.0", "autoray": "0.9", "qiskit-ibm-provider": "0.11.0"}, Stack.CURRENT),
        (CLASSIC, Stack.CLASSIC),
        (COVALENT, Stack.CLASSIC),
        ({**COVALENT, "qiskit": "0.43.1", "qiskit-ibm-provider": "0.6.1"}, Stack.CLASSIC),
    ],
)
def test_what_goes_together_is_a_stack(versions, expected):
    assert decide(versions) is expected
    assert judge(versions).problems == {}


@pytest.mark.parametrize(
    ("versions", "aim", "problems"),
    [
        ({}, None, {"pennylane": "is not installed"}),
        ({**CURRENT, "pennylane": "0.40.0"}, None, {"pennylane": "is 0.40.0, and "}),
        ({**CLASSIC, "pennylane": "0.31.0"}, None, {"pennylane": "is 0.31.0, and "}),
        ({**CLASSIC, "pennylane": "0.38.0"}, None, {"pennylane": "is 0.38.0, and "}),
        (without(CURRENT, "qiskit-aer"), Stack.CURRENT, {"qiskit-aer": "is not installed"}),
        (
            {**CLASSIC, "pennylane": "0.45.0"},
            Stack.CURRENT,
            {
                "qiskit": "is 1.4.6, and >=2.2 is needed",
                "qiskit-ibm-runtime": "is 0.43.1, and >=0.45 is needed",
            },
        ),
        ({**CURRENT, "qiskit": "1.4.6"}, Stack.CURRENT, {"qiskit": "is 1.4.6, and >=2.2 is needed"}),
        (without(CLASSIC, "qiskit-ibm-provider"), Stack.CLASSIC, {"qiskit-ibm-provider": "is not installed"}),
        ({**CLASSIC, "qiskit": "2.0.0"}, Stack.CLASSIC, {"qiskit": "is 2.0.0, and >=0.43,<2 is needed"}),
        ({**CLASSIC, "pennylane-qiskit": "0.38.1"}, Stack.CLASSIC, {"pennylane-qiskit": "is 0.38.1, and "}),
        ({**COVALENT, "pennylane-qiskit": "0.30.0"}, Stack.CLASSIC, {"pennylane-qiskit": "is 0.30.0, and "}),
        ({**CLASSIC, "autoray": "0.8.0"}, Stack.CLASSIC, {"autoray": "is 0.8.0, and <0.8 is needed"}),
        ({**CLASSIC, "setuptools": "82.0.1"}, Stack.CLASSIC, {"setuptools": "is 82.0.1, and <82 is needed"}),
        (without(CLASSIC, "setuptools"), Stack.CLASSIC, {"setuptools": "is not installed"}),
    ],
)
def test_a_mix_is_refused_with_what_is_wrong_and_how_to_install_either(versions, aim, problems):
    verdict = judge(versions)
    assert verdict.stack is aim
    for name, text in problems.items():
        assert verdict.problems[name].startswith(text)
    with pytest.raises(exceptions.StackError) as caught:
        decide(versions)
    told = str(caught.value)
    assert caught.value.problems == dict(verdict.problems)
    assert caught.value.installed == versions
    for name, text in verdict.problems.items():
        assert f"{name} {text}" in told
    for name, version in versions.items():
        assert f"{name} {version}" in told
    assert "pip install -U pennylane-threaded-ibmq " in told
    assert "pip install 'pennylane-threaded-ibmq[classic]'" in told
    assert "pip install 'pennylane-threaded-ibmq[covalent]'" in told
    assert "fresh environment" in told


def test_only_what_is_wrong_is_named_wrong():
    assert set(judge({**CURRENT, "qiskit": "1.4.6"}).problems) == {"qiskit"}
    assert set(judge({**CLASSIC, "autoray": "0.8"}).problems) == {"autoray"}


def test_this_environment_has_the_current_stack():
    assert stack() is Stack.CURRENT
    assert set(installed()) <= set(PACKAGES)


def extra(name, python="3.11"):
    """What an extra asks for on one Python; ``None`` for a plain installation."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    lines = parser["options.extras_require"][name] if name else parser["options"]["install_requires"]
    read = (line for line in lines.strip().splitlines() if line and not line.startswith("#"))
    return {
        r.name: r.specifier
        for r in map(Requirement, read)
        if r.marker is None or r.marker.evaluate({"python_version": python})
    }


@pytest.mark.parametrize(("name", "versions"), [("classic", CLASSIC), ("covalent", COVALENT)])
def test_each_extra_installs_a_whole_stack(name, versions):
    wanted = {**extra(None), **extra(name)}
    for package, need in judge(versions).needs.items():
        assert package in wanted, f"{name} does not ask for {package}"
        assert wanted[package].contains(versions[package])
        assert need
    # what a plain installation asks for holds for every stack, or no extra could be installed
    assert all(
        spec.contains(versions[package]) for package, spec in extra(None).items() if package in versions
    )


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_a_plain_installation_needs_no_package_of_the_classic_stack(python):
    assert {"qiskit-ibm-provider", "pennylane-qiskit"}.isdisjoint(extra(None, python))
    wanted = extra(None, python)
    for versions in (CURRENT, PINNED):
        assert all(wanted[name].contains(versions[name]) for name in CURRENT)


@pytest.mark.parametrize("python", ["3.8", "3.9", "3.10", "3.11", "3.12", "3.13"])
@pytest.mark.parametrize("pennylane", [f"0.{minor}.0" for minor in range(31, 47)])
def test_no_python_gets_a_pennylane_that_is_in_neither_stack(python, pennylane):
    """What pip may install or keep is what the package runs on, with nothing but the right companions."""
    allowed = extra(None, python)["pennylane"].contains(pennylane)
    usable = {Stack.CURRENT: ("3.11", "3.12", "3.13"), Stack.CLASSIC: ("3.8", "3.9", "3.10", "3.11", "3.12")}
    found = judge({"pennylane": pennylane}).stack
    # newer ones say that they do, and fail at their import there
    loads = python != "3.8" or int(pennylane.split(".")[1]) < 34
    assert allowed == (found is not None and python in usable[found] and loads)


@pytest.mark.parametrize("python", ["3.8", "3.9", "3.10"])
def test_on_old_pythons_a_plain_installation_is_the_classic_stack(python):
    wanted = extra(None, python)
    versions = {**CLASSIC, "pennylane": "0.33.1", "qiskit-aer": "0.15.1"} if python == "3.8" else CLASSIC
    assert judge(versions).stack is Stack.CLASSIC
    for package in judge(versions).needs:
        assert wanted[package].contains(versions[package])


class TestSunset:
    """A client that IBM is about to refuse."""

    @pytest.fixture(autouse=True)
    def no_memory(self):
        client.client_version.cache_clear()
        yield
        client.client_version.cache_clear()

    @pytest.mark.parametrize("found", ["0.45.1", "0.46.1", "0.47.0"])
    def test_is_named_with_the_date_and_the_command(self, found, monkeypatch):
        monkeypatch.setattr(client.metadata, "version", lambda name: {"qiskit-ibm-runtime": found}[name])
        with pytest.warns(
            UserWarning, match=rf"{found} .*2027-01-01.*pip install -U qiskit-ibm-runtime"
        ) as caught:
            client.warn_of_sunset()
        assert len(caught) == 1

    @pytest.mark.parametrize("found", ["0.48.0", "0.51.0", "1.0.0"])
    def test_is_none_from_0_48_on(self, found, monkeypatch, recwarn):
        monkeypatch.setattr(client.metadata, "version", lambda name: {"qiskit-ibm-runtime": found}[name])
        client.warn_of_sunset()
        assert not recwarn.list


@pytest.fixture
def mixed(monkeypatch):
    monkeypatch.setattr(module, "installed", lambda: {**CURRENT, "qiskit": "1.4.6"})
    stack.cache_clear()
    yield
    stack.cache_clear()


@pytest.mark.usefixtures("mixed")
class TestMixed:
    def test_the_device_is_refused_and_the_package_is_not(self):
        importlib.reload(importlib.import_module("pennylane_threaded_ibmq"))
        with pytest.raises(exceptions.StackError, match=r"qiskit is 1\.4\.6"):
            device.ThreadedIBMQDevice  # noqa: B018

    def test_pennylane_is_told_so_too(self):
        import pennylane as qml

        with pytest.raises(exceptions.StackError, match=r"qiskit is 1\.4\.6"):
            qml.device("threaded.ibmq", wires=2)


def test_executors_of_a_mixed_environment_are_refused():
    program = (
        "import pennylane_threaded_ibmq.stack as m\n"
        "real = m.installed\n"
        "m.installed = lambda: {**real(), 'qiskit': '1.4.6'}\n"
        "import pennylane_threaded_ibmq\n"
        "try:\n"
        "    from pennylane_threaded_ibmq.executors import IBMQExecutor\n"
        "except Exception as error:\n"
        "    print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert re.match(r"StackError .*qiskit is 1\.4\.6", done.stdout)


def test_asking_for_the_stack_imports_neither_pennylane_nor_qiskit():
    program = (
        "import sys; from pennylane_threaded_ibmq.stack import stack; stack();"
        "print(sorted({'pennylane', 'qiskit', 'qiskit_ibm_runtime'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
