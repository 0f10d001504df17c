//! Fuzzing on stable Rust: changed files and texts must give an answer or an error, never a panic, an abort,
//! endless work or a huge allocation. How to run it for longer: docs/fuzzing.md.
//!
//! One target is one file with one test, in which [`harness::Target`] says what is changed, how, and what must
//! cope with it. A new target is such a file and its line below.

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

mod expressions;
mod fit_checkpoint;
mod harness;
mod kernel_checkpoint;
mod model_file;
mod mutate;
mod snapshot;
mod table;
mod tensor_file;

/// Counts bytes, so that an allocation on the word of an input is noticed.
#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;
