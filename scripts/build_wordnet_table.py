"""Build the packaged WordNet tables from a WordNet 3.0 database.

    python scripts/build_wordnet_table.py /usr/share/wordnet

DICT_DIR is a WordNet 3.0 database directory: dict/ of Princeton's archive WordNet-3.0.tar.gz, or /usr/share/wordnet of
Debian's package wordnet-base (its missing file lexnames is supplied). Only nouns are read, and no glosses. The tables
are checked before they are written; with the same pyarrow every run writes the same bytes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tac_pipeline.digest import file_sha256
from tac_pipeline.errors import TacError
from tac_pipeline.wordnet.build import check_tables, read_database, write_tables
from tac_pipeline.wordnet.tables import FOLDER


def main() -> int:
    """Read, check, write, and say what was written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dict_dir", metavar="DICT_DIR", type=Path, help="a WordNet 3.0 database directory")
    parser.add_argument(
        "--out", type=Path, default=FOLDER, help="folder to write to (default: the package's, %(default)s)"
    )
    arguments = parser.parse_args()
    try:
        tables = read_database(arguments.dict_dir)
        check_tables(tables)
    except TacError as error:
        print(error, file=sys.stderr)
        return 1
    for path in write_tables(tables, arguments.out):
        print(f"{path}  {path.stat().st_size:,} bytes  sha256 {file_sha256(path)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
