"""The smallest real table, once: the whole benchmark is `python -m benchmarks.parity`."""

from dataclasses import replace

from benchmarks import parity
from benchmarks import reference_data as reference_data_files
from tac_pipeline.method.clusters.evaluation import score


def test_a_real_table_reaches_the_floor(reference_data, monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.setenv(reference_data_files.DATA_VARIABLE, str(reference_data))
    # Regenerate the reference's figures: python -m benchmarks.parity --tables food10. One seed varies by 0.5.
    assert parity.main(["--tables", "food10", "--seeds", "0", "--json", str(tmp_path / "scores.json")]) == 0
    shown = capsys.readouterr().out
    assert "fitted and scored on all rows" in shown
    assert '"trained"' in (tmp_path / "scores.json").read_text()


def test_a_missed_floor_is_said(monkeypatch, tmp_path, capsys) -> None:
    right = score(["cat", "dog"], [0, 1])
    bad, good = (replace(right, nmi=value, acc=value, ari=value) for value in (0.1, 0.99))
    scores = dict.fromkeys(parity.RESULTS, good) | {"trained": bad}
    runs = {"food10": [parity.SeedScores(0, scores, 1.0, 2.0)]}
    assert parity.misses(runs) == ["food10, trained: NMI 10.0 is below the floor 85.8"]


def test_missing_data_is_said(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv(reference_data_files.DATA_VARIABLE, str(tmp_path))
    try:
        parity.main(["--tables", "food10"])
    except SystemExit as stop:
        assert "set $TAC_REFERENCE_DATA" in str(stop)
    else:
        raise AssertionError("the benchmark ran without data")
