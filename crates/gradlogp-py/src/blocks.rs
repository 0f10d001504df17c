//! Answers of a model for all rows of a caller, in blocks.

use gradlogp::engine::Threads;
use gradlogp::{Error, FittedModel};
use ndarray::{Array1, Array2, ArrayView2, Axis, s};
use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;

use crate::arrays::{Rows, View};
use crate::errors::OrRaise;
use crate::pool;

/// Rows that are answered at once: what is kept beside a large array is small.
const BLOCK: usize = 65_536;
/// Numbers of a call so small that another thread could only slow it down.
const SMALL: usize = 1024;

/// At what rows are asked: conditions, one for all rows or one for each, and the time of a diffusion model.
pub(crate) type Asked<'a> = (Option<View<'a>>, Option<f64>);

/// f(model, block) for all rows in blocks, below each other; `width` numbers for each row.
pub(crate) fn in_blocks(
    fitted: &FittedModel,
    py: Python<'_>,
    rows: View<'_>,
    (given, time): Asked<'_>,
    threads: usize,
    width: usize,
    f: impl Fn(&FittedModel, ArrayView2<'_, f64>, usize) -> gradlogp::Result<Array2<f64>> + Sync + Send,
) -> PyResult<Array2<f64>> {
    let (n, d) = rows.dim();
    rows.check_columns(fitted.description().columns.len()).or_raise(py)?;
    let mut model = fitted.clone();
    if let Some(time) = time {
        model = model.at_time(time).or_raise(py)?;
    }
    let one_for_all = given.filter(|given| given.dim().0 == 1);
    if let Some(given) = one_for_all {
        model = model.at_condition(given.all().view()).or_raise(py)?;
    }
    let each = given.filter(|given| given.dim().0 != 1);
    if let Some(given) = each.filter(|given| given.dim().0 != n) {
        let (expected, found) = (vec![n], vec![given.dim().0]);
        return Err(Error::Shape { operation: "rows of `given`", expected, found }).or_raise(py);
    }
    if given.is_none() && !model.condition_columns().is_empty() {
        let message =
            format!("the model is conditional: give {}", model.condition_columns().join(", "));
        return Err(Error::config("given", message)).or_raise(py);
    }
    let pool = match n * (2 * d + 1) <= SMALL {
        true => None,
        false => Some(pool::threads(threads).or_raise(py)?),
    };
    let mut out = Array2::zeros((n, width));
    for start in (0..n).step_by(BLOCK) {
        let end = n.min(start + BLOCK);
        let block = py.detach(|| {
            let rows = rows.some(start..end);
            finite(rows.view(), start, &model.description().columns)?;
            let model = match each {
                Some(given) => &model.at_condition(given.some(start..end).view())?,
                None => &model,
            };
            within(pool.as_deref(), || f(model, rows.view(), start))
        });
        out.slice_mut(s![start..end, ..]).assign(&block.or_raise(py)?);
        py.check_signals()?;
    }
    Ok(out)
}

/// Refuses a value that is no number; `start` is the place of the first row.
pub(crate) fn finite(
    rows: ArrayView2<'_, f64>,
    start: usize,
    columns: &[String],
) -> gradlogp::Result<()> {
    match rows.indexed_iter().find(|(_, value)| !value.is_finite()) {
        None => Ok(()),
        Some(((row, column), value)) => Err(Error::Data {
            source_name: "X".into(),
            row: Some(start + row + 1),
            column: columns.get(column).cloned(),
            message: format!("{value} is not a finite number"),
        }),
    }
}

/// On a pool, or here.
fn within<R: Send>(pool: Option<&Threads>, f: impl FnOnce() -> R + Send) -> R {
    match pool {
        Some(pool) => pool.install(f),
        None => f(),
    }
}

/// One number for each row as a column.
pub(crate) fn column(values: Array1<f64>) -> Array2<f64> {
    values.insert_axis(Axis(1))
}

/// A column as one number for each row.
pub(crate) fn flat(py: Python<'_>, column: Array2<f64>) -> Bound<'_, PyArray1<f64>> {
    column.index_axis_move(Axis(1), 0).into_pyarray(py)
}

pub(crate) fn asked<'a>(given: Option<&'a Rows<'_>>, time: Option<f64>) -> Asked<'a> {
    (given.map(Rows::view), time)
}
