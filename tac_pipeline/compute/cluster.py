"""The workers of a Ray cluster: they encode units of images, and a unit whose worker is lost is given to another.

Nothing of the project is shipped to the cluster: its machines have the same version of tac-pipeline installed, and
reach the same images. What must stay out: what a worker does (work.py).
"""

from __future__ import annotations

import logging
import socket
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import polars as pl

from tac_pipeline.compute.work import ImageWork, ImageWorker, KnownImages, settle
from tac_pipeline.embedding import KnownVectors
from tac_pipeline.embedding.bounded_reads import in_reading_order
from tac_pipeline.errors import ComputeError, MissingDependency
from tac_pipeline.settings.keys import ComputeSettings
from tac_pipeline.store.shards import EmbeddedBatch
from tac_pipeline.version import installed_version

# Batches in a unit, which is what a lost worker loses.
UNIT_BATCHES = 4
# Units that a worker has at once, so that it never waits for the next.
UNITS_AHEAD = 2
# A worker that is killed starts again, and its unit is tried so often.
RETRIES = 3
# Ray itself waits half a minute for a cluster that does not answer.
ANSWER_SECONDS = 3.0
# Results are small; Ray would take a third of the memory.
OBJECT_STORE_BYTES = 256_000_000
CLIENT = "ray://"


def cluster_batches(
    missing: pl.DataFrame,
    work: ImageWork,
    settings: ComputeSettings,
    *,
    known: KnownVectors,
    encoder: str,
    log: Callable[[str], None],
) -> Iterator[EmbeddedBatch]:
    """Images encoded by the workers of a cluster, in the order in which one machine would read them.

    At most UNITS_AHEAD units a worker are under way. Held here: the known bytes, 24 bytes each, and a unit of vectors.

    Parameters
    ----------
    missing : DataFrame with image_id, uri, size, version
    work : ImageWork
    settings : ComputeSettings
    known : KnownVectors
        Of the store.
    encoder : str
        The fingerprint that the workers must have.
    log : callable
        Takes a line of text.

    Raises
    ------
    MissingDependency
        Ray is not installed.
    ComputeError
        The cluster does not answer, a worker cannot work, or units were lost more often than RETRIES.
    """
    rows = in_reading_order(missing)
    units = list(rows.iter_slices(UNIT_BATCHES * work.encoder.batch_size))
    with _session(settings, log) as ray:
        workers = _workers(ray, work, settings, most=len(units))
        _greet(ray, workers, str(rows["uri"][0]), encoder)
        log(f"{len(workers)} workers encode {len(missing):,} images in {len(units):,} units")
        told = ray.put(KnownImages.of(known))
        under_way: deque[Any] = deque()
        for number, unit in enumerate(units):
            full = len(under_way) == UNITS_AHEAD * len(workers)
            done = _taken(ray, under_way.popleft()) if full else []
            under_way.append(workers[number % len(workers)].encode.remote(unit, told))
            yield from _settled(done, known)
        while under_way:
            yield from _settled(_taken(ray, under_way.popleft()), known)


def _settled(done: Sequence[EmbeddedBatch], known: KnownVectors) -> Iterator[EmbeddedBatch]:
    # What Ray hands out cannot be written to.
    return (settle(EmbeddedBatch(list(batch.rows), batch.vectors.copy()), known) for batch in done)


@contextmanager
def _session(settings: ComputeSettings, log: Callable[[str], None]) -> Iterator[Any]:
    try:
        ray: Any = import_module("ray")
    except ImportError as error:
        raise MissingDependency("compute.engine: ray needs Ray: pip install 'tac-pipeline[ray]'") from error
    ours = not ray.is_initialized()
    if ours:
        if settings.address is not None:
            require_answer(settings.address)
        started: dict[str, Any] = {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
        options = started if settings.address is None else {"address": settings.address}
        try:
            ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
        except Exception as error:
            # Ray raises its own, the network's and plain ones.
            reason = " ".join(str(error).split())[:200]
            raise ComputeError(
                f"the Ray cluster at {settings.address or 'this machine'} cannot be used: {reason}"
            ) from error
        log(f"Ray {ray.__version__} with {ray.cluster_resources().get('CPU', 0):g} cores")
    try:
        yield ray
    finally:
        if ours:
            ray.shutdown()


def require_answer(address: str) -> None:
    """Raise ComputeError when nothing listens at the address of a cluster, after ANSWER_SECONDS."""
    if address == "auto":
        return
    host, _, port = address.removeprefix(CLIENT).rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=ANSWER_SECONDS):
            pass
    except (OSError, ValueError) as error:
        raise ComputeError(
            f"compute.address must be that of a running Ray cluster, such as head:6379; nothing answers at {address}: "
            f"{error}. Start one (`ray start --head`), or set compute.engine to local."
        ) from error


def _workers(ray: Any, work: ImageWork, settings: ComputeSettings, *, most: int) -> list[Any]:
    gpus = settings.gpus_per_worker
    there = ray.cluster_resources()
    room = int(there.get("GPU", 0) / gpus) if gpus else len([node for node in ray.nodes() if node["Alive"]])
    count = max(1, min(settings.workers or room, most))
    if gpus and room < 1:
        raise ComputeError(f"compute.gpus_per_worker is {gpus:g}, and the cluster has {there.get('GPU', 0):g} GPUs")
    actor = ray.remote(max_restarts=-1, max_task_retries=RETRIES, num_gpus=gpus, num_cpus=0 if gpus else 1)(ImageWorker)
    # One on each machine, where there are as many machines.
    return [actor.options(scheduling_strategy="SPREAD").remote(work) for _ in range(count)]


def _greet(ray: Any, workers: Sequence[Any], uri: str, encoder: str) -> None:
    """Refuse to begin with a worker of another version, of other vectors, or that does not reach the images."""
    for number, said in enumerate(_taken(ray, [worker.greet.remote(uri) for worker in workers]), start=1):
        here = installed_version()
        if said["version"] != here:
            raise ComputeError(
                f"worker {number} has tac-pipeline {said['version']}, and this machine {here}: install the same"
            )
        if said["problem"]:
            raise ComputeError(
                f"worker {number} cannot work: {said['problem']}. Images and weights must be in reach of every worker: "
                "a folder that all machines share, or a URL such as s3://"
            )
        if said["encoder"] != encoder:
            raise ComputeError(f"worker {number} has the encoder {said['encoder']}, and this machine {encoder}")


def _taken(ray: Any, reference: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        # What the worker raised: a sentence of ours, or a defect.
        raise error.as_instanceof_cause() from error
    except ray.exceptions.RayError as error:
        reason = " ".join(str(error).split())[:200]
        raise ComputeError(
            f"the workers were lost more than {RETRIES} times ({type(error).__name__}: {reason}). What was encoded is "
            "kept: run again, with a smaller encoder.batch_size if their memory ended"
        ) from error
