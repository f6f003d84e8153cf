"""The bytes of a table file: decompressed, and checked not to be of another kind of file."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import re
import zipfile
import zlib
from pathlib import Path

from ..errors import DataError

__all__ = ["read_decompressed", "reject_other_kinds"]

COMPRESSED = {b"\x1f\x8b": gzip, b"BZh": bz2, b"\xfd7zXZ": lzma}
# First bytes of other kinds of files, whatever their names.
MAGIC_BYTES = {
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"ARROW1": "a feather file",
    b"FEA1": "a feather file",
    b"\x89HDF": "an HDF5 file",
    b"SQLite format": "a database",
    b"\x28\xb5\x2f\xfd": "packed by zstd",
    b"7z\xbc\xaf": "packed by 7-Zip",
    b"Rar!": "packed by RAR",
    b"<stata_dta>": "a Stata file",
    b"$FL2": "an SPSS file",
    b"$FL3": "an SPSS file",
    b"X\n\x00\x00\x00": "an R object",
    b"RDX": "R objects",
    b"\x80\x03": "a pickle",
    b"\x80\x04": "a pickle",
    b"\x80\x05": "a pickle",
    b"\x93NUMPY": "a NumPy array",
    b"<!": "a page of HTML or XML",
    b"<?": "a page of HTML or XML",
    b"<html": "a page of HTML or XML",
    b"version https://git-lfs": "a pointer of Git LFS to a file that was not downloaded",
}
JSON = re.compile(rb"[\[{]\s*(?:[\[{\"\]}]|$)")
TAR = (257, b"ustar")  # offset and value of the magic bytes of an archive


def read_decompressed(path: Path) -> bytes:
    """The bytes of a file, decompressed if it is a `gzip`, `bz2`, `xz` or `zip` file.

    Raises:
        DataError: The file is missing, damaged, or compressed in a way that cannot be read.
    """
    try:
        content = path.read_bytes()
        for start, module in COMPRESSED.items():
            if content.startswith(start):
                return module.decompress(content)
        if content[:4] == b"PK\x03\x04":
            return _unzipped(content, path)
    except FileNotFoundError as error:
        raise DataError(
            f"{path} is missing; dataset.path must name a CSV or parquet file"
        ) from error
    except IsADirectoryError as error:
        raise DataError(
            f"{path} is a folder; dataset.path must name a CSV file in it, or several, such as "
            f"'dataset.path={path}/*.csv'"
        ) from error
    except RuntimeError as error:
        raise DataError(f"{path} cannot be unpacked here ({error}); unpack it") from error
    except (EOFError, OSError, zipfile.BadZipFile, zlib.error, lzma.LZMAError) as error:
        raise DataError(f"{path} is truncated or unreadable ({error}); get it again") from error
    return content


def reject_other_kinds(content: bytes, path: Path) -> None:
    """Raise an error if the bytes are those of another kind of file than a text table.

    Raises:
        DataError: States the kind of file, and what to do.
    """
    first = content[:200].removeprefix(codecs.BOM_UTF8).lstrip()
    what = next((what for start, what in MAGIC_BYTES.items() if first.startswith(start)), None)
    what = "JSON" if JSON.match(first) else what
    if what is not None:
        raise DataError(f"{path} is {what}; write its table as a CSV or parquet file")
    place, word = TAR
    named = re.search(r"\.(tar|tgz|tbz2?|txz)\b", path.name, re.IGNORECASE)
    if content[place:].startswith(word) or (named and b"\x00" in content[:1000]):
        raise DataError(
            f"{path} is a tar archive; unpack it (tar -xf), and name the CSV file that is in it"
        )


def _unzipped(content: bytes, path: Path) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = [each.filename for each in archive.infolist() if not each.is_dir()]
        names = [name for name in names if not re.search(r"^__MACOSX/|(^|/)\.", name)]
        if any(name.startswith("xl/") or name == "mimetype" for name in names):
            raise DataError(
                f"{path} is a workbook of Excel or LibreOffice; save the sheet as a CSV file"
            )
        if len(names) != 1:
            raise DataError(f"{path} holds {len(names)} files; pack one CSV file, or unpack it")
        return archive.read(names[0])
