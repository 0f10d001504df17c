//! The way of the samples of a two-column model from noise to data: a strip of frames, and the ways of some
//! rows.

use anyhow::Result;

use super::canvas::{Drawing, Marks};
use super::data::ReportData;
use super::figure::{Figure, Key};
use super::window::{FONT, WIDTH, Window, visible};

/// Points of a frame.
const POINTS: usize = 500;
/// Rows whose way is drawn.
const WAYS: usize = 15;

/// The figure, or None where no way was kept.
pub(super) fn figure(data: &ReportData, window: &Window) -> Result<Option<Figure>> {
    if data.frames.len() < 2 {
        return Ok(None);
    }
    let mut out = Figure {
        id: "fig-frames",
        title: "From noise to data".into(),
        plots: Vec::new(),
        keys: vec![Key::points("samples", "rows on their way")],
        caption: vec![
            "The same rows at falling times t, in the frame of the data: noise may begin outside it. The \
             last panel has the ways of some of them."
                .into(),
        ],
    };
    let (frame, height) = window.frame();
    let label = (WIDTH / 2, FONT);
    for (name, rows) in &data.frames {
        let shown = rows.nrows().min(POINTS);
        let (points, _) = visible(&frame, rows.slice(ndarray::s![..shown, ..]));
        let mut marks = Marks::default();
        marks.points("samples", &points);
        let mut drawing = Drawing::new(WIDTH, height, FONT);
        drawing.add(&frame, window.names(), marks)?;
        drawing.write(label, name);
        out.plots.push(drawing.finish(&format!("Rows on their way, {name}")));
    }
    let mut marks = Marks::default();
    let rows = data.frames.iter().map(|(_, rows)| rows.nrows()).min().unwrap_or(0);
    for row in 0..rows.min(WAYS) {
        let way: Vec<(f64, f64)> = data
            .frames
            .iter()
            .map(|(_, rows)| frame.place(rows[[row, 0]], rows[[row, 1]]))
            .collect();
        marks.line("way", &way);
    }
    let mut drawing = Drawing::new(WIDTH, height, FONT);
    drawing.add(&frame, window.names(), marks)?;
    out.plots.push(drawing.finish("Ways of some rows from noise to data"));
    out.keys.push(Key::line("way", "way of a row"));
    Ok(Some(out))
}
