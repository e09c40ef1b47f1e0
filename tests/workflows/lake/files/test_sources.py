"""Files from URLs, and what workers may read for strangers."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from tests.loading_files import load
from workflows.lake.files.errors import BadFile
from workflows.lake.files.permission import SourceForbidden, check_source, fetch
from workflows.lake.settings import LakeSettings

LOOPBACK = (IPv4Network("127.0.0.0/8"),)
TOWNS = b"id,name\n1,Oslo\n2,Bergen\n"
BODIES = {"/towns.csv": TOWNS, "/towns.csv.gz": gzip.compress(TOWNS), "/short.csv": TOWNS, "/a%20b.csv": TOWNS}


class Server(BaseHTTPRequestHandler):
    """Serves the bodies, one of them cut off, and leads from one place to another."""

    def do_GET(self) -> None:  # as it's called
        place = self.path.partition("?")[0]
        if place == "/moved.csv":
            self.send_response(302)
            self.send_header("Location", "/towns.csv")
            self.end_headers()
            return
        body = BODIES.get(place)
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:10] if place == "/short.csv" else body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Where it is."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("place", ["/towns.csv", "/towns.csv.gz", "/towns.csv?page=1", "/a%20b.csv", "/moved.csv"])
def test_a_file_is_read_from_a_url(url: str, place: str) -> None:
    assert load(f"{url}{place}").rows == [(1, "Oslo"), (2, "Bergen")]


def test_a_download_that_is_cut_off_is_refused(url: str) -> None:
    with pytest.raises(BadFile, match="cut off: 10 of 24 bytes"):
        load(f"{url}/short.csv")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/towns.csv", "http://nowhere.invalid/towns.csv"])
def test_a_url_where_nobody_answers_is_refused(url: str) -> None:
    with pytest.raises(BadFile, match="can't be read"):
        load(url)


def test_what_is_not_there_is_refused(url: str) -> None:
    with pytest.raises(BadFile, match="Not Found"):
        load(f"{url}/nothing.csv")


def test_workers_are_not_led_elsewhere(url: str) -> None:
    assert b"".join(fetch(f"{url}/towns.csv", LOOPBACK)) == TOWNS
    with pytest.raises(BadFile, match="it answered 302, and redirections aren't followed"):
        b"".join(fetch(f"{url}/moved.csv", LOOPBACK))


@pytest.mark.parametrize(
    ("place", "told"),
    [("/nothing.csv", "it answered 404"), ("/short.csv", "is cut off: .*received 10 bytes, expected 24")],
)
def test_workers_tell_what_they_do_not_get(url: str, place: str, told: str) -> None:
    with pytest.raises(BadFile, match=told):
        b"".join(fetch(f"{url}{place}", LOOPBACK))


def test_workers_do_not_reach_private_addresses_whatever_the_name(url: str) -> None:
    for host in ("127.0.0.1", "localhost"):
        with pytest.raises(SourceForbidden, match="isn't public; DATAPUNK_LAKE_ALLOWED_NETWORKS may allow it"):
            b"".join(fetch(f"{url.replace('127.0.0.1', host)}/towns.csv"))


def test_workers_tell_where_nobody_answers() -> None:
    for url in ("http://127.0.0.1:1/towns.csv", "http://nowhere.invalid/towns.csv"):
        with pytest.raises(BadFile, match="can't be read"):
            b"".join(fetch(url, LOOPBACK))


ALLOWED = LakeSettings(urls=("https://data.example.com/towns/",))


@pytest.mark.parametrize(
    "place", ["https://data.example.com/towns/a.csv", "https://data.example.com/towns/2026/a.csv?x=/../"]
)
def test_urls_that_begin_as_was_said_are_allowed(place: str) -> None:
    assert check_source(place, ALLOWED) == place


@pytest.mark.parametrize(
    "place",
    [
        "http://data.example.com/towns/a.csv",
        "https://data.example.com/secrets.csv",
        "https://data.example.com.evil.example/towns/a.csv",
        "https://data.example.com@evil.example/towns/a.csv",
        "https://data.example.com:8443/towns/a.csv",
        "https://data.example.com/towns/../secrets.csv",
        "https://data.example.com/towns/%2E%2e/secrets.csv",
        "file:///etc/passwd",
        "/etc/passwd",
    ],
)
def test_all_others_are_forbidden(place: str) -> None:
    with pytest.raises(SourceForbidden):
        check_source(place, ALLOWED)


def test_files_are_read_from_the_folders_named_and_no_others(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "a.csv").write_bytes(TOWNS)
    (inside / "link.csv").symlink_to(outside / "a.csv")
    settings = LakeSettings(folders=(inside,))
    assert check_source("a.csv", settings) == check_source(str(inside / "a.csv"), settings) == str(inside / "a.csv")
    for source in ("../out/a.csv", str(outside / "a.csv"), "link.csv", "in/../../out/a.csv"):
        with pytest.raises(SourceForbidden):
            check_source(source, settings)
