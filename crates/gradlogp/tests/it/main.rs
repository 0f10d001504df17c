//! One binary for all integration tests: what holds across modules, checked against oracles.

mod jets;
mod objectives;
