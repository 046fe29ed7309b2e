"""A step: what an asset reads, and how it is computed.

A step is declared once, with the decorator `stored_asset`, as a function (inputs, out, **sections of the settings).
What must stay out: Dagster (orchestration/) and computation (tac_pipeline).
"""

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pyarrow as pa

from tac_pipeline.arrays import FloatMatrix, IntVector
from tac_pipeline.arrow import encoder_of
from tac_pipeline.digest import digest
from tac_pipeline.errors import ArtifactDamaged
from tac_pipeline.progress import RateLog
from tac_pipeline.settings.keys import Settings, result_slice, value_at
from tac_pipeline.settings.project import Project
from tac_pipeline.store.artifacts import Artifact, Store
from tac_pipeline.store.parquet import Columns, TableSchema, checked_table, vectors_of
from tac_pipeline.store.segments.cutting import segment_path, share, write_segment, write_segments
from tac_pipeline.store.segments.reading import FileRows, HeldRows, Rows, Segment, segments

Log = Callable[[str], None]
Values = dict[str, Any]
Part = Literal["growth", "learning"]


@dataclass(frozen=True)
class AsItWas:
    """What a step that ignores growth last made, where that was lost: it is made again, and nothing else.

    Attributes
    ----------
    recipe : str
        The name that it had.
    record : dict
        content, values and inputs of its artifact (see Artifact).
    build : callable (inputs, out)
        Makes it again, in place of the step's own function.
    """

    recipe: str
    record: dict[str, Any]
    build: "Callable[[Inputs, Output], None]"


@dataclass(frozen=True, eq=False, kw_only=True)
class Step:
    """One asset.

    Attributes
    ----------
    settings : tuple of str
        Sections or keys of the settings; their result keys enter the version, their sections are passed to `build`.
    deps : tuple of Step
        Assets that it reads; their contents enter the recipe.
    value_deps : tuple of Step
        Assets that `resolve` reads a number from; only that number enters the recipe. So when K changes but k does
        not, nothing runs again.
    deps_when : dict of settings key to tuple of Step
        Further deps, of a store whose settings set that key; for all others they do not exist, not even in a digest.
    deps_if_any : tuple of Step
        Further deps that are empty in most stores: one that is empty is in no recipe, and none is in a version.
    resolve : callable (inputs, **sections) -> dict
        The values that a result depends on, with defaults filled in. By default the result keys as written.
    code_version : str
        Raised by hand when a code change changes the result.
    cleanup : callable (store), optional
        Runs after old versions were removed.
    as_of : Step, optional
        Assets between that step and this one are read in the version that it was made from (see required.py).
    part : {"growth", "learning"}
        Growth follows new images every day; learning runs on its own schedule.
    observes : str, optional
        The observable source that it reads.
    shared : bool
        It depends on no image: all stores find its versions in data/.shared.
    ignores_growth : bool
        New contents of its inputs do not make it stale; only settings, or a person, renew it.
    as_it_was : callable (inputs) -> AsItWas or None, optional
        Of a step that ignores growth: what it last made, where that was lost and the settings are the same.
    lag : callable (inputs, artifact) -> str, optional
        Of a step that ignores growth: what has changed since its artifact was made, in words. By default the store.
    by_method : bool
        It stores the outcome of the method's piece of the same name, which also says what values it depends on.
    load : callable (inputs, asset) -> result, optional
        How a piece of the method reads it.
    columns_from : dict of column to pairs of Step and column
        Which columns upstream a column is made of, where its name does not say so (see `column_sources`). For people.
    """

    name: str
    group: str
    description: str
    build: Callable[..., None]
    schema: TableSchema
    settings: tuple[str, ...] = ()
    deps: tuple["Step", ...] = ()
    value_deps: tuple["Step", ...] = ()
    deps_when: Mapping[str, tuple["Step", ...]] = field(default_factory=dict)
    deps_if_any: tuple["Step", ...] = ()
    kinds: tuple[str, ...] = ("parquet",)
    code_version: str = "1"
    resolve: Callable[..., Values] | None = None
    cleanup: Callable[[Store], None] | None = None
    as_of: "Step | None" = None
    part: Part = "learning"
    observes: str | None = None
    shared: bool = False
    ignores_growth: bool = False
    as_it_was: "Callable[[Inputs], AsItWas | None] | None" = None
    lag: "Callable[[Inputs, Artifact], str] | None" = None
    by_method: bool = False
    load: "Callable[[Inputs, Step], Any] | None" = None
    columns_from: "Mapping[str, Iterable[tuple[Step, str]]]" = field(default_factory=dict)

    @property
    def upstream(self) -> tuple["Step", ...]:
        """Every asset that it reads in every store: deps and value_deps."""
        return (*self.deps, *self.value_deps)

    @property
    def optional(self) -> tuple["Step", ...]:
        """The assets that it reads in some stores only."""
        asked = (step for steps in self.deps_when.values() for step in steps)
        return tuple(dict.fromkeys((*asked, *self.deps_if_any)))

    def reads(self, settings: Settings) -> tuple["Step", ...]:
        """Every asset that it reads in a store with these settings."""
        asked = [steps for key, steps in self.deps_when.items() if value_at(settings, key) is not None]
        return tuple(dict.fromkeys([*self.upstream, *(step for steps in asked for step in steps), *self.deps_if_any]))

    def column_sources(self, settings: Settings) -> dict[str, list[tuple["Step", str]]]:
        """Which columns upstream each column is made of: what is declared, else the first column of the same meaning.

        A vector of its own is made anew under the same name. What is made of nothing upstream is left out.
        """
        reads, found = self.reads(settings), dict[str, list[tuple[Step, str]]]()
        for column in self.schema.columns:
            same = [(dep, column.name) for dep in reads if column.type is not None and column in dep.schema.columns]
            declared = [(dep, name) for dep, name in self.columns_from.get(column.name, ()) if dep in reads]
            if declared or same:
                found[column.name] = declared or same[:1]
        return found

    def written(self, settings: Settings) -> Values:
        """The result settings that it reads, as written."""
        return result_slice(settings, self.settings)

    def version(self, settings: Settings, known: dict[str, str] | None = None) -> str:
        """The chained code version: it changes when a setting or code of this asset, or of one upstream, changes.

        `known` collects the computed versions by name, because the same asset is upstream in many ways.
        """
        known = {} if known is None else known
        if self.name not in known:
            read = (step for step in self.reads(settings) if step not in self.deps_if_any)
            above = [step.version(settings, known) for step in read]
            known[self.name] = digest([self.name, self.code_version, self.written(settings), above])
        return known[self.name]

    def sections(self, settings: Settings) -> Values:
        """The arguments of `build` and `resolve`: the top-level settings that `settings` names."""
        names = dict.fromkeys(name.split(".")[0] for name in self.settings)
        return {name: getattr(settings, name) for name in names}


def stored_asset(
    *,
    group: str,
    schema: TableSchema,
    settings: Iterable[str] = (),
    deps: Iterable[Step] = (),
    value_deps: Iterable[Step] = (),
    deps_when: Mapping[str, Iterable[Step]] | None = None,
    deps_if_any: Iterable[Step] = (),
    kinds: Iterable[str] = ("parquet",),
    **declared: Any,
) -> Callable[[Callable[..., None]], Step]:
    """Declare an asset: the function's name is the asset's, its docstring the description; see Step for the rest."""

    def declare(build: Callable[..., None]) -> Step:
        return Step(
            name=build.__name__,
            group=group,
            # Without the indentation of the code, which Markdown would take for a block of code.
            description=inspect.getdoc(build) or "",
            build=build,
            schema=schema,
            settings=tuple(settings),
            deps=tuple(deps),
            value_deps=tuple(value_deps),
            deps_when={key: tuple(steps) for key, steps in (deps_when or {}).items()},
            deps_if_any=tuple(deps_if_any),
            kinds=tuple(kinds),
            **declared,
        )

    return declare


@dataclass
class Inputs:
    """What a step may read: the artifacts upstream, the project, and the values from `resolve`.

    `anew` says that somebody asked to learn again.
    """

    project: Project
    artifacts: Mapping[str, Artifact]
    log: Log = lambda _: None
    values: Values = field(default_factory=dict)
    # Things that resolve found and build needs again, such as a listing; never part of the recipe.
    carry: dict[str, Any] = field(default_factory=dict)
    anew: bool = False
    _vectors: dict[str, FloatMatrix] = field(default_factory=dict)

    def artifact(self, asset: Step) -> Artifact:
        """The artifact of an asset upstream."""
        return self.artifacts[asset.name]

    def contents(self, asset: Step) -> dict[str, str]:
        """What the recipe of an asset names: the content of each of its deps that there are."""
        some = (dep for dep in asset.optional if dep.name in self.artifacts)
        there = (dep for dep in some if dep not in asset.deps_if_any or self.rows(dep))
        return {dep.name: self.artifact(dep).content for dep in (*asset.deps, *there)}

    def rows(self, asset: Step) -> int:
        """Rows of its main table."""
        return self.artifact(asset).rows or 0

    def fact(self, asset: Step, name: str) -> Any:
        """A small number that the asset recorded."""
        return self.artifact(asset).facts[name]

    def table(self, asset: Step, *, columns: Iterable[str] | None = None, checked: bool = False) -> pl.DataFrame:
        """Its main table, or some columns of it (see Artifact.table)."""
        chosen = None if columns is None else list(columns)
        return self.artifact(asset).frame(asset.schema, columns=chosen, checked=checked)

    def segments(self, asset: Step) -> list[Segment]:
        """The segments of its main table; a table of one file is one."""
        return segments(self.artifact(asset), asset.schema)

    def vectors(self, asset: Step) -> FloatMatrix:
        """The embedding column of its main table, float32 (n_rows, dim), unit rows; read once a step."""
        if asset.name not in self._vectors:
            self._vectors[asset.name] = vectors_of(self._embedding(asset))
        return self._vectors[asset.name]

    def vectors_at(self, asset: Step, rows: IntVector) -> FloatMatrix:
        """Some rows of the embedding column of its main table, float32 (len(rows), dim), unit rows."""
        return vectors_of(self._embedding(asset).take(rows))

    def encoder(self, asset: Step) -> str:
        """The fingerprint of the encoder behind its vectors."""
        return encoder_of(self._embedding(asset).slice(0, 0))

    def path(self, asset: Step, name: str) -> Path:
        """The path of one of its files, after a check that it is whole."""
        return self.artifact(asset).file(name)

    def progress(self, what: str) -> RateLog:
        """A progress callback for a long loop; `what` names the counted things."""
        return RateLog(self.log, what)

    def _embedding(self, asset: Step) -> pa.Table:
        return self.artifact(asset).table(asset.schema, columns=["embedding"])


class Output:
    """The output of a step: files in a scratch folder, validated when they are written.

    `before` is the version until now, with which unchanged segments of large tables are shared.
    """

    def __init__(self, folder: Path, schema: TableSchema, before: Artifact | None = None) -> None:
        self.folder, self._schema, self._before = folder, schema, before
        self.rows: int | None = None
        self.facts: dict[str, Any] = {}
        self.notes: dict[str, dict[str, str]] = {}
        self.links: dict[str, int] = {}
        self.content: str | None = None
        # Of each segment of the main table, by what it was made from: the digest of its rows, and their number.
        self.segments: dict[str, tuple[str, int]] = {}

    def shared(self, part: Segment, *, key: object) -> str | None:
        """The digest of the rows that the version before made from a segment; None where `write_each` makes them."""
        known = {} if self._before is None else self._before.record.get("segments", {})
        found, _ = known.get(digest([part.digest, key]), (None, 0))
        return None if found is None or self._find_segment(found) is None else str(found)

    def write_each(
        self,
        parts: Sequence[Segment],
        make: Callable[[Segment], pl.DataFrame],
        *,
        key: Callable[[Segment], object],
        anew: Collection[str] = (),
        lasts: Callable[[pl.DataFrame], bool] = lambda _: True,
    ) -> list[Rows]:
        """Write the main table segment by segment, each from one of another table with the same order of rows.

        A segment that the version before made from the same is shared, and `make` is not called for it. A table of
        one segment is written like any other.

        Parameters
        ----------
        make : callable
            Gives the rows that come from a segment's.
        key : callable
            Gives all that these rows depend on beside the segment, as a JSON-like value.
        anew : collection of str
            Digests of parts for which nothing is shared.
        lasts : callable
            Tells of rows that were made whether the next version may share them.

        Returns
        -------
        list of Rows
            In the order of the parts.
        """
        if len(parts) == 1:
            self.write(table := make(parts[0]))
            return [HeldRows(table, "", alone=True)]
        known = {} if self._before is None else self._before.record.get("segments", {})
        written: list[Rows] = []
        self.rows = 0
        for number, part in enumerate(parts):
            made_from = digest([part.digest, key(part)])
            found, rows = known.get(made_from, ("", 0))
            path = self._find_segment(found) if found and part.digest not in anew else None
            last = True
            if path is not None:
                share(path, segment_path(self.folder, self._schema, number, found))
            else:
                made = make(part)
                table, last = checked_table(self._schema, made), lasts(made)
                rows = int(table.num_rows)
                found = write_segment(self.folder, self._schema, table, number=number, find=self._find_segment)
            if last:
                self.segments[made_from] = (found, rows)
            self.rows += rows
            written.append(FileRows(segment_path(self.folder, self._schema, number, found), self._schema, found))
        return written

    def write_parts(self, parts: Sequence[Segment | Columns]) -> None:
        """Write the main table from segments of the version before, which are shared, and rows of new segments."""
        self.rows = 0
        for number, part in enumerate(parts):
            if isinstance(part, Segment):
                path = self._find_segment(part.digest)
                if path is None:
                    raise ArtifactDamaged(f"{part.path} is not what was written. Run again.", file=part.path)
                share(path, segment_path(self.folder, self._schema, number, part.digest))
                self.rows += part.rows
            else:
                table = checked_table(self._schema, part)
                write_segment(self.folder, self._schema, table, number=number, find=self._find_segment)
                self.rows += int(table.num_rows)

    def write(self, columns: Columns, *, encoder: str | None = None) -> None:
        """Write the main table (see write_table)."""
        self.rows = self.write_other(self._schema, columns, encoder=encoder)

    def write_other(self, schema: TableSchema, columns: Columns, *, encoder: str | None = None) -> int:
        """Write another table beside the main one; returns its rows."""
        table = checked_table(schema, columns, encoder=encoder)
        write_segments(self.folder, schema, table, find=self._find_segment)
        return int(table.num_rows)

    def _find_segment(self, rows_digest: str) -> Path | None:
        return None if self._before is None else self._before.find_segment(rows_digest)

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
        """Long Markdown or Markdown with pictures for the UI, kept as a file of the artifact."""
        name = f"{label.replace(' ', '_')}.md"
        self.path(name).write_text(text, encoding="utf-8")
        self.notes[label] = {"page": name}

    def picture(self, label: str, png: bytes) -> None:
        """A plot for the UI, kept as a file of the artifact."""
        name = f"{label.replace(' ', '_')}.png"
        self.path(name).write_bytes(png)
        self.notes[label] = {"picture": name}
