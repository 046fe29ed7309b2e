"""Several sources as one: each has a prefix, and one that cannot be reached does not stop the others.

What must stay out: what a single source is (folders.py, manifests.py, vectors.py).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import polars as pl

from tac_pipeline.arrow import UNSTATED_ENCODER
from tac_pipeline.errors import SourceError, first_few
from tac_pipeline.sources.archives import ListingCache
from tac_pipeline.sources.folders import FolderSource, RemoteFolderSource
from tac_pipeline.sources.layouts.rows import RowSource
from tac_pipeline.sources.listing import LABEL, LABELS_KEY, ByteReader, Listing, ListingBuilder
from tac_pipeline.sources.manifests import ManifestSource
from tac_pipeline.sources.tables.images import place_in_table
from tac_pipeline.sources.vectors import VectorBatch, VectorSource

SingleSource = FolderSource | RemoteFolderSource | ManifestSource | RowSource | VectorSource
Opener = Callable[[str, "ListingCache | None"], SingleSource]


class SharedListings:
    """A ListingCache for several sources: what one of them does not use may be another's.

    Parameters
    ----------
    cache : ListingCache
        Where the listings are kept.
    """

    def __init__(self, cache: ListingCache) -> None:
        self._cache = cache
        self._used: set[str] = set()
        self._used_rows: set[str] = set()
        self._used_folders: set[str] = set()

    def find(self, name: str) -> pl.DataFrame | None:
        """See ListingCache."""
        return self._cache.find(name)

    def keep(self, name: str, members: pl.DataFrame) -> None:
        """See ListingCache."""
        self._cache.keep(name, members)

    def forget_all_but(self, names: Set[str]) -> None:
        """Note what one source uses; `forget_unused` removes what none does."""
        self._used |= names

    def find_rows(self, name: str) -> pl.DataFrame | None:
        """See ListingCache."""
        self._used_rows.add(name)
        return self._cache.find_rows(name)

    def has_rows(self, name: str) -> bool:
        """See ListingCache."""
        return self._cache.has_rows(name)

    def keep_rows(self, name: str, rows: pl.DataFrame) -> None:
        """See ListingCache."""
        self._cache.keep_rows(name, rows)

    def forget_rows_but(self, names: Collection[str]) -> None:
        """Note what one source uses; `forget_unused` removes what none does."""
        self._used_rows |= set(names)

    def find_folders(self, name: str) -> pl.DataFrame | None:
        """See ListingCache."""
        return self._cache.find_folders(name)

    def keep_folders(self, name: str, rows: pl.DataFrame) -> None:
        """See ListingCache."""
        self._cache.keep_folders(name, rows)

    def forget_folders_but(self, names: Collection[str]) -> None:
        """Note what one source uses; `forget_unused` removes what none does."""
        self._used_folders |= set(names)

    def forget_unused(self) -> None:
        """Remove what no source has used since the last call."""
        self._cache.forget_all_but(self._used)
        self._cache.forget_rows_but(self._used_rows)
        self._cache.forget_folders_but(self._used_folders)
        self._used, self._used_rows, self._used_folders = set(), set(), set()


@dataclass(frozen=True)
class ManySources:
    """Several sources of one kind: all of image files, or all of vectors of one encoder.

    An image's id is its source's prefix, a slash, and its id there. A source that is absent, or cannot be listed, is a
    problem with its prefix as the path, as long as another one can be listed.

    Parameters
    ----------
    locations : mapping
        Of each prefix its path or URL.
    open_one : callable
        Opens the source at a location; it may raise SourceError.
    listings : ListingCache, optional
        Keeps the listings of archives.
    """

    locations: dict[str, str]
    open_one: Opener = field(compare=False, repr=False)
    listings: ListingCache | None = field(default=None, compare=False, repr=False)
    _opened: dict[str, SingleSource] = field(default_factory=dict, init=False, compare=False, repr=False)

    def listing(self) -> Listing:
        """See ImageSource.

        Raises
        ------
        SourceError
            No source can be listed, or they are not of one kind.
        """
        found, shared = ListingBuilder(), None if self.listings is None else SharedListings(self.listings)
        self._opened.clear()
        opened, listings, errors = self._list_each(shared)
        if not listings:
            raise SourceError(f"no source can be listed: {'; '.join(errors.values())}")
        _require_one_kind(opened)
        self._opened.update(opened)
        for prefix, listing in listings.items():
            for image_id, uri, size, version in listing.images.iter_rows():
                found.add_image(f"{prefix}/{image_id}", uri=uri, size=size, version=version)
            for path, rule, files in listing.passed_over.iter_rows():
                found.pass_over(f"{prefix}/{path}", rule, files)
            for path, reason in listing.problems.iter_rows():
                found.report(f"{prefix}/{path}", reason)
            found.note(*(f"{prefix}: {note}" for note in listing.notes))
        for prefix, reason in errors.items():
            found.report(prefix, reason)
        # The listings of a source that cannot be reached now are still good when it can.
        if shared is not None and not errors:
            shared.forget_unused()
        return found.finish(where="images.source", empty="images.source holds no images")

    def list_images(self) -> pl.DataFrame:
        """See ImageSource."""
        return self.listing().images

    def labels(
        self, image_ids: Sequence[str], kind: str, *, column: str = LABEL, key: str = LABELS_KEY
    ) -> pl.DataFrame:
        """See ImageSource; a source that cannot be reached has none.

        Raises
        ------
        SourceError
            A source that can be reached has no labels of this kind.
        """
        ids: dict[str, list[str]] = {prefix: [] for prefix in self.locations}
        for image_id in image_ids:
            prefix, _, own = image_id.partition("/")
            if prefix in ids:
                ids[prefix].append(own)
        parts = [pl.DataFrame(schema={"image_id": pl.String, "label": pl.String})]
        for prefix, source in self._sources().items():
            labels = source.labels(ids[prefix], kind, column=column, key=key)
            parts.append(labels.select(pl.format("{}/{}", pl.lit(prefix), "image_id").alias("image_id"), "label"))
        return pl.concat(parts).sort("image_id")

    def columns(self) -> tuple[str, ...]:
        """See ImageSource; those that every source has."""
        known = [source.columns() for source in self._sources().values()]
        return tuple(name for name in known[0] if all(name in names for names in known))

    def read(self, uri: str, *, limit: int | None = None) -> bytes:
        """See ByteReader."""
        return self._reader_of(uri).read(uri, limit=limit)

    def vectors(self, among: Collection[str] | None = None) -> Iterator[VectorBatch]:
        """The batches of all sources, with the prefixes in their ids; see VectorSource.

        Raises
        ------
        SourceError
            The widths differ, or a source that could be listed cannot be read.
        """
        tables = {prefix: source for prefix, source in self._sources().items() if isinstance(source, VectorSource)}
        _require_one_width(tables)
        for prefix, source in tables.items():
            above = f"{prefix}/"
            own = None if among is None else {id_.removeprefix(above) for id_ in among if id_.startswith(above)}
            for batch in source.vectors(own):
                yield batch._replace(image_ids=[f"{prefix}/{image_id}" for image_id in batch.image_ids])

    @property
    def reader(self) -> ByteReader | None:
        """See ImageSource."""
        return None if self._holds_vectors() else self

    @property
    def encoder(self) -> str | None:
        """See ImageSource."""
        names = [source.encoder for source in self._sources().values()]
        stated = [name for name in names if name not in (None, UNSTATED_ENCODER)]
        return next(iter(stated), names[0])

    def _list_each(
        self, shared: SharedListings | None
    ) -> tuple[dict[str, SingleSource], dict[str, Listing], dict[str, str]]:
        """Every source that can be listed, its listing, and why the others have none."""
        opened: dict[str, SingleSource] = {}
        listings: dict[str, Listing] = {}
        errors: dict[str, str] = {}
        for prefix, location in self.locations.items():
            try:
                source = self.open_one(location, shared)
                listings[prefix] = source.listing()
                opened[prefix] = source
            except SourceError as error:
                errors[prefix] = str(error)
        return opened, listings, errors

    def _sources(self) -> dict[str, SingleSource]:
        """The sources that could be listed, or, before any listing, those that can be opened."""
        if not self._opened:
            opened: dict[str, SingleSource] = {}
            errors = []
            for prefix, location in self.locations.items():
                try:
                    opened[prefix] = self.open_one(location, None)
                except SourceError as error:
                    errors.append(str(error))
            if not opened:
                raise SourceError(f"no source can be opened: {'; '.join(errors)}")
            _require_one_kind(opened)
            self._opened.update(opened)
        return self._opened

    def _holds_vectors(self) -> bool:
        return any(isinstance(source, VectorSource) for source in self._sources().values())

    def _reader_of(self, uri: str) -> ByteReader:
        """A source that reads such a uri; those of one kind read all files of that kind."""
        place = place_in_table(uri)
        if place is not None:
            # Rows of files are read by the source of the data set alone.
            for source in self._sources().values():
                if isinstance(source, RowSource) and Path(place[0]).is_relative_to(source.location):
                    return source
            wanted: tuple[type, ...] = (ManifestSource,)
        elif "://" in uri:
            wanted = (RemoteFolderSource, ManifestSource)
        else:
            wanted = (FolderSource, ManifestSource)
        for kind in wanted:
            for source in self._sources().values():
                if isinstance(source, kind) and not isinstance(source, VectorSource):
                    return source
        raise FileNotFoundError(f"no source of images.source holds {uri}")


def _require_one_kind(sources: Mapping[str, SingleSource]) -> None:
    kinds: dict[Any, list[str]] = {}
    for prefix, source in sources.items():
        kinds.setdefault(source.encoder, []).append(prefix)
    if len(kinds) > 1 and None in kinds:
        files, vectors = kinds.pop(None), [prefix for prefixes in kinds.values() for prefix in prefixes]
        raise SourceError(
            f"images.source must be all image files or all vectors; {first_few(files, 3)} are image files, "
            f"{first_few(vectors, 3)} are vectors. Keep one kind."
        )
    kinds.pop(UNSTATED_ENCODER, None)
    if len(kinds) > 1:
        told = " and ".join(f"{prefixes[0]} from {name}" for name, prefixes in kinds.items())
        raise SourceError(f"the vectors of images.source must come from one encoder; {told}. Keep those of one.")
    _require_one_width(sources)


def _require_one_width(sources: Mapping[str, SingleSource]) -> None:
    tables = {prefix: source.width for prefix, source in sources.items() if isinstance(source, VectorSource)}
    if len(set(tables.values())) > 1:
        told = ", ".join(f"{prefix} has {width}" for prefix, width in tables.items())
        raise SourceError(f"the vectors of images.source must have one width; {told}. Keep those of one encoder.")


def prefixes_of(locations: Sequence[str]) -> dict[str, str]:
    """Of each location its prefix, {prefix: location}: its last part, with a number where it is taken.

    Adding a location at the end changes no prefix.

    Raises
    ------
    SourceError
        There are none, or one is given twice.
    """
    if not locations:
        raise SourceError("images.source must name at least one place; the list is empty")
    prefixes: dict[str, str] = {}
    for location in locations:
        plain = location.rstrip("/")
        if plain in (known.rstrip("/") for known in prefixes.values()):
            raise SourceError(f"images.source must name every place once; {location} is there twice")
        path = PurePosixPath(plain.partition("://")[2] or plain)
        # A pattern is named by its folder.
        name = next((part for part in reversed(path.parts) if not set(part) & set("*?/")), "source")
        prefix, number = name, 1
        while prefix in prefixes:
            number += 1
            prefix = f"{name}-{number}"
        prefixes[prefix] = location
    return prefixes
