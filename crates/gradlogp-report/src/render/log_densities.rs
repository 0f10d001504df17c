//! Log densities of held-out rows and of samples under the model.

use anyhow::Result;
use gradlogp::diagnose::ks_distance;

use super::canvas::{Drawing, Frame, Names};
use super::data::ReportData;
use super::figure::{Figure, Key};
use super::marginals::Pair;
use super::stats::usable;

const WIDTH: i32 = 1500;
const FONT: i32 = 44;

/// The figure, or None where there are none.
pub(super) fn figure(data: &ReportData) -> Result<Option<Figure>> {
    let Some(found) = &data.log_densities else { return Ok(None) };
    let (rows, samples) = (usable(found.rows.view()), usable(found.samples.view()));
    if rows.is_empty() || samples.is_empty() {
        return Ok(None);
    }
    let distance = ks_distance(&rows, &samples);
    let pair = Pair::new(found.rows.view(), Some(found.samples.view()));
    let names = Names { x: "log density", x_ticks: true, ..Names::default() };
    let (frame, height) = Frame::with_aspect(WIDTH, 0.5, FONT, pair.axes(6), names);
    let mut drawing = Drawing::new(WIDTH, height, FONT);
    drawing.add(&frame, names, pair.marks(&frame))?;
    Ok(Some(Figure {
        id: "fig-log-density",
        title: "Log densities of held-out rows and of samples".into(),
        plots: vec![
            drawing.finish("Histograms of the log density of held-out rows and of samples"),
        ],
        keys: vec![
            Key::area("data-bars", "held-out rows"),
            Key::line("samples-outline", "samples"),
        ],
        caption: vec![format!(
            "Both under the model, in nats, D = {distance:.3}. Rows that lie further left than samples are rows that the model \
                 thinks unlikely: it has missed a part of the data, or learnt its training rows by heart. Samples \
                 further left than rows are drawn where there are no data."
        )],
    }))
}
