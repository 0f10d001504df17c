//! The program `gradlogp`.

// The report is called by no command yet.
#[allow(dead_code, unused_imports)]
mod report;

fn main() {}
