"""Tables as people have them: text files however they are written, Parquet, Feather and Excel files."""

import importlib.util
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contrastive_entropy.data.arrays import reason
from contrastive_entropy.data.dialects import LINES, Dialect, dialect, encoding_note, first_line_names
from contrastive_entropy.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

TEXT = (".csv", ".tsv", ".txt")
COMPRESSED = ("", ".gz", ".bz2", ".xz", ".zip")
SUFFIXES = (*(text + ending for text in TEXT for ending in COMPRESSED), ".parquet", ".feather", ".xlsx")
"""How the names of files that hold tables end."""


@dataclass(frozen=True, eq=False)
class Frame:
    """A table as it was read.

    Args:
        table: columns as pandas reads them: text, dates, numbers, with missing values; without names they are counted
            from 0.
        notes: what was guessed, a sentence each: separator, decimal comma, encoding, names that are numbers, the sheet.
        named: whether the columns' names come from the file.
    """

    table: "pd.DataFrame"
    notes: tuple[str, ...]
    named: bool

    @property
    def names(self) -> tuple[str, ...] | None:
        """Of the columns, None where the file has none."""
        return tuple(map(str, self.table.columns)) if self.named else None


def is_table(path: str | Path) -> bool:
    """Whether a file's name ends as that of a table.

    >>> is_table("points.CSV.gz"), is_table("points.npy")
    (True, False)
    """
    return suffix_of(path) is not None


def suffix_of(path: str | Path) -> str | None:
    """The one of `SUFFIXES` with which a file's name ends, or None."""
    name = Path(path).name.lower()
    return max((suffix for suffix in SUFFIXES if name.endswith(suffix)), key=len, default=None)


def ignored_header(name: str) -> str | None:
    """Why it would do nothing to say whether the first line of a data set names its columns, or None.

    >>> ignored_header("people.csv") is None, ignored_header("people.parquet"), ignored_header("moons")
    (True, 'people.parquet names its columns by itself', 'moons is no table as text or Excel')
    """
    suffix = suffix_of(name)
    if suffix is None:
        return f"{name} is no table as text or Excel"
    return f"{name} names its columns by itself" if suffix in (".parquet", ".feather") else None


def headers_of(header: bool | None, *names: str) -> list[bool | None]:
    """What each of several data sets can take of a `header`.

    Raises:
        InputError: it would be ignored by all of them.
    """
    reasons = [ignored_header(name) for name in names]
    if header is not None and all(reasons):
        raise InputError(f"`header` would be ignored: {' and '.join(map(str, reasons))}; leave it out")
    return [header if reason is None else None for reason in reasons]


def read_frame(
    path: Path,
    *,
    separator: str | None = None,
    decimal: str | None = None,
    encoding: str | None = None,
    header: bool | None = None,
) -> Frame:
    """Read a table.

    Args:
        path: its name ends in one of `SUFFIXES`.
        separator: of the values of a text file's line: a character, tab or space; None is guessed, and so are the others.
        decimal: mark of fractions in a text file, a point or a comma.
        encoding: of a text file, as Python names it.
        header: whether the first line of a text file, or of an Excel sheet, names the columns.

    Returns:
        Frame.

    Raises:
        InputError: no file, not a table, or damaged; no rows, names that do not fit, or columns of lists, dicts, arrays or
            bytes.
    """
    suffix = suffix_of(path)
    if suffix is None:
        raise InputError(f"{path}: not the name of a table; expected it to end in {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise InputError(f"{path}: {'a folder' if path.is_dir() else 'no such file'}; expected a table")
    try:
        if suffix == ".xlsx":
            frame = _excel(path, header)
        elif suffix in (".parquet", ".feather"):
            frame = _binary(path, suffix)
        else:
            given = {"separator": separator, "decimal": decimal, "encoding": encoding}
            frame = _text(path, dialect(path, header=header, **given), guessed=encoding is None)
    except InputError:
        raise
    except Exception as error:  # damaged files make the readers raise nearly any type
        raise InputError(f"{path}: not a readable {suffix} file ({reason(error)})") from error
    _refuse_empty(frame, path)
    _refuse_duplicates(frame.table.columns, path)
    _refuse_index_and_empty_column(frame.table, path)
    for column in frame.table.columns:
        _refuse_nested(frame.table[column], column, path)
    return frame


def _text(path: Path, known: Dialect, *, guessed: bool) -> Frame:
    """A text file; in another encoding where it turns out further down that the guessed one is not its own."""
    import pandas as pd

    if known.named:
        _refuse_duplicates([name for name in known.first if name], path)
    elif not known.lines:
        return Frame(pd.DataFrame(), (), named=False)
    notes, later = known.notes, ["cp1252", "latin-1"] if guessed and known.encoding.startswith("utf-8") else []
    for encoding in (known.encoding, *later):
        try:
            table = pd.read_csv(
                path,
                header=0 if known.named else None,
                sep=known.separator,
                decimal=known.decimal,
                encoding=encoding,
                low_memory=False,
            )
        except UnicodeDecodeError:
            if encoding == (known.encoding, *later)[-1]:
                raise
            continue
        break
    if encoding != known.encoding:
        notes = (*notes, encoding_note(path, encoding))
    return Frame(table, notes, named=known.named)


def _binary(path: Path, suffix: str) -> Frame:
    """A Parquet or Feather file, whose columns have names."""
    import pandas as pd

    if suffix == ".parquet":
        from pyarrow.parquet import read_schema

        _refuse_duplicates(read_schema(path).names, path)
    table = pd.read_parquet(path) if suffix == ".parquet" else pd.read_feather(path)
    return Frame(table, (), named=True)


def _excel(path: Path, header: bool | None) -> Frame:
    """The first sheet of an Excel file.

    Raises:
        InputError: openpyxl is not installed, or names that occur twice.
    """
    import pandas as pd

    if importlib.util.find_spec("openpyxl") is None:
        raise InputError(
            f"{path}: Excel files are read by openpyxl, which is not installed: pip install 'contrastive-entropy[excel]', "
            "or save the sheet as .csv"
        )
    notes = []
    with pd.ExcelFile(path, engine="openpyxl") as book:
        sheet, *others = book.sheet_names
        if others:
            notes.append(
                f"{path}: sheet {sheet!r} was read, the first of {len(others) + 1}; save another one as a file of its own"
            )
        top = pd.read_excel(book, sheet_name=sheet, header=None, nrows=LINES, dtype=object).dropna(how="all")
        rows = [["" if pd.isna(cell) else str(cell) for cell in row] for row in top.itertuples(index=False)]
        if header is None:
            header, note = first_line_names(rows)
            notes += [] if note is None else [f"{path}: {note}"]
        if header and rows:
            _refuse_duplicates([name for name in rows[0] if name], path)
        above = int(top.index[0]) if rows else 0  # blank rows
        table = pd.read_excel(book, sheet_name=sheet, header=0 if header else None, skiprows=above).dropna(how="all")
    return Frame(table.infer_objects().reset_index(drop=True), tuple(notes), named=bool(header))


def _refuse_empty(frame: Frame, path: Path) -> None:
    if len(frame.table):
        return
    names = ", ".join(map(str, frame.table.columns))[:60]
    found = f"names the columns {names} and holds no rows" if names else "is empty, it holds no rows"
    raise InputError(f"{path}: {found}; expected one point per row")


def _refuse_duplicates(names: Iterable[Hashable], path: Path) -> None:
    seen: set[Hashable] = set()
    twice = [str(name) for name in names if name in seen or seen.add(name)]  # type: ignore[func-returns-value]
    if twice:
        raise InputError(
            f"{path}: several columns have the name {', '.join(dict.fromkeys(twice))[:200]}; expected a name of its own "
            "for each: rename or remove them"
        )


def _refuse_index_and_empty_column(table: "pd.DataFrame", path: Path) -> None:
    import pandas as pd

    first, last = table.iloc[:, 0], table.iloc[:, -1]
    counts = pd.api.types.is_integer_dtype(first) and first.is_unique
    if str(table.columns[0]).startswith("Unnamed: 0") and counts:
        raise InputError(
            f"{path}: its first column has no name and counts the rows, as pandas' to_csv writes its index and R its row "
            "names; write with index=False or row.names=FALSE, or name the column to use it"
        )
    if table.shape[1] > 1 and str(table.columns[-1]).startswith("Unnamed: ") and last.isna().all():
        raise InputError(f"{path}: its last column is empty, as commas at the ends of the lines make one; remove them")


def _refuse_nested(values: "pd.Series[Any]", name: Hashable, path: Path) -> None:
    """Refuse a column with values that hold several."""
    import pandas as pd

    if not pd.api.types.is_object_dtype(values) and "[pyarrow]" not in str(values.dtype):
        return
    for row, value in enumerate(values):
        if isinstance(value, bytes | bytearray):
            what, remedy = f"bytes, {len(value)} of them", "decode them to text or numbers, or remove the column"
        elif isinstance(value, dict):
            what = f"a dict of {len(value)} keys"
            remedy = "expand it to one column per key, as pandas.json_normalize does, or remove it"
        elif isinstance(value, list | tuple | set) or type(value).__name__ == "ndarray":
            what = f"{'an array' if type(value).__name__ == 'ndarray' else 'a ' + type(value).__name__} of {len(value)}"
            remedy = "expand it to one column per number, as pandas.DataFrame(column.tolist()) does, or remove it"
        else:
            continue
        raise InputError(
            f"{path}: column {name!r} holds {what} in row {row}, counted from 0; expected one value per row: {remedy}"
        )
