"""A model of one density as its file describes it, evaluated by any array library: what the torch and JAX parts share."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._base import ModelEstimator
from .errors import GradlogpError


@dataclass(frozen=True)
class Scaling:
    """z = A (x - m), A a diagonal matrix, or one of directions over their widths."""

    mean: NDArray[np.float64]
    matrix: NDArray[np.float64]
    """A, d x d."""
    log_det: float
    """log |det A|."""

    @classmethod
    def of(cls, transform: Mapping[str, Any]) -> Scaling:
        sd = np.array(transform["sd"], dtype=np.float64)
        matrix, log_det = np.diag(1 / sd), -np.log(sd).sum()
        widths = np.array(transform.get("direction_sd", []), dtype=np.float64)
        if widths.size:
            directions = np.array(transform["directions"], dtype=np.float64).reshape(len(sd), len(sd))
            matrix, log_det = directions / widths[:, np.newaxis] @ matrix, log_det - np.log(widths).sum()
        return cls(np.array(transform["mean"], dtype=np.float64), matrix, float(log_det))


@dataclass(frozen=True)
class Described:
    """Graph, weights and scaling of a model of one density."""

    nodes: list[dict[str, Any]]
    names: list[str]
    parameters: list[NDArray[np.float32]]
    is_log_density: bool
    scaling: Scaling
    given: Scaling | None

    @classmethod
    def of(cls, estimator: ModelEstimator) -> Described:
        """What the file of an estimator says."""
        model = estimator._fitted()
        if model.is_over_time:
            raise GradlogpError("a model of every noise level is not one function of x; this is for ScoreDensity and ScoreField")
        file = model.to_bytes()
        length = int.from_bytes(file[:8], "little")
        header = json.loads(file[8 : 8 + length])
        description = json.loads(header.pop("__metadata__")["description"])
        if description["fit"].get("domain") is not None:
            raise GradlogpError("a density with bounds is 0 beyond them, which this function would not know")
        names = [parameter["name"] for parameter in description["graph"]["parameters"]]
        parameters = []
        for name in names:
            start, end = header[name]["data_offsets"]
            flat = np.frombuffer(file[8 + length + start : 8 + length + end], dtype="<f4")
            parameters.append(flat.reshape(header[name]["shape"]).astype(np.float32))
        given = description["fit"].get("given")
        return cls(
            description["graph"]["nodes"],
            names,
            parameters,
            model.has_log_density,
            Scaling.of(description["fit"]["transform"]),
            None if given is None else Scaling.of(given["transform"]),
        )


@dataclass(frozen=True)
class Library:
    """What an array library is asked for beyond operators."""

    concatenate: Callable[[Sequence[Any]], Any]
    """Joins along the last axis."""
    functions: Mapping[str, Callable[[Any], Any]]
    """The activations by name."""


def evaluate(nodes: Sequence[Mapping[str, Any]], parameters: Sequence[Any], x: Any, context: Any, library: Library) -> Any:
    """The output of a graph at points ... x d."""
    values: list[Any] = []
    for node in nodes:
        match node["op"]:
            case "input":
                value = x
            case "context":
                value = context
            case "affine":
                value = values[node["input"]] @ parameters[node["weight"]].T
                if node["bias"] is not None:
                    value = value + parameters[node["bias"]]
            case "activation":
                value = library.functions[node["function"]](values[node["input"]])
            case "add":
                value = values[node["inputs"][0]] + values[node["inputs"][1]]
            case "multiply":
                value = values[node["inputs"][0]] * values[node["inputs"][1]]
            case "concat":
                value = library.concatenate([values[k] for k in node["inputs"]])
            case "slice":
                value = values[node["input"]][..., node["start"] : node["start"] + node["width"]]
            case "sum":
                value = values[node["input"]].sum(-1)[..., None]
            case "scale":
                value = values[node["input"]] * node["factor"]
            case "squared-norm":
                value = (values[node["input"]] ** 2).sum(-1)[..., None]
            case other:
                raise GradlogpError(f"the model has a part of kind {other!r}, which this version does not know")
        values.append(value)
    return values[-1]
