"""Tables that the tests of `quality` draw."""

import numpy as np
import pandas as pd


def rng(seed=0):
    return np.random.default_rng(seed)


def halves(table, seed=0, share=0.8):
    """Training and held-out rows."""
    order = rng(seed).permutation(len(table))
    count = int(share * len(table))
    return table.iloc[order[:count]], table.iloc[order[count:]]


def sentinel(count=1500, seed=0, mark=0.069):
    r = rng(seed)
    co = r.normal(20, 5, count)
    nox = (2 * co + r.normal(0, 5, count)).round(0)
    return pd.DataFrame({"co": np.where(r.random(count) < mark, -200.0, co.round(1)), "nox": nox})


def rare_mode(count=1500, seed=0, share=0.0113):
    r = rng(seed)
    points = r.normal(0, 1, (count, 2))
    chosen = r.random(count) < share
    points[chosen] = r.normal(8, 0.3, (int(chosen.sum()), 2))
    return pd.DataFrame(points.round(3), columns=["x", "y"])


def zero_inflated(count=1500, seed=0):
    r = rng(seed)
    amount = np.where(r.random(count) < 0.698, 0, r.lognormal(3, 1, count).round(2))
    return pd.DataFrame({"amount": amount, "age": r.normal(40, 12, count).round(1)})


def bounded(count=1500, seed=0):
    r = rng(seed)
    percent = np.clip(r.normal(50, 60, count), 0, 100).round(1)
    return pd.DataFrame({"percent": percent, "score": np.minimum(r.normal(3.5, 1, count), 5).round(2)})


def discrete(count=1000, seed=0):
    r = rng(seed)
    age = r.integers(18, 90, count)
    return pd.DataFrame(
        {"age": age, "smoker": (r.random(count) < 0.21).astype(int), "children": np.minimum(r.poisson(1, count), 5)}
    )


def oversampled(count=1500, seed=0):
    r = rng(seed)
    return pd.DataFrame(r.normal(0, 1, (150, 3)).round(3), columns=list("abc")).iloc[r.integers(0, 150, count)]


def plain(count=1000, seed=0, columns=2):
    r = rng(seed)
    points = r.normal(0, 2, (count, columns)) + r.normal(0, 1, (count, 1))
    return pd.DataFrame(points, columns=list("abcdefgh")[:columns])


def mixed(count=1000, seed=0):
    """Every kind of column, two of them with missing values."""
    r = rng(seed)
    z = r.normal(size=count)
    colour = np.array(["red", "green", "blue", "gold"])[np.clip((1.5 + z).astype(int), 0, 3)]
    return pd.DataFrame(
        {
            "key": np.arange(count) * 7 + 100_000 * seed,
            "height": (170 + 10 * z + r.normal(0, 3, count)).round(1),
            "income": np.where(r.random(count) < 0.1, np.nan, np.exp(z + r.normal(0, 0.5, count))),
            "visits": r.poisson(np.exp(0.5 * z)),
            "colour": pd.Series(colour, dtype=object).where(r.random(count) > 0.1),
            "member": z + r.normal(size=count) > 0,
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(np.round(200 * z + 400), unit="D"),
        }
    ).rename(columns={"key": "row_id"})


def random_table(which, count, seed):
    """A table of 2 to 7 columns whose law `which` chooses, with atoms, tails, levels and missing values."""
    shape, r = rng([which, 1]), rng(seed)
    z = r.normal(size=(count, 3))
    found = {}
    for place in range(int(shape.integers(2, 8))):
        v = z @ shape.normal(size=3) + r.normal(size=count) * shape.random()
        kinds = [
            lambda v: v,
            lambda v: np.exp(v).round(2),
            lambda v: np.where(r.random(count) < 0.6, 0, np.exp(v)).round(2),
            lambda v: np.round(10 + 4 * v),
            lambda v: np.array(list("abcdefghijkl"), dtype=object)[np.clip((3 + 2 * v).astype(int), 0, 11)],
            lambda v: v > 0,
            lambda v: pd.Timestamp("2020-01-01") + pd.to_timedelta(np.round(100 * v), unit="D"),
            lambda v: r.standard_t(3, size=count) + v,
            lambda v: np.clip(v, -1, 1),
        ]
        column = pd.Series(kinds[int(shape.integers(len(kinds)))](v))
        if shape.random() < 0.3:
            column = column.astype(object) if column.dtype == bool else column
            column = column.where(r.random(count) > 0.1)
        found[f"c{place}"] = column
    return pd.DataFrame(found)
