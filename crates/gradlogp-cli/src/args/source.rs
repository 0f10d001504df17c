//! Where rows come from.

use std::path::PathBuf;

use clap::Args;

/// Where rows come from.
#[derive(Debug, Clone, Args)]
pub(crate) struct SourceArgs {
    /// Table of numbers: CSV with `,` `;` `|` tab or blanks, with or without a header, gzipped or not; .npy; .npz
    /// (FILE.npz:NAME where it holds several arrays); - for standard input.
    #[arg(value_name = "DATA")]
    pub(crate) data: Option<PathBuf>,
    /// A built-in data set instead of a file; `gradlogp datasets` lists them.
    #[arg(long, value_name = "NAME", conflicts_with = "data")]
    pub(crate) dataset: Option<String>,
    /// Rows to draw of a synthetic data set [default: 10000].
    #[arg(long, value_name = "N", conflicts_with = "data")]
    pub(crate) rows: Option<usize>,
}
