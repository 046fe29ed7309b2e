"""The settings file: what it accepts, how it refuses, and what each key affects."""

from pathlib import Path

import pytest
from small_store import REPOSITORY

from tac_pipeline.errors import SettingsError
from tac_pipeline.settings.keys import PUBLISHED_TEMPLATES, HeadSettings, result_slice, settings_keys, value_at
from tac_pipeline.settings.presets import PRESETS
from tac_pipeline.settings.project import find_settings, load_project
from tac_pipeline.settings.reading import parse_settings

LEAST = "store: photos\nimages: {source: pictures}\nclusters: {count: 10}\n"


def test_what_a_method_works_out_is_null() -> None:
    settings = parse_settings(LEAST, name="tac.yaml")
    assert settings.retrieval.tau is None
    assert settings.vocabulary.nouns_per_center == 5
    assert settings.neighbors.count is None
    assert settings.blend.text_weight is None
    assert settings.method == "robust"
    assert settings.semantic_centers.images_per_center == 300
    assert tuple(settings.nouns.templates) == PUBLISHED_TEMPLATES
    assert settings.heads.balance_weight == 5.0
    assert settings.heads.learning_rate == 0.001
    assert (settings.heads.epochs, settings.heads.batch_size, settings.heads.temperature) == (None, None, None)
    assert (settings.encoder.model, settings.encoder.pretrained) == ("ViT-B-32-quickgelu", "openai")


def test_nouns_have_one_source_or_several() -> None:
    one = parse_settings(LEAST, name="tac.yaml").nouns
    assert (one.source, one.places, one.files) == ("wordnet", ["wordnet"], [])
    several = parse_settings(LEAST + "nouns: {source: [wordnet, mine.txt]}", name="tac.yaml").nouns
    assert (several.places, several.files) == (["wordnet", "mine.txt"], ["mine.txt"])
    with pytest.raises(SettingsError, match=r"nouns\.source"):
        parse_settings(LEAST + "nouns: {source: []}", name="tac.yaml")


def test_an_added_key_enters_a_version_only_when_it_is_set() -> None:
    """Stores from before the key are as they were."""
    keys = ["nouns.source", "nouns.language", "nouns.language_data"]
    assert {key.name for key in settings_keys() if key.added} >= {"nouns.language", "nouns.language_data"}
    assert result_slice(parse_settings(LEAST, name="tac.yaml"), keys) == {"nouns.source": "wordnet"}
    german = parse_settings(LEAST + "nouns: {language: deu}", name="tac.yaml")
    assert result_slice(german, keys) == {"nouns.source": "wordnet", "nouns.language": "deu"}


def test_the_shipped_file_is_valid() -> None:
    load_project(REPOSITORY / "tac.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("retrieval:\n  tau: -0.1", "retrieval.tau must be > 0; got -0.1 (tac.yaml, line 5)"),
        ("retrieval: {tau: 0}", "retrieval.tau must be > 0; got 0 (tac.yaml, line 4)"),
        ("retrieval: {tau: .nan}", "retrieval.tau must be a finite number; got nan (tac.yaml, line 4)"),
        ("retreival: {tau: 1}", "retreival is not a settings key; did you mean retrieval? (tac.yaml, line 4)"),
        ("tau: 1", "tau is not a settings key; did you mean retrieval.tau? (tac.yaml, line 4)"),
        ("heads:\n  epohcs: 3", "heads.epohcs is not a settings key; did you mean heads.epochs? (tac.yaml, line 5)"),
        ("seed: one", "seed must be a whole number; got 'one' (tac.yaml, line 4)"),
        ("seed: 1.0", "seed must be a whole number; got 1.0 (tac.yaml, line 4)"),
        ("seed: true", "seed must be a whole number; got True (tac.yaml, line 4)"),
        ("method: robus", "method must be 'robust' or 'published' or 'trained'; got 'robus' (tac.yaml, line 4)"),
        ("heads: 3", "heads must be a section of keys; got 3 (tac.yaml, line 4)"),
        (
            "encoder: {precision: int4}",
            "encoder.precision must be 'float' or 'int8'; got 'int4' (tac.yaml, line 4)",
        ),
        (
            "encoder: {device: gpu}",
            "encoder.device must be auto, cpu, mps, cuda or cuda:N; got 'gpu' (tac.yaml, line 4)",
        ),
        (
            "nouns:\n  templates:\n    - a {}\n    - b",
            "nouns.templates must each hold {} once, where the noun goes; got 'b' (tac.yaml, line 7)",
        ),
        (
            "nouns: {language: German}",
            "nouns.language must be a language's code of two or three small letters, such as deu or de; got 'German' "
            "(tac.yaml, line 4)",
        ),
        ("nouns: {language_data: ''}", "nouns.language_data must not be empty; got '' (tac.yaml, line 4)"),
        ("nouns: {templates: []}", "nouns.templates must have at least 1 entry; got [] (tac.yaml, line 4)"),
        (
            "data: s3://bucket/data",
            "data must be a folder on this machine, which may be a mounted one, and not a URL; got 's3://bucket/data' "
            "(tac.yaml, line 4)",
        ),
        (
            "group_by: []",
            "group_by must have words; write what the groups may be, such as [indoors, outdoors], or null for none; "
            "got [] (tac.yaml, line 4)",
        ),
        (
            "group_by: [red]",
            "group_by must have two words or more, because one tells nothing apart; write what the groups may be, such "
            "as [indoors, outdoors], or null for none; got ['red'] (tac.yaml, line 4)",
        ),
        (
            "group_by: [red, blue, Red]",
            "group_by must have each word once, in upper or lower case; 'red' is there again; got "
            "['red', 'blue', 'Red'] (tac.yaml, line 4)",
        ),
        (
            "group_by: colr",
            "group_by must be style, place, color, material, action, mood, time of day, or a list of your own words; "
            "did you mean color?; got 'colr' (tac.yaml, line 4)",
        ),
        (
            "group_by: [{a: 1}, 3]",
            "group_by must be style, place, color, material, action, mood, time of day, or a list of your own words, "
            "each of them text; got [{'a': 1}, 3] (tac.yaml, line 4)",
        ),
        ("neighbors: {count: 0}", "neighbors.count must be >= 1; got 0 (tac.yaml, line 4)"),
    ],
)
def test_a_refusal_says_what_must_hold_what_came_and_where(text: str, message: str) -> None:
    with pytest.raises(SettingsError) as refused:
        parse_settings(LEAST + text, name="tac.yaml")
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("null", None),
        ("style", "style"),
        ("time of day", "time of day"),
        ("['cat  and dog', '{fish}']", ["cat and dog", "{fish}"]),
    ],
)
def test_a_criterion_is_a_set_that_ships_or_words(written: str, found: object) -> None:
    assert parse_settings(f"{LEAST}group_by: {written}", name="tac.yaml").group_by == found


def test_images_are_compared_in_one_of_three_ways() -> None:
    text = LEAST.replace("pictures}", "pictures, compare: folder}")
    with pytest.raises(SettingsError) as refused:
        parse_settings(text, name="tac.yaml")
    assert str(refused.value) == (
        "images.compare must be 'folders', 'listing' or 'content'; got 'folder' (tac.yaml, line 2)"
    )


@pytest.mark.parametrize(
    ("clusters", "message"),
    [
        ("{count: some}", "clusters.count must be a whole number, auto, fine or coarse; got 'some' (tac.yaml, line 3)"),
        ("{count: 3.0}", "clusters.count must be a whole number, auto, fine or coarse; got 3.0 (tac.yaml, line 3)"),
        ("{count: true}", "clusters.count must be a whole number, auto, fine or coarse; got True (tac.yaml, line 3)"),
        ("{count: null}", "clusters.count must be a whole number, auto, fine or coarse; got None (tac.yaml, line 3)"),
        ("{count: auto, min: 1}", "clusters.min must be >= 2; got 1 (tac.yaml, line 3)"),
        ("{count: auto, max: many}", "clusters.max must be a whole number; got 'many' (tac.yaml, line 3)"),
        (
            "{count: auto, min: 9, max: 8}",
            "clusters must have min <= max; got {'count': 'auto', 'min': 9, 'max': 8} (tac.yaml, line 3)",
        ),
    ],
)
def test_a_number_of_groups_is_a_number_or_auto(clusters: str, message: str) -> None:
    with pytest.raises(SettingsError) as refused:
        parse_settings(f"store: photos\nimages: {{source: pictures}}\nclusters: {clusters}\n", name="tac.yaml")
    assert str(refused.value) == message


def test_auto_stands_between_its_bounds() -> None:
    for word in ("auto", "fine", "coarse"):
        written = LEAST.replace("count: 10", f"count: {word}, min: 4, max: 4")
        clusters = parse_settings(written, name="tac.yaml").clusters
        assert (clusters.count, clusters.min, clusters.max) == (word, 4, 4)


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(SettingsError) as refused:
        parse_settings("store: a b\nclusters: {count: 1}\n", name="tac.yaml")
    assert str(refused.value).splitlines() == [
        "store must be 1 to 64 letters, digits, - or _, starting with a letter or digit; got 'a b' (tac.yaml, line 1)",
        "images is required; add it to tac.yaml",
        "clusters.count must be >= 2; got 1 (tac.yaml, line 2)",
    ]


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "a: [", "a: 1\na: 2\n", "\x00", "store: &a [*a]"])
def test_what_is_not_a_settings_file_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"tac\.yaml"):
        parse_settings(text, name="tac.yaml")


@pytest.mark.parametrize("text", ["store: !!python/object/apply:os.system ['true']", "store: !evil x"])
def test_tags_never_run_anything(text: str) -> None:
    with pytest.raises(SettingsError):
        parse_settings(text, name="tac.yaml")


def test_every_key_is_marked_and_described() -> None:
    keys = settings_keys()
    assert {key.affects for key in keys} == {"result", "execution"}
    assert [key.name for key in keys if not key.description] == []
    assert {key.name for key in keys if key.affects == "execution"} == {
        "store",
        "images.compare",
        "images.exclude",
        "images.follow_links",
        "images.max_loss",
        "images.timeout",
        "images.concurrent_reads",
        "encoder.batch_size",
        "encoder.preset",
        "encoder.device",
        "compute.engine",
        "compute.address",
        "compute.workers",
        "compute.gpus_per_worker",
        "schedule.observe",
        "schedule.recluster",
        "schedule.timezone",
        "schedule.refresh",
        "publication.mode",
        "publication.to",
        "publication.options",
        "publication.grace_hours",
        "publication.timeout",
        "publish",
        "alerts.webhook",
        "alerts.slack",
        "alerts.command",
        "alerts.email.to",
        "alerts.email.sender",
        "alerts.email.server",
        "alerts.email.user",
        "alerts.email.password",
        "alerts.causes",
        "alerts.unreadable",
        "alerts.timeout",
        "data",
        "history_days",
        "keep_versions",
        "keep_days",
        "groupings",
    }


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_its_names_written_out(preset: str) -> None:
    model, pretrained = PRESETS[preset]
    named = parse_settings(LEAST + f"encoder: {{preset: {preset}}}\n", name="tac.yaml")
    written = parse_settings(LEAST + f"encoder: {{model: {model}, pretrained: {pretrained}}}\n", name="tac.yaml")
    assert result_slice(named, ["encoder"]) == result_slice(written, ["encoder"])


def test_a_preset_beside_a_model_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"must not have preset and pretrained together: leave one out"):
        parse_settings(LEAST + "encoder: {preset: fast, pretrained: openai}\n", name="tac.yaml")
    with pytest.raises(SettingsError, match=r"encoder.preset must be 'fast', 'balanced' or 'best'"):
        parse_settings(LEAST + "encoder: {preset: quick}\n", name="tac.yaml")


def test_a_slice_holds_result_keys_alone() -> None:
    settings = parse_settings(LEAST, name="tac.yaml")
    assert result_slice(settings, ["encoder"]) == {
        "encoder.model": "ViT-B-32-quickgelu",
        "encoder.pretrained": "openai",
        "encoder.precision": "float",
    }
    assert result_slice(settings, ["encoder.device"]) == {}
    assert result_slice(settings, ["seed", "retrieval.tau"]) == {"retrieval.tau": None, "seed": 0}
    assert value_at(settings, "heads.learning_rate") == 0.001


def test_the_file_is_found_in_the_documented_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given, named, here = tmp_path / "given.yaml", tmp_path / "named.yaml", tmp_path / "tac.yaml"
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match="from the current folder"):
        find_settings()
    here.write_text(LEAST)
    assert find_settings() == here
    named.write_text(LEAST)
    monkeypatch.setenv("TAC_SETTINGS", str(named))
    assert find_settings() == named
    given.write_text(LEAST)
    assert find_settings(given) == given
    with pytest.raises(SettingsError, match="from --settings"):
        find_settings(tmp_path / "absent.yaml")


def test_relative_paths_resolve_against_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tac.yaml").write_text(LEAST)
    monkeypatch.chdir("/")
    project = load_project(tmp_path / "tac.yaml")
    assert project.resolve("pictures") == str(tmp_path / "pictures")
    assert project.resolve("/else/where") == "/else/where"
    assert project.resolve("s3://bucket/photos") == "s3://bucket/photos"
    assert project.resolve("~/x") == str(Path.home() / "x")
    assert project.store_folder == tmp_path / "data" / "photos"
    assert project.resolve_file("openai") == "openai"
    assert project.resolve_file("weights/own.safetensors") == str(tmp_path / "weights/own.safetensors")


def test_the_files_of_an_encoder_are_resolved_and_its_names_are_not(tmp_path: Path) -> None:
    (tmp_path / "tac.yaml").write_text(LEAST + "encoder: {model: ViT-B-32, pretrained: weights/own.safetensors}\n")
    files = load_project(tmp_path / "tac.yaml").encoder_files
    assert files == ("ViT-B-32", str(tmp_path / "weights/own.safetensors"))


def test_a_section_whose_keys_are_all_commented_out_has_its_defaults() -> None:
    settings = parse_settings(
        "store: a\nimages: {source: b}\nclusters: {count: 3}\nheads:\n  # epochs: 5\nnouns:\n", name="tac.yaml"
    )
    assert settings.heads == HeadSettings()
    with pytest.raises(SettingsError, match=r"images\.source is required"):
        parse_settings("store: a\nimages:\nclusters: {count: 3}\n", name="tac.yaml")


# The packaged file of the first version, without its comments.
FIRST_VERSION = """\
store: photos
images: {source: ~/Pictures, labels: none}
encoder: {model: ViT-B-32-quickgelu, pretrained: openai, batch_size: 64, device: auto}
nouns: {source: wordnet, exclude_offensive: true}
training_set: {max_images: 200000}
clusters: {count: 10}
semantic_centers: {images_per_center: 300, count: null}
vocabulary: {nouns_per_center: 5}
retrieval: {tau: 0.005}
neighbors: {count: 50}
heads: {epochs: null, batch_size: null, temperature: null, balance_weight: 5.0, learning_rate: 0.001}
method: published
seed: 0
"""


def test_a_settings_file_of_the_first_version_is_still_one() -> None:
    settings = parse_settings(FIRST_VERSION, name="tac.yaml")
    assert (settings.method, settings.neighbors.count, settings.retrieval.tau) == ("published", 50, 0.005)


def test_a_shortlist_is_a_number_all_or_the_methods_own() -> None:
    for written, found in (("all", "all"), ("30", 30), ("null", None)):
        assert parse_settings(LEAST + f"vocabulary: {{shortlist: {written}}}\n", name="t").vocabulary.shortlist == found
    for wrong in ("some", "0", "true"):
        with pytest.raises(
            SettingsError, match=r"vocabulary.shortlist must be a whole number from 1, all or null; got"
        ):
            parse_settings(LEAST + f"vocabulary: {{shortlist: {wrong}}}\n", name="t")
