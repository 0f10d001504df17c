//! The part of the plane that all figures of a two-column report share.

use ndarray::ArrayView2;

use super::axis::Axis;
use super::canvas::{Frame, Names};
use super::data::ReportData;
use super::stats::{joint_range, usable};

/// Drawing width of one figure of the plane.
pub(super) const WIDTH: i32 = 1500;
/// Text size in drawing units.
pub(super) const FONT: i32 = 46;
/// Shapes (height / width) within which both axes get the same scale.
const EQUAL_SCALE: std::ops::RangeInclusive<f64> = 0.45..=1.6;

/// Ranges of both columns and the shape of the frame.
pub(super) struct Window {
    x: (f64, f64),
    y: (f64, f64),
    aspect: f64,
    column_names: [String; 2],
    /// Whether one unit is equally long along both axes.
    pub(super) equal_scale: bool,
}

impl Window {
    /// The grid's rectangle if there is a grid, else the bulk of data and samples.
    pub(super) fn new(data: &ReportData) -> Self {
        let range = |j: usize| {
            let samples = data.drawn().map(|s| usable(s.column(j))).unwrap_or_default();
            joint_range(&usable(data.data.column(j)), &samples)
        };
        let (x, y) =
            data.grid.as_ref().map_or_else(|| (range(0), range(1)), |g| (g.spec.x, g.spec.y));
        let aspect = (y.1 - y.0) / (x.1 - x.0);
        let equal_scale = EQUAL_SCALE.contains(&aspect);
        let aspect = if equal_scale { aspect } else { 1.0 };
        Self { x, y, aspect, column_names: [data.name(0), data.name(1)], equal_scale }
    }

    /// Names of both axes.
    pub(super) fn names(&self) -> Names<'_> {
        let [x, y] = &self.column_names;
        Names { x, y, x_ticks: true, y_ticks: true }
    }

    /// The frame and the drawing's height.
    pub(super) fn frame(&self) -> (Frame, i32) {
        let axes = (Axis::fitting(self.x, 6, 48), Axis::new(self.y, 6));
        Frame::with_aspect(WIDTH, self.aspect, FONT, axes, self.names())
    }
}

/// Drawing coordinates of the rows inside the frame, and how many rows are not.
pub(super) fn visible(frame: &Frame, rows: ArrayView2<'_, f64>) -> (Vec<(f64, f64)>, usize) {
    let inside: Vec<(f64, f64)> = rows
        .rows()
        .into_iter()
        .filter(|r| frame.contains(r[0], r[1]))
        .map(|r| frame.place(r[0], r[1]))
        .collect();
    let outside = rows.nrows() - inside.len();
    (inside, outside)
}
