"""The command that begins a store: `tac init`."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tac_pipeline.cli.shared import SettingsOption, app, complain, opened_project, plain, printer, refusals
from tac_pipeline.errors import InputError, MissingDependency, SettingsError
from tac_pipeline.first_run.installed import require_own_assets
from tac_pipeline.progress import duration
from tac_pipeline.settings.presets import PRESETS as ENCODER_PRESETS
from tac_pipeline.settings.project import SETTINGS_NAME, SETTINGS_VARIABLE, Project, load_project

if TYPE_CHECKING:
    from tac_pipeline.experiments.plan import DataSet
    from tac_pipeline.first_run.beside import Beside
    from tac_pipeline.sources import ImageSource, Listing

# Where weights are expected that cannot be fetched from here, beside the settings file.
WEIGHTS_FOLDER = "weights"
RANDOM = "random"


@app.command()
def init(
    source: Annotated[str | None, typer.Argument(help="Your images: a folder, a tar, a manifest, or a URL.")] = None,
    settings: SettingsOption = None,
    model: Annotated[str | None, typer.Option(help="An open_clip model, its config file, or tac-small.")] = None,
    pretrained: Annotated[str | None, typer.Option(help="The model's weights: a tag, a file, or random.")] = None,
    preset: Annotated[
        str | None,
        typer.Option(help="fast, balanced or best, in place of --model; or a known data set (`tac experiment sets`)."),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="The folder that the preset's data set is in.")] = None,
    store: Annotated[
        str | None, typer.Option(help="The store's name; its settings file is NAME.yaml, beside those of other stores.")
    ] = None,
    dagster: Annotated[
        bool,
        typer.Option("--dagster", help="Write what `dagster dev` and `dg` read too; without SOURCE, that alone."),
    ] = False,
    postgres: Annotated[
        bool,
        typer.Option(
            "--postgres",
            help="With --dagster: keep Dagster's history in the Postgres that DAGSTER_POSTGRES_HOST, _PORT, _DB, _USER "
            "and _PASSWORD name.",
        ),
    ] = False,
) -> None:
    """Look at your images and this machine, say what the first run costs, and write tac.yaml. Builds nothing."""
    if postgres and not dagster:
        raise typer.BadParameter("it says where Dagster's history is: give --dagster too", param_hint="--postgres")
    if dagster and (source, data, store) == (None, None, None):
        with opened_project(settings) as project:
            _write_project_files(printer(), project, postgres=postgres)
        return
    from tac_pipeline.first_run.settings_text import written_source

    known = None if preset is None or preset in ENCODER_PRESETS else preset
    if preset is not None and known is None and (model, pretrained) != (None, None):
        raise typer.BadParameter(
            "it names model and weights itself: leave out --model and --pretrained", param_hint="--preset"
        )
    with refusals():
        require_own_assets()
        path, console = _new_settings_file(settings, store), printer()
        beside = (
            _encoder_beside(path) if store is not None and (model, pretrained, preset) == (None, None, None) else None
        )
        more = {} if beside is None else {f"nouns.{key}": value for key, value in beside.nouns.items()}
        asked = encoder_keys(model, pretrained, None if known else preset) if beside is None else beside.encoder
        encoder: dict[str, object] = {**asked}
        found, source = _place_of(known, data, source)
        place = written_source(source, path)
        project, _ = _project(path, place, encoder, found, store=store, more=more)
        listing = _look_at(console, project, found)
        _tell_packages(console, listing)
        if beside is not None:
            console.print(f"encoder and nouns as in {escape(beside.path.name)}, whose vectors are used", soft_wrap=True)
        encoder, wanted = _choose_weights(console, project, encoder)
        _tell_cost(console, project, listing)
        _write(path, _project(path, place, encoder, found, store=store, more=more)[1])
        console.print(f"\nwritten: {escape(str(path))}", soft_wrap=True)
        if dagster:
            _write_project_files(console, load_project(path), many=store is not None, postgres=postgres)
        elif store is not None and "definitions.py" in _text_of(path.with_name("workspace.yaml")):
            console.print(
                "note:    workspace.yaml does not list all stores of the folder: `tac init --dagster -s "
                f"{escape(path.name)}` writes one that does",
                soft_wrap=True,
            )
        if wanted is not None:
            console.print(f"first:   {escape(wanted)}", soft_wrap=True)
        console.print(f"next:    {escape(_next_command(path))}", soft_wrap=True)


def _text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _encoder_beside(path: Path) -> Beside | None:
    from tac_pipeline.first_run.beside import store_beside

    return store_beside(path)


def _write_project_files(console: Console, project: Project, *, many: bool = False, postgres: bool = False) -> None:
    """Write what Dagster's own commands read in the folder of a store, and say what."""
    from assets.orchestration.instance import choose_postgres
    from assets.orchestration.locations.project_files import write_project_files
    from tac_pipeline.settings.folders import settings_files

    if postgres:
        choose_postgres(project)
    many = many or list(settings_files(project.path.parent).values()) != [project.path]
    done = write_project_files(project, many=many)
    for path in done.written:
        console.print(f"written: {escape(str(path))}", soft_wrap=True)
    for path in done.left:
        console.print(f"left:    {escape(str(path))} is there, and is not of `tac init --dagster`", soft_wrap=True)
    console.print(f"dagster: `dagster dev` and `dg dev` in {escape(str(project.path.parent))}", soft_wrap=True)


def _place_of(known: str | None, data: Path | None, source: str | None) -> tuple[DataSet | None, str]:
    """The data set that a preset names, if it names one, and where its images, or those of the store, are."""
    if known is None:
        if source is None or data is not None:
            raise InputError("tac init needs a SOURCE; --data belongs to a --preset that names a data set")
        return None, source
    from tac_pipeline.experiments.plan import preset_sets
    from tac_pipeline.first_run.settings_text import short_name

    sets = preset_sets()
    found = sets.get(short_name(known))
    if found is None:
        raise InputError(
            f"--preset must be {', '.join(ENCODER_PRESETS)}, or one of the data sets {', '.join(sets)}; got {known!r}"
        )
    if data is not None and source is None:
        return found, str(found.place(data.expanduser()))
    if source is None or data is not None:
        raise InputError(f"--preset {known} needs either --data, the folder that {found.name} is in, or a SOURCE")
    return found, source


def encoder_keys(model: str | None, pretrained: str | None, preset: str | None) -> dict[str, str]:
    """What a new store's settings say of its encoder: the one place where a new store's defaults are chosen."""
    from tac_pipeline.encoders.small import NAME, PRETRAINED

    if preset is not None:
        return {"preset": preset}
    if model is None and pretrained is None:
        from tac_pipeline.settings.keys import EncoderSettings

        default = EncoderSettings()
        return {"model": default.model, "pretrained": default.pretrained}
    if model == NAME and pretrained is None:
        pretrained = PRETRAINED
    if model is None or pretrained is None:
        raise InputError("--model and --pretrained belong together: name both, or neither")
    return {"model": model, "pretrained": pretrained}


def _new_settings_file(given: Path | None, store: str | None) -> Path:
    """Where the settings file goes; one that is there is never touched."""
    usual = os.environ.get(SETTINGS_VARIABLE) or SETTINGS_NAME if store is None else f"{store}.yaml"
    path = Path(given or usual).expanduser().absolute()
    path = path / SETTINGS_NAME if path.is_dir() else path
    if path.exists():
        raise SettingsError(
            f"{path} is there already, and is never overwritten. Use it (`tac run`), or name another file: "
            "tac init SOURCE --settings FILE"
        )
    return path


def _project(
    path: Path,
    source: str,
    encoder: Mapping[str, object],
    known: DataSet | None,
    *,
    store: str | None,
    more: Mapping[str, object],
) -> tuple[Project, str]:
    """The project that a settings file would be, before it is written, and the file's text."""
    from tac_pipeline.first_run.settings_text import settings_text, short_name, store_name
    from tac_pipeline.settings.reading import parse_settings

    resolved = source if "://" in source else str(path.parent / source)
    name = store_name(resolved) if known is None else short_name(known.name)
    further = {**more, **({} if known is None else known.settings())}
    text = settings_text(store=store or name, source=source, encoder=encoder, more=further)
    return Project(parse_settings(text, name=path.name), path), text


def _look_at(console: Console, project: Project, known: DataSet | None) -> Listing:
    """List the source, and print what is there by kind; refuse what is not the known data set."""
    from assets.images import open_project_source
    from tac_pipeline.sources.formats import format_counts

    source = open_project_source(project)
    place = project.settings.images.places[0]
    if source.reader is None:
        raise InputError(
            f"tac init is for images, and {place} holds vectors: docs/how-to/use-given-vectors.md has their settings"
        )
    with console.status(f"looking through {escape(place)}"):
        listing = source.listing()
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in format_counts(listing.images["image_id"]).items())
    size = int(listing.images["size"].sum()) / 1e6 if listing.images["size"].null_count() == 0 else None
    told = "" if size is None or size < 1 else f" ({size / 1000:,.1f} GB)" if size >= 1000 else f" ({size:,.0f} MB)"
    console.print(
        f"{len(listing.images):,} images in {escape(plain(place))}: {kinds}{told}",
        soft_wrap=True,
    )
    for rule, files in listing.passed_over_by_rule.items():
        console.print(f"  {files:,} passed over: {escape(plain(rule))}", soft_wrap=True)
    for below, reason in listing.problems.head(3).iter_rows():
        console.print(f"  {escape(plain(f'{below}: {reason}'))}", soft_wrap=True)
    if known is not None:
        _require_set(console, source, listing, known)
    return listing


def _require_set(console: Console, source: ImageSource, listing: Listing, known: DataSet) -> None:
    """Print the splits and classes of a known data set, and refuse one that is not it."""
    ids = listing.images["image_id"].to_list()
    classes = source.labels(ids, "column", column=known.label)["label"].n_unique()
    if known.classes not in (None, classes):
        raise InputError(
            f"{known.name} must have {known.classes} classes, and what is there has {classes}. Is all of it there?"
        )
    console.print(f"  {classes} classes by the column {known.label}")
    from tac_pipeline.sources.listing import require_splits

    splits = source.labels(ids, "column", column="split")["label"] if known.split is not None else None
    if splits is not None:
        flat = ". Images must be in folders of their classes" if known.subset is not None else ""
        hint = f"{flat}. Is all of it there?"
        counts = require_splits(known.splits, splits, key=f"{known.name}: split", hint=hint)
        console.print("  " + ", ".join(f"{name}: {images:,}" for name, images in counts.items()))


def _tell_packages(console: Console, listing: Listing) -> None:
    from assets.lookups.readiness import passed_over_notes
    from tac_pipeline.first_run.installed import package_notes, require_faiss

    try:
        require_faiss()
    except MissingDependency as error:
        complain(str(error))
    for note in [*package_notes(), *passed_over_notes(listing.passed_over_by_rule)]:
        console.print(f"[yellow]note:[/] {escape(plain(note))}", soft_wrap=True)


def _choose_weights(
    console: Console, project: Project, encoder: Mapping[str, object]
) -> tuple[dict[str, object], str | None]:
    """What the settings say of the encoder, and, if its weights cannot be had from here, what to fetch first."""
    from tac_pipeline.encoders.devices import choose_device
    from tac_pipeline.encoders.model_choice import choose_model
    from tac_pipeline.encoders.weights import WeightsOutOfReach, require_weights, weights_at_hand

    choice = choose_model(*project.encoder_files)
    device = choose_device(project.settings.encoder.device)
    at_hand = choice.weights == "random" or weights_at_hand(choice) is not None
    try:
        require_weights(choice)
        reach = "weights are here" if at_hand else "weights are downloaded by the first run, some hundred MB"
        wanted = None
    except WeightsOutOfReach as error:
        place = Path(WEIGHTS_FOLDER) / error.file.name
        named = {"model": choice.name, "pretrained": str(place)}
        encoder = {key: value for key, value in encoder.items() if key != "preset"} | named
        reach = f"weights cannot be fetched from here ({error.reason})"
        wanted = f"fetch {error.file.url} and save it as {project.path.parent / place}"
    label = "random" if choice.weights == "random" else Path(choice.pretrained).name
    reach = "good only for trying the pipeline" if choice.weights == "random" else reach
    console.print(f"encoder: {escape(f'{choice.name}, {label}, on {device}; {reach}')}", soft_wrap=True)
    return dict(encoder), wanted


def _tell_cost(console: Console, project: Project, listing: Listing) -> None:
    """Measure a few images and prompts, and print what the first run takes, by its parts."""
    from assets.images import load_encoder, open_project_source
    from assets.lookups.readiness import noun_work
    from tac_pipeline.embedding.nouns import ONE_PROMPT
    from tac_pipeline.first_run.cost import learning_seconds, machine, measure_images, seconds_a_prompt

    settings, count = project.settings, len(listing.images)
    encoder, source = load_encoder(_measurable(project)), open_project_source(project)
    work = noun_work(project, images=count)
    with console.status("measuring a few images and prompts"):
        speed = measure_images(listing.images, source, encoder, settings=settings)
        prompt = seconds_a_prompt(work.nouns, encoder, template=ONE_PROMPT, batch_size=settings.encoder.batch_size)
    if speed.unreadable:
        console.print(f"  {speed.unreadable} of {speed.tried} that were tried cannot be read; the run says why")
    of_images, of_nouns = count * speed.seconds, work.prompts * prompt
    learning = learning_seconds(min(count, settings.training_set.max_images))
    told = f"{len(work.nouns):,} in about {work.prompts:,} prompts, once"
    told = told if work.nouns else "their vectors are here"
    table = Table("the first run takes about", "", "", box=None, pad_edge=False)
    table.add_row("images", duration(of_images), f"{count:,}, {1 / speed.seconds:,.0f} a second")
    table.add_row("nouns", duration(of_nouns), told)
    table.add_row("learning", duration(learning), "groups, names and the page")
    table.add_row("in all", f"[bold]{duration(of_images + of_nouns + learning)}[/]", f"on {escape(machine())}")
    console.print()
    console.print(table)


def _measurable(project: Project) -> Project:
    """The project itself, or with random weights when those of its encoder are not here: they take equally long."""
    from tac_pipeline.encoders.model_choice import choose_model
    from tac_pipeline.encoders.weights import weights_at_hand

    choice = choose_model(*project.encoder_files)
    if weights_at_hand(choice) is not None:
        return project
    encoder = project.settings.encoder.model_copy(update={"pretrained": RANDOM})
    return replace(project, settings=project.settings.model_copy(update={"encoder": encoder}))


def place_demo_settings() -> Path | None:
    """The demo's settings file in the current folder, where neither that nor a variable names another."""
    from tac_pipeline.demo import settings_file

    path = Path(SETTINGS_NAME).absolute()
    if SETTINGS_VARIABLE in os.environ or path.exists():
        return None
    _write(path, settings_file().read_text(encoding="utf-8"))
    return path


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Exclusive, so that a file that came meanwhile is not overwritten either.
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise SettingsError(f"cannot write {path}: {error}. Name another place: --settings FILE") from error


def _next_command(path: Path) -> str:
    return "tac run" if path == Path(SETTINGS_NAME).absolute() else f"tac run --settings {shlex.quote(str(path))}"
