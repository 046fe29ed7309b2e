"""The files below a local folder."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator

from tac_pipeline.errors import SourceError
from tac_pipeline.sources.listing import ListingBuilder, as_text
from tac_pipeline.sources.rules import EXPORT_RECORD, Rules
from tac_pipeline.sources.walking.kept import KeptFolders, Kind

IN_AN_EXPORT = "in an export of this project"

# A file, and its path below the source.
File = tuple[str, "os.DirEntry[str]"]
# The folders in a folder: their paths below the source, and the rule that passes one over.
Inner = list[tuple[str, "str | None"]]


class Walk:
    """The files below a folder that no rule of a folder passes over, with their paths below it.

    A linked folder is looked through after all others, and no folder twice, so that loops end.

    Parameters
    ----------
    folder : str
    rules : Rules
    found : ListingBuilder
        Is told what is passed over with its folder, and which folders cannot be listed.
    kept : KeptFolders, optional
        The folders of last time: the files of those that are as they were are left out.
    """

    def __init__(self, folder: str, rules: Rules, found: ListingBuilder, kept: KeptFolders | None = None) -> None:
        self._folder, self._rules, self._found, self._kept = folder, rules, found, kept
        self._own = {os.path.realpath(own) for own in rules.own}
        self._visited: set[tuple[int, int]] = set()
        self._links: list[tuple[str, str]] = []

    def __iter__(self) -> Iterator[File]:
        yield from self._below([(self._folder, "")])
        while self._links:
            path, below = self._links.pop(0)
            status = status_of(path)
            if status is not None and (status.st_dev, status.st_ino) not in self._visited:
                yield from self._below([(path, below)])
            else:
                self._found.pass_over(as_text(below), "a link to a folder that is looked through anyway")

    def _below(self, folders: list[tuple[str, str]]) -> Iterator[File]:
        while folders:
            path, below = folders.pop()
            known = None if self._kept is None else self._kept.begin(path, below)
            if known is None:
                rule, inner = yield from self._listed(path, below)
            else:
                rule, inner = known.rule, known.inner
                if self._rules.follow_links:
                    self._visit(path)
            if rule is not None:
                self._pass_over(path, below, rule)
                continue
            for place, inner_rule in inner:
                inner_path = os.path.join(path, place.rpartition("/")[2])  # noqa: PTH118 - undecodable bytes
                if inner_rule is None:
                    folders.append((inner_path, place))
                else:
                    self._pass_over(inner_path, place, inner_rule)

    def _listed(self, path: str, below: str) -> Generator[File, None, tuple[str | None, Inner]]:
        """The files in a folder; returns the rule that passes it over for what it holds, and the folders in it."""
        kept, inner = self._kept, Inner()
        entries = self._entries(path, below)
        rule = IN_AN_EXPORT if below and any(entry.name == EXPORT_RECORD for entry in entries) else None
        for entry in entries if rule is None else ():
            place = f"{below}/{entry.name}" if below else entry.name
            if kept is not None:
                kept.require_name(entry.name)
                if entry.is_symlink():
                    # What it leads to may change without a trace in this folder's time.
                    kept.doubt()
            if entry.is_dir(follow_symlinks=False):
                inner.append((place, self._rule_of(entry, place)))
                if kept is not None:
                    kept.add(Kind.INNER, as_text(place), note=inner[-1][1])
            elif entry.is_symlink() and entry.is_dir():
                self._add_link(entry, place)
            else:
                yield place, entry
        if kept is not None:
            kept.end(rule=rule)
        return rule, inner

    def _entries(self, path: str, below: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(path) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
            if self._rules.follow_links:
                self._visit(path)
        except OSError as error:
            if not below:
                raise SourceError(
                    f"cannot list {path}: {error.strerror}. A folder that cannot be read is not empty."
                ) from error
            self._found.report(as_text(below), f"cannot be listed: {error.strerror}")
            if self._kept is not None:
                self._kept.doubt()
            return []
        return listed

    def _visit(self, path: str) -> None:
        status = status_of(path)
        if status is not None:
            self._visited.add((status.st_dev, status.st_ino))

    def _rule_of(self, entry: os.DirEntry[str], below: str) -> str | None:
        rule = self._rules.passes_folder(entry.name, below)
        if rule is None and self._own and os.path.realpath(entry.path) in self._own:
            return "in this project's own folders"
        return rule

    def _add_link(self, entry: os.DirEntry[str], below: str) -> None:
        rule = self._rule_of(entry, below)
        if rule is None and not self._rules.follow_links:
            rule = "a link to a folder (images.follow_links)"
        if rule is None:
            self._links.append((entry.path, below))
        else:
            self._found.pass_over(as_text(below), rule)

    def _pass_over(self, path: str, below: str, rule: str) -> None:
        """Count the files below a folder; what cannot be listed there is nobody's loss."""
        files, folders = 0, [(path, below)]
        while folders:
            path_inside, inside = folders.pop()
            known = None if self._kept is None else self._kept.begin(path_inside, inside, counted=True)
            counted, inner = self._counted(path_inside, inside) if known is None else (known.files, known.inner)
            files += counted
            folders += [(os.path.join(path_inside, place.rpartition("/")[2]), place) for place, _ in inner]  # noqa: PTH118
        if files:
            self._found.pass_over(as_text(below), rule, files)

    def _counted(self, path: str, below: str) -> tuple[int, Inner]:
        """How many files are in a folder, and the folders in it."""
        kept, files, inner = self._kept, 0, Inner()
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    if kept is not None:
                        kept.require_name(entry.name)
                        if entry.is_symlink():
                            kept.doubt()
                    if entry.is_dir(follow_symlinks=False):
                        inner.append((f"{below}/{entry.name}", None))
                        if kept is not None:
                            kept.add(Kind.INNER, as_text(inner[-1][0]))
                    elif not entry.is_dir():
                        files += 1
        except OSError:
            if kept is not None:
                kept.doubt()
        if kept is not None:
            kept.end(files=files)
        return files, inner


def status_of(path: str) -> os.stat_result | None:
    """What the system says of a file; None where it says nothing."""
    try:
        return os.stat(path)  # noqa: PTH116 - a path of undecodable bytes
    except OSError:
        return None
