//! The library's errors as Python's, which are classes of `gradlogp.errors`.

use gradlogp::{Error, ErrorClass};
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// The exception for an error: its class says what to change, its attributes where it lies. Rows are counted from 0.
pub(crate) fn raised(py: Python<'_>, error: &Error) -> PyErr {
    let name = match error.class() {
        ErrorClass::Usage => "SettingError",
        ErrorClass::Data => "DataError",
        ErrorClass::Model => "ModelFileError",
        ErrorClass::Io => "FileError",
        ErrorClass::Numerical => "NumericalError",
    };
    let made = || -> PyResult<PyErr> {
        let class = py.import("gradlogp.errors")?.getattr(name)?;
        let value = class.call1((error.to_string(),))?;
        let place = PyDict::new(py);
        match error {
            Error::Config { option, .. } => place.set_item("setting", option.as_ref())?,
            Error::Data { row, column, .. } => {
                place.set_item("row", row.map(|row| row.saturating_sub(1)))?;
                place.set_item("column", column)?;
            }
            Error::Io { source, .. } => place.set_item("errno", source.raw_os_error())?,
            _ => {}
        }
        for (name, found) in place {
            value.setattr(name.cast::<pyo3::types::PyString>()?, found)?;
        }
        Ok(PyErr::from_value(value))
    };
    made().unwrap_or_else(|failed| failed)
}

/// Turns the library's errors into exceptions.
pub(crate) trait OrRaise<T> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T>;
}

impl<T> OrRaise<T> for gradlogp::Result<T> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|error| raised(py, &error))
    }
}
