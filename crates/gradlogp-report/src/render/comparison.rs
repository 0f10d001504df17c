//! The page of `gradlogp compare`: ways to fit one table, side by side.

use anyhow::Result;

use super::axis::Axis;
use super::canvas::{Drawing, Frame, Marks, Names};
use super::data::Estimate;
use super::figure::{Figure, Key};
use super::page::document;
use super::stats::is_usable;
use super::text::{count, escape, estimate, grouped, number};

const WIDTH: i32 = 1100;
const FONT: i32 = 40;
/// Half-width of an error bar in standard errors.
const BAR: f64 = 2.0;

/// Everything that the page shows.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// File or built-in data set.
    pub data_name: String,
    /// Model kind.
    pub model: String,
    /// Held-out rows.
    pub rows: usize,
    /// Fits of each way.
    pub seeds: usize,
    /// Rows on which variances were measured.
    pub variance_rows: usize,
    /// Draws from which they were measured.
    pub variance_draws: usize,
    /// The ways, best first.
    pub ways: Vec<Compared>,
}

/// One way to fit.
#[derive(Debug, Clone)]
pub struct Compared {
    /// In words.
    pub name: String,
    /// Optimizer steps.
    pub steps: u64,
    /// Held-out exact loss.
    pub loss: Estimate,
    /// Paired difference of it to that of the best way.
    pub difference: Estimate,
    /// Milliseconds per step.
    pub step_ms: f64,
    /// Variance of the loss over draws.
    pub loss_variance: f64,
    /// Variance of the gradient over its square.
    pub relative_gradient_variance: f64,
    /// Whether the Stein identities hold.
    pub stein: String,
}

/// The page, as one HTML document.
///
/// # Errors
/// If a figure cannot be drawn.
pub fn render(data: &Comparison) -> Result<String> {
    let facts = [
        ("Data", data.data_name.clone()),
        ("Held-out rows", grouped(data.rows)),
        ("Model", data.model.clone()),
        ("Fits of each", count(data.seeds, "seed")),
    ];
    let facts =
        facts.map(|(name, value)| format!("<div><dt>{name}</dt><dd>{}</dd></div>", escape(&value)));
    let figures = [difference(data)?, variance(data)?];
    let figures: String = figures.iter().flatten().map(Figure::html).collect();
    let body = format!("{}<div class=\"figures\">{figures}</div>\n", table(data));
    let title = format!("Ways to fit {}", data.data_name);
    Ok(document(&title, &format!("<dl class=\"facts\">{}</dl>", facts.concat()), &body))
}

fn table(data: &Comparison) -> String {
    let heads = [
        "Way",
        "Steps",
        "Held-out loss",
        "Above the best",
        "ms per step",
        "Var of loss",
        "Var of gradient / |gradient|²",
        "Stein identities",
    ];
    let labels = heads;
    let heads = heads.map(|h| format!("<th scope=\"col\">{h}</th>")).concat();
    let row = |(k, w): (usize, &Compared)| {
        let above = if k == 0 { "best".into() } else { estimate(w.difference) };
        let cells = [
            w.steps.to_string(),
            estimate(w.loss),
            above,
            number(w.step_ms),
            number(w.loss_variance),
            number(w.relative_gradient_variance),
            w.stein.clone(),
        ];
        let cell = |(label, c): (&&str, &String)| {
            format!("<td class=\"num\" data-label=\"{label}\">{}</td>", escape(c))
        };
        // The first label is that of the name.
        let cells: String = labels[1..].iter().zip(&cells).map(cell).collect();
        format!("<tr><th scope=\"row\">{}. {}</th>{cells}</tr>", k + 1, escape(&w.name))
    };
    let rows: String = data.ways.iter().enumerate().map(row).collect();
    format!(
        "<section id=\"ways\" class=\"card\"><h2>Every way, best first</h2><div class=\"scroll\">\
         <table class=\"ways\"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div></section>\n"
    )
}

/// Ways along the horizontal axis, numbered as in the table.
fn ways_axis(data: &Comparison) -> Axis {
    let n = data.ways.len();
    // Half a way of room at either end, without a tick there.
    Axis::new((0.5, n as f64 + 0.5), (n + 1).min(12))
}

fn drawing(
    data: &Comparison,
    (lo, hi): (f64, f64),
    y_name: &str,
    label: &str,
    draw: impl FnOnce(&Frame, &mut Marks),
) -> Result<String> {
    let names = Names { x: "way", y: y_name, x_ticks: true, y_ticks: true };
    let room = 0.08 * (hi - lo).max(f64::MIN_POSITIVE);
    let axes = (ways_axis(data), Axis::new((lo - room, hi + room), 6));
    let (frame, height) = Frame::with_aspect(WIDTH, 0.7, FONT, axes, names);
    let mut marks = Marks::default();
    draw(&frame, &mut marks);
    let mut drawing = Drawing::new(WIDTH, height, FONT);
    drawing.add(&frame, names, marks)?;
    Ok(drawing.finish(label))
}

/// Paired differences with error bars.
fn difference(data: &Comparison) -> Result<Option<Figure>> {
    let bars: Vec<(f64, f64, f64)> = (data.ways.iter().enumerate())
        .map(|(k, w)| {
            let error = w.difference.standard_error.filter(|e| is_usable(*e)).unwrap_or(0.0);
            ((k + 1) as f64, w.difference.value, BAR * error)
        })
        .filter(|bar| is_usable(bar.1))
        .collect();
    // One way has nothing to differ from.
    if bars.is_empty() || data.ways.len() < 2 {
        return Ok(None);
    }
    let lo = bars.iter().map(|b| b.1 - b.2).fold(0.0, f64::min);
    let hi = bars.iter().map(|b| b.1 + b.2).fold(0.0, f64::max);
    let label = "Difference of the held-out loss of every way to that of the best";
    let svg = drawing(data, (lo, hi), "loss above the best", label, |frame, marks| {
        let (_, zero) = frame.place(1.0, 0.0);
        marks.line("best", &[(0.0, zero), (frame.size().0, zero)]);
        for &(x, value, half) in &bars {
            marks.line("held-out", &[frame.place(x, value - half), frame.place(x, value + half)]);
        }
        let dots: Vec<_> = bars.iter().map(|b| frame.place(b.0, b.1)).collect();
        marks.points("best-dot", &dots);
    })?;
    Ok(Some(Figure {
        id: "fig-difference",
        title: "Held-out loss, against the best way".into(),
        plots: vec![svg],
        keys: vec![Key::line("best", "the best"), Key::line("held-out", "± 2 standard errors")],
        caption: vec![
            "Paired by row: each held-out row's loss under one way minus its loss under the best. A bar \
             that reaches the dashed line leaves open which of the two is better."
                .into(),
            "The best way is chosen by the same rows, so differences to it are a little too large."
                .into(),
        ],
    }))
}

/// Gradient noise from slices, by powers of ten.
fn variance(data: &Comparison) -> Result<Option<Figure>> {
    let points: Vec<(f64, f64)> = (data.ways.iter().enumerate())
        .map(|(k, w)| ((k + 1) as f64, w.relative_gradient_variance.log10()))
        .filter(|p| is_usable(p.1))
        .collect();
    if points.is_empty() || data.ways.len() < 2 {
        return Ok(None);
    }
    let lo = points.iter().map(|p| p.1).fold(f64::INFINITY, f64::min);
    let hi = points.iter().map(|p| p.1).fold(f64::NEG_INFINITY, f64::max);
    let label = "Relative variance of the gradient of every way";
    let svg = drawing(data, (lo, hi.max(lo + 0.2)), "log10 of variance", label, |frame, marks| {
        let dots: Vec<_> = points.iter().map(|p| frame.place(p.0, p.1)).collect();
        marks.points("best-dot", &dots);
    })?;
    Ok(Some(Figure {
        id: "fig-variance",
        title: "Noise of the gradient from slices".into(),
        plots: vec![svg],
        keys: Vec::new(),
        caption: vec![
            format!(
                "Trace of the gradient's covariance over {} fresh draws of slices (or noise) on the same \
                 {}, at the same weights, those of the best way, over the squared length of the \
                 gradient. A way without draws, or without variance, has no point.",
                grouped(data.variance_draws),
                count(data.variance_rows, "row")
            ),
            "1 less on the axis is a tenth of the noise. Twice the slices have half of it and cost nearly \
             twice as much."
                .into(),
        ],
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comparison() -> Comparison {
        let way = |name: &str, value: f64, variance: f64| Compared {
            name: name.into(),
            steps: 10,
            loss: Estimate { value: -3.0 + value, standard_error: Some(0.5) },
            difference: Estimate { value, standard_error: Some(0.01) },
            step_ms: 1.5,
            loss_variance: 0.1,
            relative_gradient_variance: variance,
            stein: "ok".into(),
        };
        Comparison {
            data_name: "<a>.csv".into(),
            model: "score".into(),
            rows: 100,
            seeds: 2,
            variance_rows: 64,
            variance_draws: 32,
            ways: vec![way("exact", 0.0, 0.0), way("ssm, 1 slice", 0.2, 3.0)],
        }
    }

    #[test]
    fn the_page_holds_every_way_and_both_figures() {
        let page = render(&comparison()).unwrap();
        for part in ["id=\"fig-difference\"", "id=\"fig-variance\"", "1. exact", "2. ssm, 1 slice"]
        {
            assert!(page.contains(part), "{part}");
        }
        assert!(page.contains("&lt;a&gt;.csv") && !page.contains("<a>"));
        assert!(page.contains("0.200 ± 0.010"), "{page}");
    }

    #[test]
    fn ticks_stand_at_ways_only() {
        let mut data = comparison();
        let way = data.ways[0].clone();
        for n in 2..40 {
            data.ways.resize(n, way.clone());
            let ticks = ways_axis(&data).tick_values();
            assert!(ticks.len() > 1 && ticks.len() < 13, "{n}: {ticks:?}");
            for tick in ticks {
                let nearest = tick.round();
                assert!((tick - nearest).abs() < 1e-9, "{n}: {tick}");
                assert!(nearest >= 1.0 && nearest <= n as f64, "{n}: {tick}");
            }
        }
        data.ways.truncate(1);
        assert!(!render(&data).unwrap().contains("id=\"fig-"));
    }

    #[test]
    fn figures_without_numbers_are_left_out() {
        let mut data = comparison();
        data.ways.iter_mut().for_each(|w| w.relative_gradient_variance = 0.0);
        assert!(!render(&data).unwrap().contains("fig-variance"));
        data.ways.iter_mut().for_each(|w| w.difference.value = f64::NAN);
        assert!(!render(&data).unwrap().contains("fig-difference"));
    }
}
