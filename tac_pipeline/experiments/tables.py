"""The table of an experiment: means and standard deviations over seeds, beside published figures."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Sequence
from statistics import mean, stdev

from tac_pipeline.experiments.plan import Experiment
from tac_pipeline.experiments.running import Outcome, Result
from tac_pipeline.experiments.ways import learns

COMPARED = ("nmi", "acc", "ari")
FURTHER = ("ami", "homogeneity", "many_to_one", "recall")
HEADER = (
    *("set", "learned from", "scored", "K", "way", "NMI", "ACC", "ARI", "AMI", "homogeneity", "many-to-one", "recall"),
    *("seconds", "seeds", "published", "difference"),
)
# Columns of text, which LaTeX sets to the left.
TEXTS = ("set", "way")


def rows_of(experiment: Experiment, results: Sequence[Result]) -> list[tuple[str, ...]]:
    """A row for each way on each set, in the order of the experiment; see HEADER. Figures are in %."""
    rows = []
    names = [*experiment.by_name, *([] if "" in experiment.by_name else [""])]
    for one, way, name in itertools.product(experiment.sets, experiment.ways, names):
        own = [result for result in results if (result.data, result.way, result.encoder_name) == (one.name, way, name)]
        if own:
            figures = {name: [100 * getattr(result, name) for result in own] for name in (*COMPARED, *FURTHER)}
            said = one.published.get(way)
            means = [mean(figures[name]) for name in COMPARED]
            first = own[0]
            rows.append(
                (
                    one.name,
                    _part(first.learned, first.learn) if learns(way) else "",
                    _part(first.images, first.split),
                    str(first.classes),
                    ", ".join([way, *([name] if name else []), *_names_found(first)]),
                    *(_spread(values) for values in figures.values()),
                    f"{mean(result.seconds for result in own):.1f}",
                    str(len(own)),
                    "" if said is None else " / ".join(f"{value:.1f}" for value in said),
                    "" if said is None else " / ".join(f"{a - b:+.1f}" for a, b in zip(means, said, strict=True)),
                )
            )
    return rows


def notes_of(outcome: Outcome) -> list[str]:
    """What stands below the table: encoders, what of a set could not be read or told by name, and machines."""
    results = outcome.results
    encoders = sorted({(result.encoder_name, result.encoder) for result in results if result.encoder})
    machines = sorted({result.machine for result in results})
    notes = [f"{name or 'Vectors'} by {encoder}" for name, encoder in encoders]
    notes += [problem.removesuffix(".") for problem in outcome.problems]
    for data, classes, unnamed in sorted({(one.data, one.classes, tuple(one.unnamed)) for one in results}):
        if unnamed:
            notes.append(
                f"{data}, zero-shot: no vector for {len(unnamed)} of {classes} class names ({', '.join(unnamed)}); "
                "their images count as wrong"
            )
    return [*notes, *(f"Seconds on {name}" for name in machines)]


def _names_found(result: Result) -> list[str]:
    """What a row says of classes that a way could not tell by name."""
    found = result.classes - len(result.unnamed)
    return [f"{found} of {result.classes} names"] if result.unnamed else []


def _part(images: int, split: str | None) -> str:
    return f"{images:,}" if split is None else f"{split}: {images:,}"


def _spread(values: Sequence[float]) -> str:
    return f"{mean(values):.1f}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")


def as_markdown(rows: Sequence[Sequence[str]], notes: Sequence[str]) -> str:
    """A table as Markdown, with its notes below it."""
    lines = [HEADER, ["---"] * len(HEADER), *rows]
    table = "".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |\n" for row in lines)
    return table + "".join(f"\n{note}.\n" for note in notes)


def as_csv(rows: Sequence[Sequence[str]], notes: Sequence[str]) -> str:
    """A table as CSV; the notes are its last column."""
    text, said = io.StringIO(), "; ".join(notes)
    csv.writer(text, lineterminator="\n").writerows([[*HEADER, "notes"], *([*row, said] for row in rows)])
    return text.getvalue()


def as_latex(rows: Sequence[Sequence[str]], notes: Sequence[str]) -> str:
    """A table as LaTeX, for the package booktabs; the notes are comments."""
    body = " \\\\\n".join(" & ".join(map(_escaped, row)) for row in rows)
    columns = "".join("l" if name in TEXTS else "r" for name in HEADER)
    lines = ("\\toprule", " & ".join(HEADER) + " \\\\", "\\midrule", f"{body} \\\\", "\\bottomrule")
    said = "".join(f"% {note}\n" for note in notes)
    return f"\\begin{{tabular}}{{{columns}}}\n" + "\n".join(lines) + "\n\\end{tabular}\n" + said


def _escaped(text: str) -> str:
    for found, written in (("\\", r"\textbackslash{}"), ("&", r"\&"), ("%", r"\%"), ("_", r"\_"), ("#", r"\#")):
        text = text.replace(found, written)
    return text.replace("±", r"$\pm$")


FORMATS = {"md": as_markdown, "csv": as_csv, "tex": as_latex}
