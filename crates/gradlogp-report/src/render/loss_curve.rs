//! Training and held-out loss against the step.
//!
//! Score matching losses have no lower bound at 0 and are usually negative at the optimum, so the
//! axis is linear, and its limits follow the bulk of the run rather than its first steps.

use anyhow::Result;

use super::axis::Axis;
use super::canvas::{Drawing, Frame, Marks, Names};
use super::data::{HistoryPoint, ReportData};
use super::figure::{Figure, Key};
use super::stats::{is_usable, quantile, sorted};
use super::text::{grouped, number};

const WIDTH: i32 = 1500;
const FONT: i32 = 44;
/// Most points of the drawn training curve.
const BINS: usize = 500;
/// Share of the curve that one point of the running mean covers.
const WINDOW: f64 = 0.04;
/// Half-width of the band in standard errors.
const BAND: f64 = 2.0;

/// The figure, or None without history.
pub(super) fn figure(data: &ReportData) -> Result<Option<Figure>> {
    let curve = Curve::new(&data.history);
    if curve.train.is_empty() && curve.held_out.is_empty() {
        return Ok(None);
    }
    let limits = curve.limits();
    let svg = draw(&curve, limits, data.best_step)?;
    let mut keys = Vec::new();
    if !curve.train.is_empty() {
        keys.push(Key::line("train-raw", "training batches"));
        keys.push(Key::line("train", "training, running mean"));
    }
    if !curve.held_out.is_empty() {
        keys.push(Key::line("held-out", "held-out rows, with 95% band"));
    }
    if data.best_step.is_some() {
        keys.push(Key::line("best", "weights kept"));
    }
    Ok(Some(Figure {
        id: "fig-loss",
        title: "Loss during training".into(),
        plots: vec![svg],
        keys,
        caption: caption(&curve, limits, data),
    }))
}

struct Curve {
    /// (step, mean loss of the bin)
    train: Vec<(f64, f64)>,
    /// (step, loss, standard error)
    held_out: Vec<(f64, f64, f64)>,
    /// Points whose training loss was not a usable number.
    lost: usize,
}

impl Curve {
    fn new(history: &[HistoryPoint]) -> Self {
        // Before the first step there is no training loss, only a held-out one.
        let taken = history.iter().filter(|p| p.step > 0 || is_usable(p.train_loss));
        let all: Vec<(f64, f64)> = taken.map(|p| (p.step as f64, p.train_loss)).collect();
        let usable: Vec<(f64, f64)> = all.iter().copied().filter(|p| is_usable(p.1)).collect();
        let held_out = history.iter().filter_map(|p| {
            let e = p.validation_loss.filter(|e| is_usable(e.value))?;
            let error = e.standard_error.filter(|s| is_usable(*s)).unwrap_or(0.0);
            Some((p.step as f64, e.value, error.abs()))
        });
        Self { lost: all.len() - usable.len(), train: bin(&usable), held_out: held_out.collect() }
    }

    fn last_step(&self) -> f64 {
        let train = self.train.iter().map(|p| p.0);
        train.chain(self.held_out.iter().map(|p| p.0)).fold(0.0, f64::max)
    }

    /// (step, loss) of everything that the limits should respect.
    fn points(&self) -> Vec<(f64, f64)> {
        let mut out = running_mean(&self.train);
        out.extend(self.held_out.iter().map(|p| (p.0, p.1)));
        out
    }

    /// Limits of the loss axis: the bulk of what comes after the first tenth of the run, extended
    /// to everything where that makes the axis at most about four times as long.
    fn limits(&self) -> (f64, f64) {
        let points = self.points();
        let all = sorted(&points.iter().map(|p| p.1).collect::<Vec<_>>());
        let start = 0.1 * self.last_step();
        let edges =
            self.held_out.iter().flat_map(|p| [-1.0, 1.0].map(|s| (p.0, p.1 + s * BAND * p.2)));
        let shown = points.iter().copied().chain(edges);
        let late: Vec<f64> = shown.filter(|p| p.0 >= start).map(|p| p.1).collect();
        let late = if late.len() >= 5 { sorted(&late) } else { all.clone() };
        let at = |values: &[f64], q| quantile(values, q).unwrap_or(0.0);
        let (lo, hi) = (at(&late, 0.005), at(&late, 0.98));
        let span = (hi - lo).max(1e-9 * lo.abs().max(hi.abs()));
        let (lo, hi) = (lo - 0.1 * span, hi + 0.2 * span);
        let (least, most) = (at(&all, 0.0), at(&all, 1.0));
        let reach = |limit: f64, extreme: f64| {
            if (extreme - limit).abs() <= 3.0 * span { extreme } else { limit }
        };
        let lo = if least < lo { reach(lo, least - 0.05 * span) } else { lo };
        let hi = if most > hi { reach(hi, most + 0.05 * span) } else { hi };
        (lo, hi)
    }

    /// The drawn loss that lies farthest outside the limits, if any does.
    fn beyond(&self, (lo, hi): (f64, f64)) -> Option<f64> {
        let outside = |v: &f64| (lo - v).max(v - hi);
        let values = self.points().into_iter().map(|p| p.1).filter(|v| outside(v) > 0.0);
        values.max_by(|a, b| outside(a).total_cmp(&outside(b)))
    }
}

/// Means over at most [`BINS`] equal stretches of the curve.
fn bin(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let size = points.len().div_ceil(BINS).max(1);
    points.chunks(size).map(mean_point).collect()
}

fn mean_point(points: &[(f64, f64)]) -> (f64, f64) {
    let n = points.len() as f64;
    let add = |a: (f64, f64), b: &(f64, f64)| (a.0 + b.0 / n, a.1 + b.1 / n);
    points.iter().fold((0.0, 0.0), add)
}

/// Running mean of steps and losses. The window is centred, narrower near the steep start, and
/// one-sided near the end, where a narrow one would show the noise of the last batch.
fn running_mean(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let half = (0.5 * WINDOW * points.len() as f64).round() as usize;
    let at = |i: usize| {
        let end = (i + half.min(i) + 1).min(points.len());
        mean_point(&points[i - half.min(i)..end])
    };
    (0..points.len()).map(at).collect()
}

fn draw(curve: &Curve, limits: (f64, f64), best: Option<u64>) -> Result<String> {
    let names = Names { x: "step", y: "loss", x_ticks: true, y_ticks: true };
    let axes = (Axis::fitting((0.0, curve.last_step().max(1.0)), 6, 50), Axis::new(limits, 6));
    let (frame, height) = Frame::with_aspect(WIDTH, 0.66, FONT, axes, names);
    let place = |points: &[(f64, f64)]| -> Vec<(f64, f64)> {
        points.iter().map(|p| frame.place(p.0, p.1)).collect()
    };
    let mut marks = Marks::default();
    marks.line("train-raw", &place(&curve.train));
    if !curve.held_out.is_empty() {
        let edge = |sign: f64| {
            curve.held_out.iter().map(move |p| (p.0, p.1 + sign * BAND * p.2)).collect::<Vec<_>>()
        };
        let mut band = edge(1.0);
        band.extend(edge(-1.0).into_iter().rev());
        marks.area("held-out-band", &[&place(&band)]);
    }
    marks.line("train", &place(&running_mean(&curve.train)));
    let held_out: Vec<(f64, f64)> = curve.held_out.iter().map(|p| (p.0, p.1)).collect();
    marks.line("held-out", &place(&held_out));
    if held_out.len() <= 40 {
        marks.points("held-out-dot", &place(&held_out));
    }
    if let Some(best) = best.map(|b| b as f64) {
        mark_best(&mut marks, &frame, best, &held_out);
    }
    let mut drawing = Drawing::new(WIDTH, height, FONT);
    drawing.add(&frame, names, marks)?;
    Ok(drawing.finish("Training loss and held-out loss against the training step"))
}

fn mark_best(marks: &mut Marks, frame: &Frame, best: f64, held_out: &[(f64, f64)]) {
    let (x, _) = frame.place(best, 0.0);
    marks.line("best", &[(x, 0.0), (x, frame.size().1)]);
    if let Some(p) = held_out.iter().find(|p| p.0 == best) {
        marks.points("best-dot", &[frame.place(p.0, p.1)]);
    }
}

fn caption(curve: &Curve, limits: (f64, f64), data: &ReportData) -> Vec<String> {
    let mut out = vec![
        "Lower is better, and negative values are normal: up to a constant that depends on the data \
         alone, the loss is half the mean squared error of the score, and that constant is negative."
            .to_string(),
    ];
    if !curve.held_out.is_empty() {
        out.push(
            "The band is the held-out loss ± 2 standard errors over rows. The same rows are used \
             at every step, so changes along the curve are more certain than the band suggests."
                .into(),
        );
        out.push(
            "A held-out curve that rises while the training curve falls means overfitting.".into(),
        );
    }
    if let Some(best) = data.best_step {
        out.push(format!(
            "The dashed line marks step {}, whose weights were kept.",
            grouped(best as usize)
        ));
    }
    if let Some(value) = curve.beyond(limits) {
        out.push(format!("Values outside the frame are cut off; they reach {}.", number(value)));
    }
    if curve.lost > 0 {
        out.push(format!(
            "The training loss was not a finite number at {} of {} recorded steps; they are left out.",
            grouped(curve.lost),
            grouped(data.history.len())
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::data::Estimate;
    use super::*;

    fn history(loss: impl Fn(u64) -> f64) -> Vec<HistoryPoint> {
        let point = |step| HistoryPoint {
            step,
            train_loss: loss(step),
            validation_loss: (step % 50 == 0)
                .then(|| Estimate { value: loss(step) + 0.1, standard_error: Some(0.05) }),
        };
        (0..2000).map(point).collect()
    }

    #[test]
    fn early_huge_values_are_cut_off_and_said() {
        let curve = Curve::new(&history(|s| -2.0 + 1e6 * (-(s as f64) / 10.0).exp()));
        let (lo, hi) = curve.limits();
        assert!(lo < -2.0 && hi > -1.9 && hi < 2.0, "{lo} {hi}");
        assert!(curve.beyond((lo, hi)).unwrap() > 1e3);
    }

    #[test]
    fn ordinary_curves_are_shown_whole() {
        let curve = Curve::new(&history(|s| -2.0 + 1.0 / (1.0 + s as f64 / 300.0)));
        assert_eq!(curve.beyond(curve.limits()), None);
    }

    #[test]
    fn running_mean_keeps_straight_lines() {
        let line: Vec<(f64, f64)> = (0..100).map(|i| (f64::from(i), 3.0 * f64::from(i))).collect();
        let mean = running_mean(&line);
        assert!(mean.iter().all(|p| (p.1 - 3.0 * p.0).abs() < 1e-9));
        assert_eq!(mean[0], line[0]);
        assert!((mean[99].0 - 98.0).abs() < 1e-9, "mean of the last 3 points");
    }

    #[test]
    fn losses_that_are_not_numbers_are_counted() {
        let curve = Curve::new(&history(|s| if s < 5 { f64::NAN } else { -1.0 }));
        // Step 0 is before the first one and has none.
        assert_eq!(curve.lost, 4);
        assert!(curve.train.iter().all(|p| p.1 == -1.0 || (p.1 + 1.0).abs() < 1e-12));
    }
}
