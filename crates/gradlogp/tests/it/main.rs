//! One binary for all integration tests: what holds across modules, checked against oracles.

mod architecture;
mod jets;
mod objectives;
