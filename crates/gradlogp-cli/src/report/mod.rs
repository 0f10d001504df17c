//! The report: one HTML page that works offline, with inline styles and drawings and no scripts.
//!
//! [`render`] is a pure function of [`ReportData`]. Figures have stable ids: `fig-loss`, `fig-field`,
//! `fig-contours`, `fig-scatter`, `fig-frames` (the last four for two columns), `fig-images` (where columns are
//! pixels), `fig-marginals` and `fig-pairs` (three columns or more). A figure without anything to show is left out.

mod axis;
mod canvas;
mod comparison;
mod contours;
mod data;
mod field;
mod figure;
mod frames;
mod images;
mod loss_curve;
mod marginals;
mod page;
mod pairs;
mod scatter;
mod stats;
mod tables;
mod text;
mod window;

#[cfg(test)]
mod tests;

use anyhow::Result;

pub(crate) use comparison::{Compared, Comparison, render as render_comparison};
pub(crate) use data::{
    Check, Estimate, FieldGrid, Fitted, Grade, GridSpec, HistoryPoint, ReportData, Verdict,
};

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
    figures.extend(pairs::figure(data, &distances)?);
    Ok(page::assemble(data, &figures, &distances))
}
