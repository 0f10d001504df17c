//! The program `gradlogp`.

#[allow(dead_code, unused_imports)]
mod report;

fn main() {}
