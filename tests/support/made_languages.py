"""A few words in four languages, in the layout of the Open Multilingual WordNet as people download it."""

from pathlib import Path

from tac_pipeline.wordnet import load_synsets

# Each word was written for these tests; the first of a synset is its name.
WORDS: dict[str, dict[str, list[str]]] = {
    "deu": {
        "dog.n.01": ["Hund", "Haushund"],
        "cat.n.01": ["Katze"],
        "animal.n.01": ["Tier"],
        "carnivore.n.01": ["Raubtier"],
        "bank.n.01": ["Ufer"],
        "depository_financial_institution.n.01": ["Bank"],
        "bench.n.01": ["Bank", "Sitzbank"],
        "turtleneck.n.01": ["Rollkragen"],
        "turtle.n.02": ["Schildkröte"],
        "idiot.n.01": ["Trottel"],
        "car.n.01": ["Auto"],
    },
    "fra": {"dog.n.01": ["chien"], "cat.n.01": ["chat"], "ice_cream.n.01": ["crème_glacée"]},
    "jpn": {"dog.n.01": ["犬", "イヌ"], "cat.n.01": ["猫"], "airplane.n.01": ["飛行機"]},
    "heb": {"dog.n.01": ["כלב"], "cat.n.01": ["חתול"], "animal.n.01": ["בעל חיים"]},
}


def tab_lines(code: str, *, label: str | None = None) -> list[str]:
    """The lines of a language's file; `label` is what stands before each word, such as `lemma` in old files."""
    offsets = dict(load_synsets().select("synset", "offset").iter_rows())
    said = f"{code}:lemma" if label is None else label
    lines = [f"# made for tests\t{code}\thttps://example.org/\tCC0"]
    return lines + [
        f"{offsets[synset]:08d}-n\t{said}\t{word}" for synset, words in WORDS[code].items() for word in words
    ]


def write_tab(path: Path, code: str, *, extra: tuple[str, ...] = (), label: str | None = None) -> Path:
    """Write a language's file, with more lines at its end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*tab_lines(code, label=label), *extra]) + "\n", encoding="utf-8")
    return path
