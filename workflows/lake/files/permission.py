"""What a worker may read for strangers: files in folders that were named, and URLs that begin as was said."""

from __future__ import annotations

import urllib.request
from collections.abc import Generator
from typing import Any
from urllib.parse import urlsplit

from workflows.lake.files.errors import BadFile
from workflows.lake.files.sources import download, is_url
from workflows.lake.settings import LakeSettings


class SourceForbidden(BadFile):
    """Workers may not read this source: settings name folders and URLs that they may."""

    code = "source_forbidden"


def check_source(source: str, settings: LakeSettings) -> str:
    """The source as it's to be opened.

    Raises:
        SourceForbidden: if it isn't among those allowed, links and `..` followed.
    """
    if is_url(source):
        if not any(_is_under(source, prefix) for prefix in settings.urls):
            raise SourceForbidden(f"{source}: DATAPUNK_LAKE_URLS doesn't allow it")
        return source
    for folder in settings.folders:
        root = folder.resolve()
        path = (root / source).resolve()
        if path.is_relative_to(root):
            return str(path)
    raise SourceForbidden(f"{source}: it's in none of the folders that DATAPUNK_LAKE_FOLDERS allows")


def fetch(url: str) -> Generator[bytes]:
    """What is behind a URL that was allowed; where that leads elsewhere, it's not followed.

    Raises:
        BadFile: if it can't be had.
    """
    return download(url, urllib.request.build_opener(_StayHere))


def _is_under(url: str, prefix: str) -> bool:
    given, allowed = urlsplit(url), urlsplit(prefix)
    is_same_place = (given.scheme, given.netloc) == (allowed.scheme, allowed.netloc)
    is_plain = "/../" not in f"{given.path}/" and "/./" not in f"{given.path}/" and "%2e" not in given.path.lower()
    return is_same_place and is_plain and given.path.startswith(allowed.path)


class _StayHere(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments: Any) -> None:
        return None  # answered with the redirection itself, which is an error then
