#![doc = include_str!("../MATH.md")]
// E[s] is an expectation, not a link.
#![allow(rustdoc::broken_intra_doc_links)]
