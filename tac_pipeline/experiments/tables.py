"""The table of an experiment: means and standard deviations over seeds, beside published figures."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from statistics import mean, stdev

from tac_pipeline.experiments.plan import Experiment
from tac_pipeline.experiments.running import Result

SCORES = ("nmi", "acc", "ari")
HEADER = ("set", "images", "K", "way", "NMI", "ACC", "ARI", "seconds", "seeds", "published", "difference")


def rows_of(experiment: Experiment, results: Sequence[Result]) -> list[tuple[str, ...]]:
    """A row for each way on each set, in the order of the experiment; see HEADER. Figures are in %."""
    rows = []
    for one in experiment.sets:
        for way in experiment.ways:
            own = [result for result in results if (result.data, result.way) == (one.name, way)]
            if not own:
                continue
            figures = [[100 * getattr(result, name) for result in own] for name in SCORES]
            said = one.published.get(way)
            means = [mean(values) for values in figures]
            rows.append(
                (
                    one.name,
                    f"{own[0].images:,}",
                    str(own[0].classes),
                    way,
                    *(_spread(values) for values in figures),
                    f"{mean(result.seconds for result in own):.1f}",
                    str(len(own)),
                    "" if said is None else " / ".join(f"{value:.1f}" for value in said),
                    "" if said is None else " / ".join(f"{a - b:+.1f}" for a, b in zip(means, said, strict=True)),
                )
            )
    return rows


def _spread(values: Sequence[float]) -> str:
    return f"{mean(values):.1f}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")


def as_markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table as Markdown."""
    lines = [HEADER, ["---"] * len(HEADER), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |\n" for row in lines)


def as_csv(rows: Sequence[Sequence[str]]) -> str:
    """A table as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([HEADER, *rows])
    return text.getvalue()


def as_latex(rows: Sequence[Sequence[str]]) -> str:
    """A table as LaTeX, for the package booktabs."""
    body = " \\\\\n".join(" & ".join(map(_escaped, row)) for row in rows)
    columns = "l" + "r" * 2 + "l" + "r" * (len(HEADER) - 4)
    lines = ("\\toprule", " & ".join(HEADER) + " \\\\", "\\midrule", f"{body} \\\\", "\\bottomrule")
    return f"\\begin{{tabular}}{{{columns}}}\n" + "\n".join(lines) + "\n\\end{tabular}\n"


def _escaped(text: str) -> str:
    for found, written in (("\\", r"\textbackslash{}"), ("&", r"\&"), ("%", r"\%"), ("_", r"\_"), ("#", r"\#")):
        text = text.replace(found, written)
    return text.replace("±", r"$\pm$")


FORMATS = {"md": as_markdown, "csv": as_csv, "tex": as_latex}
