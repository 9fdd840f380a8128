"""A product's files, in a folder or in a zip archive that is never unpacked."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from knowlip.core.errors import SceneError

MAX_MEMBERS = 10_000
MAX_TEXT_BYTES = 64 << 20


@dataclass(frozen=True)
class Package:
    """A folder, or a zip archive.

    Attributes:
        path: The folder or the archive.
    """

    path: Path

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of all files, relative, with slashes, sorted.

        Raises:
            SceneError: Not a readable archive, one that holds names which lead out of it, or far too many files.
        """
        if self.path.is_dir():
            found = [p.relative_to(self.path).as_posix() for p in self.path.rglob("*") if p.is_file()]
            return tuple(sorted(found))
        with _opened(self.path) as archive:
            members = [m.filename for m in archive.infolist() if not m.is_dir()]
        if len(members) > MAX_MEMBERS:
            raise SceneError(
                self.path, f"holds {len(members)} files", "A product has some dozens; do not use this file"
            )
        for name in members:
            if "\\" in name or ":" in name or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise SceneError(self.path, f"holds a file whose name leads out of it ({name})", "Do not use this file")
        return tuple(sorted(members))

    def read(self, name: str) -> bytes:
        """The content of a small file.

        Raises:
            SceneError: Missing, damaged, or larger than 64 MiB.
        """
        try:
            if self.path.is_dir():
                file = self.path / name
                if file.stat().st_size > MAX_TEXT_BYTES:
                    raise SceneError(file, f"is larger than {MAX_TEXT_BYTES >> 20} MiB", "Do not use this file")
                return file.read_bytes()
            with _opened(self.path) as archive, archive.open(name) as member:
                # the size that the archive states need not be the true one
                data = member.read(MAX_TEXT_BYTES + 1)
        except (OSError, KeyError, zipfile.BadZipFile, RuntimeError, EOFError) as error:
            raise SceneError(self.subject(name), f"cannot be read ({error})", "Fetch the product again") from error
        except (ValueError, zlib.error) as error:
            raise SceneError(self.subject(name), f"is damaged ({error})", "Fetch the product again") from error
        if len(data) > MAX_TEXT_BYTES:
            raise SceneError(self.subject(name), f"is larger than {MAX_TEXT_BYTES >> 20} MiB", "Do not use this file")
        return data

    def subject(self, name: str) -> str:
        """A file's name as errors show it."""
        return f"{self.path}/{name}"

    def gdal_path(self, name: str) -> str:
        """What GDAL opens a file of the package by."""
        return str(self.path / name) if self.path.is_dir() else f"/vsizip/{{{self.path.resolve()}}}/{name}"

    def identity(self) -> str:
        """Names and sizes of all files, as text: another product has another one."""
        if self.path.is_dir():
            return ";".join(f"{n}:{(self.path / n).stat().st_size}" for n in self.names)
        return f"{self.path.name}:{self.path.stat().st_size}"


def stamp(path: Path) -> str:
    """Place, size and time of a file or of all files of a folder, as text: what a raster made of them depends on."""
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    return ";".join(f"{f.resolve()}:{f.stat().st_size}:{f.stat().st_mtime_ns}" for f in files)


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, EOFError, struct.error) as error:
        raise SceneError(path, f"is not a readable zip archive ({error})", "Fetch the product again") from error
    with archive:
        yield archive
