"""What people see of a fitted clusterer: the map, the contact sheet, and the table in a notebook."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from PIL import Image as Pictures

from tac_pipeline.arrays import FloatMatrix, IntVector
from tac_pipeline.errors import InputError
from tac_pipeline.estimator.fitting import Fitted
from tac_pipeline.figures import map_picture, strips_picture
from tac_pipeline.method.clusters.medoids import medoids
from tac_pipeline.report.colors import color_clusters
from tac_pipeline.report.contact_sheet import MAX_CLUSTERS, draw_strips
from tac_pipeline.report.map_points import group_places
from tac_pipeline.results.map_layout import LARGEST_SAMPLE, lay_out
from tac_pipeline.results.new_images import NamedFiles
from tac_pipeline.settings.keys import Images

if TYPE_CHECKING:
    from PIL.Image import Image

# Rows of the table in a notebook, and other nouns that it shows of a cluster.
MAX_ROWS, MAX_ALTERNATIVES = 60, 3
_STYLE = (
    "<style>.tac-clusters{border-collapse:collapse;font:13px/1.4 system-ui,sans-serif;color:inherit;margin-top:.5em}"
    ".tac-clusters th,.tac-clusters td{text-align:left;padding:3px 12px 3px 0;vertical-align:middle;"
    "border-bottom:1px solid color-mix(in srgb,currentColor 18%,transparent)}"
    ".tac-clusters .n{text-align:right;font-variant-numeric:tabular-nums}"
    ".tac-clusters small{opacity:.65}.tac-clusters img{display:block;height:56px}"
    ".tac-clusters i{display:inline-block;width:10px;height:10px;border-radius:2px;margin-right:6px}</style>"
)


def draw_map(fitted: Fitted, images: FloatMatrix, *, seed: int) -> Image:
    """The map of a sample (see TextAidedClustering.plot_map)."""
    generator = np.random.default_rng(seed)
    some = np.sort(generator.permutation(len(images))[:LARGEST_SAMPLE])
    places = lay_out(images[some], seed=seed)
    points = pl.DataFrame(
        {"x": places[:, 0], "y": places[:, 1], "cluster_id": fitted.labels_[some]},
        schema_overrides={"cluster_id": pl.Int32},
    )
    clusters = range(fitted.n_clusters_)
    centers, sizes = group_places(points, clusters), _sizes(fitted)
    colors = color_clusters(centers.astype(np.float32), sizes.tolist())
    told = [
        {
            "id": cluster,
            "name": fitted.cluster_names_[cluster],
            "color": colors[cluster],
            "x": centers[cluster, 0] if np.isfinite(centers[cluster, 0]) else None,
            "y": centers[cluster, 1] if np.isfinite(centers[cluster, 1]) else None,
        }
        for cluster in np.argsort(-sizes, kind="stable").tolist()
    ]
    return _opened(map_picture(points, told))


def draw_sheet(fitted: Fitted, images: Sequence[str | Path], rows: FloatMatrix, *, per_cluster: int) -> Image:
    """The contact sheet (see TextAidedClustering.plot_clusters); the strips are kept for a notebook."""
    if isinstance(images, str | Path) or len(images) != len(rows):
        count = 1 if isinstance(images, str | Path) else len(images)
        raise InputError(f"images must have the path of each fitted image, {len(rows)} of them; got {count}")
    if isinstance(per_cluster, bool) or not isinstance(per_cluster, int) or per_cluster < 1:
        raise InputError(f"per_cluster must be a whole number of at least 1; got {per_cluster!r}")
    largest = _largest_first(fitted)[:MAX_CLUSTERS]
    typical = medoids(rows, fitted.labels_, n_clusters=fitted.n_clusters_, count=per_cluster)
    shown = [[str(row) for row in typical[cluster]] for cluster in largest]
    limits: dict[str, Any] = {name: Images.model_fields[name].default for name in ("max_pixels", "max_bytes")}
    uris = {row: str(images[int(row)]) for strip in shown for row in strip}
    strips = draw_strips(shown, uris, NamedFiles(), **limits)
    fitted.cluster_pictures_ = dict(zip(largest, strips, strict=True))
    names = [_called(fitted, cluster) for cluster in largest]
    return _opened(strips_picture(list(zip(names, strips, strict=True))))


def as_html(fitted: Fitted) -> str:
    """The parameters as scikit-learn shows them, and the clusters as a table; every name is escaped."""
    from sklearn.utils import estimator_html_repr

    above = str(estimator_html_repr(fitted))
    if not fitted.__sklearn_is_fitted__():
        return above
    sizes, pictures = _sizes(fitted), getattr(fitted, "cluster_pictures_", {})
    order = _largest_first(fitted)
    heads = ["cluster", "name", "images", "share", "also near", *(["most typical"] if pictures else [])]
    numeric = ("cluster", "images", "share")
    lines = [
        _STYLE,
        '<table class="tac-clusters"><thead><tr>',
        *(f"<th{_number(head in numeric)}>{head}</th>" for head in heads),
        "</tr></thead><tbody>",
    ]
    for cluster in order[:MAX_ROWS]:
        also = ", ".join(fitted.cluster_words_[cluster].alternatives[:MAX_ALTERNATIVES])
        share = sizes[cluster] / max(sizes.sum(), 1)
        cells = [
            f'<td class="n">{cluster}</td><td>{html.escape(_called(fitted, cluster))}</td>',
            f'<td class="n">{sizes[cluster]:,}</td><td class="n">{share:.1%}</td>',
            f"<td><small>{html.escape(also)}</small></td>",
        ]
        if pictures:
            cells.append(f"<td>{_image(pictures.get(cluster), _called(fitted, cluster))}</td>")
        lines.append(f"<tr>{''.join(cells)}</tr>")
    lines.append("</tbody></table>")
    if len(order) > MAX_ROWS:
        lines.append(f"<p>and {len(order) - MAX_ROWS:,} smaller clusters</p>")
    return above + "".join(lines)


def _number(numeric: bool) -> str:
    return ' class="n"' if numeric else ""


def _image(strip: bytes | None, name: str) -> str:
    if strip is None:
        return ""
    data = base64.b64encode(strip).decode()
    return f'<img alt="images of {html.escape(name)}" src="data:image/webp;base64,{data}">'


def _called(fitted: Fitted, cluster: int) -> str:
    return fitted.cluster_names_[cluster] or f"cluster {cluster}"


def _sizes(fitted: Fitted) -> IntVector:
    return np.bincount(fitted.labels_, minlength=fitted.n_clusters_)


def _largest_first(fitted: Fitted) -> list[int]:
    order: list[int] = np.argsort(-_sizes(fitted), kind="stable").tolist()
    return order


def _opened(picture: bytes) -> Image:
    return Pictures.open(io.BytesIO(picture))
