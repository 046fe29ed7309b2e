"""A result in the forms that other programs read: tables, folders of images, FiftyOne, Embedding Atlas.

What is exported stands in result.py, where it goes in destination.py, what files are called in safe_names.py; then one
file a format. What must stay out: reading artifacts (assets/lookups.py).
"""

from __future__ import annotations

from tac_pipeline.export.destination import Forbidden, export_to
from tac_pipeline.export.result import Exported, ExportResult, Format, Link, StoredVectors

__all__ = ["ExportResult", "Exported", "Forbidden", "Format", "Link", "StoredVectors", "export_to"]
