"""The report page: one HTML file that holds everything, pictures included, and needs no network.

contents.py decides what is on it, pictures.py makes the small pictures, colors.py the clusters' colors, page.py
writes the file from the template, style and scripts in page/. What must stay out: reading artifacts (assets/report.py)
and judging images (results/review.py).
"""

from __future__ import annotations

from tac_pipeline.report.contents import Changes, ReportTables, choose_images, describe
from tac_pipeline.report.page import page_digest, write_page
from tac_pipeline.report.pictures import draw_pictures

__all__ = ["Changes", "ReportTables", "choose_images", "describe", "draw_pictures", "page_digest", "write_page"]
