"""How a text file of a table is written: its encoding, separator, decimal mark, and whether its first line holds names."""

import bz2
import codecs
import csv
import gzip
import io
import itertools
import lzma
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contrastive_entropy.errors import InputError

SPACES = r"\s+"
"""The separator of columns that white space parts."""

SEPARATORS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars", SPACES: "white space"}
"""What may part the values of a line, with how a message names it; the first ones win where several would do."""

SPELLINGS = {"tab": "\t", r"\t": "\t", " ": SPACES, "space": SPACES, "spaces": SPACES, "whitespace": SPACES}
"""Other ways to write a separator, for those who type it."""

HEAD, LINES = 2**20, 1000
"""Bytes, and at most so many of their lines, that are looked at."""

ENOUGH = 5
"""Lines below the first that are needed to tell whether it is one of them."""

MISSING = {"", "na", "n/a", "#n/a", "nan", "-nan", "null", "none", "<na>"}
"""How missing values are written, in small letters."""

_COMMA = re.compile(r"\s*[+-]?\d*,\d+([eE][+-]?\d+)?\s*")
_POINT = re.compile(r"\s*[+-]?\d*\.\d+([eE][+-]?\d+)?\s*")
_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


@dataclass(frozen=True)
class Dialect:
    """How a text file is written.

    Args:
        separator: one character, or `SPACES`.
        decimal: the mark of fractions.
        encoding: as Python names it.
        named: whether the first line names the columns.
        first: the first line's values; empty where the file has none.
        lines: that were looked at, blank ones left out.
        notes: what was guessed, but for commas, points and UTF-8.
    """

    separator: str
    decimal: str
    encoding: str
    named: bool
    first: tuple[str, ...]
    lines: int
    notes: tuple[str, ...]


def dialect(
    path: Path, *, separator: str | None, decimal: str | None, encoding: str | None, header: bool | None
) -> Dialect:
    """Tell how a file is written from its first lines.

    Args:
        path: of the file, which may be compressed.
        separator, decimal, encoding, header: as they are known to be; None is guessed.

    Raises:
        InputError: binary content, lines that cannot be parted, a separator or decimal mark that is none, or fewer names
            than values.
    """
    notes: list[str] = []
    raw = _head(path)
    if encoding is None:
        encoding = _encoding(raw, path)
        if not encoding.startswith("utf-8"):
            notes.append(encoding_note(path, encoding))
    text = _decoded(raw, encoding, path)
    if separator is None:
        separator = _separator(text, _usual(path))
        if separator != _usual(path):
            notes.append(f"{path}: read as values parted by {SEPARATORS[separator]}; otherwise set `separator`")
    else:
        separator = SPELLINGS.get(separator, separator)
        if len(separator) != 1 and separator != SPACES:
            raise InputError(f"`separator` must be one character, tab or space, got {separator!r}")
    rows = _rows(text, separator, path)
    if decimal is None:
        decimal = _decimal(rows)
        if decimal == ",":
            notes.append(f"{path}: commas inside numbers were read as decimal marks; otherwise set `decimal`")
    elif decimal not in (".", ","):
        raise InputError(f"`decimal` must be a point or a comma, got {decimal!r}")
    if header is None:
        plain = [[field.replace(",", ".") for field in row] if decimal == "," else row for row in rows]
        header, note = first_line_names(plain)
        notes += [] if note is None else [f"{path}: {note}"]
    if header and len(rows) > 1 and (len(rows[0]) < len(rows[1]) or len(rows[0]) > max(map(len, rows[1:]))):
        raise InputError(
            f"{path}: its first line names {len(rows[0])} columns ({', '.join(rows[0])[:60]}) and the next holds "
            f"{len(rows[1])} values; expected one name per column, or no names at all"
        )
    return Dialect(separator, decimal, encoding, header, tuple(rows[0] if rows else ()), len(rows), tuple(notes))


def encoding_note(path: Path, encoding: str) -> str:
    """That a file was read in an encoding which was guessed."""
    return f"{path}: not UTF-8, read as {encoding}; otherwise set `encoding`"


def first_line_names(rows: Sequence[Sequence[str]]) -> tuple[bool, str | None]:
    """Whether the first of some lines names the columns, and a sentence where its numbers leave that open.

    Names are numbers that are written otherwise than all numbers below them, or whole numbers far from all below. Where
    the numbers could be either, they are a point.

    Args:
        rows: values of lines, with points as decimal marks.

    >>> first_line_names([["2019", "2020"], *[["3.25", "4.75"], ["2.12", "1.14"]] * 5])[0]
    True
    >>> first_line_names([["2", "1"], *[["3", "4"], ["2", "1"]] * 5])
    (False, None)
    """
    first, body = list(rows[0]) if rows else [], rows[1:]
    counted = [str(column) for column in range(len(first))]  # how numpy and pandas name columns without names
    if first == ["", *counted[:-1]] and len(first) > 1:
        return True, None  # pandas' names and index
    if not all(map(is_number, first)):
        return True, None
    if first == counted and body and any("." in field for field in body[0]):
        return True, None
    full = [row for row in body if len(row) == len(first)]
    if len(full) < ENOUGH or len(set(first)) < len(first) or any(map(_is_missing, first)):
        return False, None
    found = _numbers_that_name(first, [list(column) for column in zip(*full, strict=True)])
    if found is None:
        return False, None
    if found:
        said = "was read as the names of the columns; if it is a point, say so with `header`, or write names above it"
    else:
        said = (
            "was read as a point; if it names the columns, say so with `header`, or put a letter into one of the names"
        )
    return found, f"the first line, {', '.join(first)[:60]}, {said}"


def is_number(field: str) -> bool:
    """Whether a value is a number or missing."""
    if _is_missing(field):
        return True
    try:
        float(field)
    except ValueError:
        return False
    return True


def _numbers_that_name(first: list[str], columns: list[list[str]]) -> bool | None:
    """Whether numbers that all differ name the columns below them; None: nothing suggests it, False: little does."""
    below = [[field for field in column if not _is_missing(field)] for column in columns]
    if any(column and not any(map(is_number, column)) for column in below):
        return True  # a number above text
    if not all(len(column) >= ENOUGH and all(map(is_number, column)) for column in below):
        return None
    places = [{_places(field) for field in column} for column in below]
    if all(len(found) == 1 and _places(name) not in found for name, found in zip(first, places, strict=True)):
        return True
    if not all(field.strip().isdecimal() for field in first):
        return None
    even = len(first) > 2 and _rises_evenly(first)
    if all(_is_far(float(name), column) for name, column in zip(first, below, strict=True)):
        return len(first) > 1
    if all(0 not in found for found in places):
        return even
    alike = sum(_rises_evenly(row) for row in zip(*columns, strict=True))
    return False if even and alike < 0.1 * len(columns[0]) else None


def _places(field: str) -> int:
    """Digits behind the point, and so for powers of ten."""
    return len(field.strip().lower().partition("e")[0].partition(".")[2])


def _is_far(value: float, column: list[str]) -> bool:
    """Whether a value is farther from all of a column than these are from each other."""
    numbers = [float(field) for field in column]
    low, high = min(numbers), max(numbers)
    return value < low - (high - low) or value > high + (high - low)


def _rises_evenly(fields: Sequence[str]) -> bool:
    if any(map(_is_missing, fields)):
        return False
    steps = {float(b) - float(a) for a, b in itertools.pairwise(fields)}
    return len(steps) == 1 and min(steps) > 0


def _is_missing(field: str) -> bool:
    return field.strip().lower() in MISSING


def _usual(path: Path) -> str:
    return "\t" if ".tsv" in [suffix.lower() for suffix in path.suffixes[-2:]] else ","


def _head(path: Path) -> bytes:
    """The first bytes of a file, without a line that is cut off."""
    suffix = path.suffix.lower()
    if suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
            if len(names) != 1:
                raise InputError(f"{path}: holds {len(names)} files ({', '.join(names[:5])}); expected a single table")
            with archive.open(names[0]) as inner:
                return inner.read(HEAD)
    with _OPENERS.get(suffix, open)(path, "rb") as file:
        return file.read(HEAD)


def _encoding(raw: bytes, path: Path) -> str:
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    nulls = [raw[start::2].count(0) / max(1, len(raw) // 2) for start in (0, 1)]
    if max(nulls) > 0:
        if min(nulls) == 0 and max(nulls) > 0.7:
            return "utf-16-le" if nulls[1] else "utf-16-be"
        raise InputError(f"{path}: not a readable {path.suffix} file (it holds null characters, as binary files do)")
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            codecs.getincrementaldecoder(encoding)().decode(raw)
        except UnicodeDecodeError:
            continue
        return encoding
    return "latin-1"


def _decoded(raw: bytes, encoding: str, path: Path) -> str:
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(raw)
    except LookupError as error:
        raise InputError(f"`encoding`: no encoding {encoding!r}; expected one as utf-8 or cp1252") from error
    except UnicodeError as error:
        raise InputError(f"{path}: not readable as {encoding} ({error}); set another `encoding`, or none") from error
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text[: text.rfind("\n") + 1] or text if len(raw) == HEAD else text


def _rows(text: str, separator: str, path: Path | None = None) -> list[list[str]]:
    """Values of the first lines, without blank ones.

    Raises:
        InputError: quotes that do not end, and there is a path to name.
    """
    if separator == SPACES:
        lines = itertools.islice((line for line in io.StringIO(text) if line.strip()), LINES)
        return [line.split() for line in lines]
    try:
        parted = csv.reader(io.StringIO(text), delimiter=separator)
        return list(itertools.islice((row for row in parted if row and row != [" "]), LINES))
    except csv.Error as error:
        if path is None:
            return []
        raise InputError(f"{path}: not a readable {path.suffix} file ({error})") from error


def _separator(text: str, usual: str) -> str:
    """The one at which most lines have as many values, and most values are numbers; the usual one where several do."""
    suits = {separator: _suits(_rows(text, separator), separator) for separator in (usual, *SEPARATORS)}
    best = max(suits, key=suits.__getitem__)
    return best if suits[best] > 0 else usual


def _suits(rows: list[list[str]], separator: str) -> float:
    """From 0 to 2: the shares of lines of one length above 1, and of values that are numbers."""
    if not rows:
        return 0.0
    width, count = Counter(map(len, rows)).most_common(1)[0]
    fields = [field for row in rows[1:] or rows for field in row]
    numbers = sum(is_number(field) or (separator != "," and bool(_COMMA.fullmatch(field))) for field in fields)
    share = numbers / len(fields)
    return 0.0 if width < 2 or (separator == SPACES and share < 0.9) else count / len(rows) + share


def _decimal(rows: list[list[str]]) -> str:
    fields = [field for row in rows[1:] or rows for field in row]
    commas = any(_COMMA.fullmatch(field) for field in fields)
    return "," if commas and not any(_POINT.fullmatch(field) for field in fields) else "."
