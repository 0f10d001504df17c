//! The page: one HTML document that works offline, with inline styles and drawings and no scripts.
//!
//! [`render`] is a pure function of [`ReportData`]. Figures have stable ids: `fig-loss`, `fig-field`,
//! `fig-contours`, `fig-scatter`, `fig-frames` (the last four for two columns), `fig-images` (where columns are
//! pixels), `fig-marginals`, `fig-stein`, `fig-log-density`, `fig-chains`, and for three columns or more `fig-slice`,
//! `fig-correlations` and `fig-pairs`. A figure without anything to show is left out.

mod axis;
mod canvas;
mod chains;
mod comparison;
mod contours;
mod correlations;
mod data;
mod field;
mod figure;
mod frames;
mod images;
mod log_densities;
mod loss_curve;
mod marginals;
mod page;
mod pairs;
mod scatter;
mod slice;
mod stats;
mod stein_matrix;
mod tables;
mod text;
mod window;

#[cfg(test)]
mod tests;

use anyhow::Result;

pub use comparison::{Compared, Comparison, render as render_comparison};
pub(crate) use data::{
    Chains, FieldGrid, Fitted, GridSpec, HistoryPoint, LogDensities, ReportData, Slice,
    SteinProducts, Verdict,
};
pub use data::{Check, Estimate, Grade};
/// The page for `data`, as one HTML document.
///
/// # Errors
/// If arrays do not fit together: names and columns, samples and columns, grid and its values.
pub(crate) fn render(data: &ReportData) -> Result<String> {
    data.validate()?;
    let distances = stats::column_distances(data.data.view(), data.drawn());
    let mut figures = Vec::new();
    figures.extend(loss_curve::figure(data)?);
    if data.columns.len() == 2 {
        let window = window::Window::new(data);
        figures.extend(field::figure(data, &window)?);
        figures.extend(contours::figure(data, &window)?);
        figures.extend(scatter::figure(data, &window)?);
        figures.extend(frames::figure(data, &window)?);
    }
    figures.extend(images::figure(data)?);
    figures.extend(marginals::figure(data, &distances)?);
    figures.extend(stein_matrix::figure(data)?);
    figures.extend(correlations::figure(data)?);
    figures.extend(log_densities::figure(data)?);
    figures.extend(slice::figure(data)?);
    figures.extend(chains::figure(data)?);
    figures.extend(pairs::figure(data, &distances)?);
    Ok(page::assemble(data, &figures, &distances))
}
