//! The score of a two-column model as arrows.
//!
//! Arrows show the gradient of log p in the coordinates of the drawing: with x' = k x the score is
//! s' = s / k. So they stand at right angles to the contour lines as drawn, also where the two axes
//! have different scales.

use anyhow::Result;

use super::canvas::{Drawing, Frame, Marks};
use super::data::{FieldGrid, ReportData};
use super::figure::{Figure, Key};
use super::stats::{MOST_POINTS, is_usable, quantile, sorted, thin};
use super::window::{FONT, WIDTH, Window, visible};

/// Arrows along the longer side, about.
const ARROWS: f64 = 22.0;
/// Longest arrow, in distances between arrows.
const LONGEST: f64 = 0.95;

/// The figure, or None without a grid.
pub(super) fn figure(data: &ReportData, window: &Window) -> Result<Option<Figure>> {
    let Some(grid) = &data.grid else { return Ok(None) };
    let (frame, height) = window.frame();
    let mut marks = Marks::default();
    let rows = thin(data.data.view(), MOST_POINTS);
    marks.points("data-faint", &visible(&frame, rows.view()).0);
    draw_arrows(&mut marks, &frame, grid);
    let mut drawing = Drawing::new(WIDTH, height, FONT);
    drawing.add(&frame, window.names(), marks)?;
    Ok(Some(Figure {
        id: "fig-field",
        title: "Fitted score field".into(),
        plots: vec![drawing.finish("Arrows of the fitted score over the plane of the two columns")],
        keys: vec![Key::line("arrow", "fitted score"), Key::points("data-faint", "held-out rows")],
        caption: caption(window.equal_scale),
    }))
}

fn caption(equal_scale: bool) -> Vec<String> {
    let mut out = vec![
        "Each arrow points to where the fitted log density grows fastest; it should lead towards \
         the data and turn around along ridges and at peaks."
            .to_string(),
        "Lengths are compressed so that weak and strong scores can be seen together: an arrow of \
         strength r times the median is r / (1 + r) of the longest possible arrow. Its middle is \
         the point where the score was evaluated."
            .into(),
    ];
    if !equal_scale {
        out.push(
            "The axes have different scales; directions are those of the gradient in the picture \
             as drawn."
                .into(),
        );
    }
    out
}

/// (middle, gradient) in drawing units.
type Arrow = ((f64, f64), (f64, f64));

fn draw_arrows(marks: &mut Marks, frame: &Frame, grid: &FieldGrid) {
    let (w, h) = frame.size();
    let spacing = w.max(h) / ARROWS;
    let arrows = arrows(frame, grid, spacing);
    let norms: Vec<f64> = arrows.iter().map(|a| a.1.0.hypot(a.1.1)).collect();
    let Some(median) = quantile(&sorted(&norms), 0.5).filter(|m| *m > 0.0) else { return };
    for ((middle, gradient), norm) in arrows.into_iter().zip(norms) {
        let strength = norm / median;
        let length = LONGEST * spacing * strength / (1.0 + strength);
        if length > 0.04 * spacing {
            let step = (gradient.0 / norm * length, gradient.1 / norm * length);
            draw_arrow(marks, middle, step, 0.3 * length.clamp(0.3 * spacing, 0.7 * spacing));
        }
    }
}

/// The grid points nearest to a regular pattern of the given spacing, with their gradients.
fn arrows(frame: &Frame, grid: &FieldGrid, spacing: f64) -> Vec<Arrow> {
    let (w, h) = frame.size();
    let spec = &grid.spec;
    let unit = ((spec.x.1 - spec.x.0) / w, (spec.y.1 - spec.y.0) / h);
    let mut out = Vec::new();
    for iy in pattern(spec.ny, h / spacing) {
        for ix in pattern(spec.nx, w / spacing) {
            let s = grid.score.row(iy * spec.nx + ix);
            // Downwards is positive in the drawing.
            let gradient = (s[0] * unit.0, -s[1] * unit.1);
            let middle = frame.place(spec.x_at(ix), spec.y_at(iy));
            if is_usable(gradient.0) && is_usable(gradient.1) {
                out.push((middle, gradient));
            }
        }
    }
    out
}

/// About `wanted` indices out of `n` at equal distances, in the middle of the range.
fn pattern(n: usize, wanted: f64) -> Vec<usize> {
    let stride = (n as f64 / wanted.max(1.0)).round().max(1.0) as usize;
    ((n - 1) % stride / 2..n).step_by(stride).collect()
}

fn draw_arrow(marks: &mut Marks, middle: (f64, f64), step: (f64, f64), head: f64) {
    let tail = (middle.0 - 0.5 * step.0, middle.1 - 0.5 * step.1);
    let tip = (middle.0 + 0.5 * step.0, middle.1 + 0.5 * step.1);
    let angle = step.1.atan2(step.0);
    let barb =
        |turn: f64| (tip.0 - head * (angle + turn).cos(), tip.1 - head * (angle + turn).sin());
    marks.line("arrow", &[tail, tip, barb(0.5), (f64::NAN, 0.0), tip, barb(-0.5)]);
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::super::axis::Axis;
    use super::super::data::GridSpec;
    use super::*;

    #[test]
    fn arrows_point_up_the_gradient_in_drawing_units() {
        let spec = GridSpec { x: (0.0, 10.0), y: (0.0, 1.0), nx: 11, ny: 11 };
        let score = Array2::from_shape_fn((121, 2), |(_, j)| if j == 0 { 1.0 } else { 10.0 });
        let grid = FieldGrid { spec, score, log_density: None };
        let axes = (Axis::new(spec.x, 5), Axis::new(spec.y, 5));
        let frame = Frame::at((0, 0), (500, 500), axes.0, axes.1);
        // In the drawing a unit of y is ten times as long as one of x, and up is negative.
        for (_, g) in arrows(&frame, &grid, 50.0) {
            assert!((g.0 - 0.02).abs() < 1e-12 && (g.1 + 0.02).abs() < 1e-12, "{g:?}");
        }
    }

    #[test]
    fn patterns_are_even_and_in_the_middle() {
        assert_eq!(pattern(2, 20.0), [0, 1]);
        assert_eq!(pattern(100, 4.0), [12, 37, 62, 87]);
        assert_eq!(pattern(2, 0.1), [0]);
    }
}
