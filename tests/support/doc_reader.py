"""A reader who types every block of a page, in order, in one folder; `tac` runs in this process."""

import io
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer
from command_line import tac
from doc_blocks import FILE, NOT_RUN, PART_OF, PRINTED_BY, Block, Typed, blocks_of, missing_lines, typed_in
from ruamel.yaml import YAML
from small_store import REPOSITORY

from tac_pipeline.cli import app
from tac_pipeline.experiments.plan import load_experiment
from tac_pipeline.nouns.files import read_word_file
from tac_pipeline.results.corrections.written import load_corrections
from tac_pipeline.settings.project import load_project
from tac_pipeline.settings.reading import parse_settings
from tac_pipeline.sources.tables.examples import read_examples

# How the product reads a file that a page has its reader write.
READ_BY: dict[str, Callable[[Path], Any]] = {
    "corrections.yaml": load_corrections,
    "experiment.yaml": load_experiment,
    "known.csv": read_examples,
    "mine.txt": read_word_file,
    "tac.yaml": load_project,
}
# What a fragment of settings is merged into.
WHOLE = "store: photos\nimages: {source: photos}\nclusters: {count: 10}\n"
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TARGETS = set(re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


class Reader:
    """Runs or checks the blocks of one page; the folder and the names of its Python are the same for all of them.

    Parameters
    ----------
    page : Path
    folder : Path
        Where everything is typed; `~` in a command is this folder too.
    names : dict of str to object
        What the page's Python takes for given.
    places : dict of str to str
        Where the places are that a page names.
    others : dict of str to str
        Expressions for what else is otherwise on another machine.
    """

    def __init__(
        self, page: Path, folder: Path, names: dict[str, Any], places: dict[str, str], others: dict[str, str]
    ) -> None:
        self.page, self.folder, self.names = page, folder, names
        self.places = {"~": str(folder), **places}
        self.stand_ins = {text: re.escape(place) for text, place in places.items()} | others

    def read(self) -> None:
        """All blocks, in order; the first that does not work fails."""
        for block in blocks_of(self.page):
            self.take(block)

    def take(self, block: Block) -> None:
        check = CHECKS.get(block.language)
        assert check, f"{block.place}: no test knows the language {block.language!r}; known are {sorted(CHECKS)}"
        check(self, block)

    def console(self, block: Block) -> None:
        for typed in typed_in(block.text):
            for words in _commands(typed.command):
                if words[0] == "tac" and block.kind != NOT_RUN:
                    self._type(block, typed, words[1:])
                elif not _can_be_typed(words):
                    assert block.kind == NOT_RUN, f"{block.place}: `{typed.command}` runs in no test; mark the block"

    def _type(self, block: Block, typed: Typed, words: list[str]) -> None:
        printed = self._run(words, may_fail=bool(typed.printed), place=block.place)
        missing = missing_lines(typed.printed, printed, self.stand_ins)
        assert missing == [], f"{block.place}: `{typed.command}` did not print {missing}, but:\n{printed}"

    def _run(self, words: list[str], *, may_fail: bool, place: str) -> str:
        words = [self._placed(word) for word in words]
        first = words[0] == "init" and not {"--store", "--dagster"} & set(words)
        if first:
            # A page may set up more than one store, each as the first of its folder.
            (self.folder / "tac.yaml").unlink(missing_ok=True)
        result = tac(*words)
        assert may_fail or result.exit_code == 0, f"{place}: tac {shlex.join(words)} failed:\n{result.output}"
        assert result.exception is None or isinstance(result.exception, SystemExit), f"{place}: {result.exception!r}"
        if first:
            with (self.folder / "tac.yaml").open("a", encoding="utf-8") as file:
                file.write("nouns: {source: nouns.txt}\n")
        return result.output

    def _placed(self, word: str) -> str:
        """A word of a command, with a place of ours for the page's."""
        start = next((text for text in self.places if word == text or word.startswith(f"{text}/")), "")
        return self.places.get(start, "") + word.removeprefix(start)

    def python(self, block: Block) -> None:
        code = compile(block.text, f"{block.page.name}:{block.line}", "exec")
        if block.kind != NOT_RUN:
            exec(code, self.names)

    def yaml(self, block: Block) -> None:
        tree = YAML(typ="safe").load(block.text)
        if block.kind == FILE:
            self._save(block)
        elif block.kind != NOT_RUN:
            whole = _merged(YAML(typ="safe").load(WHOLE), tree)
            text = io.StringIO()
            YAML().dump(whole, text)
            parse_settings(text.getvalue(), name=block.place)

    def toml(self, block: Block) -> None:
        tomllib.loads(block.text)

    def sql(self, block: Block) -> None:
        assert block.kind == NOT_RUN, f"{block.place}: no test has a database; mark the block"

    def text(self, block: Block) -> None:
        lines = block.text.splitlines()
        if block.kind == FILE:
            self._save(block)
        elif block.kind == PRINTED_BY:
            self._type(block, Typed(block.told, lines), shlex.split(block.told)[1:])
        elif block.kind == PART_OF:
            others = "\n".join(other.text for other in blocks_of(REPOSITORY / block.told))
            assert missing_lines(lines, others, {}) == [] and not set(lines) - {"..."} - set(others.splitlines()), (
                f"{block.place}: is not part of a block of {block.told}"
            )
        else:
            assert block.kind == NOT_RUN, f"{block.place}: say in a comment where this text comes from"

    def _save(self, block: Block) -> None:
        (self.folder / block.told).write_text(block.text, encoding="utf-8")
        read = READ_BY.get(block.told)
        assert read, f"{block.place}: say in READ_BY how the product reads {block.told}"
        read(self.folder / block.told)


CHECKS: dict[str, Callable[[Reader, Block], None]] = {
    "console": Reader.console,
    "python": Reader.python,
    "sql": Reader.sql,
    "text": Reader.text,
    "toml": Reader.toml,
    "yaml": Reader.yaml,
}


def _commands(line: str) -> Iterator[list[str]]:
    """The commands of a line that `&&` joins, in words, without the comment behind them."""
    words: list[str] = []
    for word in [*shlex.split(line, comments=True), "&&"]:
        if word != "&&":
            words.append(word)
        elif words:
            yield words
            words = []


def _can_be_typed(words: list[str]) -> bool:
    """Whether a command that is not run is known to be right: its options, targets, extras and modules are there."""
    match words:
        case ["tac", name, *rest]:
            group: Any = typer.main.get_command(app)
            group.commands[name].make_context(name, rest)
            return True
        case ["pip", "install", wanted]:
            extras = re.fullmatch(rf"{PROJECT['name']}\[([\w,]+)\]", wanted)
            return extras is not None and set(extras[1].split(",")) <= set(PROJECT["optional-dependencies"])
        case ["make", target]:
            return target in TARGETS
        case _:
            return False


def has_options(words: list[str]) -> bool:
    """Whether a command of ours has this name and these options; what it needs besides may be left out."""
    command: Any = typer.main.get_command(app)
    for word in words[1:]:
        command = command.commands.get(word) if hasattr(command, "commands") else command
    known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)} if command else set()
    return command is not None and known.issuperset(word for word in words[2:] if word.startswith("-"))


def _merged(whole: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """A tree of settings with the keys of another in place of its own."""
    both = {key: _merged(whole[key], part[key]) for key in whole if isinstance(part.get(key), dict) and whole[key]}
    return whole | part | both
