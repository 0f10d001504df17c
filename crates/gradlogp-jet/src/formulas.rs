// Indented formulas would be taken for examples to run.
#![cfg_attr(not(doctest), doc = include_str!("../MATH.md"))]
#![cfg_attr(doctest, doc = "The formulas.")]
// E[s] is an expectation, not a link.
#![allow(rustdoc::broken_intra_doc_links)]
