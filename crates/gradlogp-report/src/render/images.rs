//! Rows as pictures, for tables whose columns are pixels: data beside samples.

use anyhow::Result;
use ndarray::ArrayView2;

use super::data::ReportData;
use super::figure::Figure;
use crate::picture::{Greys, Sheet};

/// The figure, or None where columns are not said to be pixels.
pub(super) fn figure(data: &ReportData) -> Result<Option<Figure>> {
    let Some(shape) = data.image else { return Ok(None) };
    let greys = Greys::of(data.data.view());
    let plot = |rows: ArrayView2<'_, f64>, what: &str| -> Result<String> {
        let sheet = Sheet::new(rows, shape, greys)?;
        Ok(format!(
            "<div><h3>{what}</h3><img class=\"sheet\" alt=\"{what} as pictures\" width=\"{}\" height=\"{}\" \
             src=\"{}\"></div>",
            sheet.width,
            sheet.height,
            sheet.data_address()?
        ))
    };
    let mut plots = vec![plot(data.data.view(), "Held-out rows")?];
    if let Some(samples) = data.samples.as_ref().filter(|rows| rows.nrows() > 0) {
        plots.push(plot(samples.view(), "Samples")?);
    }
    Ok(Some(Figure {
        id: "fig-images",
        title: "Rows as pictures".into(),
        plots,
        keys: Vec::new(),
        caption: vec![format!(
            "The first rows of each, {} x {} pixels, line by line. Black is {:.4}, white {:.4}: the range of the \
             data but for the most extreme 0.5% of values on either side.",
            shape.width, shape.height, greys.low, greys.high
        )],
    }))
}
