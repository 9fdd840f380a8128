"""Against catalogues served on loopback: a static one and an API."""

import hashlib
import json
import math
import threading
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import pystac
import pytest
import shapely
from typer.testing import CliRunner

from knowlip.cli.app import app
from knowlip.scenes.catalog import CatalogError, FoundAsset, Query, box_about, parse_moment, search
from knowlip.scenes.download import DownloadError, download

PORT_OF_LA = (-118.4, 33.6, -118.1, 33.9)
CONTENT = bytes(range(256)) * 9000


def item(name, lon, lat, when, checksum=None):
    box = shapely.box(lon - 0.1, lat - 0.1, lon + 0.1, lat + 0.1)
    made = pystac.Item(
        name,
        shapely.geometry.mapping(box),
        list(box.bounds),
        when,
        {"platform": "umbra-05", "sar:polarizations": ["VV"]},
    )
    fields = {"file:size": len(CONTENT), "file:checksum": checksum or "1220" + hashlib.sha256(CONTENT).hexdigest()}
    made.add_asset("gec", pystac.Asset(f"./{name}_GEC.tif", extra_fields=fields))
    made.add_asset("meta", pystac.Asset(f"./{name}.json"))
    return made


def static_catalogue(folder):
    root = pystac.Catalog("open-data", "a test")
    for year, lon in ((2023, -118.25), (2024, -118.25), (2024, 13.4)):
        place = "la" if lon < 0 else "berlin"
        when = datetime(year, 3, 7, 12, tzinfo=UTC)
        branch = pystac.Catalog(f"{place}-{year}", f"{year}")
        branch.add_item(item(f"{place}-{year}", lon, 33.75 if lon < 0 else 52.5, when))
        root.add_child(branch)
    root.normalize_and_save(str(folder), pystac.CatalogType.SELF_CONTAINED)
    for path in folder.rglob("*.json"):
        if path.stem.startswith(("la", "berlin")):
            path.with_name(f"{path.stem}_GEC.tif").write_bytes(CONTENT)


@pytest.fixture
def serve():
    servers = []

    def start(handler):
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def catalogue(tmp_path, serve):
    folder = tmp_path / "served"
    static_catalogue(folder)

    class Quiet(SimpleHTTPRequestHandler):
        asked: ClassVar[list[str]] = []

        def log_message(self, *_):
            self.asked.append(self.path)

    return serve(partial(Quiet, directory=str(folder))) + "/catalog.json", Quiet.asked


def test_a_static_catalogue_gives_what_lies_in_place_and_time(catalogue):
    url, _ = catalogue
    found = search(url, Query(PORT_OF_LA))
    assert [f.item_id for f in found] == ["la-2024", "la-2023"]
    assert found[0].covers == pytest.approx(0.2 * 0.2 / (0.3 * 0.3), rel=0.3)
    assert [a.href.rsplit("/", 1)[1] for a in found[0].assets] == ["la-2024_GEC.tif"]
    early = search(url, Query(PORT_OF_LA, end=datetime(2023, 12, 31, tzinfo=UTC)))
    assert [f.item_id for f in early] == ["la-2023"]


def test_branches_of_other_years_are_not_read(catalogue):
    url, asked = catalogue
    asked.clear()
    search(url, Query(PORT_OF_LA, start=datetime(2024, 1, 10, tzinfo=UTC)))
    assert not any("2023" in path for path in asked)
    assert any("2024" in path for path in asked)


def test_an_api_is_asked_with_box_period_and_collections(serve):
    asked = []

    class Api(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def answer(self, body):
            data = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self):
            base = f"http://127.0.0.1:{self.server.server_port}"
            if urlsplit(self.path).path == "/":
                conforms = ["https://api.stacspec.org/v1.0.0/core", "https://api.stacspec.org/v1.0.0/item-search"]
                links = [
                    {"rel": "self", "href": base},
                    {"rel": "root", "href": base},
                    {"rel": "search", "href": f"{base}/search", "type": "application/geo+json", "method": "POST"},
                ]
                root = {"type": "Catalog", "id": "api", "description": "d", "stac_version": "1.0.0"}
                self.answer(root | {"links": links, "conformsTo": conforms})
            else:
                asked.append(parse_qs(urlsplit(self.path).query))
                self.answer({"type": "FeatureCollection", "features": [], "links": []})

        def do_POST(self):
            asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            feature = item("s1", -118.25, 33.75, datetime(2024, 5, 1, tzinfo=UTC)).to_dict()
            self.answer({"type": "FeatureCollection", "features": [feature], "links": []})

    url = serve(Api)
    period = parse_moment("2024-04-01"), parse_moment("2024-06-01", end=True)
    found = search(url, Query(PORT_OF_LA, *period))
    assert [f.item_id for f in found] == ["s1"]
    assert asked[0]["bbox"] == list(PORT_OF_LA)
    assert asked[0]["datetime"].startswith("2024-04-01T00:00:00Z/2024-06-01T23:59:59")


def test_a_download_is_whole_checked_and_not_fetched_twice(catalogue, tmp_path):
    url, asked = catalogue
    asset = search(url, Query(PORT_OF_LA))[0].assets[0]
    path = download(asset, tmp_path / "out")
    assert path.read_bytes() == CONTENT
    asked.clear()
    assert download(asset, tmp_path / "out") == path
    assert asked == []


def test_a_download_that_broke_off_goes_on_where_it_was(serve, tmp_path):
    ranges = []

    class Breaks(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            start = int((self.headers.get("Range") or "bytes=0-")[6:].rstrip("-"))
            ranges.append(start)
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(CONTENT) - start))
            self.end_headers()
            # each answer ends early, the last one does not
            self.wfile.write(CONTENT[start : start + 1_200_000])

    asset = FoundAsset("gec", f"{serve(Breaks)}/x.tif", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    assert download(asset, tmp_path).read_bytes() == CONTENT
    assert ranges[0] == 0
    assert all(r > 0 for r in ranges[1:])
    assert len(ranges) >= 2


@pytest.mark.parametrize(("field", "value"), [("size_bytes", 7), ("sha256", "0" * 64)])
def test_a_file_that_is_not_what_was_stated_is_refused_and_leaves_nothing(catalogue, tmp_path, field, value):
    url, _ = catalogue
    href = search(url, Query(PORT_OF_LA))[0].assets[0].href
    with pytest.raises(DownloadError, match=r"stated|states"):
        download(FoundAsset("gec", href, **{field: value}), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_refused_download_says_what_the_server_answered(catalogue, tmp_path):
    url, _ = catalogue
    with pytest.raises(DownloadError, match="404"):
        download(FoundAsset("x", url.replace("catalog.json", "nothing.tif")), tmp_path)


def test_no_catalogue_is_one_clear_line(tmp_path):
    (tmp_path / "page.json").write_text("{}")
    for where in (str(tmp_path / "page.json"), "http://127.0.0.1:9/catalog.json"):
        with pytest.raises(CatalogError, match="cannot be read as a STAC catalogue"):
            search(where, Query(PORT_OF_LA))


def test_boxes_are_as_wide_as_asked_at_any_latitude():
    for lat in (0.0, 34.0, -60.0):
        west, south, east, north = box_about(lat, 10.0, 20.0)
        assert (north - south) * 111.195 == pytest.approx(20, rel=1e-3)
        assert (east - west) * 111.195 * math.cos(math.radians(lat)) == pytest.approx(20, rel=1e-3)


def test_find_command_lists_downloads_and_plans(catalogue, tmp_path):
    url, _ = catalogue
    run = CliRunner().invoke
    listed = run(app, ["scenes", "find", "--city", "Los Angeles", "--side-km", "80", "--catalog", url, "--json", "-q"])
    assert listed.exit_code == 0, listed.output
    assert [f["id"] for f in json.loads(listed.stdout)["found"]] == ["la-2024", "la-2023"]
    args = ["scenes", "find", "--bbox", "-118.4,33.6,-118.1,33.9", "--catalog", url, "-q", "--from", "2024-01-01"]
    fetched = run(app, [*args, "--download", "--out", str(tmp_path / "d")])
    assert fetched.exit_code == 0, fetched.output
    assert [p.name for p in (tmp_path / "d").rglob("*.tif")] == ["la-2024_GEC.tif"]
    planned = run(
        app, ["scenes", "find", "--plan", "135", "--catalog", url, "--out", str(tmp_path / "p"), "--json", "-q"]
    )
    assert planned.exit_code == 0, planned.output
    answer = json.loads(planned.stdout)
    assert answer["cities"] == 135
    rows = (tmp_path / "p" / "plan.csv").read_text().splitlines()
    assert any(row.startswith("Berlin,DE,0,berlin-2024") for row in rows)
    assert "Berlin" not in answer["without"]
