"""The page of commands in the documentation: `python -m scripts.write_commands_page`, or `make docs`.

Names, arguments, options and meanings come from the commands themselves (tac_pipeline/cli/), so that they are written
once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from tac_pipeline.cli import app

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "commands.md"
COMMAND = "make docs"
ABOVE = f"""\
# Commands

<!-- Written by `{COMMAND}` from tac_pipeline/cli/. Edit those files, not this one. -->

The settings file is the argument of `--settings`, else `$TAC_SETTINGS`, else `./tac.yaml`. Exit codes: 0 is success, 1
is a failure, 2 is a wrong command, 130 is Ctrl-C.
"""
BELOW = """
## Examples

| typed | what it does |
|---|---|
| `tac run --select text_counterparts+` | runs only these assets: `NAME`, `NAME+` with all below, `+NAME` with all above; separate them with commas |
| `tac run --recluster` | learns again from the images that the store holds now |
| `tac set retrieval.tau=0.01 seed=1` | edits tac.yaml, reloads it in a running UI, and says what would run again; it checks the values first and keeps your comments |
| `tac diff 6 7` | compares two published versions: how many images moved, which clusters changed |
| `tac search --image FILE --count 50` | takes a picture, or an image_id of the store, instead of a text |
| `tac export DEST --format csv` | writes the published result for other programs ([what the formats look like](exports.md)) |
| `tac path published` | prints the folder of the published version |
| `tac ui -s a.yaml -s b.yaml` | starts the Dagster UI and its daemon for several stores |
"""  # noqa: E501 - rows of a table


def write_page() -> str:
    """The whole page: one section for each command, in the order of `tac --help`."""
    group: Any = typer.main.get_command(app)
    return ABOVE + "".join(_section(name, command) for name, command in sorted(group.commands.items())) + BELOW


def _section(name: str, command: Any) -> str:
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option"]
    typed = " ".join(["tac", name, *map(_usage, arguments), *(["[OPTIONS]"] if options else [])])
    rows = [f"| `{_usage(one)}` | {_cell(one.help)} |" for one in arguments]
    rows += [f"| {_names(one)} | {_cell(one.help)}{_default(one)} |" for one in options]
    table = "\n| given | meaning |\n|---|---|\n" + "\n".join(rows) + "\n" if rows else ""
    return f"\n## tac {name}\n\n`{typed}`\n\n{' '.join(command.help.split())}\n{table}"


def _usage(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    name = name if argument.nargs != -1 or name.endswith("...") else f"{name}..."
    return name if argument.required else f"[{name}]"


def _names(option: Any) -> str:
    return ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def _default(option: Any) -> str:
    value = option.default
    shown = getattr(value, "value", value)
    return "" if shown is None or isinstance(shown, bool) or shown == () else f" Default: `{shown}`."


if __name__ == "__main__":
    PAGE.write_text(write_page(), encoding="utf-8")
    print(PAGE)
