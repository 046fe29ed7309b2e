"""How long the listing of a folder takes, and a run in which nothing is new.

    python -m benchmarks.listing [--files 100000] [--per-folder 1000] [--folder FOLDER] [--against COMMIT]

Files of a few bytes, most of them named like images. Seconds are CPU seconds of one process, the least of three. The
rows of `compare: folders` are of a listing that was kept before: nothing changed, and a file came in one folder. Files
made here count as old. With --against the same is done with the code of another commit, in turns with this one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

SUFFIXES = (".jpg",) * 8 + (".txt", ".mp4")
TURNS = 3
FOLDER_ROWS = ("compare: folders, the first time", "compare: folders, nothing new", "compare: folders, one file new")


def write_files(folder: Path, count: int, per_folder: int) -> None:
    """As many files, every fifth of which is no image; those that are there stay."""
    for start in range(0, count, per_folder):
        part = folder / f"{start // per_folder:05}"
        part.mkdir(parents=True, exist_ok=True)
        for number in range(start, min(start + per_folder, count)):
            path = part / f"IMG_{number:07}{SUFFIXES[number % len(SUFFIXES)]}"
            if not path.exists():
                path.write_bytes(b"not read here")


def measure(folder: Path) -> dict[str, float]:
    """CPU seconds of a listing and of its digest, and how many images there are."""
    from tac_pipeline.sources import listing_digest, open_source

    source = open_source(str(folder))
    found: dict[str, list[float]] = {"listing": [], "digest": []}
    for _ in range(TURNS):
        started = time.process_time()
        # Older code has the images alone.
        listed = source.listing() if hasattr(source, "listing") else source.list_images()
        listing = time.process_time()
        listing_digest(getattr(listed, "images", listed))
        found["listing"].append(listing - started)
        found["digest"].append(time.process_time() - listing)
    images = {"images": len(source.list_images())}
    return {name: min(seconds) for name, seconds in found.items()} | images | measure_by_folder(folder)


def measure_by_folder(folder: Path) -> dict[str, float]:
    """CPU seconds of a listing by folders: when all was kept before, and when one folder has changed since."""
    try:
        from tac_pipeline.sources.walking import kept
    except ImportError:  # the code of an older commit
        return {}
    from tac_pipeline.sources import open_source
    from tac_pipeline.store.listings import KeptListings

    kept.QUIET_SECONDS = 0
    new = next(path for path in sorted(folder.iterdir()) if path.is_dir()) / "new.jpg"
    seconds: dict[str, list[float]] = {name: [] for name in FOLDER_ROWS}
    with tempfile.TemporaryDirectory() as where:

        def look(row: str) -> None:
            started = time.process_time()
            open_source(str(folder), listings=KeptListings(Path(where)), by_folder=True).listing()
            seconds[row].append(time.process_time() - started)

        for _ in range(TURNS):
            KeptListings(Path(where)).forget_folders()
            look(FOLDER_ROWS[0])
            look(FOLDER_ROWS[1])
            new.write_bytes(b"not read here")
            look(FOLDER_ROWS[2])
            new.unlink()
    return {name: min(found) for name, found in seconds.items()}


def nothing_new(folder: Path, where: Path) -> float:
    """CPU seconds of `tac status` and of the steps of a run that look at the source, when the store holds it already.

    Unreadable images stay as rows, so that the files need no pixels.
    """
    settings = where / "tac.yaml"
    settings.write_text(
        f"store: listed\nimages: {{source: {json.dumps(str(folder))}}}\n"
        "encoder: {model: tac-small, pretrained: drawn}\nnouns: {source: wordnet}\nclusters: {count: 2}\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "tac_pipeline.cli", "run", "-s", str(settings), "--select", "image_embeddings"]
    command[-1] = "image_manifest,image_embeddings"
    subprocess.run(command, check=True, capture_output=True)
    seconds = []
    for _ in range(TURNS):
        before = os.times()
        subprocess.run(command, check=True, capture_output=True)
        after = os.times()
        seconds.append(after.children_user + after.children_system - before.children_user - before.children_system)
    return min(seconds)


def in_a_process(folder: Path, where: Path, code: Path) -> dict[str, float]:
    """The same with the code of a folder."""
    where.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(Path(__file__).resolve()), "--one", str(folder), str(where)]
    environment = {**os.environ, "PYTHONPATH": str(code)}
    done = subprocess.run(command, env=environment, cwd=code, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--per-folder", type=int, default=1000)
    parser.add_argument("--folder", type=Path, help="where the files are made, and stay")
    parser.add_argument("--against", metavar="COMMIT")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        folder, where = map(Path, asked.one)
        print(json.dumps(measure(folder) | {"nothing new": nothing_new(folder, where)}))
        return
    here = Path(__file__).parents[1]
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        files = asked.folder or scratch / "files"
        write_files(files, asked.files, asked.per_folder)
        codes = {"here": here}
        if asked.against:
            codes[asked.against] = scratch / "code"
            command = ["git", "worktree", "add", "--quiet", "--detach", str(scratch / "code"), asked.against]
            subprocess.run(command, cwd=here, check=True)
        try:
            found = {name: in_a_process(files, scratch / f"store-{name}", code) for name, code in codes.items()}
        finally:
            if asked.against:
                subprocess.run(["git", "worktree", "remove", "--force", str(scratch / "code")], cwd=here, check=False)
    table = Table("CPU seconds", *found)
    for name in ("listing", *FOLDER_ROWS, "digest", "nothing new"):
        table.add_row(name, *(f"{column[name]:,.2f}" if name in column else "" for column in found.values()))
    table.add_row("images", *(f"{column['images']:,}" for column in found.values()))
    Console().print(table)


if __name__ == "__main__":
    main()
