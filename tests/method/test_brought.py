"""A method that another package brings, by the file that the documentation shows."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from command_line import tac
from small_store import REPOSITORY, grouped_vectors

from tac_pipeline import method
from tac_pipeline.errors import InputError
from tac_pipeline.estimator import TextAidedClustering
from tac_pipeline.experiments.ways import Vectors, load_way, way_names
from tac_pipeline.method import load_method, method_names

PAGE = REPOSITORY / "docs" / "how-to" / "add-a-method.md"


def shown(language: str) -> str:
    """The first block of code of a language on the page."""
    found = re.search(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    return found[1]


def install(folder: Path, entry_points: str) -> None:
    """A package as pip leaves it."""
    info = folder / "spectral_method-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: spectral-method\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(entry_points, encoding="utf-8")
    (folder / "spectral_method.py").write_text(shown("python"), encoding="utf-8")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Installs the package with some entry points for one test."""

    def start(entry_points: str) -> None:
        install(tmp_path / "site", entry_points)
        monkeypatch.syspath_prepend(tmp_path / "site")
        method._brought.cache_clear()
        method._load_brought.cache_clear()

    yield start
    monkeypatch.undo()
    method._brought.cache_clear()
    method._load_brought.cache_clear()


def declared() -> str:
    """The entry point as the page declares it, in the form of installed packages."""
    return re.sub(r'\[project.entry-points."(.*)"\]', r"[\1]", shown("toml")).replace('"', "")


def test_the_method_of_the_page_runs_in_the_pipeline_the_estimator_and_an_experiment(
    installed: Callable[[str], None], vector_store: Callable[..., Path]
) -> None:
    assert shown("python").count("\n") < 80
    installed(declared())
    assert method_names() == ("robust", "published", "trained", "spectral")
    path = vector_store({"method": "spectral"})
    result = tac("run", "-s", path)
    assert result.exit_code == 0, result.output
    rows = pl.read_parquet(next(path.parent.glob("data/small/evaluation/*/evaluation.parquet")))
    assert rows.filter(result="training_free")["acc"].to_list() == [1.0]
    vectors, truth = grouped_vectors()
    nouns = [f"noun {number}" for number in range(6)]
    fitted = TextAidedClustering(3, method="spectral", n_neighbors=5).fit(
        vectors, nouns=nouns, noun_embeddings=np.concatenate([vectors[::20], vectors[1::20]])
    )
    assert len({*zip(fitted.labels_.tolist(), truth.tolist(), strict=True)}) == 3
    assert "spectral" in way_names()
    seen = Vectors(vectors, vectors, 3, nouns, np.concatenate([vectors[::20], vectors[1::20]]))
    found = load_way("spectral")(seen, 0)
    assert found["spectral"].groups.shape == (60,)


@pytest.mark.parametrize(
    ("entry_points", "sentence"),
    [
        ("[tac_pipeline.methods]\nspectral = nowhere:SPECTRAL\n", "cannot be imported: No module named 'nowhere'"),
        (
            "[tac_pipeline.methods]\nother = spectral_method:SPECTRAL\n",
            "must be a .*Method that is named so.* 'spectral'",
        ),
        ("[tac_pipeline.methods]\nother = spectral_method:np\n", "must be a .*Method that is named so"),
    ],
)
def test_what_is_no_method_is_refused(installed: Callable[[str], None], entry_points: str, sentence: str) -> None:
    installed(entry_points)
    with pytest.raises(InputError, match=sentence):
        load_method(method_names()[-1])


def test_our_own_methods_are_not_replaced(installed: Callable[[str], None]) -> None:
    installed("[tac_pipeline.methods]\nrobust = spectral_method:SPECTRAL\n")
    assert method_names() == ("robust", "published", "trained")
    assert load_method("robust").name == "robust"
