"""A folder on a local disk or an object store, read and written in whole files that are either there or not."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from knowlip.core.errors import ConfigError, CorpusError, OutputError

ROW_GROUP = 4096
"""Rows of a table that are written, and can be read, at a time."""
LONG_ROW_GROUP = 32_768
"""The same of long tables whose words repeat: each group has a dictionary of its own."""


@dataclass(frozen=True)
class Folder:
    """A root that files are read from and written to by relative name.

    Every write is atomic: locally through a temporary name in the same folder and a rename, on object stores because
    an object appears only when its upload is complete.

    Args:
        root: A path or any fsspec URL (`s3://bucket/corpus`, `memory://corpus`).
    """

    root: str

    @cached_property
    def _fs_and_base(self) -> tuple[Any, str]:
        try:
            fs, base = fsspec.url_to_fs(str(self.root))
        except (ValueError, ImportError) as error:
            reason = f"is not a place that can be opened ({error})"
            raise ConfigError(self.root, reason, "Use a folder, or install what its protocol needs") from error
        return fs, base.rstrip("/")

    @property
    def is_local(self) -> bool:
        """Whether files can be opened by path."""
        return isinstance(self._fs_and_base[0], fsspec.implementations.local.LocalFileSystem)

    def path(self, name: str = "") -> str:
        """The full path or URL of a file, as rasterio, pyarrow and people want it."""
        fs, base = self._fs_and_base
        full = f"{base}/{name}" if name else base
        return full if self.is_local else str(fs.unstrip_protocol(full))

    def exists(self, name: str = "") -> bool:
        """Whether a file or folder of this name is there."""
        fs, base = self._fs_and_base
        return bool(fs.exists(f"{base}/{name}" if name else base))

    def names(self, pattern: str) -> list[str]:
        """Sorted names of the files that match a glob pattern below the root."""
        fs, base = self._fs_and_base
        return sorted(str(p)[len(base) + 1 :] for p in fs.glob(f"{base}/{pattern}"))

    def read_bytes(self, name: str) -> bytes:
        """The content of a file. Raises FileNotFoundError."""
        fs, base = self._fs_and_base
        if self.is_local:
            with open(f"{base}/{name}", "rb", buffering=0) as file:
                return file.readall()
        return bytes(fs.cat_file(f"{base}/{name}"))

    def write_bytes(self, name: str, data: bytes) -> None:
        """Write a whole file or nothing of it.

        Raises:
            OutputError: The place cannot be written, or the disk is full.
        """
        fs, base = self._fs_and_base
        target = f"{base}/{name}"
        try:
            if not self.is_local:
                fs.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
                fs.pipe_file(target, data)
                return
            temporary = f"{target}.{os.getpid()}.part"
            try:
                try:
                    file = open(temporary, "wb")  # noqa: SIM115 - the folder is made only where it is not there yet
                except FileNotFoundError:
                    os.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
                    file = open(temporary, "wb")  # noqa: SIM115
                with file:
                    file.write(data)
                os.replace(temporary, target)
            except BaseException:
                if os.path.exists(temporary):
                    os.unlink(temporary)
                raise
        except OSError as error:
            raise cannot_write(self.path(name), error) from error

    def remove(self, name: str) -> None:
        """Remove a file or a folder with all it holds; nothing happens when it is not there."""
        fs, base = self._fs_and_base
        if fs.exists(f"{base}/{name}"):
            fs.rm(f"{base}/{name}", recursive=True)

    def sweep(self) -> None:
        """Remove the half-written files of processes that were killed; object stores have none."""
        for name in self.names("**/*.part") if self.is_local else ():
            self.remove(name)

    def read_json(self, name: str) -> Any:
        """The content of a JSON file."""
        return json.loads(self.read_bytes(name))

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file, indented, keys in the order given."""
        self.write_bytes(name, (json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n").encode())

    def read_table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """The content of a Parquet file.

        Raises:
            CorpusError: It is missing or damaged.
        """
        try:
            return pq.read_table(pa.BufferReader(self.read_bytes(name)), columns=columns)
        except (OSError, pa.ArrowException) as error:
            raise self._unreadable(name, error) from error

    @contextmanager
    def parquet(self, name: str) -> Iterator[pq.ParquetFile]:
        """A Parquet file, opened to be read in parts.

        Raises:
            CorpusError: It is missing or damaged.
        """
        fs, base = self._fs_and_base
        try:
            with fs.open(f"{base}/{name}", "rb") as stream, pq.ParquetFile(stream) as file:
                yield file
        except (OSError, pa.ArrowException) as error:
            raise self._unreadable(name, error) from error

    def table_batches(self, name: str, columns: list[str] | None = None) -> Iterator[pa.Table]:
        """The content of a Parquet file in order, some thousand rows at a time.

        Raises:
            CorpusError: It is missing or damaged.
        """
        with self.parquet(name) as file:
            for batch in file.iter_batches(ROW_GROUP, columns=columns):
                yield pa.Table.from_batches([batch])

    def sha256(self, name: str) -> str:
        """The SHA-256 of a file, without reading it into memory whole."""
        fs, base = self._fs_and_base
        with fs.open(f"{base}/{name}", "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    def _unreadable(self, name: str, error: Exception) -> CorpusError:
        remedy = "Run the command that made it again, into a new folder"
        return CorpusError(self.path(name), f"cannot be read ({error})", remedy)

    def write_table(self, name: str, table: pa.Table) -> None:
        """Write a Parquet file, zstd-compressed."""
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        self.write_bytes(name, sink.getvalue().to_pybytes())

    @contextmanager
    def table_writer(
        self, name: str, schema: pa.Schema, row_group: int = ROW_GROUP
    ) -> Iterator[Callable[[pa.Table], None]]:
        """Write a Parquet file piece by piece, in row groups, so that it need not fit into memory.

        Args:
            row_group: Rows of each group but the last; so many are in memory.

        Yields:
            What takes the next rows. The file appears when the block ends without an error.

        Raises:
            OutputError: The place cannot be written, or the disk is full.
        """
        with self.file_writer(name) as path, pq.ParquetWriter(path, schema, compression="zstd") as writer:
            waiting: list[pa.Table] = []

            def write(table: pa.Table) -> None:
                waiting.append(table)
                if sum(map(len, waiting)) >= row_group:
                    together = pa.concat_tables(waiting)
                    whole = len(together) // row_group * row_group
                    writer.write_table(together.slice(0, whole), row_group_size=row_group)
                    waiting[:] = [together.slice(whole)]

            yield write
            if any(map(len, waiting)):
                writer.write_table(pa.concat_tables(waiting), row_group_size=row_group)

    @contextmanager
    def file_writer(self, name: str) -> Iterator[str]:
        """A local path to write a file to; it gets its name, or is uploaded, when the block ends without an error.

        Raises:
            OutputError: The place cannot be written, or the disk is full.
        """
        fs, base = self._fs_and_base
        target = f"{base}/{name}"
        temporary = f"{target}.{os.getpid()}.part"
        try:
            fs.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
            if not self.is_local:
                with tempfile.TemporaryDirectory() as folder:
                    yield f"{folder}/file"
                    fs.put_file(f"{folder}/file", target)
                return
            try:
                yield temporary
                os.replace(temporary, target)
            except BaseException:
                if os.path.exists(temporary):
                    os.unlink(temporary)
                raise
        except OSError as error:
            raise cannot_write(self.path(name), error) from error

    def __iter__(self) -> Iterator[str]:
        return iter(self.names("**"))


def cannot_write(path: str, error: OSError) -> OutputError:
    """The one sentence for a place that refuses a write, by what the system said."""
    if error.errno == errno.ENOSPC:
        return OutputError(path, "no space left on the disk", "Free some space and run the same command again")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return OutputError(path, "may not be written", "Choose another --out or change its permissions")
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return OutputError(path, "a file is where a folder should be", "Choose another --out")
    return OutputError(path, f"cannot be written ({error.strerror or error})", "Choose another --out")
