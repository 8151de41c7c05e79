"""Login, instances and backends, as the real client sees them."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
from pathlib import Path

import pytest
import requests
from qiskit_ibm_runtime import QiskitRuntimeService, SamplerV2
from qiskit_ibm_runtime.accounts import AccountNotFoundError, InvalidAccountError
from qiskit_ibm_runtime.api.exceptions import RequestsApiError
from qiskit_ibm_runtime.exceptions import IBMInputValueError

from pennylane_threaded_ibmq.loopback import DEFAULT_CRN, SIMULATOR, Instance, LoopbackConfig, LoopbackService

SMALL = "ibm_manila"
PREMIUM = Instance(
    crn="crn:v1:bluemix:public:quantum-computing:eu-de:a/0000000000000001:00000000-0000-4000-8000-00000000000e::",
    name="premium-instance",
    plan="premium",
    pricing_type="subscription",
    tags=("lab",),
)
OPEN = Instance(backends=(SIMULATOR,))


@pytest.mark.parametrize("direct", [False, True])
def test_login(loopback, direct, new_client):
    """A client finds its account in the environment; 1 login, 1 search, 1 catalogue entry, backends if it is new."""
    service = loopback(direct=direct)
    client = QiskitRuntimeService()
    assert client.instances() == [
        {"crn": DEFAULT_CRN, "plan": "open", "name": "open-instance", "tags": [], "pricing_type": "free"}
    ]
    backends = {"GET /backends": 1} if new_client else {}
    assert service.counters.by_route == backends | {
        "GET /catalog/{id}": 1,
        "POST /identity/token": 1 + new_client,
        "POST /v3/resources/search": 1,
    }
    assert service.counters.logins == 1 + new_client


def test_program_with_its_own_token_is_caught(start):
    """Without any account in the environment a program that passes only a token still talks to the service."""
    service = start()
    with service.applied():
        client = QiskitRuntimeService(token="loopback-token")
        assert {device.name for device in client.backends()} == {SMALL, SIMULATOR}
    assert service.counters.tunnels == service.counters.connections


def test_wrong_token(start):
    """A token that the service does not know ends as InvalidAccountError, and nothing but the login was tried."""
    service = start()
    with service.applied(), pytest.raises(InvalidAccountError, match="Unable to retrieve instances"):
        QiskitRuntimeService(token="not-the-token")
    assert service.counters.by_route == {"POST /identity/token": 1}
    assert service.counters.logins == 0


@pytest.mark.parametrize("instance", [PREMIUM.name, PREMIUM.crn])
def test_instance_by_name_or_crn(loopback, instance):
    """An instance is found under its name and its CRN, also one in another region."""
    loopback(instances=(OPEN, PREMIUM))
    client = QiskitRuntimeService(token="loopback-token", instance=instance)
    client.backends()
    assert client.active_instance() == PREMIUM.crn


def test_unknown_instance(loopback):
    """A CRN that is not in the list is refused by the client itself."""
    loopback()
    with pytest.raises(IBMInputValueError, match="does not have access"):
        QiskitRuntimeService(token="loopback-token", instance=PREMIUM.crn)


def test_instance_offers_its_own_backends(start):
    """Without an instance the client asks each; a backend is found in the one that offers it."""
    service = start(instances=(PREMIUM, OPEN))
    with service.applied():
        client = QiskitRuntimeService(token="loopback-token")
        assert client.backend(SMALL)._instance == PREMIUM.crn
        # The free plan comes first where both offer a backend.
        assert client.backend(SIMULATOR)._instance == OPEN.crn
        assert [device.name for device in client.backends(instance=OPEN.crn)] == [SIMULATOR]


def test_job_of_another_instance_is_not_found(backend, bell):
    """Jobs are seen by the instance that pays for them and by no other."""
    service, device = backend(instances=(OPEN, PREMIUM))
    job_id = SamplerV2(device).run([bell]).job_id()
    other = QiskitRuntimeService(instance=PREMIUM.crn)
    assert other.jobs() == []
    with pytest.raises(RequestsApiError, match="1291"):
        other._active_api_client.job_get(job_id)
    assert service.jobs[0].instance == DEFAULT_CRN


def test_other_instances_find_nothing(rest, bell):
    """Each route about a job or a session answers 404 to another instance; lists and usage are of the own one."""
    session = rest(instances=(Instance(), PREMIUM))
    service = session.service
    job = session.submit(bell).json()["id"]
    batch = session.ask("POST", "/sessions", {"mode": "batch", "backend": SMALL}).json()["id"]
    service.wait_for_jobs(1)
    session.headers["Service-CRN"] = PREMIUM.crn
    of_job = [
        "GET {}",
        "GET {}/results",
        "GET {}/metrics",
        "GET {}/logs",
        "POST {}/cancel",
        "PUT {}/tags",
        "DELETE {}",
    ]
    of_session = ["GET {}", "PATCH {}", "DELETE {}/close"]
    routes = [route.format(f"/jobs/{job}") for route in of_job]
    routes += [route.format(f"/sessions/{batch}") for route in of_session]
    for route in routes:
        assert session.ask(*route.split(" "), {}).status_code == 404, route
    assert session.submit(bell, session_id=batch).status_code == 404
    assert session.ask("GET", "/jobs").json()["count"] == 0
    assert session.ask("GET", "/instances/usage").json()["usage_consumed_seconds"] == 0
    own = session.submit(bell).json()["id"]
    assert [found["id"] for found in session.ask("GET", "/jobs").json()["jobs"]] == [own]
    session.headers["Service-CRN"] = DEFAULT_CRN
    assert session.ask("GET", f"/jobs/{own}").status_code == 404
    assert session.ask("GET", f"/jobs/{job}/results").status_code == 200
    assert session.ask("DELETE", f"/sessions/{batch}/close").status_code == 204
    assert [record.instance for record in service.jobs] == [DEFAULT_CRN, PREMIUM.crn]


def test_backends_of_one_or_both_instances(rest):
    """An instance lists, describes and takes jobs for the backends that it offers, and knows no others."""
    session = rest(instances=(OPEN, PREMIUM))
    for crn, names in ((OPEN.crn, {SIMULATOR}), (PREMIUM.crn, {SMALL, SIMULATOR})):
        session.headers["Service-CRN"] = crn
        listed = {device["name"] for device in session.ask("GET", "/backends").json()["devices"]}
        described = {
            name
            for name in (SMALL, SIMULATOR)
            if session.ask("GET", f"/backends/{name}/configuration").status_code == 200
        }
        taken = {name for name in (SMALL, SIMULATOR) if session.submit(backend=name).status_code == 200}
        assert listed == described == taken == names


def test_new_client_needs_no_proxy(start, bell, new_client):
    """A client that can be told where login and instances are reaches the service without proxy and certificate."""
    if not new_client:
        pytest.skip("the client looks for login and instances under IBM's names alone")
    service = start(instances=(OPEN, PREMIUM))
    with service.applied(token="loopback-token", proxy=False):
        assert not {name.lower() for name in os.environ} & {"http_proxy", "https_proxy"}
        client = QiskitRuntimeService(instance=PREMIUM.name)
        job = SamplerV2(client.backend(SIMULATOR)).run([bell], shots=5)
        assert job.result(timeout=120)[0].data.meas.num_shots == 5
    assert service.jobs[0].instance == PREMIUM.crn
    counters = service.counters
    assert (counters.tunnels, counters.refused, counters.by_route["POST /v3/resources/search"]) == (0, 0, 1)
    assert counters.by_route["GET /catalog/{id}"] == 2


def test_expired_token_is_renewed(loopback):
    """A token that lives 10 s counts as expired at once, so that each request logs in anew."""
    service = loopback(token_lifetime_secs=10)
    client = QiskitRuntimeService()
    service.reset_counters()
    client.backends()
    assert service.counters.logins == 3  # GET /backends and two configurations


def test_backend_properties(backend):
    """A backend is the snapshot under its new name: width, gates and properties."""
    _, device = backend(SMALL)
    assert (device.name, device.num_qubits) == (SMALL, 5)
    assert set(device.basis_gates) == {"id", "rz", "sx", "x", "cx"}
    assert device.properties().backend_name == SMALL
    assert device.status().operational
    assert device.target.num_qubits == 5


def test_every_large_snapshot_can_be_served(start):
    """All snapshots of 100 qubits and more load into the client, and know where their gates may act."""
    names = ("ibm_torino", "ibm_brisbane", "ibm_fez", "ibm_marrakesh", "ibm_nighthawk", "ibm_sherbrooke")
    service = start(backends=names)
    with service.applied():
        client = QiskitRuntimeService(token="loopback-token")
        assert [client.backend(name).num_qubits for name in names] == [133, 127, 156, 156, 120, 127]


def test_simulator_is_a_simulator(backend):
    """The simulator has no coupling map and no properties."""
    _, device = backend(SIMULATOR)
    assert device.configuration().simulator
    assert device.coupling_map is None
    assert device.properties() is None


def test_unknown_backend(loopback):
    """A backend that is not offered is not found."""
    loopback()
    with pytest.raises(Exception, match="No backend matches"):
        QiskitRuntimeService().backend("ibm_nowhere")


def test_least_busy(backend, bell):
    """The backend with the fewest pending jobs wins."""
    service, device = backend(SIMULATOR)
    service.hold()
    SamplerV2(device).run([bell])
    assert QiskitRuntimeService().least_busy().name == SMALL


def test_usage(loopback):
    """A fresh instance has used nothing; with a limit, all of it remains."""
    loopback(usage_limit_secs=600)
    usage = QiskitRuntimeService().usage()
    assert usage["usage_consumed_seconds"] == 0
    assert usage["usage_remaining_seconds"] == 600


def direct_request(service, path, *, headers):
    """Send a request as no client would: straight, with chosen headers."""
    return requests.get(service.url + path, headers=headers, timeout=60, proxies={"http": ""})


def bearer(service):
    """A valid access token, obtained as a client does."""
    answer = requests.post(
        "http://iam.127.0.0.1/identity/token",
        {"grant_type": "urn:ibm:params:oauth:grant-type:apikey", "apikey": "loopback-token"},
        timeout=60,
        proxies={"http": f"http://127.0.0.1:{service.port}"},
    )
    return answer.json()["access_token"]


def test_authorisation_is_checked(start):
    """No token, a forged one, or an instance of somebody else: 401, 401, 403, with IBM's error body."""
    service = start()
    token = bearer(service)
    forged = token.rpartition(".")[0] + ".AAAA"
    cases = [
        ({}, 401, 1201),
        ({"Authorization": f"Bearer {forged}", "Service-CRN": DEFAULT_CRN}, 401, 1201),
        ({"Authorization": "apikey wrong", "Service-CRN": DEFAULT_CRN}, 401, 1201),
        ({"Authorization": f"Bearer {token}", "Service-CRN": PREMIUM.crn}, 403, 1200),
        ({"Authorization": f"Bearer {token}"}, 403, 1200),
    ]
    for headers, status, code in cases:
        answer = direct_request(service, "/backends", headers=headers)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (status, code)
    for scheme in (f"Bearer {token}", "apikey loopback-token"):
        answer = direct_request(
            service, "/backends", headers={"Authorization": scheme, "Service-CRN": DEFAULT_CRN}
        )
        assert answer.status_code == 200


def test_expired_token_is_refused(start):
    """The service itself counts a token as expired at the end of its lifetime."""
    service = start(token_lifetime_secs=1)
    headers = {"Authorization": f"Bearer {bearer(service)}", "Service-CRN": DEFAULT_CRN}
    # A token that has just been made is valid for up to a second; asking until it is refused needs no sleep.
    while (answer := direct_request(service, "/backends", headers=headers)).status_code == 200:
        pass
    assert answer.status_code == 401


def test_unknown_route(start):
    """A route that the service does not have is counted and answered with 404."""
    service = start()
    answer = direct_request(service, "/programs", headers={})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (404, 1291)
    assert service.counters.by_route == {"GET (unknown)": 1}


@pytest.mark.parametrize(
    "url", ["https://example.com/", "http://example.com/", "https://ibm.com/", "http://localhost/"]
)
def test_foreign_hosts_are_refused(start, url):
    """Nothing is passed on: a host that is not IBM's gets 502 through the proxy."""
    service = start()
    proxies = {"http": f"http://127.0.0.1:{service.port}", "https": f"http://127.0.0.1:{service.port}"}
    if url.startswith("https"):
        with pytest.raises(requests.exceptions.ProxyError, match="502"):
            requests.get(url, proxies=proxies, timeout=60)
    else:
        answer = requests.get(url, proxies=proxies, timeout=60)
        assert answer.status_code == 502
        assert "refused" in answer.text
    assert service.counters.refused == 1
    assert service.counters.requests == 0


@pytest.mark.parametrize(
    "target", ["iam.cloud.ibm.com:80", "iam.cloud.ibm.com.evil.org:443", "127.0.0.1:443"]
)
def test_tunnels_lead_to_ibm_only(start, target):
    """A tunnel is opened to IBM's own names on the TLS port, and to nothing that merely looks like it."""
    service = start()
    connection = http.client.HTTPConnection("127.0.0.1", service.port)
    connection.putrequest("CONNECT", target, skip_host=True, skip_accept_encoding=True)
    connection.endheaders()
    assert connection.getresponse().status == 502
    connection.close()


def test_certificate_is_for_the_host_asked(start):
    """A client that verifies host names is satisfied; one that does not trust the authority is not."""
    service = start()
    trusting = ssl.create_default_context(cafile=service.ca_bundle)
    for host in ("iam.cloud.ibm.com", "eu-de.quantum.cloud.ibm.com"):
        with socket.create_connection(("127.0.0.1", service.port), timeout=60) as raw:
            raw.sendall(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            assert b" 200 " in raw.recv(1024)
            with trusting.wrap_socket(raw, server_hostname=host) as secured:
                assert ("DNS", host) in secured.getpeercert()["subjectAltName"]
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as raw:
        raw.sendall(b"CONNECT iam.cloud.ibm.com:443 HTTP/1.1\r\n\r\n")
        raw.recv(1024)
        with pytest.raises(ssl.SSLCertVerificationError):
            ssl.create_default_context().wrap_socket(raw, server_hostname="iam.cloud.ibm.com")


def test_environment_is_put_back(start, monkeypatch):
    """Within applied() no account of the machine is seen; afterwards every variable is as it was."""
    monkeypatch.setenv("QISKIT_IBM_TOKEN", "real-token")
    monkeypatch.setenv("IBMQX_TOKEN", "real-token")
    monkeypatch.setenv("https_proxy", "http://real-proxy:3128")
    service = start()
    before = dict(os.environ)
    with service.applied(instance=DEFAULT_CRN):
        assert "real-token" not in os.environ.values()
        assert os.environ["https_proxy"] == f"http://127.0.0.1:{service.port}"
        assert os.environ["QISKIT_IBM_INSTANCE"] == DEFAULT_CRN
        assert list(Path.home().iterdir()) == []
        with pytest.raises(AccountNotFoundError):
            QiskitRuntimeService()
    assert dict(os.environ) == before

    def fail():
        with service.applied(token="loopback-token"):
            raise KeyError("inside")

    with pytest.raises(KeyError):
        fail()
    assert dict(os.environ) == before


def test_environment_variants(start):
    """Token, instance and URL are set when asked for, and only then."""
    service = start()
    plain = service.environment()
    assert not any(name.startswith("QISKIT") for name in plain)
    full = service.environment(token="t", instance="i", direct=True)
    assert full["QISKIT_IBM_URL"] == service.url == f"http://127.0.0.1:{service.port}/experimental"
    assert (full["QISKIT_IBM_TOKEN"], full["QISKIT_IBM_INSTANCE"]) == ("t", "i")


@pytest.mark.parametrize(
    "fields",
    [
        {"backends": ()},
        {"backends": ("ibm_torino", "ibm_torino")},
        {"tokens": ()},
        {"tokens": ("",)},
        {"instances": ()},
        {"instances": (Instance(), Instance(name="other"))},
        {"instances": (Instance(backends=("ibm_torin",)),)},
        {"instances": ({"crn": "crn:not-one"},)},
        {"job_secs": -1},
        {"queue_secs": float("inf")},
        {"slots": 0},
        {"max_pending": 0},
        {"unknown": 1},
    ],
)
def test_configuration_is_checked(fields):
    """A configuration that cannot work is refused when it is made."""
    with pytest.raises(ValueError):
        LoopbackConfig(**fields)


def test_unknown_snapshot():
    """A backend without a snapshot is refused on start, with the nearest known names."""
    with (
        pytest.raises(ValueError, match="fake_torino"),
        LoopbackService(LoopbackConfig(backends=("ibm_torinoo",))),
    ):
        pass


def test_snapshots_by_mapping(start):
    """A mapping gives any name to any snapshot."""
    service = start(backends={"my_chip": "fake_lima"})
    with service.applied():
        assert QiskitRuntimeService(token="loopback-token").backend("my_chip").num_qubits == 5
