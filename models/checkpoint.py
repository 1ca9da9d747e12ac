"""A network and how far its training has come, in one safetensors file that is always whole.

The file holds the parameters under their own names, everything else that training needs under `optimizer.`
and `carry.`, and in its metadata, as JSON, what the network is. It is written beside the old one and then
put in its place in one step, so that whoever is killed while writing leaves the last good file. It is never
unpickled: reading it can run no code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import models
from minigrad.errors import MinigradError
from minigrad.files import write_whole
from models.errors import CheckpointError
from models.recurrent import Recurrent

Array = NDArray[Any]

FORMAT = "minigrad checkpoint"
VERSION = 1


@dataclass
class Checkpoint:
    """A network with all that belongs to it.

    Attributes
    ----------
    net : Recurrent
        The network, with its weights.
    arrays : dict of str to ndarray
        Other arrays by dotted name: ``optimizer.m.Whh``, ``carry.h``.
    about : dict
        Plain data: the vocabulary, the settings of the training, how far it has come.
    """

    net: Recurrent
    arrays: dict[str, Array] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)


def save(path: str | Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, atomically.

    Raises
    ------
    ModelError
        If the network holds a Python function that cannot be described.
    CheckpointError
        If the file cannot be written (the disk is full, say); the last checkpoint is still there then.
    """
    from safetensors.numpy import save as to_bytes

    path = Path(path)
    arrays = checkpoint.net.values()
    for name, array in checkpoint.arrays.items():
        if "." not in name or name in arrays:
            raise CheckpointError(f"{name!r} cannot name an array beside the parameters; use a dotted name")
        arrays[name] = array
    metadata = {
        "format": FORMAT,
        "version": str(VERSION),
        "model": json.dumps(checkpoint.net.description),
        "about": json.dumps(checkpoint.about),
    }
    data = to_bytes({name: np.array(array, order="C") for name, array in arrays.items()}, metadata)
    try:
        write_whole(path, data)
    except OSError as error:
        kept = "; the checkpoint before it is intact" if path.exists() else ""
        raise CheckpointError(f"{path} could not be written: {error.strerror or error}{kept}") from error


def read_tensors(path: str | Path) -> tuple[dict[str, Array], dict[str, str]]:
    """Return the arrays and the metadata of any safetensors file.

    Raises
    ------
    CheckpointError
        If it is truncated or no safetensors file.
    OSError
        If it cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if path.is_dir():
        raise CheckpointError(f"{path} is a directory; expected a safetensors file")
    size = path.stat().st_size
    try:
        with safe_open(path, "numpy") as file:
            # Copies: what safetensors returns may be a view on the file, which may yet be replaced.
            return {name: np.array(file.get_tensor(name)) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, TypeError, ValueError) as error:
        with open(path, "rb") as file:
            start = file.read(2)
        hint = ""
        if start == b"PK" or start[:1] == b"\x80":
            hint = (
                "; it looks like a pickle, as torch.save writes them, which can run code when it is read: "
                "write the weights with safetensors.torch.save_file(module.state_dict(), path)"
            )
        raise CheckpointError(
            f"{path} is damaged, or no safetensors file ({size:,} bytes): {error}{hint}"
        ) from error


def load(path: str | Path) -> Checkpoint:
    """Read a checkpoint; the network it describes is built and given its weights.

    Raises
    ------
    CheckpointError
        If the file is truncated, has arrays missing or of wrong shapes, has a newer format, or is no
        checkpoint at all.
    OSError
        If it cannot be read.
    """
    arrays, metadata = read_tensors(path)
    if metadata.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is a safetensors file, but no checkpoint of minigrad; "
            "`minigrad inspect` shows what it holds"
        )
    version = metadata.get("version", "")
    if not version.isdigit() or int(version) > VERSION:
        raise CheckpointError(
            f"{path} has format version {version or 'unknown'}; this minigrad reads up to {VERSION}: "
            "a newer minigrad is needed"
        )
    try:
        description, about = json.loads(metadata["model"]), json.loads(metadata["about"])
        net = models.build(description)
    except (KeyError, ValueError, TypeError, AttributeError, MinigradError) as error:
        raise CheckpointError(f"{path}: its description of the network cannot be used: {error}") from error
    weights: Mapping[str, Array] = {name: array for name, array in arrays.items() if "." not in name}
    for name, node in net.parameters.items():
        if name not in weights:
            raise CheckpointError(f"{path}: {name} is missing; the network described needs it, {node.shape}")
        if weights[name].shape != node.shape or weights[name].dtype != node.dtype:
            raise CheckpointError(
                f"{path}: {name} is {weights[name].dtype} {weights[name].shape}; "
                f"the network described has {node.dtype} {node.shape}"
            )
    unknown = sorted(set(weights) - set(net.parameters))
    if unknown:
        raise CheckpointError(f"{path}: {unknown[0]} belongs to no parameter of the network described")
    net.set_parameters(weights)
    return Checkpoint(net, {name: array for name, array in arrays.items() if "." in name}, about)
