"""The page, read by a strict HTML parser and driven in a real browser where there is one."""

import base64
import json
import re
import shutil
import subprocess
from html import unescape

import html5lib
import numpy as np
import pytest
import rasterio
from rasterio.io import MemoryFile

from fakes_review import data_of, marks_of
from knowlip.hcot.review.marks import mark_rows
from knowlip.hcot.review.page import page
from knowlip.hcot.review.sample import SampleSpec

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
browser = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, which is not installed")


@pytest.fixture
def made(described):
    return page(described, SampleSpec("all", tiles=6))


def test_the_page_is_valid_html_and_needs_nothing_else(made):
    html, _ = made
    root = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(html)
    assert not [e for e in root.iter() if e.get("src") or e.get("href")]
    (policy,) = (e.get("content") for e in root.iter("meta") if e.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    assert not re.search(r"https?://", html)


def test_every_control_has_a_name(made):
    html, _ = made
    root = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(html)
    ids = [e.get("id") for e in root.iter() if e.get("id")]
    assert len(ids) == len(set(ids))
    assert all("".join(b.itertext()).strip() or b.get("aria-label") for b in root.iter("button"))
    labelled = {e for label in root.iter("label") for e in label.iter()}
    assert all(e in labelled or e.get("hidden") is not None for e in root.iter() if e.tag in ("select", "input"))


def test_the_page_carries_the_statements_and_pictures_of_the_corpus(described, made):
    html, counts = made
    data = data_of(html)
    assert counts["tiles"] == len(data["tiles"])
    said = {r["statement_id"]: r for r in described.statements().to_pylist()}
    for tile in data["tiles"]:
        for s in tile["statements"]:
            assert s["text"] == said[s["id"]]["text"]
            assert all(s["text"][x["start"] : x["end"]] == x["value"] for x in s["slots"])
        with MemoryFile(base64.b64decode(tile["picture"].partition(",")[2])) as memory, memory.open() as picture:
            grey = picture.read(1)
        scene = described.tiles.at[tile["id"], "knowlip:scene"]
        with rasterio.open(described.folder.path(f"tiles/{scene}/{tile['id']}.tif")) as dataset:
            stored = dataset.read(1)
        assert grey.shape == stored.shape == (tile["height"], tile["width"])
        # brighter in the file is no darker in the picture
        order = np.argsort(stored, axis=None)
        assert (np.diff(grey.ravel()[order].astype(int)) >= 0).mean() > 0.999


def test_words_that_look_like_html_stay_words(described):
    info = described.info | {"name": "</script><script>alert(1)</script>"}
    html, _ = page(type(described)(described.folder, info), SampleSpec("all", tiles=2))
    assert "<script>alert" not in html
    assert data_of(html)["corpus"] == info["name"]


def drive(html, script, tmp_path):
    """What a script left in `window.found` of the page, opened for the first time by the reviewer Ada."""
    before = "<script>localStorage.setItem('knowlip-review/reviewer', 'Ada')</script>"
    after = """<pre id="found"></pre><script>
    const key = (k, more = {}) => document.activeElement.dispatchEvent(
      new KeyboardEvent("keydown", { key: k, bubbles: true, cancelable: true, ...more }));
    const show = (value) => { document.getElementById("found").textContent = JSON.stringify(value); };
    window.addEventListener("error", (e) => show({ error: e.message }));
    %s
    </script>"""
    at = html.rindex("</body>")
    driven = html[:at].replace("<body>", f"<body>{before}", 1) + after % script + html[at:]
    path = tmp_path / "driven.html"
    path.write_text(driven)
    args = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    dumped = subprocess.run(
        [CHROMIUM, *args, "--virtual-time-budget=60000", "--dump-dom", path.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    ).stdout
    return json.loads(unescape(re.search(r'<pre id="found">(.*?)</pre>', dumped, re.DOTALL)[1]))


@browser
def test_keys_mark_slots_and_what_is_saved_goes_back_into_the_corpus(described, made, tmp_path):
    html, counts = made
    script = """
    key("1"); key("2"); key("3"); key("a"); key("ArrowLeft"); key("0"); key("u"); key("PageDown"); key("2");
    let name = "";
    HTMLAnchorElement.prototype.click = function () { name = this.download; };
    URL.createObjectURL = (blob) => { blob.text().then((text) => show({
      name, file: JSON.parse(text), progress: document.getElementById("progress-text").textContent,
    })); return "blob:none"; };
    key("s", { ctrlKey: true });
    """
    found = drive(html, script, tmp_path)
    assert found["name"] == "marks.json"
    path = tmp_path / "marks.json"
    path.write_text(json.dumps(found["file"]))
    rows = mark_rows(described, path)
    assert {r["reviewer"] for r in rows} == {"Ada"}
    assert found["progress"] == f"{len(rows)} of {counts['slots']} slots marked"
    # the first three slots of the page, the rest of the sentence that the fourth is in, and the next tile's first
    tiles = data_of(html)["tiles"]
    slots = [(s["id"], x["start"]) for s in tiles[0]["statements"] for x in s["slots"]]
    rest = [k for k in slots[3:] if k[0] == slots[3][0]]
    second = tiles[1]["statements"][0]
    wanted = dict(zip(slots[:3], ("right", "wrong", "unclear"), strict=True)) | dict.fromkeys(rest, "right")
    assert {(r["statement_id"], r["start"]): r["verdict"] for r in rows} == wanted | {
        (second["id"], second["slots"][0]["start"]): "wrong"
    }


@browser
def test_a_closed_page_goes_on_where_it_was(made, tmp_path):
    html, _ = made
    script = """
    if (sessionStorage.getItem("again")) {
      show([Object.keys(marks).length, at, document.activeElement.dataset.index, $("told").textContent]);
    } else {
      sessionStorage.setItem("again", "1");
      key("1"); key("1");
      location.reload();
    }"""
    assert drive(html, script, tmp_path) == [2, 2, "2", "Going on after 2 marks."]


@browser
def test_a_filter_leads_only_to_what_it_asks_for(made, tmp_path):
    html, _ = made
    script = """
    key("2"); key("1"); key("2");
    $("show").value = "wrong"; $("show").dispatchEvent(new Event("change"));
    const seen = [at]; slotButton(at).focus();
    for (const k of ["ArrowLeft", "ArrowLeft", "ArrowRight", "ArrowRight"]) { key(k); seen.push(at); }
    $("show").value = "right"; $("dimension").value = "landform/water"; $("show").dispatchEvent(new Event("change"));
    show([seen, $("none").hidden]);"""
    seen, nothing_hidden = drive(html, script, tmp_path)
    assert seen[1:] == [0, 0, 2, 2]
    assert nothing_hidden is False


@browser
def test_a_length_is_measured_in_metres_whatever_the_zoom(made, tmp_path):
    html, _ = made
    script = """
    key("+"); key("+");
    const [a, b] = [[0, 0], [100, 0]].map(([x, y]) => {
      const box = $("view").getBoundingClientRect(), scale = size().scale * look.zoom;
      return { clientX: box.left + look.x + x * scale, clientY: box.top + look.y + y * scale };
    });
    $("view").setPointerCapture = () => {};
    const point = (type, at) => $("view").dispatchEvent(new PointerEvent(type, { ...at, shiftKey: true }));
    point("pointerdown", a); point("pointermove", b); point("pointerup", b);
    show([look.zoom > 1, $("length").textContent, DATA.tiles[shownTile].gsd_x_m]);"""
    zoomed, length, gsd_m = drive(html, script, tmp_path)
    assert zoomed
    assert float(length.removesuffix(" m")) == pytest.approx(100 * gsd_m, rel=0.01)


@browser
def test_marks_of_another_computer_are_taken_and_those_of_another_reviewer_are_not(made, tmp_path):
    html, _ = made
    data = data_of(html)
    mine, others = (marks_of(data, name, lambda said, slot: "wrong") for name in ("Ada", "Bo"))
    files = json.dumps([others, {**mine, "fingerprint": "another"}, mine])
    script = (
        f"const files = {files};"
        + """
    const told = [];
    (async () => {
      key("1");
      for (const value of files) {
        await openMarks(new File([JSON.stringify(value)], "marks.json"));
        told.push($("told").textContent);
      }
      show([told, Object.values(marks).map((m) => m.verdict)]);
    })();"""
    )
    told, verdicts = drive(html, script, tmp_path)
    assert told[0] == "marks.json holds the marks of Bo, not of Ada."
    assert told[1] == "marks.json holds no marks of this corpus."
    # the mark made here is later than the file's, and stays
    assert sorted(verdicts) == ["right"] + ["wrong"] * (len(mine["marks"]) - 1)
