//! The score of a model of more than two columns on a plane through the data: two columns vary, the others stand at their
//! medians.

use anyhow::Result;

use super::data::{ReportData, Slice};
use super::field;
use super::figure::Figure;
use super::window::Window;

/// The figure, or None without a slice.
pub(super) fn figure(data: &ReportData) -> Result<Option<Figure>> {
    let Some(Slice { columns: (i, j), grid }) = &data.slice else { return Ok(None) };
    let plane = ReportData {
        columns: vec![data.name(*i), data.name(*j)],
        data: data.data.select(ndarray::Axis(1), &[*i, *j]),
        grid: Some(grid.clone()),
        ..ReportData::default()
    };
    let figure = field::figure(&plane, &Window::new(&plane))?;
    Ok(figure.map(|figure| {
        let mut caption = vec![format!(
            "A slice: {} and {} vary, all other columns stand at their medians over the held-out rows, which are shown as \
             they are. Where columns depend on each other, few rows lie in the slice.",
            data.name(*i),
            data.name(*j)
        )];
        caption.extend(figure.caption);
        Figure { id: "fig-slice", title: "Fitted score field in a slice".into(), caption, ..figure }
    }))
}
