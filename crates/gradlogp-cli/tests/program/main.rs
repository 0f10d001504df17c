//! The program as a user meets it: what it prints, what it writes, how it ends.
//!
//! `cargo test -p gradlogp-cli --test program` runs all but the long version of the kill test, which
//! `cargo test -p gradlogp-cli --test program -- --ignored` runs.

mod bad_data;
mod bad_model;
mod bad_output;
mod bad_settings;
mod bounds;
mod compare;
mod conditional;
mod diagnostics;
mod ensembles;
mod images;
mod impute_and_resume;
#[cfg(unix)]
mod interrupt;
mod kernel_families;
#[cfg(unix)]
mod kill;
mod lost_files;
#[cfg(unix)]
mod numbers;
mod quality;
mod reading;
mod results;
mod rows;
mod support;
mod tampered;
mod time_models;
mod training;
mod trust;
mod words;
