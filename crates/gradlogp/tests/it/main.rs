//! One binary for all integration tests: what holds across modules, checked against oracles.

mod architecture;
mod calibration;
mod fits;
mod jets;
mod objectives;
mod time_fits;
mod training;
