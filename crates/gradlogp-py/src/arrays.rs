//! NumPy arrays of rows: of either precision and any layout, read where they lie.

use gradlogp::Error;
use ndarray::{Array2, ArrayView2, CowArray, Ix2, s};
use numpy::PyReadonlyArray2;
use pyo3::prelude::*;
use std::ops::Range;

/// Rows of a caller.
#[derive(FromPyObject)]
pub(crate) enum Rows<'py> {
    #[pyo3(transparent)]
    F64(PyReadonlyArray2<'py, f64>),
    #[pyo3(transparent)]
    F32(PyReadonlyArray2<'py, f32>),
}

/// The same without the interpreter.
#[derive(Clone, Copy)]
pub(crate) enum View<'a> {
    F64(ArrayView2<'a, f64>),
    F32(ArrayView2<'a, f32>),
}

impl Rows<'_> {
    pub(crate) fn view(&self) -> View<'_> {
        match self {
            Rows::F64(rows) => View::F64(rows.as_array()),
            Rows::F32(rows) => View::F32(rows.as_array()),
        }
    }
}

impl<'a> View<'a> {
    pub(crate) fn dim(&self) -> (usize, usize) {
        match self {
            View::F64(rows) => rows.dim(),
            View::F32(rows) => rows.dim(),
        }
    }

    /// Some rows in double precision, copied only where they are not.
    pub(crate) fn some(&self, rows: Range<usize>) -> CowArray<'a, f64, Ix2> {
        match self {
            View::F64(all) => CowArray::from(all.slice_move(s![rows, ..])),
            View::F32(all) => CowArray::from(all.slice(s![rows, ..]).mapv(f64::from)),
        }
    }

    /// All rows in double precision.
    pub(crate) fn all(&self) -> CowArray<'a, f64, Ix2> {
        self.some(0..self.dim().0)
    }

    /// All rows as an array of their own, row after row: what is computed does not depend on how they lay.
    pub(crate) fn owned(&self) -> Array2<f64> {
        let all = self.all();
        match all.is_standard_layout() {
            true => all.into_owned(),
            false => all.as_standard_layout().into_owned(),
        }
    }

    /// Refuses other columns than `wanted`.
    pub(crate) fn check_columns(&self, wanted: usize) -> gradlogp::Result<()> {
        match self.dim().1 {
            found if found == wanted => Ok(()),
            found => {
                let (expected, found) = (vec![wanted], vec![found]);
                Err(Error::Shape { operation: "columns of the rows", expected, found })
            }
        }
    }
}
