"""Tables written to files, in the form that a file's name asks for."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from contrastive_entropy.data.frames import suffix_of
from contrastive_entropy.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

WRITABLE = (".csv", ".tsv", ".csv.gz", ".parquet", ".feather", ".xlsx")
"""How the names of files end that can be written."""


def frame_bytes(table: "pd.DataFrame", path: Path, *, header: bool = True) -> bytes:
    """A table as the bytes of a file.

    Args:
        table: to write; its index is left out.
        path: whose name says the form, of `WRITABLE`.
        header: whether the names of the columns are written, where the form can do without.

    Raises:
        InputError: another name, no package that writes Excel, or values that a form cannot hold.
    """
    suffix = suffix_of(path)
    stream = io.BytesIO()
    try:
        if suffix == ".parquet":
            table.to_parquet(stream, index=False)
        elif suffix == ".feather":
            table.to_feather(stream)
        elif suffix == ".xlsx":
            _excel(table).to_excel(stream, index=False, header=header)
        elif suffix in (".csv", ".csv.gz", ".tsv"):
            separator = "\t" if suffix == ".tsv" else ","
            how = {"method": "gzip", "mtime": 0} if suffix == ".csv.gz" else None
            table.to_csv(stream, index=False, header=header, sep=separator, compression=how)
        else:
            raise InputError(f"{path}: tables are written to files whose names end in {', '.join(WRITABLE)}")
    except ImportError as error:
        raise InputError(
            f"{path}: Excel files need the package openpyxl (pip install openpyxl); or write .csv"
        ) from error
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{path}: cannot hold the table ({str(error)[:120]}); write another form, such as .csv"
        ) from error
    return stream.getvalue()


def _excel(table: "pd.DataFrame") -> "pd.DataFrame":
    """Excel knows no time zones: times are written as text."""
    import pandas as pd

    zoned = [name for name in table.columns if isinstance(table[name].dtype, pd.DatetimeTZDtype)]
    texts = {name: table[name].astype(object).where(table[name].isna(), table[name].astype(str)) for name in zoned}
    return table.assign(**texts)
