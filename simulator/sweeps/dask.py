"""A sweep on dask.distributed: tasks are JSON, results are the bytes of a run folder.

A worker needs this project installed and nothing else: no shared disk, no file of the client.
It does a run in a temporary folder and sends the files back packed, with their hash; the client
unpacks them into the run folder, the status last. Dask itself moves pickled messages between
its processes, so a scheduler belongs on this machine or on a network of trusted ones.

This is the only module that imports dask, and only when it is used.
"""

import asyncio
import hashlib
import io
import json
import logging
import pkgutil
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from simulator import __version__
from simulator.errors import RunError, Unavailable
from simulator.experiments import config_of
from simulator.runs.config import Config
from simulator.runs.files import PART, json_text, write_atomic
from simulator.runs.folder import RunFolder
from simulator.sweeps.local import (Outcome, never, record_failure, run_one, thread_environment,
                                    worker_count)

__all__ = ["on_dask", "pack", "reach", "run_task", "unpack"]

PATIENCE = 5.0  # seconds for a scheduler to answer
WORKER_PATIENCE = 15.0  # seconds for its first worker to appear
KEPT_BACK = (".lock", "checkpoint.previous.npz", "checkpoint.next.npz")

# Thread counts are set for a whole process, so a worker with several threads still does one
# run at a time.
_one_run = threading.Lock()


def on_dask(configs: Sequence[Config], root: Path, address: str,
            workers: int | None = None, stop: Callable[[], bool] = never) -> Iterator[Outcome]:
    """Do the runs on Dask workers, in the order in which they finish.

    Parameters
    ----------
    configs : sequence of Config
    root : Path
        Folder of the run folders, on the client.
    address : str
        Address of a scheduler, or "local" for a cluster on this machine alone, reachable only
        from it, that ends with the sweep.
    workers : int or None
        Worker processes of a local cluster.
    stop : callable
        Once it says True, no further result is waited for. A run begun on a worker is lost
        then: an unfinished run starts anew here, to the same bytes.

    Raises
    ------
    RunError
        Dask is not installed, the scheduler does not answer, it has no workers, or a worker
        has another version of this project.
    """
    if not configs:
        return
    distributed = _distributed()
    with _client(distributed, configs, address, workers) as client:
        _check_workers(client, address)
        tasks = {client.submit(run_task, json_text({"version": __version__,
                                                    "config": config.to_settings()}),
                               pure=False): config for config in configs}
        for future in _finished(distributed, tasks, stop):
            if future.cancelled():
                raise RunError(f"dask {address}: the scheduler has gone: start it again, then "
                               "the sweep with --resume")
            yield _received(future, tasks[future], root)
            future.release()  # the worker may forget the result


def reach(address: str) -> None:
    """Connect once, so that a wrong address is told before a sweep writes anything.

    Raises
    ------
    RunError
        Dask is not installed, or the scheduler does not answer.
    """
    distributed = _distributed()
    if address != "local":
        with _client(distributed, (), address, None):
            pass


def _distributed() -> Any:
    try:
        import distributed
    except ImportError:
        raise RunError("dask: expected dask.distributed to be installed, found none: "
                       "pip install 'feature-purification[dask]'") from None
    for name in ("distributed", "distributed.client", "distributed.nanny"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # its errors come back as outcomes
    return distributed


@contextmanager
def _client(distributed: Any, configs: Sequence[Config], address: str,
            workers: int | None) -> Iterator[Any]:
    if address == "local":
        threads = thread_environment(max(config.threads for config in configs))
        with (distributed.LocalCluster(
                n_workers=worker_count(configs, workers), threads_per_worker=1, processes=True,
                host="127.0.0.1", dashboard_address="127.0.0.1:0", memory_limit=0, env=threads,
                silence_logs=50) as cluster,
              distributed.Client(cluster) as client):
            yield client
        return
    try:
        # in a thread: a notebook has a loop of its own
        with ThreadPoolExecutor(1) as caller:
            caller.submit(asyncio.run, _greeted(distributed, address)).result()
        client = distributed.Client(address, timeout=PATIENCE)
    except (OSError, ValueError, TypeError) as error:
        raise RunError(f"dask {address}: expected a scheduler, got no answer within "
                       f"{PATIENCE:g} s ({type(error).__name__})") from None
    except Exception as error:  # the bytes of something else, read as a size, are a huge one
        raise RunError(f"dask {address}: expected a scheduler, got the answer of something else "
                       f"({type(error).__name__})") from None
    with client:
        yield client


async def _greeted(distributed: Any, address: str) -> None:
    """Shake hands once: a client waits for ever where something connects and says nothing."""
    options = distributed.Security().get_connection_args("client")
    comm = await asyncio.wait_for(
        distributed.comm.connect(address, timeout=PATIENCE, **options), PATIENCE)
    await comm.close()


def _check_workers(client: Any, address: str) -> None:
    """Refuse workers of another version, and say where other libraries differ.

    A standard function asks, so that the answer needs nothing of the project on the worker.
    """
    try:
        client.wait_for_workers(1, timeout=WORKER_PATIENCE)
    except TimeoutError:
        raise RunError(f"dask {address}: expected workers, got none within "
                       f"{WORKER_PATIENCE:g} s: start some with: dask worker {address}") from None
    answers = client.run(pkgutil.resolve_name, "simulator:__version__", on_error="return")
    for worker, version in answers.items():
        if isinstance(version, Exception):
            raise RunError(f"dask worker {worker}: expected version {__version__} of this "
                           f"project, found none ({version})")
        if version != __version__:
            raise RunError(f"dask worker {worker}: expected version {__version__} of this "
                           f"project, got {version}: its runs would have other bits")


def _finished(distributed: Any, tasks: dict[Any, Config],
              stop: Callable[[], bool]) -> Iterator[Any]:
    """Yield futures as they finish, until all have or ``stop`` says True."""
    waiting = distributed.as_completed(tasks)
    while waiting.count():
        ready = waiting.next_batch(block=False)
        yield from ready
        if stop():
            waiting.clear()
            for future in tasks:
                future.cancel()
            return
        if not ready:
            threading.Event().wait(0.1)


def _received(future: Any, config: Config, root: Path) -> Outcome:
    """Store what came back for a run."""
    error = future.exception()
    if error is not None:
        text = (str(error).splitlines() or [""])[0]
        return record_failure(root, config, f"{type(error).__name__}: {text}")
    answer = future.result()
    try:
        unpack(answer["files"], answer["sha256"], config, root)
    except RunError as damage:
        return record_failure(root, config, str(damage).replace(f"{root}/", ""))
    return Outcome(config, answer["state"], answer["error"])


def run_task(text: str) -> dict[str, Any]:
    """Do one run on a worker.

    Parameters
    ----------
    text : str
        JSON with ``version`` and ``config``.

    Returns
    -------
    dict
        ``state`` and ``error`` of the outcome, ``files`` (see :func:`pack`) and ``sha256``.

    Raises
    ------
    ValueError
        The client has another version of the project.
    """
    task = json.loads(text)
    if task["version"] != __version__:  # a worker that joined after the sweep began
        raise ValueError(f"expected version {task['version']} of this project on the worker, "
                         f"got {__version__}")
    config = config_of(task["config"])
    with _one_run, tempfile.TemporaryDirectory(prefix="purify-") as place:
        outcome = run_one(config, Path(place))
        files = pack(RunFolder.of(Path(place), config).path)
    return {"state": outcome.state, "error": outcome.error, "files": files,
            "sha256": hashlib.sha256(files).hexdigest()}


def pack(folder: Path) -> bytes:
    """Return the files of a run folder as a zip archive, the status last."""
    names = sorted((path.name for path in folder.iterdir() if path.is_file()
                    and path.name not in KEPT_BACK and path.suffix != PART),
                   key=lambda name: (name == "status.json", name))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), (folder / name).read_bytes())
    return buffer.getvalue()


def unpack(files: bytes, sha256: str, config: Config, root: Path) -> RunFolder:
    """Write packed files into the folder of a run below ``root``.

    Raises
    ------
    RunError
        The bytes do not have the hash, are of another run, name other places, or cannot be
        written.
    """
    folder = RunFolder.of(root, config)
    if hashlib.sha256(files).hexdigest() != sha256:
        raise RunError(f"{folder.path}: expected results with hash {sha256[:10]}, got others: "
                       "they were damaged on the way")
    with zipfile.ZipFile(io.BytesIO(files)) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    for name in content:
        if name != Path(name).name or not name.endswith((".json", ".csv", ".npz")):
            raise RunError(f"{folder.path}: expected files of a run, got {name!r}")
    if json.loads(content.get("config.json", b"null")) != config.to_dict():
        raise RunError(f"{folder.path}: expected the results of this run, got those of another")
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"{folder.path}: cannot be made: {error.strerror}") from None
    with folder.locked():
        for name, data in content.items():
            write_atomic(folder.path / name, data)
    return folder
