import logging

import numpy as np
import pandas as pd
import torch
from PIL import Image

from contrastive_entropy import ImageReading, InputError
from contrastive_entropy.data.load import load, read_points

RNG = np.random.default_rng(0)


def write(path, array):
    if path.suffix == ".npy":
        np.save(path, array)
    elif path.suffix == ".npz":
        np.savez(path, samples=array, labels=np.zeros(len(array)))
    else:
        table = pd.DataFrame(array, columns=[f"c{i}" for i in range(array.shape[1])])
        table.to_csv(path, index=False) if path.suffix == ".csv" else table.to_parquet(path)
    return path


def csv_file(folder, text):
    path = folder / "x.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


NUMBERS = "\n".join(f"{i},{100 + i}" for i in range(20))


def save_images(folder, arrays, suffix=".png"):
    for i, array in enumerate(arrays):
        Image.fromarray(array).save(folder / f"{i:02}{suffix}")
    return folder


def all_rows(data):
    return torch.cat([data.train.points, data.held_out.points])


def load_unless_refused(path):
    """None where the file is refused with a message that names it."""
    try:
        return load(path)
    except InputError as error:
        if str(path) not in str(error):
            raise
    return None


def read(path, **reading):
    """(n, height, width) gray or (n, height, width, 3) images in units of 255."""
    points, schema = read_points(path, images=ImageReading(**reading))
    images = 255 * points.numpy().reshape(-1, *schema.shape).transpose(0, 2, 3, 1)
    return images[..., 0] if schema.channels == 1 else images


def gray(count=12, shape=(6, 5), dtype=np.uint8, top=256):
    return RNG.integers(0, top, (count, *shape)).astype(dtype)


def notices(caplog, action):
    with caplog.at_level(logging.INFO, logger="contrastive_entropy"):
        action()
    return "\n".join(record.getMessage() for record in caplog.records)
