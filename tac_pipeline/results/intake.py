"""What became of everything that a source holds: read, unreadable, passed over; and what changed since the last run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from tac_pipeline.sources.archives import IN_AN_ARCHIVE, MEMBER_URI
from tac_pipeline.sources.listing import files_by_rule

SHOWN_REASONS, SHOWN_RULES, SHOWN_PROBLEMS = 3, 8, 5


@dataclass(frozen=True)
class Changes:
    """Images of a listing beside those of the one before it: the counts of each kind."""

    unchanged: int
    new: int
    replaced: int
    gone: int


@dataclass(frozen=True)
class Intake:
    """The account of a listing and its reading.

    Attributes
    ----------
    read, unreadable : int
        Images.
    changes : Changes
    reasons : list of (reason, images, example)
        Of the unreadable images, the commonest first; numbers in a reason are left out.
    passed_over : dict
        Files by the rule that passed them over, the most first.
    problems : DataFrame with path, reason
    files : int
        Files that were looked at, without what is inside archives.
    archives : int
    """

    read: int
    unreadable: int
    changes: Changes
    reasons: list[tuple[str, int, str]]
    passed_over: dict[str, int]
    problems: pl.DataFrame
    files: int
    archives: int

    def lines(self, *, since: str | None = None) -> list[tuple[str, str]]:
        """The account as rows of a table: a count with its name, and what there is to say of it; "" goes on a row.

        Parameters
        ----------
        since : str, optional
            When the changes were counted, if not in the run that is told of.
        """
        of = self.changes
        change = f"{of.new:,} new, {of.replaced:,} replaced, {of.gone:,} gone, {of.unchanged:,} unchanged"
        passed = sum(self.passed_over.values())
        archives = f", {_counted(self.archives, 'archive')} among them" if self.archives else ""
        return [
            (f"{self.read:,} read", f"{change} ({since})" if since else change),
            *_rows(f"{self.unreadable:,} unreadable", _told_reasons(self.reasons)),
            *_rows(f"{passed:,} passed over", _told_rules(self.passed_over)),
            *_rows(_counted(len(self.problems), "problem"), _told_problems(self.problems)),
            (f"{_counted(self.files, 'file')} in all", f"looked at{archives}"),
        ]


def _rows(count: str, told: list[str]) -> list[tuple[str, str]]:
    return list(zip([count, *[""] * len(told)], told, strict=False))


def compare_views(view: pl.DataFrame, before: pl.DataFrame | None) -> Changes:
    """How many images came, went and changed.

    Parameters
    ----------
    view, before : DataFrame with image_id, content_hash
        The table image_embeddings now and before; None when there was none.
    """
    if before is None:
        return Changes(0, len(view), 0, 0)
    columns = ["image_id", "content_hash"]
    both = view.select(columns).join(before.select(columns), on="image_id", how="inner")
    replaced = both.filter(pl.col("content_hash") != pl.col("content_hash_right")).height
    return Changes(len(both) - replaced, len(view) - len(both), replaced, len(before) - len(both))


def take_stock(
    manifest: pl.DataFrame, view: pl.DataFrame, passed_over: pl.DataFrame, problems: pl.DataFrame, changes: Changes
) -> Intake:
    """The account of a listing and what came of its images.

    Parameters
    ----------
    manifest : DataFrame with uri
    view : DataFrame with image_id, error
    passed_over : DataFrame with path, rule, files
    problems : DataFrame with path, reason
    """
    errors = view.filter(pl.col("error").is_not_null())
    reasons = (
        errors.with_columns(reason=pl.col("error").str.replace_all(r"\d[\d,.]*", "…"))
        .group_by("reason")
        .agg(
            images=pl.len(),
            example=pl.col("image_id").min(),
            texts=pl.col("error").n_unique(),
            only=pl.col("error").first(),
        )
        .sort(["images", "reason"], descending=[True, False])
        # A reason that is the same for all keeps its numbers.
        .select(pl.when(pl.col("texts") == 1).then("only").otherwise("reason").alias("reason"), "images", "example")
    )
    archive = manifest["uri"].str.extract(MEMBER_URI)
    broken = problems.filter(pl.col("path").str.to_lowercase().str.ends_with(".tar"))["path"]
    inside = archive.drop_nulls().unique()
    archives = len(inside) + sum(not bool(inside.str.ends_with(path).any()) for path in broken)
    outside = passed_over.filter(~pl.col("rule").str.ends_with(IN_AN_ARCHIVE))
    return Intake(
        read=len(view) - len(errors),
        unreadable=len(errors),
        changes=changes,
        reasons=list(reasons.iter_rows()),
        passed_over=files_by_rule(passed_over),
        problems=problems,
        files=archive.null_count() + archives + int(outside["files"].sum()),
        archives=archives,
    )


def _told_reasons(reasons: list[tuple[str, int, str]]) -> list[str]:
    told = [f"{count:,}: {reason} ({example})" for reason, count, example in reasons[:SHOWN_REASONS]]
    rest = sum(count for _, count, _ in reasons[SHOWN_REASONS:])
    return [*told, f"{rest:,} for other reasons"] if rest else told


def _told_rules(rules: Mapping[str, int]) -> list[str]:
    told = [f"{files:,} {rule}" for rule, files in list(rules.items())[:SHOWN_RULES]]
    rest = sum(list(rules.values())[SHOWN_RULES:])
    return [*told, f"{rest:,} by other rules"] if rest else told


def _told_problems(problems: pl.DataFrame) -> list[str]:
    told = [f"{path}: {reason}" for path, reason in problems.head(SHOWN_PROBLEMS).iter_rows()]
    rest = len(problems) - len(told)
    return [*told, f"{rest:,} more"] if rest else told


def _counted(count: int, name: str) -> str:
    return f"{count:,} {name}" if count == 1 else f"{count:,} {name}s"
