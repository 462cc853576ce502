"""`evaluate-samples` of tables: as points and by their rows."""

import numpy as np
import pandas as pd
import pytest
import torch

from commands import call
from contrastive_entropy import InputError
from contrastive_entropy.analysis import samples as analysis
from contrastive_entropy.analysis.samples import evaluate_files
from contrastive_entropy.data import tables
from contrastive_entropy.data.frames import read_frame
from contrastive_entropy.data.toys import sample_toy
from contrastive_entropy.quality.evaluation import is_numeric
from mixed_tables import discrete, halves, mixed, oversampled, plain, rare_mode, rng, sentinel

COPYING = {"copies", "near_copies", "nearer_to_training", "membership", "memorization"}


@pytest.fixture
def evaluated(tmp_path):
    """Evaluates tables, written as files."""

    def evaluate(samples, data, training=None, suffix="csv", **settings):
        paths = {}
        for name, table in (("samples", samples), ("data", data), ("training", training)):
            if table is not None:
                paths[name] = str(tmp_path / f"{name}.{suffix}")
                write = table.to_parquet if suffix == "parquet" else table.to_csv
                write(paths[name], index=False, **({"sep": "\t"} if suffix == "tsv" else {}))
        return evaluate_files(paths.pop("samples"), paths.pop("data"), **paths, **settings)

    return evaluate


def names(evaluation):
    return {one.name for one in evaluation.diagnoses}


def shown(evaluation):
    return {name for table in evaluation.tables for column in table.columns.values() for name in column}


@pytest.mark.parametrize("suffix", ["csv", "parquet", "tsv"])
def test_mixed_tables_are_judged_alone(evaluated, suffix):
    training, held_out = halves(mixed(900))
    found = evaluated(mixed(500, seed=2), held_out, training, suffix=suffix)
    assert [table.name for table in found.tables] == ["rows", "columns"]
    assert found.headline.name == "detection"
    assert found.headline.value == pytest.approx(0.5, abs=0.12)
    assert not found.diagnoses
    assert shown(found) >= COPYING - {"memorization"}
    copied = evaluated(training, held_out, training, suffix=suffix)
    assert {"copies", "near copies", "membership"} <= names(copied)
    assert found.as_dict()["tables"]["rows"]["model"]["copies"] == 0


def test_tables_of_numbers_are_compared_both_ways(evaluated):
    training, held_out = halves(plain(1000))
    found = evaluated(plain(700, seed=2), held_out, training)
    assert [table.name for table in found.tables] == ["samples", "rows"]
    assert found.headline.name == "tightness"
    assert found.settings["points"] == 200  # all that is held out
    assert shown(found) >= COPYING
    assert not found.diagnoses


def test_tables_are_read_once_and_their_notes_said_once(tmp_path, monkeypatch, caplog):
    read = []
    for module in (analysis, tables):
        monkeypatch.setattr(module, "read_frame", lambda path, **how: read.append(path) or read_frame(path, **how))
    data, training = tmp_path / "data.csv", tmp_path / "training.csv"
    for seed, path in enumerate((data, training)):
        plain(60, seed=seed).to_csv(path, sep=";", decimal=",", index=False)
    evaluate_files(str(training), str(data), training=str(training))
    assert read == [training, data]
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == len(set(said))
    assert sum("were read as decimal marks" in text for text in said) == 2, said


def test_notes_of_tables_that_are_no_points_are_said(tmp_path, caplog):
    mixed(60).to_csv(tmp_path / "data.csv", sep=";", decimal=",", index=False)
    evaluate_files(str(tmp_path / "data.csv"), str(tmp_path / "data.csv"))
    assert len(caplog.records) == 2, caplog.text  # semicolons and commas, of the file that is given twice


@pytest.mark.parametrize("noise", [0.0, 0.001])
def test_copies_are_found_with_training_rows_alone(evaluated, noise):
    training, held_out = halves(plain(1000, columns=4))
    samples = training + noise * training.std().to_numpy() * rng(1).normal(size=training.shape)
    assert {"near copies", "membership"} <= names(evaluated(samples, held_out, training))
    unknown = evaluated(samples, held_out)
    assert not COPYING & shown(unknown)
    assert not {"copies", "near copies", "membership", "memorization"} & names(unknown)


def test_copies_of_arrays_are_found_against_what_was_trained_on(tmp_path):
    points = sample_toy("moons", 1500, seed=0).numpy()
    for name, part in (("training", points[:1000]), ("held_out", points[1000:])):
        np.save(tmp_path / f"{name}.npy", part)
    files = [str(tmp_path / f"{name}.npy") for name in ("training", "held_out")]
    copied = evaluate_files(files[0], files[1], training=files[0])
    assert copied.model["copies"] == 1
    assert names(copied) == {"memorization"}
    assert not COPYING & shown(evaluate_files(files[0], files[1]))
    honest = evaluate_files("moons", files[1], training=files[0])
    assert honest.model["copies"] == 0
    assert not honest.diagnoses
    assert evaluate_files("digits", "digits", training="digits").model["copies"] == 1


def test_parts_that_are_lost_are_named(evaluated):
    assert {"missed part", "lost value"} <= names(evaluated(sentinel(1500, 3, mark=0.0), sentinel()))
    assert "missed part" in names(evaluated(rare_mode(2000, 3, share=0.0), rare_mode(seed=2)))
    assert names(evaluated(rare_mode(2000, 3), rare_mode())) == set()


def test_every_row_of_the_samples_is_checked_for_its_range(evaluated):
    samples = plain(3000, seed=3)
    samples.iloc[2999] = 1e6
    found = {one.name: one.seen for one in evaluated(samples, plain()).diagnoses}
    assert "row 2999, counted from 0, has 1000000" in found["out of range"]


def test_blurred_values_are_no_clean_samples(evaluated):
    samples = discrete() + rng(1).normal(0, 0.1, (1000, 3))
    assert {"told apart", "lost value", "decimals"} <= names(evaluated(samples, discrete(seed=1)))


def test_repeated_records_are_no_alarm(evaluated):
    whole = oversampled(2500)
    found = evaluated(whole.iloc[:1000], whole.iloc[1000:1400], whole.iloc[1400:])
    assert not found.diagnoses
    assert any("repeat another one" in note for note in found.notes)
    blurred = whole.iloc[:1000] + 0.03 * rng(1).normal(size=(1000, 3))
    assert "gibberish" not in names(evaluated(blurred, whole.iloc[1000:1400], whole.iloc[1400:]))


def test_columns_without_names_are_those_in_their_places(tmp_path):
    for name, table, header in (("samples", plain(300, 2), False), ("data", plain(400), True)):
        table.to_csv(tmp_path / f"{name}.csv", index=False, header=header)
    files = [str(tmp_path / f"{name}.csv") for name in ("samples", "data")]
    assert not evaluate_files(*files).diagnoses
    assert not evaluate_files(*files[::-1]).diagnoses


def test_what_counts_as_points():
    table = mixed(50)
    assert not is_numeric(table)
    assert is_numeric(table[["height"]])
    assert not is_numeric(table[["income"]])
    assert is_numeric(pd.DataFrame(torch.ones(2, 2).numpy()))


def test_held_out_and_training_exclude_each_other(evaluated):
    with pytest.raises(InputError, match=r"`held_out` would be ignored: all of .* is held out with `training`"):
        evaluated(plain(50), plain(50), plain(50), held_out=0.3)


def test_the_command_prints_both(tmp_path):
    training, held_out = halves(mixed(500))
    for name, table in (("training", training), ("held_out", held_out), ("samples", mixed(300, seed=3))):
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    command = ["evaluate-samples", tmp_path / "samples.csv", tmp_path / "held_out.csv"]
    result = call(*command, "--training", tmp_path / "training.csv", "--out", tmp_path / "out.json")
    assert result.exit_code == 0, result.output
    assert "near_copies" in result.stdout
    assert "Detection 0." in result.stdout
    assert "No problems found" in result.stdout
    alone = call(*command).stdout
    assert "cop" not in alone
    assert "give it as --training" in alone
