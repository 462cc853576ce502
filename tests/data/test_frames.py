import os
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch

from contrastive_entropy import InputError
from contrastive_entropy.data.arrays import map_points
from contrastive_entropy.data.frames import SUFFIXES, is_table, read_frame
from contrastive_entropy.data.load import load, read_points
from files import all_rows, csv_file

RNG = np.random.default_rng(0)
TABLE = pd.DataFrame({"temp": RNG.normal(20, 3, 60).round(3), "load": RNG.normal(40, 5, 60).round(3)})
COUNTS = "\n".join(",".join(map(str, row)) for row in RNG.integers(25, 58, (60, 3)))


def lines(rows, form="%.3f", separator=","):
    return "\n".join(separator.join(form % value for value in row) for row in rows)


@pytest.mark.parametrize("suffix", [suffix for suffix in SUFFIXES if suffix[1] in "ct"])
def test_text_files_of_every_name_are_read(tmp_path, suffix):
    path = tmp_path / f"points{suffix.upper() if suffix == '.csv.gz' else suffix}"
    TABLE.to_csv(path, index=False, sep="\t" if ".tsv" in suffix else ",")
    frame = read_frame(path)
    pd.testing.assert_frame_equal(frame.table, TABLE)
    assert (frame.notes, frame.named, is_table(path)) == ((), True, True)
    assert load(path).schema.names == ("temp", "load")


@pytest.mark.parametrize("suffix", [".parquet", ".feather", ".xlsx"])
def test_files_of_other_forms_are_read(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    table = TABLE.assign(k=pd.array([1, None] * 30, "Int64")) if suffix != ".xlsx" else TABLE
    table.to_excel(path, index=False) if suffix == ".xlsx" else getattr(table, f"to_{suffix[1:]}")(path)
    frame = read_frame(path)
    pd.testing.assert_frame_equal(frame.table, table)
    assert (frame.notes, frame.names) == ((), tuple(table.columns))


@pytest.mark.parametrize("separator", [";", "\t", "|", " ", ","])
@pytest.mark.parametrize("decimal", [".", ","])
@pytest.mark.parametrize("header", [True, False])
def test_separators_and_decimal_marks_are_told_from_the_lines(tmp_path, separator, decimal, header):
    if separator == decimal:
        text = TABLE.map(lambda value: f"{value:.3f}".replace(".", ",")).to_csv(index=False, header=header)
    else:
        text = TABLE.to_csv(index=False, header=header, sep=separator, decimal=decimal)
    frame = read_frame(csv_file(tmp_path, text))
    np.testing.assert_array_equal(frame.table, TABLE)
    assert frame.named == header
    said = " ".join(frame.notes)
    assert ("parted by" in said) == (separator != ",")
    assert ("decimal marks" in said) == (decimal == ",")


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ('name;note\n"a;b";"x, y, z"\n"c";"u; v"\n' * 5, 2),
        ("when,what\n2020-01-01 10:00,a;b\n2020-01-02 11:00,c;d\n", 2),
        ("comment\nhello world\nfine thanks\nwell then\n", 1),
        ("a|b\n1|x y\n2|z, w\n", 2),
        ("a;b\n01.02.2020;3\n02.03.2020;4\n", 2),
        ("  1.5   2.5\n -3.5  10.0\n" * 5, 2),
        ("1,5 2,5\n3,25 4,5\n" * 5, 2),
    ],
    ids=["quoted", "semicolons in text", "sentences", "bars", "dates with points", "aligned", "spaces and commas"],
)
def test_what_looks_like_a_separator_need_not_be_one(tmp_path, text, columns):
    frame = read_frame(csv_file(tmp_path, text))
    assert frame.table.shape[1] == columns
    if "2020" in text:
        assert frame.table.iloc[0, 0].endswith(("2020", "10:00"))


def test_what_is_known_is_not_guessed(tmp_path):
    path = csv_file(tmp_path, "1,5\n2,5\n3,5\n4,5\n5,25\n")
    assert read_frame(path).table.shape == (5, 2)
    assert read_frame(path, separator=";", decimal=",").table[0].tolist() == [1.5, 2.5, 3.5, 4.5, 5.25]
    assert read_frame(path, header=True).names == ("1", "5")
    assert read_frame(csv_file(tmp_path, "a\tb\n1\t2\n"), separator="tab").notes == ()
    for wrong in ({"separator": "ab"}, {"decimal": ";"}, {"encoding": "utf-99"}, {"encoding": "utf-16"}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            read_frame(path, **wrong)


@pytest.mark.parametrize(
    ("encoding", "said"),
    [("utf-8", None), ("utf-8-sig", None), ("utf-16", "utf-16"), ("utf-16-le", "utf-16-le"), ("cp1252", "cp1252")],
)
@pytest.mark.parametrize("late", [False, True])
def test_encodings(tmp_path, encoding, said, late):
    text = "größe,wert\n" if not late else "size,wert\n"
    text += "1,2\n" * (1_200_000 if late and encoding == "cp1252" else 20) + "3,é\n"
    frame = read_frame(csv_file(tmp_path, text.encode(encoding)))
    assert str(frame.table.columns[0]) == text.split(",")[0]
    assert frame.table.iloc[-1, 1] == "é"
    assert len(frame.notes) == (said is not None)
    assert said is None or f"read as {said}; otherwise set `encoding`" in frame.notes[0]
    undefined = read_frame(csv_file(tmp_path, "a,b\n1,2\n3,\x81\n".encode("latin-1")))
    assert undefined.table.iloc[-1, 1] == "\x81"


NAMES = [
    ("2019,2020\n" + lines(RNG.normal(20, 3, (60, 2)), "%.17g"), True),
    ("400,420,410\n" + lines(RNG.random((60, 3))), True),
    ("2018,2019,2020\n" + COUNTS, True),
    ("330,101,205\n" + COUNTS, True),
    ("0.5,1.0,2.0\n" + "\n".join(f"{row}.00" for row in COUNTS.replace(",", ".00,").split("\n")), True),
    ("1;2\n" + "\n".join(f"{i},25;{i},75" for i in range(20)), True),
    ("1,2\n" + "\n".join(f"a{i},{i}" for i in range(20)), True),
    ("1,2,3\n" + "\n".join(",".join(map(str, row)) for row in RNG.integers(0, 9, (60, 3))), False),
    ("0,1\n" + lines(RNG.random((60, 2)), "%.17g"), None),
    ("5000\n" + "\n".join(map(str, RNG.integers(0, 9, 60))), False),
]


@pytest.mark.parametrize(("text", "named"), NAMES, ids=range(len(NAMES)))
def test_names_that_are_numbers(tmp_path, caplog, text, named):
    path = csv_file(tmp_path, text)
    if named is None:  # as pandas writes columns without names
        assert read_frame(path).named
        return
    frame = read_frame(path)
    assert (frame.named, len(frame.table)) == (named, text.count("\n") + (not named))
    said = "the names of the columns; if it is a point" if named else "a point; if it names the columns"
    assert f"was read as {said}, say so with `header`" in frame.notes[-1]
    assert len(read_frame(path, header=not named).table) == text.count("\n") + named
    assert not any("the first line" in note for note in read_frame(path, header=named).notes)
    if frame.table.shape[1] == 2 and "a1" in text:
        return
    assert len(read_points(path)[0]) == len(frame.table)
    assert [record.getMessage() for record in caplog.records] == list(frame.notes)  # once
    assert len(read_points(path, header=not named)[0]) == len(frame.table) + (1 if named else -1)


@pytest.mark.parametrize(
    "text",
    [
        COUNTS,
        lines(RNG.normal(size=(60, 3)), "%.17g"),
        lines(RNG.normal(size=(60, 2)), "%.2g"),
        "0.0,1.0\n" + lines(RNG.normal(size=(60, 2)), "%.17g"),
        "1e6,1e6\n" + COUNTS.replace(",", "\n").replace("\n", ",0\n") + ",0",
        "1000.25,2000.75\n" + lines(RNG.normal(size=(60, 2)), "%.2f"),
        "\n".join(f"{i},{2 * i},{3 * i}" for i in range(1, 30)),
        "NA,2020\n" + lines(RNG.normal(size=(60, 2))),
        "1,1000\n2,1001\n3,1002\n4,1003\n5,1004\n6,1005\n",
        "2019,2020\n1,2\n3,4\n",
    ],
    ids=[
        *(
            "counts",
            "full precision",
            "trimmed",
            "start of a curve",
            "outlier twice",
            "outlier",
            "multiples",
            "missing",
        ),
        *("rising", "three lines"),
    ],
)
def test_numbers_without_names_stay_points(tmp_path, text):
    frame = read_frame(csv_file(tmp_path, text))
    assert (frame.named, frame.notes) == (False, ())
    assert len(frame.table) == len(text.split())


def test_names_of_a_sheet_and_other_sheets(tmp_path):
    path = tmp_path / "book.xlsx"
    with pd.ExcelWriter(path) as book:
        TABLE.set_axis([2019, 2020], axis=1).to_excel(book, sheet_name="first", index=False, startrow=2)
        TABLE.to_excel(book, sheet_name="second", index=False)
    frame = read_frame(path)
    assert len(frame.table) == 60
    assert frame.named
    assert "sheet 'first' was read, the first of 2" in frame.notes[0]
    assert "2019, 2020, was read as the names" in frame.notes[1]
    assert len(read_frame(path, header=False).table) == 61
    TABLE.to_excel(path, index=False, header=False)
    assert len(all_rows(load(path))) == 60


def test_excel_files_need_openpyxl(tmp_path, monkeypatch):
    TABLE.to_excel(tmp_path / "x.xlsx", index=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"pip install 'contrastive-entropy\[excel\]'"):
        read_frame(tmp_path / "x.xlsx")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[1.0, 2.0]] * 5, r"'c' holds an array of 2 in row 0, .* one column per number"),
        ([None, None, [1], [2], [3]], r"'c' holds an array of 1 in row 2, .* one column per number"),
        ([{"u": 1, "v": 2}] * 5, r"'c' holds a dict of 2 keys in row 0, .* pandas\.json_normalize"),
        ([b"abc"] * 5, r"'c' holds bytes, 3 of them in row 0, .* decode them"),
    ],
    ids=["lists", "late lists", "dicts", "bytes"],
)
@pytest.mark.parametrize("suffix", ["parquet", "feather"])
def test_columns_that_hold_more_than_a_value(tmp_path, values, message, suffix):
    getattr(pd.DataFrame({"a": range(5), "c": values}), f"to_{suffix}")(tmp_path / f"x.{suffix}")
    with pytest.raises(InputError, match=message):
        load(tmp_path / f"x.{suffix}")


class Trap:
    def __reduce__(self):
        return (Path.write_text, (Path(os.environ["CE_TRAP"]), "sprung"))


@pytest.mark.parametrize(
    ("first", "kind"), [(1.5, "float"), ([1, 2], "list"), (None, "NoneType"), (np.float64(1), "float64"), (Trap(), "")]
)
def test_arrays_of_objects_are_refused_and_not_loaded(tmp_path, monkeypatch, first, kind):
    monkeypatch.setenv("CE_TRAP", str(tmp_path / "trap"))
    array = np.empty((2, 1), dtype=object)
    array[:, 0] = [first, "b"]
    np.save(tmp_path / "x.npy", array, allow_pickle=True)
    with pytest.raises(InputError, match=rf"Python objects, the first of type {kind}.*; expected numbers: save"):
        load(tmp_path / "x.npy")
    assert map_points(tmp_path / "x.npy") is None
    np.savez(tmp_path / "x.npz", array)
    with pytest.raises(InputError, match=r"holds Python objects; expected numbers"):
        load(tmp_path / "x.npz")
    assert not (tmp_path / "trap").exists()


def test_names_that_occur_twice_are_refused(tmp_path):
    for text in ("a,b,a\n1,2,3\n", "a;b;a\n1;2;3\n"):
        with pytest.raises(InputError, match="several columns have the name a; expected a name of its own"):
            read_frame(csv_file(tmp_path, text))
    TABLE.set_axis(["x", "x"], axis=1).to_excel(tmp_path / "x.xlsx", index=False)
    with pytest.raises(InputError, match="several columns have the name x;"):
        read_frame(tmp_path / "x.xlsx")
    pyarrow.parquet.write_table(pa.table([[1, 2], [3, 4]], names=["x", "x"]), tmp_path / "x.parquet")
    with pytest.raises(InputError, match="several columns have the name x;"):
        read_frame(tmp_path / "x.parquet")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.csv", b"", "is empty, it holds no rows"),
        ("x.tsv", b"\n \n\n", "is empty, it holds no rows"),
        ("x.csv", b"a,b\n", "names the columns a, b and holds no rows"),
        ("x.txt", b"a b c\n", "holds no rows"),
        ("x.csv.gz", b"a,b\n1,2\n", r"not a readable \.csv\.gz file"),
        ("x.feather", b"junk", r"not a readable \.feather file"),
        ("x.xlsx", b"junk", r"not a readable \.xlsx file"),
        ("x.csv", b"a,b\n\x00\x01\x02", "it holds null characters, as binary files do"),
        ("x.npy", b"", "not the name of a table"),
    ],
)
def test_files_that_are_no_tables(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_frame(tmp_path / name)
    with pytest.raises(InputError, match="no such file"):
        read_frame(tmp_path / "none.csv")


@pytest.mark.parametrize(
    "text", ["# a b\n" + "1.5 2.5\n" * 9, "a,b,c\n" + "1,2\n" * 9, "a b\n" + "x 1 2\n" * 9, "a\n1,2\n"]
)
def test_as_many_names_as_values(tmp_path, text):
    with pytest.raises(
        InputError, match=r"its first line names \d columns .* the next holds \d values; expected one name"
    ):
        read_frame(csv_file(tmp_path, text), separator=None if "," in text else "space")


def test_an_archive_holds_one_table(tmp_path):
    path = tmp_path / "x.csv.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", "1,2\n")
        archive.writestr("b.csv", "1,2\n")
    with pytest.raises(InputError, match=r"holds 2 files \(a\.csv, b\.csv\); expected a single table"):
        read_frame(path)


def test_numbers_are_asked_for_where_a_column_holds_other_values(tmp_path):
    for column, message in (
        (["u", "v"], r"column 'c' holds text \('u' in row 0"),
        (pd.Series(["u", "v"], dtype="category"), "holds text"),
        (pd.date_range("2020", periods=2), "holds datetime64"),
        ([1.0, None], "rows hold NaN"),
    ):
        pd.DataFrame({"a": [1, 2], "c": column}).to_parquet(tmp_path / "x.parquet")
        with pytest.raises(InputError, match=rf"{message}.*; `fit table` learns tables with text, dates and missing"):
            read_points(tmp_path / "x.parquet")
    pd.DataFrame({"a": [1, 2], "c": [True, False]}).to_csv(tmp_path / "x.csv", index=False)
    assert torch.equal(read_points(tmp_path / "x.csv")[0], torch.tensor([[1.0, 1], [2, 0]]))


@pytest.mark.skipif("CE_CASES" not in os.environ, reason="CE_CASES names no folder of cases")
@pytest.mark.parametrize(
    ("name", "rows"),
    [
        *[("header_years.csv", 400), ("header_years_over_counts.csv", 200), ("header_codes_over_counts.csv", 200)],
        *[("header_doses.csv", 200), ("semicolon_decimalcomma.csv", 400), ("points.csv.gz", 400), ("points.tsv", 400)],
        *[
            ("categorical.parquet", 300),
            ("dates.csv", 400),
            ("nullable_missing.parquet", 300),
            ("one_missing.csv", 300),
        ],
    ],
)
def test_cases(name, rows):
    assert len(read_frame(Path(os.environ["CE_CASES"]) / name).table) == rows
