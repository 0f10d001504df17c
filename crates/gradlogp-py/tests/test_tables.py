"""Tables of pandas, polars and pyarrow, with the names of their columns."""

import warnings

import numpy as np
import pytest
from conftest import SMALL, gaussian_rows

import gradlogp
from gradlogp import ScoreField, ScoreImputer, ScoreOutlierDetector, errors

pandas = pytest.importorskip("pandas")
polars = pytest.importorskip("polars")
pyarrow = pytest.importorskip("pyarrow")

QUICK = {**SMALL, "hidden": [8], "steps": 30}
NAMES = ["mass, kg", "speed"]


class Stream:
    """A table that has the Arrow C stream and nothing else."""

    def __init__(self, table):
        self._table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self._table.__arrow_c_stream__(requested_schema)


def of_pandas(x):
    return pandas.DataFrame(x, columns=NAMES)


MAKERS = {
    "pandas": of_pandas,
    "pandas, float32": lambda x: of_pandas(x).astype(np.float32),
    "pandas, arrow": lambda x: of_pandas(x).astype("double[pyarrow]"),
    "polars": lambda x: polars.DataFrame(x, schema=NAMES),
    "pyarrow": lambda x: pyarrow.Table.from_pandas(of_pandas(x)),
    "pyarrow, in chunks": lambda x: pyarrow.concat_tables(
        [pyarrow.Table.from_pandas(of_pandas(x[:100])), pyarrow.Table.from_pandas(of_pandas(x[100:]))]
    ),
    "a stream": lambda x: Stream(pyarrow.Table.from_pandas(of_pandas(x))),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())
def test_tables_are_rows_with_names(make, tmp_path):
    x = gaussian_rows(400)
    narrow = make is MAKERS["pandas, float32"]
    x = x.astype(np.float32).astype(np.float64) if narrow else x
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = ScoreField(**QUICK).fit(make(x))
        found = model.grad_log_density(make(x))
    plain = ScoreField(**QUICK).fit(x)
    np.testing.assert_array_equal(found, plain.grad_log_density(x))
    assert list(model.feature_names_in_) == NAMES and not hasattr(plain, "feature_names_in_")
    path = tmp_path / "model.safetensors"
    model.save(path)
    back = gradlogp.load(path)
    assert list(back.feature_names_in_) == NAMES
    np.testing.assert_array_equal(back.grad_log_density(make(x)), found)


def test_columns_are_told_apart_by_name():
    x = gaussian_rows(400)
    model = ScoreField(**QUICK).fit(of_pandas(x))
    with pytest.raises(ValueError, match="same order"):
        model.grad_log_density(of_pandas(x)[NAMES[::-1]])
    with pytest.raises(errors.DataError, match=r'row 2 \(counted from 0\), column "speed"') as found:
        model.grad_log_density(of_pandas(np.where(np.arange(400)[:, None] == 2, [[1, np.nan]], x)))
    assert found.value.column == "speed"
    assert ScoreField(**QUICK, given="speed").fit(of_pandas(x)).grad_log_density(of_pandas(x)).shape == (400, 1)


def test_columns_without_numbers_are_named():
    x = gaussian_rows(20)
    kinds = {"word": ["u", "v"] * 10, "category": pandas.Categorical(["u", "v"] * 10), "date": pandas.date_range("2020", periods=20)}
    for name, values in kinds.items():
        with pytest.raises(errors.DataError, match=f'X: column "{name}": its values .* are no numbers') as found:
            ScoreField(**QUICK).fit(of_pandas(x).assign(**{name: values}))
        assert found.value.column == name
    with pytest.raises(errors.DataError, match='X: column "word"'):
        ScoreField(**QUICK).fit(polars.DataFrame({"a": x[:, 0], "word": ["u"] * 20}))
    with pytest.raises(errors.DataError, match="collect"):
        ScoreField(**QUICK).fit(polars.DataFrame(x, schema=NAMES).lazy())


def test_own_models_are_checked_on_named_tables_in_peace():
    table = of_pandas(gaussian_rows(400))
    model = ScoreField(**QUICK).fit(table)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for score in (model.grad_log_density, lambda x: model.grad_log_density(x)):
            assert gradlogp.check_score(score, table).rows == 400
            assert gradlogp.ksd_test(score, table, threads=2).rows == 400
        gradlogp.sample_ula(model.grad_log_density, table[:4], step_size=0.01, n_draws=5, warm_up=5)
    with pytest.raises(ValueError, match="same order"):
        gradlogp.check_score(model.grad_log_density, table[NAMES[::-1]])
    with pytest.warns(UserWarning, match="valid feature names"):
        model.grad_log_density(table.to_numpy())


def test_what_is_filled_in_keeps_its_names():
    x = gaussian_rows(400)
    x[::7, 0] = np.nan
    imputer = ScoreImputer(**QUICK_IMPUTER).fit(of_pandas(x))
    assert list(imputer.get_feature_names_out()) == NAMES
    filled = imputer.set_output(transform="pandas").transform(of_pandas(x))
    assert isinstance(filled, pandas.DataFrame) and list(filled.columns) == NAMES
    assert not filled.isna().any().any() and (filled[NAMES[1]] == x[:, 1]).all()
    filled = imputer.set_output(transform="polars").transform(polars.DataFrame(x, schema=NAMES))
    assert filled.columns == NAMES


QUICK_IMPUTER = {"hidden": [8], "steps": 30, "members": 1, "threads": 2}


def test_outliers_of_a_table():
    x = gaussian_rows(400)
    detector = ScoreOutlierDetector(hidden=[16], steps=200, threads=2).fit(of_pandas(x))
    far = of_pandas(np.array([[1.0, -2.0], [15.0, -2.0]]))
    assert list(detector.predict(far)) == [1, -1]
