//! Data and samples of a two-column model, side by side on the same axes.

use anyhow::Result;
use ndarray::ArrayView2;

use super::canvas::{Drawing, Marks};
use super::data::ReportData;
use super::figure::{Figure, Key};
use super::stats::{MOST_POINTS, thin};
use super::text::{count, grouped};
use super::window::{FONT, WIDTH, Window, visible};

/// The figure, or None where there are neither rows nor samples.
pub(super) fn figure(data: &ReportData, window: &Window) -> Result<Option<Figure>> {
    let mut out = Figure {
        id: "fig-scatter",
        title: "Held-out rows".into(),
        plots: Vec::new(),
        keys: vec![Key::points("data", "held-out rows")],
        caption: Vec::new(),
    };
    if data.data.nrows() > 0 {
        add(&mut out, window, ("data", "held-out rows"), data.data.view())?;
    }
    if let Some(samples) = data.drawn() {
        out.title = "Held-out rows and samples of the model".into();
        out.keys.push(Key::points("samples", "samples"));
        add(&mut out, window, ("samples", "samples"), samples)?;
        out.caption.insert(
            0,
            "Both panels have the same axes; a good fit and a sampler that mixed well look alike. \
             The share of points in clusters that are far apart is the hardest thing to get right."
                .into(),
        );
    }
    Ok((!out.plots.is_empty()).then_some(out))
}

fn add(
    figure: &mut Figure,
    window: &Window,
    (class, what): (&str, &str),
    rows: ArrayView2<'_, f64>,
) -> Result<()> {
    let (frame, height) = window.frame();
    let shown = thin(rows, MOST_POINTS);
    let (points, outside) = visible(&frame, shown.view());
    let mut marks = Marks::default();
    marks.points(class, &points);
    let mut drawing = Drawing::new(WIDTH, height, FONT);
    drawing.add(&frame, window.names(), marks)?;
    figure.plots.push(drawing.finish(&format!("Scatter plot of {}", count(shown.nrows(), what))));
    if shown.nrows() < rows.nrows() {
        figure.caption.push(format!(
            "{} of {} {what} are drawn, evenly chosen.",
            grouped(shown.nrows()),
            grouped(rows.nrows())
        ));
    }
    if outside > 0 {
        figure.caption.push(format!(
            "{} of these {what} lie outside the frame or are not finite.",
            grouped(outside)
        ));
    }
    Ok(())
}
