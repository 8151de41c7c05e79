"""The instance that pays for a backend's jobs, and a client that stays with it.

One service object of IBM's client may serve several instances. It keeps the one that was used last, for all its backends and
all threads, and asks and sends there: up to 0.47 a job goes to whichever that is, and since then two threads that send at once
still disturb each other. So a device never uses a service object that may serve another instance than its own.
"""

from __future__ import annotations

import threading
from copy import copy
from typing import Any
from weakref import WeakValueDictionary, ref

from ..exceptions import ConfigurationError
from .sessions import send_jobs_once


def instance_of(backend: Any) -> str:
    """CRN of the instance that a service's backend was found in, which pays for its jobs."""
    # the client has no public name for it but on jobs
    return str(vars(backend).get("_instance") or backend.service.active_instance())


class Pins:
    """The pinned service objects of devices that share them, each as long as one uses it. A fork logs in anew."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._services: WeakValueDictionary[tuple[int, str], Any] = WeakValueDictionary()

    def pin(self, backend: Any) -> tuple[Any, Any]:
        """A service object for the instance of one backend alone, and the backend on it.

        They have connections of their own, which send no job twice, and the login of the user's service object, which stays as it is
        and may go on to other instances.

        Args:
            backend: A backend of IBM's client.

        Returns:
            The service object, which never leaves the instance, and the backend, whose jobs go there.

        Raises:
            ConfigurationError: The client keeps its instances in a way that is not known here.
        """
        instance = instance_of(backend)
        try:
            service = self._of(backend.service, instance)
            client = vars(service)["_active_api_client"]
        except (AttributeError, KeyError):
            raise _not_known(backend, instance) from None
        if service.active_instance() != instance:
            raise _not_known(backend, instance)
        return service, _changed(backend, _service=service, _api_client=client)

    def _of(self, service: Any, instance: str) -> Any:
        """The one of a service object for an instance."""
        key = (id(service), instance)
        with self._lock:
            pin = self._services.get(key)
            # service objects cannot be hashed, and the number of one that is gone may be another's
            if pin is None or vars(pin)["_origin"]() is not service:
                pin = self._services[key] = _pinned(service, instance)
            return pin


def _pinned(service: Any, instance: str) -> Any:
    """A copy of a service object that has one instance.

    Raises:
        KeyError: The client keeps its instances in another way.
    """
    inside = vars(service)
    account = _changed(inside["_account"], instance=instance)
    parameters = _changed(inside["_client_params"], instance=instance)
    client = type(inside["_active_api_client"])(parameters)
    pinned = _changed(
        service,
        _origin=ref(service),
        _account=account,
        _client_params=parameters,
        _default_instance=True,
        _saved_instances=[],
        _active_api_client=client,
        _api_clients={instance: client},
    )
    send_jobs_once([client])
    return pinned


def _changed(thing: Any, **attributes: Any) -> Any:
    """A copy of an object of the client's with other attributes, which it has no public way to change."""
    clone = copy(thing)
    vars(clone).update(attributes)
    return clone


def check_session(session: Any) -> None:
    """Refuse what is no session, before a primitive would.

    Raises:
        ConfigurationError: It is neither ``None`` nor a Session or Batch of IBM's client.
    """
    if session is None:
        return
    from qiskit_ibm_runtime import Session

    if not isinstance(session, Session):
        raise _refusal(
            session,
            f"session={session!r}: an open Session or Batch of qiskit_ibm_runtime is needed, not {type(session).__name__}.",
        )


def session_on(session: Any, backend: Any) -> Any:
    """A session of the user's, as the jobs of a pinned backend run in it.

    Args:
        session: A Session or Batch of IBM's client, or ``None``.
        backend: The backend, from :meth:`Pins.pin`.

    Raises:
        ConfigurationError: It is one of another backend, or of another instance.
    """
    if session is None:
        return None
    check_session_backend(session, str(backend.name))
    instance, other = instance_of(backend), str(vars(session).get("_instance"))
    if other != instance:
        raise _refusal(
            session,
            f"session: it is one of instance {other!r}, and this device is on instance {instance!r}, which would not pay for "
            f"what runs in it. Make a device with instance={other!r}, or open a session there.",
        )
    return _changed(session, _service=backend.service, _backend=backend)


def check_session_backend(session: Any, name: str) -> None:
    """Refuse a session of another backend than the one of a device: its jobs would run there.

    Args:
        session: A Session or Batch of IBM's client, or ``None``.
        name: Name of the device's backend.

    Raises:
        ConfigurationError: It is one of another backend.
    """
    other = name if session is None else session.backend()
    if other != name:
        raise _refusal(
            session,
            f"session: it is one of backend {other!r}, and this device is on backend {name!r}. Make a device with "
            f"backend={other!r}, or open a session on {name!r}.",
        )


def _refusal(session: Any, text: str) -> ConfigurationError:
    return ConfigurationError(f"{text} Nothing was sent.", argument="session", value=session)


def _not_known(backend: Any, instance: str) -> ConfigurationError:
    return ConfigurationError(
        f"backend: the installed qiskit-ibm-runtime does not tell how the backend object {backend.name!r} reaches its instance. "
        f"Give backend={str(backend.name)!r} and instance={instance!r} instead. Nothing was sent.",
        argument="backend",
        value=backend,
    )
