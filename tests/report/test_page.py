"""The file: escaped, whole, and allowed to run only its own script."""

import base64
import hashlib
import json
import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from made_up import HOSTILE, made_up_contents, made_up_tables

from tac_pipeline.report import write_page
from tac_pipeline.report.page import PAGE_FOLDER, SCRIPTS, embedded_json

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(json_values | st.sampled_from([*HOSTILE, "</SCRIPT >", "<!--", "]]>", "&lt;"]))
def test_json_in_the_page_reads_back_and_cannot_end_its_element(value: object) -> None:
    text = embedded_json(value)
    assert json.loads(text) == value
    assert not set("<>&\u2028\u2029") & set(text)


def test_the_policy_allows_this_script_and_this_style_and_no_network(tmp_path: Path) -> None:
    page = written(tmp_path)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    said = policy.group(1).replace("&#39;", "'").replace("&#43;", "+")
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert script is not None
    assert style is not None
    assert said == (
        f"default-src 'none'; script-src '{digest(script.group(1))}'; style-src '{digest(style.group(1))}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    assert not re.search(r"""(src|href)=["'](https?:)?//""", page)


def digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    page = written(tmp_path, store="<b>&'\"", names=HOSTILE)
    outside = re.sub(r"<script.*?</script>|<style>.*?</style>", "", page, flags=re.DOTALL)
    assert "<b>" not in outside
    assert "<img" not in outside
    assert "&lt;img src=x onerror=alert(1)&gt;.jpg" in outside  # for readers without scripts
    assert page.count("</script>") == page.count("<script")


def test_the_page_is_the_same_for_the_same_result(tmp_path: Path) -> None:
    assert written(tmp_path) == written(tmp_path)


def test_every_script_of_the_package_is_on_the_page() -> None:
    assert {path.name for path in PAGE_FOLDER.glob("*.js")} == set(SCRIPTS)
    text = "".join((PAGE_FOLDER / name).read_text(encoding="utf-8") for name in SCRIPTS)
    assert "innerHTML" not in text
    assert "</script" not in text.lower()


def written(folder: Path, **changes: object) -> str:
    write_page(folder / "page.html", made_up_contents(made_up_tables(8, **changes)))  # type: ignore[arg-type]
    return (folder / "page.html").read_text(encoding="utf-8")
