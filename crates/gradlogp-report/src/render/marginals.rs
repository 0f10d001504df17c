//! One histogram per column: data filled, samples as an outline.

use anyhow::Result;
use ndarray::ArrayView1;

use super::axis::Axis;
use super::canvas::{Drawing, Frame, Marks, Names};
use super::data::ReportData;
use super::figure::{Figure, Key};
use super::stats::{choose_columns, joint_range, quantile, sorted, usable};
use super::text::{escape, number, shorten};

const WIDTH: i32 = 640;
const FONT: i32 = 36;
/// Most columns that get a histogram.
const MOST: usize = 24;
/// Column names longer than this are cut.
const LONGEST_NAME: usize = 60;

/// The figure, or None without rows.
pub(super) fn figure(data: &ReportData, distances: &[f64]) -> Result<Option<Figure>> {
    let columns = choose_columns(data.columns.len(), distances, MOST);
    if columns.is_empty() || data.data.nrows() == 0 {
        return Ok(None);
    }
    let mut keys = vec![Key::area("data-bars", "held-out rows")];
    if data.drawn().is_some() {
        keys.push(Key::line("samples-outline", "samples"));
    }
    let plots: Result<Vec<String>> =
        columns.iter().map(|&j| plot(data, j, distances.get(j).copied())).collect();
    Ok(Some(Figure {
        id: "fig-marginals",
        title: title(data),
        plots: plots?,
        keys,
        caption: caption(data, distances, columns.len()),
    }))
}

fn title(data: &ReportData) -> String {
    match (data.failing.iter().filter(|fails| **fails).count(), data.failing.len()) {
        (_, 0) => "Columns one by one".into(),
        (0, all) => format!("Columns one by one: none of {all} differs beyond chance"),
        (some, all) => format!(
            "Columns one by one: {some} of {all} {} beyond chance",
            if some == 1 { "differs" } else { "differ" }
        ),
    }
}

fn caption(data: &ReportData, distances: &[f64], shown: usize) -> Vec<String> {
    let total = data.columns.len();
    let mut out = Vec::new();
    if data.drawn().is_some() {
        out.push(
            "Histograms of equal area. D is the largest difference between the two cumulative \
             distributions (Kolmogorov-Smirnov): 0 for equal ones, 1 for disjoint ones."
                .to_string(),
        );
    }
    if !data.failing.is_empty() {
        out.push(
            "Columns in red differ beyond what chance explains in all columns together at 95%."
                .into(),
        );
    }
    if let Some(noise) = noise_level(data) {
        out.push(format!(
            "Chance alone gives D up to about {noise:.3} (95%) for this many rows and independent \
             samples; samples along a chain are not independent and scatter more."
        ));
    }
    if shown < total {
        out.push(if distances.is_empty() {
            format!("The first {shown} of {total} columns are shown.")
        } else {
            format!("Of {total} columns, the {shown} with the largest D are shown.")
        });
    }
    out
}

/// The two-sample Kolmogorov-Smirnov critical value at 95%: 1.358 sqrt(1/n + 1/m).
fn noise_level(data: &ReportData) -> Option<f64> {
    let (n, m) = (data.data.nrows() as f64, data.drawn()?.nrows() as f64);
    Some(1.358 * (1.0 / n + 1.0 / m).sqrt())
}

fn plot(data: &ReportData, j: usize, distance: Option<f64>) -> Result<String> {
    let samples = data.drawn().map(|s| s.column(j).to_owned());
    let pair = Pair::new(data.data.column(j), samples.as_ref().map(|s| s.view()));
    let names = Names { x_ticks: true, ..Names::default() };
    let (x, y) = pair.axes(4);
    let (frame, height) = Frame::with_aspect(WIDTH, 0.55, FONT, (x, y), names);
    let mut drawing = Drawing::new(WIDTH, height, FONT);
    drawing.add(&frame, names, pair.marks(&frame))?;
    let name = shorten(&data.name(j), LONGEST_NAME);
    let svg = drawing.finish(&format!("Histogram of {name}"));
    let title = escape(&frame.x.title(&name));
    let distance = distance
        .map(|d| format!("<span class=\"distance\">D&nbsp;=&nbsp;{}</span>", decimal(d)))
        .unwrap_or_default();
    let (class, mark) = match data.failing.get(j) {
        Some(true) => {
            ("marginal fails", "<span class=\"mark\" role=\"img\" aria-label=\"differs\">✗</span> ")
        }
        _ => ("marginal", ""),
    };
    Ok(format!("<div class=\"{class}\"><h3>{mark}{title} {distance}</h3>{svg}</div>"))
}

fn decimal(d: f64) -> String {
    if d.is_finite() { format!("{d:.3}") } else { number(d) }
}

/// Histograms of data and samples over common bins.
pub(super) struct Pair {
    range: (f64, f64),
    data: Vec<f64>,
    samples: Vec<f64>,
}

impl Pair {
    /// Densities (per unit of the range) in every bin; values outside count in no bin but in the
    /// total. Values that are not finite are left out.
    pub(super) fn new(data: ArrayView1<'_, f64>, samples: Option<ArrayView1<'_, f64>>) -> Self {
        let data = usable(data);
        let samples = samples.map(usable).unwrap_or_default();
        let range = joint_range(&data, &samples);
        let bins = bin_count(&data, range);
        Self {
            range,
            data: histogram(&data, range, bins),
            samples: histogram(&samples, range, bins),
        }
    }

    /// The column's axis and the axis of heights.
    pub(super) fn axes(&self, ticks: usize) -> (Axis, Axis) {
        let top = self.data.iter().chain(&self.samples).fold(0.0_f64, |a, b| a.max(*b));
        (Axis::fitting(self.range, ticks, 28), Axis::new((0.0, 1.08 * top.max(1e-9)), 3))
    }

    /// Bars of the data, outline of the samples.
    pub(super) fn marks(&self, frame: &Frame) -> Marks {
        let mut marks = Marks::default();
        marks.area("data-bars", &[&self.outline(frame, &self.data)]);
        if self.samples.iter().any(|h| *h > 0.0) {
            marks.line("samples-outline", &self.outline(frame, &self.samples));
        }
        marks
    }

    fn outline(&self, frame: &Frame, heights: &[f64]) -> Vec<(f64, f64)> {
        let (lo, hi) = self.range;
        let edge = |k: usize| lo + (hi - lo) * k as f64 / heights.len() as f64;
        let mut out = vec![frame.place(lo, 0.0)];
        for (k, &h) in heights.iter().enumerate() {
            out.push(frame.place(edge(k), h));
            out.push(frame.place(edge(k + 1), h));
        }
        out.push(frame.place(hi, 0.0));
        out
    }
}

/// Freedman and Diaconis: bins of width 2 IQR n^(-1/3), here 8 to 40 of them.
fn bin_count(values: &[f64], (lo, hi): (f64, f64)) -> usize {
    let values = sorted(values);
    let at = |q| quantile(&values, q).unwrap_or(0.0);
    let width = 2.0 * (at(0.75) - at(0.25)) / (values.len().max(1) as f64).cbrt();
    if width > 0.0 { ((hi - lo) / width).clamp(8.0, 40.0) as usize } else { 20 }
}

fn histogram(values: &[f64], (lo, hi): (f64, f64), bins: usize) -> Vec<f64> {
    let mut out = vec![0.0; bins];
    let unit = bins as f64 / values.len().max(1) as f64;
    for v in values {
        let at = (v - lo) / (hi - lo);
        if (0.0..=1.0).contains(&at) {
            out[((at * bins as f64) as usize).min(bins - 1)] += unit;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, array};

    use super::*;

    #[test]
    fn densities_of_values_inside_the_range_sum_to_one() {
        let values: Vec<f64> = (0..1000).map(|i| f64::from(i) / 999.0).collect();
        let h = histogram(&values, (0.0, 1.0), 10);
        assert!((h.iter().sum::<f64>() / 10.0 - 1.0).abs() < 1e-12);
        assert!(h.iter().all(|v| (v - 1.0).abs() < 0.02), "{h:?}");
        let half = histogram(&[0.5, 7.0], (0.0, 1.0), 4);
        assert_eq!(half, [0.0, 0.0, 2.0, 0.0]);
    }

    #[test]
    fn awkward_columns_have_finite_histograms() {
        let columns = [array![], array![f64::NAN], array![1e12, 1e12], array![-1e300, 1.0, 2.0]];
        for column in &columns {
            let pair = Pair::new(column.view(), Some(Array1::zeros(3).view()));
            assert!(pair.range.0 < pair.range.1);
            assert!(pair.data.iter().chain(&pair.samples).all(|h| h.is_finite()));
        }
    }
}
