"""The version of the installed package."""

from __future__ import annotations


def installed_version() -> str:
    """Such as 0.2.0; "0+unknown" of a checkout that was never installed."""
    # Imported here: importlib.metadata brings the whole email package.
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("tac-pipeline")
    except PackageNotFoundError:
        return "0+unknown"
