//! The compiled part of the Python package `gradlogp`: it takes arrays and settings, calls the library, and gives arrays
//! and JSON back. Everything that a user sees of it is in `python/gradlogp`.

mod arrays;
mod blocks;
mod draw;
mod errors;
mod fit;
mod foreign;
mod model;
mod named;
mod network;
mod pool;
mod process;
mod report;
mod settings;
mod trainer;
mod under_way;

use pyo3::prelude::*;

#[pymodule]
fn _gradlogp(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<fit::FitChecks>()?;
    module.add_class::<model::Model>()?;
    module.add_class::<network::Network>()?;
    module.add_class::<trainer::Steps>()?;
    module.add_function(wrap_pyfunction!(network::draw_slices, module)?)?;
    module.add_function(wrap_pyfunction!(model::false_alarm_threshold, module)?)?;
    module.add_function(wrap_pyfunction!(foreign::check_score, module)?)?;
    module.add_function(wrap_pyfunction!(foreign::ksd_test, module)?)?;
    module.add_function(wrap_pyfunction!(foreign::sample_chains, module)?)?;
    module.add_function(wrap_pyfunction!(fit::fit, module)?)
}
