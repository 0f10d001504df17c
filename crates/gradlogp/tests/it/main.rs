//! One binary for all integration tests: what holds across modules, checked against reference densities.

mod bounded;
mod calibration;
mod finite_differences;
mod fits;
mod jets;
mod objectives;
mod on_base;
mod references;
mod second_sweeps;
mod time_fits;
mod training;
