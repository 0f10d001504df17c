"""Texts of the engine in the words of Python.

The engine names settings in backticks, counts rows and columns from 1, and says of JSON that it cannot read what its
types are. Here they become parameters with values as Python writes them, places counted from 0, and Python's types.
"""

from __future__ import annotations

import csv
import re

# Settings of the engine that are called otherwise here. What is no parameter, but the model itself, has no name.
_PARAMETERS = {
    "at": "t",
    "features": "time_features",
    "fitted_model": "",
    "given_values": "given",
    "graph": "hidden",
    "n": "n_samples",
    "noise_levels": "levels",
    "noise_objective": "objective",
    "ou_rate": "rate",
    "purpose": "for_",
    "with_gaussians": "gaussians",
}

# What the program says of its options, and a class or nothing at all says here.
_SENTENCES = (
    (r"(this one|this model) was fitted without `noise`", r"\1 is of one density"),
    (r"is of one density: it knows one density, not times", "is of one density, not of all times"),
    (r"this model was fitted with `noise`: it knows", "this model is of all noise levels: it knows"),
    (r"with `noise` ve, vp, subvp or ou", "with `process` ve, vp, sub-vp or ou"),
    (r"fit with `model` potential", "fit a ScoreDensity"),
    (r"fit with `for` anomaly", 'fit a DiffusionDensity(for_="anomaly")'),
    (r"\. No model was written", ""),
    (r"; more annealing rungs, a setting of the library, may help", ""),
    (r"\(fit with a base scale\)", "(fit with `base_scale`)"),
    (r", as in (.+)=1\.5, or a table of values", r', as in {"\1": 1.5}, or a row of values for each chain'),
    (r"; choose fewer columns with `columns` or get more rows", "; choose fewer columns or get more rows"),
    (r"; name them like the model's to be sure", ""),
)

_NUMBERS = r"[-+]?\d[\d.]*(?:e[-+]?\d+)?"


def in_python(text: str) -> str:
    """A text of the engine in the words of Python."""
    for pattern, words in _SENTENCES:
        text = re.sub(pattern, words, text)
    text = _of_json(text)
    text = re.sub(
        r"shape \[([\d, ]*)\], got \[([\d, ]*)\]",
        lambda found: f"shape {_tuple(found[1])}, got {_tuple(found[2])}",
        text,
    )
    text = _left_out(text)
    text = re.sub(r"`(\w+)`=(\w+)", r'`\1="\2"`', text)
    text = re.sub(r"`([a-z_]+) = ((?:[^`]|``)*)`", lambda found: f"`{found[1]}={_value(found[2])}`", text)
    text = re.sub(rf"`(\w*_\w*)` ({_NUMBERS})\b", r"`\1=\2`", text)
    text = re.sub(r"`(standardize|noise_weight|times|process)` ([a-z][\w-]*)\b", r'`\1="\2"`', text)
    text = re.sub(r"`(\w+)`", lambda found: f"`{_PARAMETERS.get(found[1], found[1])}`", text)
    return _from_zero(text)


def of_setting(name: str, message: str) -> tuple[str, str]:
    """A parameter and what is wrong with it, from a setting of the engine."""
    parameter = _PARAMETERS.get(name, name)
    told = in_python(message)
    if parameter:
        return parameter, f"{parameter}: {told}"
    return "", f"the model {told}" if re.match(r"(is|was|has|needs) ", told) else told


def of_data(source: str, row: int | None, column: str | None, message: str) -> str:
    """What is wrong with a table, and where; ``row`` is counted from 0."""
    places = [f"row {row} (counted from 0)"] if row is not None else []
    places += [f'column "{column}"'] if column is not None else []
    return ": ".join([source, *([", ".join(places)] if places else []), in_python(message)])


def _left_out(text: str) -> str:
    """What the program leaves out with an option, the caller leaves out of X."""
    listed = r"`drop = ((?:[^`]|``)*)`"

    def names(found: re.Match[str]) -> str:
        return ", ".join(f'"{name}"' for name in _names(found[1]))

    text = re.sub(rf"(leave one part out), as with {listed}", lambda m: f"{m[1]}, such as {_quoted(m[2])}", text)
    text = re.sub(rf"(leave one part out) with {listed}", lambda m: f"{m[1]}, such as {_quoted(m[2])}", text)
    text = re.sub(rf"(eave (?:it|the columns) out) with {listed}", r"\1", text)
    text = re.sub(rf"(keep one of each), {listed}", lambda m: f"{m[1]} and leave out {_quoted(m[2])}", text)
    text = re.sub(rf"(leave out what follows from the rest), {listed}", lambda m: f"{m[1]}: {_quoted(m[2])}", text)
    text = re.sub(r" with `drop`", "", text)
    return re.sub(rf"(?:use )?{listed}", lambda found: "leave out " + names(found), text)


def _names(listed: str) -> list[str]:
    return next(csv.reader([listed.replace("``", "`")]), [])


def _quoted(listed: str) -> str:
    return ", ".join(f'"{name}"' for name in _names(listed))


def _value(text: str) -> str:
    if re.fullmatch(_NUMBERS, text):
        return text
    names = _names(text)
    quoted = ", ".join(f'"{name}"' for name in names)
    return quoted if len(names) == 1 and "," not in text else f"[{quoted}]"


def _tuple(listed: str) -> str:
    return f"({listed},)" if listed and "," not in listed else f"({listed})"


# Kinds of values, as the reader of JSON calls them.
_EXPECTED = (
    (r"(?:usize|u64|u32|u16|u8)|a nonzero .*", "a whole number that is not negative"),
    (r"i64|i32", "a whole number"),
    (r"f64|f32", "a number"),
    (r"a boolean", "True or False"),
    (r"a sequence|an array.*", "a list"),
    (r"a string|a borrowed string|a str", "a word"),
    (r".*\b(?:enum|struct|variant|map)\b.*", "one of its kinds"),
)


def _of_json(text: str) -> str:
    """Complaints about JSON as complaints about values."""
    text = re.sub(r" at line \d+ column \d+$", "", text)
    text = re.sub(
        r"unknown (?:variant|field) `([^`]*)`, (?:expected (?:one of )?(.*)|there are no .*)",
        lambda found: f"is {found[1]!r}, not {(found[2] or 'any value').replace('`', '')}",
        text,
    )
    text = re.sub(r"missing field `(\w+)`", r"needs `\1`, too", text)
    text = re.sub(r"data did not match any variant of untagged enum \w+", "is nothing that it can be", text)
    return re.sub(
        r"invalid (?:type|value|length):? (.*?), expected (.*)$",
        lambda found: f"must be {_expected(found[2])}, not {_found(found[1])}",
        text,
    )


def _expected(kind: str) -> str:
    return next((words for pattern, words in _EXPECTED if re.fullmatch(pattern, kind)), kind)


def _found(value: str) -> str:
    named = re.fullmatch(r'string "(.*)"|(?:integer|floating point|boolean|character) `(.*)`', value)
    if named is None:
        return {"null": "None", "map": "a dict", "sequence": "a list"}.get(value, value)
    if named[1] is not None:
        return repr(named[1])
    return {"true": "True", "false": "False"}.get(named[2], named[2])


def _from_zero(text: str) -> str:
    """Rows and columns that the engine counts from 1, but for what stands in quotation marks."""
    parts = re.split(r'("[^"]*")', text)

    def place(found: re.Match[str]) -> str:
        return f"{found[1]} {int(found[2]) - 1} (counted from 0)"

    return "".join(
        part if k % 2 else re.sub(r"\b(row|column) ([1-9]\d*)\b(?! \(counted)", place, part)
        for k, part in enumerate(parts)
    )
