"""A step: what an asset reads, how it is computed, when it is used again. Knows nothing of Dagster.

A step is declared once, with the decorator `step`, as a function (inputs, out, **sections of the settings). What it is
made from (code tag, resolved values, contents of its inputs) is its recipe; a recipe that exists on disk is used
again. What must stay out: Dagster's objects (definitions.py) and computation (tac_pipeline).
"""

import errno
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from tac_pipeline.digest import digest
from tac_pipeline.errors import StoreError
from tac_pipeline.method.arrays import FloatMatrix, IntVector
from tac_pipeline.progress import RateLog
from tac_pipeline.settings import Project, Settings, result_slice
from tac_pipeline.store import Artifact, Store
from tac_pipeline.tables import TableSchema, encoder_of, read_table, vectors_of, write_table

Log = Callable[[str], None]
Values = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Step:
    """One asset.

    Attributes
    ----------
    reads : tuple of str
        Sections or keys of the settings; their result keys enter the version, their sections are passed to `build`.
    deps : tuple of Step
        Assets that it reads; their contents enter the recipe.
    by_value : tuple of Step
        Assets that `resolve` reads a number from; they enter the recipe through that number alone, so that K changed
        without k changed redoes nothing.
    resolve : callable (inputs, **sections) -> dict
        The values that a result hangs on, defaults worked out. By default the result keys as written.
    code : str
        Raised by hand when the computation changes what comes out.
    cleanup : callable (store), optional
        Runs after old versions were removed.
    as_of : Step, optional
        What lies between this asset and it is read as it was when that one was made (see required.py).
    """

    name: str
    group: str
    description: str
    build: Callable[..., None]
    schema: TableSchema
    reads: tuple[str, ...]
    deps: tuple["Step", ...]
    by_value: tuple["Step", ...]
    kinds: tuple[str, ...]
    code: str
    resolve: Callable[..., Values] | None
    cleanup: Callable[[Store], None] | None
    as_of: "Step | None" = None

    @property
    def upstream(self) -> tuple["Step", ...]:
        """Every asset that it reads, in either way."""
        return (*self.deps, *self.by_value)

    def written(self, settings: Settings) -> Values:
        """The result settings that it reads, as written."""
        return result_slice(settings, self.reads)

    def version(self, settings: Settings, known: dict[str, str] | None = None) -> str:
        """The chained code version: it changes when a setting or code of this asset, or of any above it, changes.

        `known` takes the versions that were worked out, by name: many assets lie above one by many ways.
        """
        known = {} if known is None else known
        if self.name not in known:
            above = [step.version(settings, known) for step in self.upstream]
            known[self.name] = digest([self.name, self.code, self.written(settings), above])
        return known[self.name]

    def sections(self, settings: Settings) -> Values:
        """What `build` and `resolve` are passed: the top-level settings that `reads` names."""
        names = dict.fromkeys(name.split(".")[0] for name in self.reads)
        return {name: getattr(settings, name) for name in names}


def step(
    *,
    group: str,
    schema: TableSchema,
    reads: Iterable[str] = (),
    deps: Iterable[Step] = (),
    by_value: Iterable[Step] = (),
    kinds: Iterable[str] = ("parquet",),
    code: str = "1",
    resolve: Callable[..., Values] | None = None,
    cleanup: Callable[[Store], None] | None = None,
    as_of: Step | None = None,
) -> Callable[[Callable[..., None]], Step]:
    """Declare an asset: the function's name is the asset's, its docstring the description."""

    def declare(build: Callable[..., None]) -> Step:
        return Step(
            name=build.__name__,
            group=group,
            description=(build.__doc__ or "").strip(),
            build=build,
            schema=schema,
            reads=tuple(reads),
            deps=tuple(deps),
            by_value=tuple(by_value),
            kinds=tuple(kinds),
            code=code,
            resolve=resolve,
            cleanup=cleanup,
            as_of=as_of,
        )

    return declare


@dataclass
class Inputs:
    """What a step may read: the artifacts above it, the project, and the values that `resolve` worked out."""

    project: Project
    artifacts: Mapping[str, Artifact]
    log: Log = lambda _: None
    values: Values = field(default_factory=dict)
    # What resolve found and build needs again, such as a listing; never part of the recipe.
    carry: dict[str, Any] = field(default_factory=dict)

    def artifact(self, asset: Step) -> Artifact:
        """The artifact of an asset above."""
        return self.artifacts[asset.name]

    def rows(self, asset: Step) -> int:
        """Rows of its main table."""
        return self.artifact(asset).rows or 0

    def fact(self, asset: Step, name: str) -> Any:
        """A small number that the asset recorded."""
        return self.artifact(asset).facts[name]

    def table(self, asset: Step, *, columns: Iterable[str] | None = None) -> pl.DataFrame:
        """Its main table, or some columns of it."""
        return pl.DataFrame(pl.from_arrow(read_table(self._main(asset), asset.schema, columns=_list(columns))))

    def vectors(self, asset: Step) -> FloatMatrix:
        """The embedding column of its main table, float32 (n_rows, dim), unit rows."""
        return vectors_of(read_table(self._main(asset), asset.schema, columns=["embedding"]))

    def vectors_at(self, asset: Step, rows: IntVector) -> FloatMatrix:
        """Some rows of the embedding column of its main table, float32 (len(rows), dim), unit rows."""
        return vectors_of(read_table(self._main(asset), asset.schema, columns=["embedding"]).take(rows))

    def encoder(self, asset: Step) -> str:
        """The fingerprint of the encoder behind its vectors."""
        return encoder_of(read_table(self._main(asset), asset.schema, columns=["embedding"]).slice(0, 0))

    def path(self, asset: Step, name: str) -> Path:
        """One of its files, checked to be whole."""
        return self.artifact(asset).file(name)

    def progress(self, what: str) -> RateLog:
        """A progress callback for a long loop over so many of these."""
        return RateLog(self.log, what)

    def _main(self, asset: Step) -> Path:
        return self.path(asset, f"{asset.schema.name}.parquet")


def _list(columns: Iterable[str] | None) -> list[str] | None:
    return None if columns is None else list(columns)


class Output:
    """Where a step puts what it made: files in a scratch folder, validated as they are written."""

    def __init__(self, folder: Path, schema: TableSchema) -> None:
        self.folder, self._schema = folder, schema
        self.rows: int | None = None
        self.facts: dict[str, Any] = {}
        self.notes: dict[str, dict[str, str]] = {}
        self.links: dict[str, int] = {}
        self.content: str | None = None

    def write(self, columns: Mapping[str, Any] | pl.DataFrame, *, encoder: str | None = None) -> None:
        """Write the main table (see write_table)."""
        self.rows = self.write_other(self._schema, columns, encoder=encoder)

    def write_other(
        self, schema: TableSchema, columns: Mapping[str, Any] | pl.DataFrame, *, encoder: str | None = None
    ) -> int:
        """Write another table beside the main one; returns its rows."""
        plain = {name: columns[name].to_arrow() for name in columns.columns} if isinstance(columns, pl.DataFrame) \
            else columns  # fmt: skip
        return int(write_table(self.path(f"{schema.name}.parquet"), schema, plain, encoder=encoder).num_rows)

    def path(self, name: str) -> Path:
        """A file of the artifact, to be written by the caller."""
        return self.folder / name

    def fact(self, **facts: Any) -> None:
        """Record small numbers that later steps, checks and the UI read."""
        self.facts |= facts

    def markdown(self, label: str, text: str) -> None:
        """A table or text for the UI."""
        self.notes[label] = {"markdown": text}

    def page(self, label: str, text: str) -> None:
        """Markdown for the UI that is long or holds pictures, kept as a file of the artifact."""
        name = f"{label.replace(' ', '_')}.md"
        self.path(name).write_text(text, encoding="utf-8")
        self.notes[label] = {"page": name}

    def picture(self, label: str, png: bytes) -> None:
        """A plot for the UI, kept as a file of the artifact."""
        name = f"{label.replace(' ', '_')}.png"
        self.path(name).write_bytes(png)
        self.notes[label] = {"picture": name}


@dataclass(frozen=True)
class Outcome:
    """What became of a step: its artifact, whether it was used again, and the seconds that took."""

    artifact: Artifact
    reused: bool
    seconds: float


# The nouns hang on the encoder and the settings alone: stores with the same ones share them.
SHARED_STEPS = frozenset({"candidate_nouns", "noun_embeddings"})


def open_store(project: Project) -> Store:
    """The store of a project."""
    return Store(project.store_folder, shared_assets=SHARED_STEPS)


def execute(asset: Step, project: Project, *, log: Log = lambda _: None) -> Outcome:
    """Make an asset current: find its recipe on disk, or compute it, validate it and swap it in.

    Raises
    ------
    ArtifactMissing, ArtifactOutdated, ArtifactDamaged
        Something that it reads must be built first; the message names it.
    TacError
        Whatever the computation refuses. Nothing that was current is touched.
    """
    from assets.required import require_inputs  # which looks for recipes itself

    started = time.monotonic()
    store = open_store(project)
    with store.building(asset.name, on_wait=log):
        inputs = Inputs(project, require_inputs(asset, project, store, log), log)
        recipe = resolve_recipe(asset, inputs)
        artifact = usable(store.find(asset.name, recipe))
        reused = artifact is not None
        if artifact is None:
            artifact = _build(asset, inputs, store, recipe, started)
        settings = project.settings
        store.make_current(artifact, version=asset.version(settings), written=asset.written(settings))
        store.prune(asset.name, keep=settings.keep_versions)
        if asset.cleanup is not None:
            asset.cleanup(store)
    return Outcome(artifact, reused, time.monotonic() - started)


def resolve_recipe(asset: Step, inputs: Inputs) -> str:
    """Work out the step's values into inputs.values, and name the recipe."""
    settings = inputs.project.settings
    inputs.values = (
        asset.written(settings) if asset.resolve is None else asset.resolve(inputs, **asset.sections(settings))
    )
    contents = {dep.name: inputs.artifact(dep).content for dep in asset.deps}
    return digest([asset.name, asset.code, inputs.values, contents])


def usable(artifact: Artifact | None) -> Artifact | None:
    """The artifact if it may be used again: its files are whole and it does not ask to be tried again."""
    if artifact is None or artifact.damage() or artifact.facts.get("try_again"):
        return None
    return artifact


def _build(asset: Step, inputs: Inputs, store: Store, recipe: str, started: float) -> Artifact:
    store.sweep_scratch(asset.name)
    with store.scratch(asset.name) as folder:
        out = Output(folder, asset.schema)
        try:
            asset.build(inputs, out, **asset.sections(inputs.project.settings))
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise StoreError(f"the disk of {store.folder} is full; {asset.name} was not changed") from error
            raise
        record = {
            "content": out.content,
            "links": out.links,
            "values": inputs.values,
            "inputs": {dep.name: inputs.artifact(dep).content for dep in asset.deps},
            "facts": out.facts,
            "rows": out.rows,
            "notes": out.notes,
            "seconds": time.monotonic() - started,
        }
        return store.commit(asset.name, recipe, folder, record)
