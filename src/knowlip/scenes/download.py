"""Fetch files over HTTP or from an object store: resumed where a transfer broke off, checked, whole or not there."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

import requests

from knowlip.core.errors import KnowlipError
from knowlip.core.folder import cannot_write
from knowlip.scenes.catalog import FoundAsset

_CHUNK = 1 << 20
_TIMEOUT_S = (10, 60)
_TRIES = 4


class DownloadError(KnowlipError):
    """A file that cannot be fetched whole."""


def download(asset: FoundAsset, folder: Path, progress: Callable[[int], None] = lambda more: None) -> Path:
    """Fetch a file into a folder, or find that it is there already.

    What has arrived waits under the name with `.part`; a later call goes on from there. A file takes its name only when
    its size and checksum, where the catalogue states them, are right.

    Args:
        asset: Address, and size and SHA-256 where known.
        folder: Where to, made when missing.
        progress: Called with the number of bytes that came since the last call.

    Raises:
        DownloadError: The server refuses, the transfer breaks off again and again, or the file is not what was stated.
        OutputError: The folder cannot be written.
    """
    name = Path(unquote(urlsplit(asset.href).path)).name
    if not name or name in (".", ".."):
        raise DownloadError(asset.href, "names no file", "Choose another asset")
    target = folder / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if target.is_file() and (asset.size_bytes is None or target.stat().st_size == asset.size_bytes):
            return target
        part = target.with_name(f"{name}.part")
        _fetch(asset, part, progress)
        _check(asset, part)
        os.replace(part, target)
    except requests.RequestException as error:
        raise DownloadError(asset.href, f"cannot be fetched ({error})", "Run the same command again") from error
    except OSError as error:
        raise cannot_write(str(target), error) from error
    return target


def _fetch(asset: FoundAsset, part: Path, progress: Callable[[int], None]) -> None:
    if urlsplit(asset.href).scheme not in ("http", "https"):
        _copy(asset, part, progress)
        return
    for attempt in range(_TRIES):
        have = part.stat().st_size if part.exists() else 0
        if have and have == asset.size_bytes:
            return
        try:
            if _stream(asset.href, part, have, progress):
                return
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError):
            if attempt == _TRIES - 1:
                raise
    raise DownloadError(asset.href, f"broke off {_TRIES} times", "Run the same command again; it goes on from there")


def _stream(href: str, part: Path, have: int, progress: Callable[[int], None]) -> bool:
    """Append what is missing; says whether all has come."""
    headers = {"Range": f"bytes={have}-", "Accept-Encoding": "identity"} if have else {"Accept-Encoding": "identity"}
    with requests.get(href, headers=headers, stream=True, timeout=_TIMEOUT_S) as answer:
        if answer.status_code == requests.codes.requested_range_not_satisfiable:
            # all of it was there already, or it changed on the server: only a fresh start can tell
            part.unlink(missing_ok=True)
            return False
        if answer.status_code >= 400:
            remedy = "Log in there, or choose another catalogue" if answer.status_code in (401, 403) else "Try later"
            raise DownloadError(href, f"the server answers {answer.status_code} {answer.reason}", remedy)
        # a server that does not know ranges sends it all again
        resumed = answer.status_code == requests.codes.partial_content
        stated = answer.headers.get("Content-Length")
        came = 0
        with part.open("ab" if resumed else "wb") as file:
            for chunk in answer.iter_content(_CHUNK):
                file.write(chunk)
                came += len(chunk)
                progress(len(chunk))
    return stated is None or came == int(stated)


def _copy(asset: FoundAsset, part: Path, progress: Callable[[int], None]) -> None:
    """From a local path or any fsspec address such as `s3://`."""
    import fsspec

    try:
        with fsspec.open(asset.href, "rb") as source, part.open("wb") as file:
            shutil.copyfileobj(source, file, _CHUNK)
            progress(file.tell())
    except (FileNotFoundError, ImportError, ValueError, PermissionError) as error:
        raise DownloadError(asset.href, f"cannot be read ({error})", "Check the address and your access") from error


def _check(asset: FoundAsset, part: Path) -> None:
    size = part.stat().st_size
    if asset.size_bytes is not None and size != asset.size_bytes:
        part.unlink()
        raise DownloadError(asset.href, f"has {size} bytes where {asset.size_bytes} were stated", "Run it again")
    if asset.sha256 is not None:
        with part.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != asset.sha256:
            part.unlink()
            raise DownloadError(asset.href, "has another checksum than the catalogue states", "Run it again")
