"""What a worker may read for strangers: files in folders that were named, and URLs that begin as was said."""

from __future__ import annotations

import ssl
from collections.abc import Generator, Sequence
from http import HTTPStatus
from urllib.parse import urlsplit

import httpcore

from datapunk.outbound import AddressRefused, Guard, GuardedBlockingNetwork, Network, host_of
from workflows.lake.files.buckets import fetch_object, is_object
from workflows.lake.files.errors import BadFile
from workflows.lake.files.sources import DOWNLOAD_TIMEOUT_S, is_url
from workflows.lake.settings import LakeSettings

USER_AGENT = "datapunk-lake/1"


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


def fetch(url: str, allowed_networks: Sequence[Network] = ()) -> Generator[bytes]:
    """What is behind a URL that was allowed, if it leads to no private address; redirections aren't followed.

    Raises:
        SourceForbidden: if it leads to an address that isn't public.
        BadFile: if it can't be had, or not all of it.
    """
    if is_object(url):  # at an endpoint of the operator's, not of whoever names the object
        yield from fetch_object(url)
        return
    network = GuardedBlockingNetwork(Guard(allowed_networks, "DATAPUNK_LAKE_ALLOWED_NETWORKS"))
    target = httpcore.URL(url)
    headers = {"user-agent": USER_AGENT, **host_of(target)}
    timeouts = dict.fromkeys(("connect", "read", "write", "pool"), DOWNLOAD_TIMEOUT_S)
    try:
        with (
            httpcore.ConnectionPool(ssl_context=ssl.create_default_context(), network_backend=network) as pool,
            pool.stream("GET", target, headers=headers, extensions={"timeout": timeouts}) as answer,
        ):
            if answer.status != HTTPStatus.OK:
                hint = ", and redirections aren't followed" if answer.status // 100 == 3 else ""
                raise BadFile(f"{url} can't be read: it answered {answer.status}{hint}")
            yield from answer.iter_stream()
    except AddressRefused as error:
        raise SourceForbidden(f"{url}: {error}") from None
    except httpcore.RemoteProtocolError as error:
        raise BadFile(f"{url} is cut off: {error}; try again") from None
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, OSError, ValueError) as error:
        raise BadFile(f"{url} can't be read: {str(error) or type(error).__name__}") from None


def _is_under(url: str, prefix: str) -> bool:
    given, allowed = urlsplit(url), urlsplit(prefix)
    is_same_place = (given.scheme, given.netloc) == (allowed.scheme, allowed.netloc)
    is_plain = "/../" not in f"{given.path}/" and "/./" not in f"{given.path}/" and "%2e" not in given.path.lower()
    return is_same_place and is_plain and given.path.startswith(allowed.path)
