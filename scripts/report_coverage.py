"""The coverage of the tests from the lines that slipcover saw: `python -m scripts.report_coverage`, or `make tests`.

slipcover finds the lines, and coverage.py counts them, holds the floor and prints the report. On Python 3.11,
coverage.py itself traces every line of every package: the tests would take a third longer.
"""

from __future__ import annotations

import json
from pathlib import Path

import coverage

SEEN = Path(".coverage.json")


def main() -> None:
    """Print the report; ends with 2 when less is covered than `fail_under` in pyproject.toml asks for."""
    measured = coverage.Coverage(data_file=None)
    files = json.loads(SEEN.read_text(encoding="utf-8"))["files"]
    # A file that no test reads has no lines, and counts too.
    measured.get_data().add_lines({str(Path(name).resolve()): seen["executed_lines"] for name, seen in files.items()})
    total, floor = measured.report(), float(measured.get_option("report:fail_under") or 0)
    if total < floor:
        raise SystemExit(f"the tests must cover {floor:g} % of the lines; they cover {total:.2f} %")
    print(f"Required test coverage of {floor:g} % reached. Total coverage: {total:.2f} %")


if __name__ == "__main__":
    main()
