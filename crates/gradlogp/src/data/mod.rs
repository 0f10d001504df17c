//! From a file to rows that a model can be trained on, and back to the user's own units.
//!
//! The way of a table: [`read_table`] (columns chosen before a number is parsed) -> [`check_table`]
//! (errors and [`DataWarning`]s) -> [`Dequantization`] on request -> [`split_rows`] ->
//! [`Transform`] fitted on the training rows. Only the transform is needed again
//! afterwards: it carries samples, scores, log densities and Hessians back.
//!
//! Reading files is the feature `io`, on by default; without it a [`Table`] is made of an array.

mod checks;
mod copies;
#[cfg(feature = "io")]
mod csv_field;
#[cfg(feature = "io")]
mod csv_file;
#[cfg(feature = "io")]
mod csv_plain;
#[cfg(feature = "io")]
mod csv_sniff;
#[cfg(feature = "io")]
mod csv_stream;
mod dependence;
mod dequantize;
mod identifiers;
mod marginals;
mod names;
#[cfg(feature = "io")]
mod npy;
#[cfg(feature = "io")]
mod npy_file;
#[cfg(feature = "io")]
mod number_style;
#[cfg(feature = "io")]
mod parquet_file;
mod split;
mod table;
mod ties;
mod transform;
mod warning;

#[cfg(feature = "io")]
#[cfg(test)]
mod real_file_tests;

pub use checks::check_table;
pub use copies::RowCopies;
#[cfg(feature = "io")]
pub use csv_file::{Header, ReadOptions, TextTable, read_csv, read_csv_from, read_text_from};
pub use dequantize::{Dequantization, DequantizeColumns, GapRule, Grid};
pub use marginals::{Marginal, Marginals, Warp};
pub(crate) use names::option_list;
pub use names::split_names;
#[cfg(feature = "io")]
pub use npy::write_npy;
#[cfg(feature = "io")]
pub use npy_file::{read_table, read_table_from};
#[cfg(feature = "io")]
pub use number_style::Mark;
#[cfg(feature = "io")]
pub use parquet_file::parquet_as_text;
pub use split::{Split, SplitFractions, split_rows, split_rows_together};
pub(crate) use table::Fnv;
pub use table::Table;
pub use ties::Ties;
pub use transform::{Standardization, Transform};
pub use warning::{ColumnTies, DataWarning, Dependence, Identity, LeftOut};

// Where these were first.
#[doc(no_inline)]
pub use crate::reference::synthetic;
#[doc(no_inline)]
pub use crate::train::BatchPlan;
