"""As much of Ray as the project uses, in this process: actors are objects, and what they get and give is pickled."""

import pickle
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any


class FakeRay(ModuleType):
    """A cluster.

    Parameters
    ----------
    nodes : int
    lost : callable (calls so far) -> bool
        Whether the worker of a call is lost for good.
    """

    def __init__(self, *, nodes: int = 2, gpus: float = 0, lost: Callable[[int], bool] = lambda _: False) -> None:
        super().__init__("ray")
        self.__version__ = "fake"
        self.exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)
        self.calls: list[tuple[int, str]] = []
        self.asked: list[dict[str, Any]] = []
        self.actors = self.begun = 0
        self._nodes, self._gpus, self._lost, self._running = nodes, gpus, lost, False

    def is_initialized(self) -> bool:
        return self._running

    def init(self, **options: Any) -> None:
        self._running, self.begun = True, self.begun + 1
        self.asked.append(options)

    def shutdown(self) -> None:
        self._running = False

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True}] * self._nodes

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 2.0 * self._nodes, "GPU": self._gpus}

    def put(self, value: object) -> bytes:
        return pickle.dumps(value)

    def remote(self, **options: Any) -> Callable[[type], Any]:
        self.asked.append(options)

        def declare(kind: type) -> Any:
            return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=lambda *given: _Actor(self, kind, given)))

        return declare

    def get(self, reference: Any) -> Any:
        return [one() for one in reference] if isinstance(reference, list) else reference()

    def call(self, actor: "_Actor", name: str, given: tuple[Any, ...]) -> Any:
        self.calls.append((actor.number, name))
        if self._lost(len(self.calls)):
            raise RayError("the actor died: out of memory")
        arguments = [pickle.loads(one) if isinstance(one, bytes) else pickle.loads(pickle.dumps(one)) for one in given]  # noqa: S301
        try:
            return pickle.loads(pickle.dumps(getattr(actor.held, name)(*arguments)))  # noqa: S301 - made here
        except Exception as error:
            raise RayTaskError(error) from error


class _Actor:
    def __init__(self, cluster: FakeRay, kind: type, given: tuple[Any, ...]) -> None:
        self.number, self.held, self._cluster = cluster.actors, kind(*given), cluster
        cluster.actors += 1

    def __getattr__(self, name: str) -> Any:
        return SimpleNamespace(remote=lambda *given: lambda: self._cluster.call(self, name, given))


class RayError(Exception):
    """Of a worker that is lost."""


class RayTaskError(RayError):
    """Of a worker that raised."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause

    def as_instanceof_cause(self) -> Exception:
        return self.cause
