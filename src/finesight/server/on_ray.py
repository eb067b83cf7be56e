# SPDX-License-Identifier: Apache-2.0
"""Several copies of the server behind one port, with Ray Serve.

Each replica has its own engine, caches and memory, so a conversation that comes back to another replica is computed
again from its start. Limits of `ServerSettings` hold for each replica.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI

from finesight.errors import ConfigError, FinesightError
from finesight.server.settings import ServerSettings

_NAME = "finesight"


def serve_on_ray(
    make: Callable[[], FastAPI],
    settings: ServerSettings,
    *,
    replicas: int,
    host: str,
    port: int,
    on_ready: Callable[[str], None],
) -> None:
    """Answer requests with several replicas until SIGINT or SIGTERM.

    Starts Ray on this machine, or joins the cluster that the environment variable RAY_ADDRESS names.

    Args:
        make: makes the application; called in the process of each replica.
        settings: limits and permissions.
        replicas: number of processes that answer; they share the processors and the GPUs equally.
        host: address to listen on.
        port: port to listen on.
        on_ready: called with the URL as soon as all replicas answer.

    Raises:
        ConfigError: Ray Serve is not installed.
        FinesightError: Ray does not start.
    """
    ray, serve = _started()
    found = ray.cluster_resources()
    share: dict[str, Any] = {"num_cpus": found.get("CPU", 1.0) / (replicas + 1)}
    if gpus := found.get("GPU"):
        share["num_gpus"] = gpus / replicas

    def build() -> FastAPI:  # Ray takes another callable for an application
        return make()

    deployment = serve.deployment(
        serve.ingress(build)(_Replica),
        name=_NAME,
        num_replicas=replicas,
        ray_actor_options=share,
        max_ongoing_requests=settings.max_requests,
        graceful_shutdown_timeout_s=settings.drain_seconds,
    )
    serve.start(http_options={"host": host, "port": port})
    try:
        serve.run(deployment.bind(), name=_NAME, route_prefix="/")
        on_ready(f"http://{host}:{port}")
        _wait_for_signal()
    finally:
        serve.shutdown()
        ray.shutdown()


def _started() -> tuple[Any, Any]:
    """The modules of Ray and of Ray Serve, with Ray running."""
    try:
        import ray
        from ray import serve
    except ImportError as error:
        raise ConfigError(
            f"several replicas need Ray Serve, which is not installed ({error})",
            hint="pip install 'finesight[ray]'",
        ) from error
    try:
        # Without an address Ray would also join the cluster named in a file of /tmp, which outlives a killed cluster.
        address = os.environ.get("RAY_ADDRESS", "local")  # noqa: TID251  # it is Ray's own variable
        ray.init(address=address, log_to_driver=False)
    except Exception as error:  # of many classes, a bare Exception among them
        raise FinesightError(
            f"Ray did not start: {str(error)[:300] or type(error).__name__}",
            hint="try again when the machine is less busy; RAY_ADDRESS joins a cluster that runs already",
        ) from error
    return ray, serve


class _Replica:
    """The process of a replica; Ray passes its requests to the application."""


def _wait_for_signal() -> None:
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    stopped.wait()
