"""Training checkpoints as one safetensors file: tensors, and a JSON tree of everything else. Loading executes no code."""

import json
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from contrastive_entropy.errors import InputError
from contrastive_entropy.storage import write_atomically


class SafetensorsCheckpointIO(CheckpointIO):
    """Lightning plugin that stores checkpoints without pickle, and replaces the previous one only when complete."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write the nested checkpoint.

        Raises:
            TypeError: it holds something that is neither a tensor nor plain data.
        """
        tensors: dict[str, Tensor] = {}
        tree = _encode(checkpoint, tensors)
        write_atomically(Path(path), save(tensors, metadata={"tree": json.dumps(tree)}))

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read it back, on the CPU unless map_location names a device.

        Raises:
            InputError: no such file, or damaged.
        """
        device = str(map_location) if isinstance(map_location, str | torch.device) else "cpu"
        try:
            with safe_open(str(path), framework="pt", device=device) as file:
                tree = json.loads(file.metadata()["tree"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
            checkpoint: dict[str, Any] = _decode(tree, tensors)
        except FileNotFoundError as error:
            raise InputError(f"no checkpoint at {path}; train again with `overwrite`") from error
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path} is corrupt ({error}); train again with `overwrite`") from error
        return checkpoint

    def remove_checkpoint(self, path: str | Path) -> None:
        """Delete it."""
        Path(path).unlink(missing_ok=True)


def _encode(value: Any, tensors: dict[str, Tensor]) -> Any:
    """JSON for plain data; {"kind": content} for what JSON has not: tensors, tuples, dicts with any keys."""
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().cpu().clone().contiguous()
        return {"tensor": name}
    if isinstance(value, dict):
        return {"dict": [[_encode(key, tensors), _encode(item, tensors)] for key, item in value.items()]}
    if isinstance(value, tuple):
        return {"tuple": [_encode(item, tensors) for item in value]}
    if isinstance(value, list):
        return [_encode(item, tensors) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a checkpoint holds tensors and plain data, got {type(value).__name__}")


def _decode(tree: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(tree, list):
        return [_decode(item, tensors) for item in tree]
    if not isinstance(tree, dict):
        return tree
    ((kind, content),) = tree.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "tuple":
        return tuple(_decode(item, tensors) for item in content)
    return {_decode(key, tensors): _decode(item, tensors) for key, item in content}
