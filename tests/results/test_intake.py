"""The account of a listing and its reading."""

import polars as pl
import pytest

from tac_pipeline.results.intake import Changes, compare_views, take_stock


def view(**rows: tuple[str, str | None]) -> pl.DataFrame:
    """image_id to content_hash and error."""
    columns = [(image_id, hash_, error) for image_id, (hash_, error) in rows.items()]
    return pl.DataFrame(
        columns, schema={"image_id": pl.String, "content_hash": pl.String, "error": pl.String}, orient="row"
    )


@pytest.mark.parametrize(
    ("before", "changes"),
    [
        (None, Changes(unchanged=0, new=3, replaced=0, gone=0)),
        (view(a=("1", None), b=("0", None), x=("9", None), y=("9", None)), Changes(1, 1, 1, 2)),
        (view(a=("1", None), b=("2", None), c=("3", None)), Changes(3, 0, 0, 0)),
    ],
)
def test_changes_are_counted_by_bytes(before: pl.DataFrame | None, changes: Changes) -> None:
    assert compare_views(view(a=("1", None), b=("2", None), c=("3", None)), before) == changes


def test_everything_is_accounted_for() -> None:
    manifest = pl.DataFrame({"uri": ["/s/a.jpg", "/s/b.jpg", "/s/c.jpg", "/s/x.tar#512+7", "/s/x.tar#2048+7"]})
    passed_over = pl.DataFrame(
        [
            ("a.txt", ".txt", 1),
            ("b.txt", ".txt", 1),
            ("@eaDir", "in @eaDir", 5),
            ("x.tar/a.json", ".json, in an archive", 9),
        ],
        schema=["path", "rule", "files"],
        orient="row",
    )
    problems = pl.DataFrame({"path": ["y.tar", "closed"], "reason": ["is an empty file", "cannot be listed"]})
    found = take_stock(
        manifest,
        view(
            a=("1", "ends after 40 % of the rows"),
            b=("2", "ends after 7 % of the rows"),
            c=("3", "is 1,000 bytes long"),
            d=("4", None),
            f=("6", "empty file (0 bytes)"),
            g=("7", "empty file (0 bytes)"),
            e=("5", None),
        ),
        passed_over,
        problems,
        Changes(0, 5, 0, 0),
    )
    assert (found.read, found.unreadable) == (2, 5)
    assert found.reasons == [
        ("empty file (0 bytes)", 2, "f"),
        ("ends after … % of the rows", 2, "a"),
        ("is 1,000 bytes long", 1, "c"),
    ]
    # Three files, the archives x and y, and what was passed over outside them.
    assert (found.files, found.archives) == (12, 2)
    assert found.lines() == [
        ("2 read", "5 new, 0 replaced, 0 gone, 0 unchanged"),
        ("5 unreadable", "2: empty file (0 bytes) (f)"),
        ("", "2: ends after … % of the rows (a)"),
        ("", "1: is 1,000 bytes long (c)"),
        ("16 passed over", "9 .json, in an archive"),
        ("", "5 in @eaDir"),
        ("", "2 .txt"),
        ("2 problems", "y.tar: is an empty file"),
        ("", "closed: cannot be listed"),
        ("12 files in all", "looked at, 2 archives among them"),
    ]
    assert found.lines(since="yesterday")[0] == ("2 read", "5 new, 0 replaced, 0 gone, 0 unchanged (yesterday)")


def test_long_lists_are_cut_and_the_rest_is_counted() -> None:
    passed_over = pl.DataFrame(
        [(f"{kind}", f".kind{kind}", 20 - kind) for kind in range(12)], schema=["path", "rule", "files"], orient="row"
    )
    problems = pl.DataFrame({"path": [str(number) for number in range(9)], "reason": ["is cut"] * 9})
    rows = {f"i{kind}": ("h", "abcdefgh"[kind]) for kind in range(6)}
    lines = take_stock(
        pl.DataFrame({"uri": list(rows)}), view(**rows), passed_over, problems, Changes(0, 6, 0, 0)
    ).lines()
    told = [line for _, line in lines]
    assert "3 for other reasons" in told
    assert f"{sum(20 - kind for kind in range(8, 12))} by other rules" in told
    assert "4 more" in told


def test_a_source_that_is_clean_says_little() -> None:
    nothing = {"passed_over": pl.DataFrame(schema={"path": pl.String, "rule": pl.String, "files": pl.Int64})}
    problems = pl.DataFrame(schema={"path": pl.String, "reason": pl.String})
    found = take_stock(
        pl.DataFrame({"uri": ["/a.jpg"]}), view(a=("1", None)), *nothing.values(), problems, Changes(1, 0, 0, 0)
    )
    assert [count for count, _ in found.lines()] == ["1 read", "1 file in all"]
