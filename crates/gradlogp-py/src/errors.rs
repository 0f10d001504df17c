//! The library's errors as Python's, which are classes of `gradlogp.errors`, and its texts in the words of Python
//! (`python/gradlogp/_wording.py`).

use gradlogp::{Error, ErrorClass};
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// A text of the library in the words of Python.
pub(crate) fn in_python(py: Python<'_>, text: &str) -> PyResult<String> {
    words(py)?.call_method1("in_python", (text,))?.extract()
}

fn words(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    py.import("gradlogp._wording")
}

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
        let place = PyDict::new(py);
        let text: String = match error {
            Error::Config { option, message } => {
                let told = words(py)?.call_method1("of_setting", (option.as_ref(), message))?;
                let (setting, text): (String, String) = told.extract()?;
                place.set_item("setting", setting)?;
                text
            }
            Error::Data { source_name, row, column, message } => {
                let row = row.map(|row| row.saturating_sub(1));
                place.set_item("row", row)?;
                place.set_item("column", column)?;
                let told = (source_name, row, column, message);
                words(py)?.call_method1("of_data", told)?.extract()?
            }
            other => in_python(py, &other.to_string())?,
        };
        if let Error::Io { source, .. } = error {
            place.set_item("errno", source.raw_os_error())?;
        }
        let value = py.import("gradlogp.errors")?.getattr(name)?.call1((text,))?;
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
