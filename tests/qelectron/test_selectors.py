"""Which executor runs a circuit, lists and clusters of executors, and what is refused."""

import json
import pickle
import random
from concurrent.futures import Future

import cloudpickle
import pennylane as qml
import pytest
from pydantic import PrivateAttr

from pennylane_threaded_ibmq import BaseQExecutor, IBMQExecutor, QCluster, qelectron
from pennylane_threaded_ibmq.exceptions import ConfigurationError, SelectorError


class Written(BaseQExecutor):
    """Gives every circuit its own label as the result, and writes down what it was given."""

    label: int = 0
    max_jobs: int = 1
    hold: bool = False
    _batches: list = PrivateAttr(default_factory=list)
    _open: list = PrivateAttr(default_factory=list)

    def batch_submit(self, qscripts_list):
        tapes = list(qscripts_list)
        self._batches.append(len(tapes))
        futures = [Future() for _ in tapes]
        for future in futures:
            if self.hold:
                self._open.append(future)
            else:
                future.set_result(float(self.label))
        return futures


def members(count, **fields):
    return [Written(label=i, **fields) for i in range(count)]


def node(**options):
    @qml.qnode(qml.device("default.qubit", wires=2), **options)
    def circuit(x):
        qml.RX(x, 0)
        return qml.expval(qml.Z(0))

    return circuit


def last(circuit, executors):
    return executors[-1]


def test_cyclic_takes_turns_over_all_calls():
    circuit = qelectron(node(), executors=members(3))
    assert [circuit(0.1) for _ in range(4)] == [0, 1, 2, 0]
    futures = [circuit.run_later(0.1) for _ in range(3)]
    assert [f.result() for f in futures] == [1, 2, 0]
    assert circuit(0.1) == 1


def test_selection_is_per_circuit_in_a_gradient():
    executors = members(3)
    circuit = qelectron(node(diff_method="parameter-shift"), executors=executors)
    gradient = qml.grad(circuit)(qml.numpy.array(0.1, requires_grad=True))
    # forward on 0; the shifted circuits give 1 and 2, and the gradient is half of their difference
    assert [e._batches for e in executors] == [[1], [1], [1]]
    assert gradient == pytest.approx(-0.5)


def test_a_gradient_batch_is_grouped_by_executor_and_comes_back_in_order():
    executors = members(2)
    circuit = qelectron(node(), executors=executors)
    tapes = [qml.tape.QuantumScript([], [qml.expval(qml.Z(0))]) for _ in range(5)]
    assert circuit.device.execute(tapes) == (0, 1, 0, 1, 0)
    assert [e._batches for e in executors] == [[3], [2]]


def test_lists_of_equal_executors_have_turns_of_their_own():
    first, second = (qelectron(node(), executors=members(2)) for _ in range(2))
    assert [first(0.1), second(0.1), first(0.1), second(0.1)] == [0, 0, 1, 1]


def test_random_follows_the_seed_of_the_program():
    circuit = qelectron(node(), executors=members(4), selector="random")
    random.seed(5)
    drawn = [circuit(0.1) for _ in range(20)]
    random.seed(5)
    assert [circuit(0.1) for _ in range(20)] == drawn
    assert len(set(drawn)) == 4


def test_least_busy_prefers_who_has_least_to_do():
    busy, free = Written(label=0, hold=True), Written(label=1)
    circuit = qelectron(node(), executors=[busy, free], selector="least_busy")
    waiting = circuit.run_later(0.1)
    assert not waiting.done()
    assert [circuit(0.1) for _ in range(3)] == [1, 1, 1]
    busy._open[0].set_result(7.0)
    assert waiting.result() == 7
    busy.hold = False
    assert circuit(0.1) == 0


def test_least_busy_spreads_a_batch_by_slots():
    executors = [Written(label=0, max_jobs=1), Written(label=1, max_jobs=3)]
    device = qelectron(node(), executors=executors, selector="least_busy").device
    tapes = [qml.tape.QuantumScript([], [qml.expval(qml.Z(0))]) for _ in range(8)]
    device.execute(tapes)
    assert [e._batches for e in executors] == [[2], [6]]


def test_a_callable_gets_the_circuit_and_the_executors_themselves():
    executors = members(3)
    seen = []

    def by_gates(circuit, given):
        seen.append((type(circuit), given))
        return given[len(circuit.operations)]

    circuit = qelectron(node(), executors=executors, selector=by_gates)
    assert circuit(0.1) == 1
    assert issubclass(seen[0][0], qml.tape.QuantumScript)
    assert all(a is b for a, b in zip(seen[0][1], executors, strict=True))


def test_an_instance_with_a_call_is_a_selector_with_state():
    class Pairs:
        count = 0

        def __call__(self, circuit, executors):
            self.count += 1
            return executors[(self.count - 1) // 2 % len(executors)]

    circuit = qelectron(node(), executors=members(2), selector=Pairs())
    assert [circuit(0.1) for _ in range(5)] == [0, 0, 1, 1, 0]


@pytest.mark.parametrize("wrong", [None, 0, Written(label=1), "0"])
def test_a_selector_that_returns_something_else_is_refused(wrong):
    executors = members(2)
    circuit = qelectron(node(), executors=executors, selector=lambda c, e: wrong)
    with pytest.raises(SelectorError, match="not one of the 2 executors") as caught:
        circuit(0.1)
    assert caught.value.value is wrong
    assert isinstance(circuit.run_later(0.1).exception(), SelectorError)
    assert [e._batches for e in executors] == [[], []]


def test_what_a_selector_raises_comes_out():
    def broken(circuit, executors):
        raise LookupError("no executor today")

    circuit = qelectron(node(), executors=members(2), selector=broken)
    with pytest.raises(LookupError, match="no executor today"):
        circuit(0.1)
    with pytest.raises(LookupError, match="no executor today"):
        circuit.run_later(0.1).result()


@pytest.mark.parametrize("executors", [members(1), members(2), members(1)[0]])
@pytest.mark.parametrize("selector", ["bogus", 3, None, Written])
def test_an_unknown_selector_is_named_with_the_choices(executors, selector):
    with pytest.raises(ConfigurationError, match=r"'cyclic', 'random', 'least_busy'") as caught:
        qelectron(node(), executors=executors, selector=selector)
    assert (caught.value.argument, caught.value.value) == ("selector", selector)


def test_an_unknown_selector_of_a_cluster():
    with pytest.raises(ConfigurationError, match=r"'bogus'.*'cyclic', 'random', 'least_busy'"):
        QCluster(executors=members(2), selector="bogus")


def test_what_a_cluster_refuses_is_said_once():
    for wrong, name in (
        ({"executors": []}, "executors"),
        ({"executors": members(1), "selector": "best"}, "selector"),
    ):
        with pytest.raises(ConfigurationError) as caught:
            QCluster(**wrong)
        text = str(caught.value)
        assert text.startswith(f"QCluster: {name}={wrong[name]!r}: give ")
        assert (text.count(f"{name}="), text.count("Nothing was sent.")) == (
            1 if name == "selector" else 2,
            1,
        )
        assert caught.value.argument == name


@pytest.mark.parametrize("make", [lambda e: qelectron(node(), executors=e), lambda e: QCluster(executors=e)])
def test_lists_that_cannot_work(make):
    with pytest.raises(ConfigurationError, match=r"executors=\[\]: give at least one"):
        make([])
    with pytest.raises(
        ConfigurationError, match=r"Invalid executor in executors list: position 1 holds 'x' \(str\)"
    ):
        make([Written(), "x"])
    with pytest.raises(ConfigurationError, match=r"Make one of it: IBMQExecutor\(\)"):
        make([IBMQExecutor])
    for wrong in ("ibm", 5, {1: 2}):
        with pytest.raises(ConfigurationError, match="give an executor, a list of executors, or a QCluster"):
            make(wrong)


def test_a_tuple_is_a_list():
    assert qelectron(node(), executors=tuple(members(2)))(0.1) == 0


def test_a_cluster_brings_its_own_selector_and_is_not_changed():
    cluster = QCluster(executors=members(3), selector=last)
    circuit = qelectron(node(), executors=cluster)
    assert [circuit(0.1) for _ in range(2)] == [2, 2]
    assert cluster.selector is last


def test_clusters_in_clusters():
    a, b, c, d = members(4)
    inner = QCluster(executors=[b, c])
    outer = QCluster(executors=[a, inner, QCluster(executors=[d])])
    circuit = qelectron(node(), executors=outer)
    assert [circuit(0.1) for _ in range(6)] == [0, 1, 3, 0, 2, 3]
    assert circuit.executors == (a, b, c, d)
    both = qelectron(node(), executors=[QCluster(executors=[a, b]), QCluster(executors=[c, d])])
    assert [both(0.1) for _ in range(4)] == [0, 2, 1, 3]


def test_a_cluster_takes_batches_by_itself():
    cluster = QCluster(executors=members(2))
    tapes = [qml.tape.QuantumScript([qml.X(w)], [qml.expval(qml.Z(w))]) for w in ("a", 1, "b")]
    assert cluster.batch_get_results(cluster.batch_submit(tapes)) == [0, 1, 0]
    assert cluster.batch_submit([]) == []


@pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps])
def test_a_cluster_with_any_selector_survives_a_pickle(dumps):
    place = -1
    for selector in ("random", last, lambda c, e: e[place]):
        cluster = QCluster(executors=[IBMQExecutor(runs_on="default.qubit"), QCluster(executors=[IBMQExecutor(hub="x")])],
                           selector=selector)  # fmt: skip
        restored = pickle.loads(dumps(cluster))
        assert restored.executors == cluster.executors
        if callable(selector):
            assert restored.selector(None, [1, 2]) == 2
        else:
            assert restored.selector == selector


def test_a_cluster_survives_json():
    cluster = QCluster(
        executors=[
            IBMQExecutor(hub="x", shots=(5, 5)),
            QCluster(executors=[IBMQExecutor(max_jobs=2)], selector="random"),
        ]
    )
    restored = QCluster.model_validate_json(cluster.model_dump_json())
    assert restored == cluster
    assert [type(e) for e in restored.executors] == [IBMQExecutor, QCluster]


def test_json_holds_no_code_and_says_so():
    data = json.loads(QCluster(executors=[IBMQExecutor()], selector=last).model_dump_json())
    with pytest.raises(ConfigurationError, match="JSON holds no code"):
        QCluster(**data)
    assert QCluster(**{**data, "selector": last}).selector is last


def test_json_with_an_unknown_class_says_what_is_known():
    with pytest.raises(ConfigurationError, match=r"'Nobody': no such executor class.*IBMQExecutor.*QCluster"):
        QCluster(executors=[{"name": "Nobody"}])


def test_executors_with_different_shot_vectors_are_refused():
    executors = [
        IBMQExecutor(runs_on="default.qubit", shots=(5, 5)),
        IBMQExecutor(runs_on="default.qubit", shots=10),
    ]
    circuit = qelectron(node(), executors=executors)
    with pytest.raises(ConfigurationError, match="shot vector"):
        circuit(0.1)
