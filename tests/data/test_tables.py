import numpy as np
import pandas as pd
import pytest
import torch

from contrastive_entropy import InputError
from contrastive_entropy.data.load import load, read_points
from contrastive_entropy.data.tables import csv_bytes
from files import NUMBERS, all_rows, csv_file, load_unless_refused, write

RNG = np.random.default_rng(0)


def test_csv_without_header_integers_and_booleans(tmp_path):
    (tmp_path / "plain.csv").write_text("\n".join(f"{i},{i * 2}" for i in range(20)))
    assert len(load(tmp_path / "plain.csv").train) == 16
    table = pd.DataFrame({"a": pd.array(range(20), dtype="Int64"), "b": [True, False] * 10})
    table.to_parquet(tmp_path / "t.parquet")
    assert load(tmp_path / "t.parquet").train.points[:, 1].unique().tolist() == [0, 1]


@pytest.mark.parametrize(("dtype", "expected"), [("Int64", [0, 1]), ("boolean", [0, 1]), ("Float32", [0, 1])])
def test_nullable_parquet_columns(tmp_path, dtype, expected):
    pd.DataFrame({"a": pd.array([0, 1] * 10, dtype=dtype)}).to_parquet(tmp_path / "x.parquet")
    assert all_rows(load(tmp_path / "x.parquet")).unique().tolist() == expected
    pd.DataFrame({"a": pd.array([None, 1] * 10, dtype=dtype)}).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(InputError, match=r"10 of 20 rows hold NaN .*\(rows 0, 2, 4, 6, 8, \.\.\., counted from 0\)"):
        load(tmp_path / "x.parquet")


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (NUMBERS, 20),
        ("a,b\n" + NUMBERS, 20),
        ("\n" + NUMBERS, 20),
        (NUMBERS.encode("utf-8-sig"), 20),
        (("a,b\n" + NUMBERS).encode("utf-8-sig"), 20),
        (NUMBERS.encode("utf-16"), 20),
        ("\na,b\n" + NUMBERS, 20),
    ],
    ids=["plain", "header", "blank line", "byte order mark", "byte order mark, header", "utf-16", "blank line, header"],
)
def test_every_row_of_a_csv_is_read(tmp_path, text, rows):
    whole = all_rows(load(csv_file(tmp_path, text)))
    assert sorted(whole[:, 0].tolist()) == list(range(rows))


def test_a_missing_value_in_the_first_row_is_not_a_header(tmp_path):
    with pytest.raises(InputError, match=r"1 of 21 rows hold NaN or infinite values \(rows 0,"):
        load(csv_file(tmp_path, "NA,1\n" + NUMBERS))


@pytest.mark.parametrize("header", ["a", "# exported"], ids=["short header", "comment"])
def test_a_header_shorter_than_the_rows_drops_no_column(tmp_path, header):
    path = csv_file(tmp_path, header + "\n" + NUMBERS)
    data = load_unless_refused(path)
    assert data is None or data.dimension == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"x\.csv: .*(empty|[Nn]o columns)"),
        ("a,b\n", r"x\.csv: names the columns a, b and holds no rows"),
        (b"\x00\x01\x02" * 50, r"x\.csv: (not a readable \.csv file \((?!attempt)|the array is empty|0 rows|holds no)"),
        ("1,2\n3,4\n5,6,7\n" + NUMBERS, "Expected 2 fields in line 3, saw 3"),
        (("a,b\n" + NUMBERS).encode() + b"\n\xe9,1", r"column 'a' holds text \('é' in row 20,"),
        ("a,b\n1,\n" + NUMBERS, r"1 of 21 rows hold NaN .*\(rows 0, counted from 0\)"),
        ("a,b\n1\n" + NUMBERS, r"1 of 21 rows hold NaN .*\(rows 0, counted from 0\)"),
        ("a,b\n1,1e400\n" + NUMBERS, r"1 of 21 rows hold NaN or infinite values"),
        ("a,b\n" + "1,2020-01-01\n" * 20, r"column 'b' holds text \('2020-01-01' in row 0,"),
        ("1,2\n" * 4 + "3,hello\n" + NUMBERS, r"column 1 holds text \('hello' in row 4,"),
        ("a" * 200_000 + ",b\n" + NUMBERS, r"x\.csv"),
        ("a,b\n1,\n" + "0,True\n" * 20, r"(1 of 21 rows hold NaN|column 'b' (?!holds text \('nan'))"),
        ("a,b\n" + "1,2\n" * 300_000 + "hello,3\n", r"column 'a' holds text \('hello' in row 300000,"),
        (
            ",a\n" + "".join(f"{97 - 3 * row},.5\n" for row in range(20)),
            "no name and counts the rows, as .* index=False",
        ),
        (
            "a,b,\n" + "1,2,\n" * 20,
            "its last column is empty, as commas at the ends of the lines make one; remove them",
        ),
    ],
    ids=[
        *("empty", "header only", "binary", "long row", "latin-1 later", "blank cell", "short row"),
        *("overflow", "dates", "no header", "long field", "blank truth value", "late text"),
        *("shuffled index", "trailing commas"),
    ],
)
def test_csv_files_that_cannot_be_used(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        load(csv_file(tmp_path, text))


@pytest.mark.parametrize("values", [[None] * 20, [None] + [True] * 19], ids=["all", "first"])
def test_a_missing_value_is_not_called_text(tmp_path, values):
    pd.DataFrame({"a": range(20), "b": values}).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(InputError, match=r"NaN|missing|column 'b'") as error:
        load(tmp_path / "x.parquet")
    assert "holds text ('None'" not in str(error.value)


def test_columns_named_by_their_numbers(tmp_path):
    table = pd.DataFrame(RNG.random((20, 3)))
    table.to_csv(tmp_path / "x.csv", index=False)
    assert all_rows(load(tmp_path / "x.csv")).sum().item() == pytest.approx(table.to_numpy().sum(), rel=1e-5)
    assert len(all_rows(load(csv_file(tmp_path, "0,1\n1,2\n" + NUMBERS)))) == 22  # whole numbers: the first is a row


def test_dates_objects_and_images_out_of_range_are_refused(tmp_path):
    pd.DataFrame({"when": pd.date_range("2020-01-01", periods=20)}).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(InputError, match=r"column 'when' holds datetime64\S* .*; expected numbers.*`fit table` learns"):
        load(tmp_path / "x.parquet")
    np.save(tmp_path / "o.npy", np.array([[None, 1]] * 20))
    with pytest.raises(
        InputError, match=r"o\.npy: the array holds Python objects, the first of type NoneType; expected"
    ):
        load(tmp_path / "o.npy")
    path = write(tmp_path / "x.npy", np.linspace(-1, 1, 12 * 20).reshape(12, 4, 5))
    with pytest.raises(InputError, match=r"float64 with values from -1 to 1; expected floats in \[0, 1\], or uint8"):
        load(path)


def test_columns_without_names_have_none(tmp_path):
    np.savetxt(tmp_path / "plain.csv", np.eye(12), delimiter=",")
    assert load(tmp_path / "plain.csv").schema.names is None
    assert load("moons").schema.names is None


@pytest.mark.parametrize("columns", [None, ("a", "b c"), ('comma, "quoted"', "2"), ("2019", "2020")])
def test_a_table_written_is_read_back(tmp_path, columns):
    points = torch.randn(20, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([1e-6, 1e6])
    path = tmp_path / "points.csv"
    path.write_bytes(csv_bytes(points, columns))
    assert torch.equal(read_points(path)[0], points)
    assert read_points(path)[1].names == (None if columns == ("2019", "2020") else columns)
    double = points.double() + torch.tensor([1.0, 1.7e9])
    path.write_bytes(csv_bytes(double, columns))
    assert len(path.read_text().splitlines()[-1].split(",")[1]) < 15
    torch.testing.assert_close(read_points(path, double=True)[0], double, rtol=0, atol=1e-2)
    torch.testing.assert_close(read_points(path, double=True)[0][:, 0], double[:, 0], rtol=0, atol=1e-14)
