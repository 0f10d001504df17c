//! Correlations of every pair of columns: those of the samples against those of the data.

use anyhow::Result;
use gradlogp::fit::correlations;

use super::axis::Axis;
use super::canvas::{Drawing, Frame, Marks, Names};
use super::data::ReportData;
use super::figure::{Figure, Key};
use super::text::shorten;

const WIDTH: i32 = 1100;
const FONT: i32 = 40;
/// Pairs named below the drawing.
const NAMED: usize = 3;

/// The figure, or None for fewer than three columns or without samples.
pub(super) fn figure(data: &ReportData) -> Result<Option<Figure>> {
    let Some(samples) = data.drawn().filter(|_| data.columns.len() > 2) else { return Ok(None) };
    let (of_rows, of_samples) = (correlations(data.data.view()), correlations(samples));
    let d = data.columns.len();
    let mut pairs: Vec<((usize, usize), f64, f64)> = (0..d)
        .flat_map(|i| (0..i).map(move |j| (i, j)))
        .map(|at| (at, of_rows[at], of_samples[at]))
        .filter(|pair| pair.1.is_finite() && pair.2.is_finite())
        .collect();
    if pairs.is_empty() {
        return Ok(None);
    }
    pairs.sort_by(|a, b| (b.1 - b.2).abs().total_cmp(&(a.1 - a.2).abs()));
    let axis = || Axis::new((-1.0, 1.0), 5);
    let names = Names { x: "held-out rows", y: "samples", x_ticks: true, y_ticks: true };
    let (frame, height) = Frame::with_aspect(WIDTH, 1.0, FONT, (axis(), axis()), names);
    let mut marks = Marks::default();
    marks.line("best", &[frame.place(-1.0, -1.0), frame.place(1.0, 1.0)]);
    // The bulk lies on the line: opaque points would hide how many there are.
    let dots: Vec<(f64, f64)> = pairs.iter().map(|pair| frame.place(pair.1, pair.2)).collect();
    marks.points("pair", &dots);
    let mut drawing = Drawing::new(WIDTH, height, FONT);
    drawing.add(&frame, names, marks)?;
    let name = |j: usize| shorten(&data.name(j), 24);
    let named: Vec<String> = pairs
        .iter()
        .take(NAMED)
        .map(|((i, j), a, b)| {
            format!("{} and {}: {a:.2} in rows, {b:.2} in samples", name(*j), name(*i))
        })
        .collect();
    Ok(Some(Figure {
        id: "fig-correlations",
        title: "Correlations of data and of samples".into(),
        plots: vec![drawing.finish("Correlations of samples against those of held-out rows")],
        keys: vec![Key::points("pair", "a pair of columns"), Key::line("best", "equal")],
        caption: vec![
            "Every pair of columns: on the line where samples depend on each other as the rows do. Few rows scatter \
             about it by chance, about 1/√n."
                .into(),
            format!("Furthest from it: {}.", named.join("; ")),
        ],
    }))
}
