//! Contours of a two-column model's log density.
//!
//! Levels are chosen so that they mean something whatever the unknown constant: the level of 80%
//! is exceeded at 80% of the held-out rows.

use anyhow::{Result, anyhow};
use contour::{Contour, ContourBuilder};
use ndarray::ArrayView2;

use super::canvas::{Drawing, Frame, Marks};
use super::data::{FieldGrid, GridSpec, ReportData};
use super::figure::{Figure, Key};
use super::stats::{MOST_POINTS, is_usable, quantile, sorted, thin};
use super::window::{FONT, WIDTH, Window, visible};

/// Shares of the held-out rows inside the contours, from the outermost to the innermost, and their
/// styles.
const SHARES: [(f64, &str); 5] =
    [(0.95, "level-1"), (0.8, "level-2"), (0.6, "level-3"), (0.4, "level-4"), (0.2, "level-5")];

/// The figure, or None where the model has no log density.
pub(super) fn figure(data: &ReportData, window: &Window) -> Result<Option<Figure>> {
    let Some(grid) = &data.grid else { return Ok(None) };
    let Some(values) = grid.log_density.as_ref().map(|l| l.to_vec()) else { return Ok(None) };
    let levels = levels(&grid.spec, &values, data.data.view());
    let (frame, height) = window.frame();
    let mut marks = Marks::default();
    draw_levels(&mut marks, &frame, grid, &values, &levels)?;
    let rows = thin(data.data.view(), MOST_POINTS);
    marks.points("data-over", &visible(&frame, rows.view()).0);
    let mut drawing = Drawing::new(WIDTH, height, FONT);
    drawing.add(&frame, window.names(), marks)?;
    let name = |(k, l): (usize, &Level)| {
        let rows = if k == 0 { " of rows" } else { "" };
        Key::area(l.class, format!("{:.0}%{rows}", 100.0 * l.share))
    };
    let mut keys: Vec<Key> = levels.iter().enumerate().map(name).collect();
    keys.push(Key::points("data-over", "held-out rows"));
    let svg =
        drawing.finish("Contours of the fitted log density over the plane of the two columns");
    Ok(Some(Figure {
        id: "fig-contours",
        title: "Fitted density".into(),
        plots: vec![svg],
        keys,
        caption: vec![
            "Shaded regions are where the fitted density is highest; each is as large as it takes \
             to hold the given share of the held-out rows."
                .into(),
            "A good fit puts the regions where the points are. Score matching sees the shape of each \
             cluster much better than the relative weight of clusters that are far apart."
                .into(),
        ],
    }))
}

/// A contour level.
#[derive(Debug, PartialEq)]
struct Level {
    value: f64,
    share: f64,
    class: &'static str,
}

/// Increasing levels; those that cannot be told from their neighbour, or that lie outside the grid,
/// are left out.
fn levels(spec: &GridSpec, values: &[f64], data: ArrayView2<'_, f64>) -> Vec<Level> {
    let at_rows: Vec<f64> = data
        .rows()
        .into_iter()
        .map(|r| interpolate(spec, values, r[0], r[1]).unwrap_or(f64::NEG_INFINITY))
        .collect();
    let at_rows = sorted(&at_rows);
    let mut out: Vec<Level> = Vec::new();
    for (share, class) in SHARES {
        let value = quantile(&at_rows, 1.0 - share).unwrap_or(f64::NAN);
        if is_usable(value) && out.last().is_none_or(|l| value > l.value) {
            out.push(Level { value, share, class });
        }
    }
    out
}

/// Bilinear interpolation; None outside the grid or beside a value that is not finite.
fn interpolate(spec: &GridSpec, values: &[f64], x: f64, y: f64) -> Option<f64> {
    let place = |v: f64, (lo, hi): (f64, f64), n: usize| {
        let at = (v - lo) / (hi - lo) * (n - 1) as f64;
        let cell = at.floor().min((n - 2) as f64);
        (at >= 0.0 && at <= (n - 1) as f64).then_some((cell as usize, at - cell))
    };
    let (ix, tx) = place(x, spec.x, spec.nx)?;
    let (iy, ty) = place(y, spec.y, spec.ny)?;
    let at = |dx: usize, dy: usize| values[(iy + dy) * spec.nx + ix + dx];
    let row = |dy: usize| (1.0 - tx) * at(0, dy) + tx * at(1, dy);
    Some((1.0 - ty) * row(0) + ty * row(1)).filter(|v| is_usable(*v))
}

fn draw_levels(
    marks: &mut Marks,
    frame: &Frame,
    grid: &FieldGrid,
    values: &[f64],
    levels: &[Level],
) -> Result<()> {
    let (Some(lowest), Some(highest)) = (levels.first(), levels.last()) else { return Ok(()) };
    // Far below the lowest level only the sign matters; a floor keeps the interpolation between
    // grid points smooth there, and replaces values that are not finite.
    let floor = lowest.value - 2.0 * (highest.value - lowest.value).max(1.0);
    let floored: Vec<f64> =
        values.iter().map(|v| if is_usable(*v) { v.max(floor) } else { floor }).collect();
    let thresholds: Vec<f64> = levels.iter().map(|l| l.value).collect();
    let contours = builder(frame, &grid.spec)
        .contours(&floored, &thresholds)
        .map_err(|e| anyhow!("report: contours: {e}"))?;
    for (contour, level) in contours.iter().zip(levels) {
        let rings = rings(contour, frame);
        let rings: Vec<&[(f64, f64)]> = rings.iter().map(|r| r.as_slice()).collect();
        if !rings.is_empty() {
            marks.area(level.class, &rings);
        }
    }
    Ok(())
}

/// Contours in drawing units, but with y upwards from the frame's lower edge: the crate tells the
/// inside of a ring by its sense of rotation. It puts a grid point at the middle of a unit cell.
fn builder(frame: &Frame, spec: &GridSpec) -> ContourBuilder {
    let height = frame.size().1;
    let first = frame.place(spec.x.0, spec.y.0);
    let next = frame.place(spec.x_at(1), spec.y_at(1));
    let step = (next.0 - first.0, first.1 - next.1);
    ContourBuilder::new(spec.nx, spec.ny, true)
        .x_origin(first.0 - 0.5 * step.0)
        .y_origin(height - first.1 - 0.5 * step.1)
        .x_step(step.0)
        .y_step(step.1)
}

/// All rings of a contour in the frame's drawing units.
fn rings(contour: &Contour, frame: &Frame) -> Vec<Vec<(f64, f64)>> {
    let height = frame.size().1;
    let polygons = contour.geometry().iter();
    polygons
        .flat_map(|p| std::iter::once(p.exterior()).chain(p.interiors()))
        .map(|ring| ring.0.iter().map(|c| (c.x, height - c.y)).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::super::axis::Axis;
    use super::*;

    fn spec() -> GridSpec {
        GridSpec { x: (-3.0, 3.0), y: (-3.0, 3.0), nx: 61, ny: 31 }
    }

    fn normal(spec: &GridSpec) -> Vec<f64> {
        spec.points().rows().into_iter().map(|r| -0.5 * (r[0] * r[0] + r[1] * r[1])).collect()
    }

    #[test]
    fn interpolation_is_exact_on_planes_and_refuses_the_outside() {
        let spec = spec();
        let values: Vec<f64> =
            spec.points().rows().into_iter().map(|r| 2.0 * r[0] - 3.0 * r[1]).collect();
        for (x, y) in [(0.0, 0.0), (1.23, -2.2), (3.0, 3.0), (-3.0, 2.99)] {
            let got = interpolate(&spec, &values, x, y).unwrap();
            assert!((got - (2.0 * x - 3.0 * y)).abs() < 1e-12);
        }
        assert_eq!(interpolate(&spec, &values, 3.1, 0.0), None);
        assert_eq!(interpolate(&spec, &values, f64::NAN, 0.0), None);
    }

    #[test]
    fn contours_of_a_normal_density_are_circles_of_the_right_radius() {
        let spec = spec();
        let axes = (Axis::new(spec.x, 5), Axis::new(spec.y, 5));
        let frame = Frame::at((0, 0), (600, 600), axes.0, axes.1);
        // log p = -r^2 / 2 = -0.5 at r = 1, which is 100 drawing units around (0.5, 1).
        let values: Vec<f64> = spec
            .points()
            .rows()
            .into_iter()
            .map(|r| -0.5 * ((r[0] - 0.5).powi(2) + (r[1] - 1.0).powi(2)))
            .collect();
        let contours = builder(&frame, &spec).contours(&values, &[-0.5]).unwrap();
        let rings = rings(&contours[0], &frame);
        assert_eq!(rings.len(), 1);
        for (x, y) in &rings[0] {
            let r = (x - 350.0).hypot(y - 200.0);
            assert!((r - 100.0).abs() < 2.0, "radius {r}");
        }
    }

    #[test]
    fn levels_hold_their_share_of_the_rows() {
        let spec = spec();
        // Rows on the x axis at distances 0.02, 0.04, ..., 2: 60% of them lie within 1.2.
        let data =
            Array2::from_shape_fn(
                (100, 2),
                |(i, j)| {
                    if j == 0 { 0.02 * (i + 1) as f64 } else { 0.0 }
                },
            );
        let levels = levels(&spec, &normal(&spec), data.view());
        assert_eq!(levels.len(), 5);
        let middle = levels.iter().find(|l| l.share == 0.6).unwrap();
        assert!((middle.value + 0.5 * 1.2 * 1.2).abs() < 0.03, "{middle:?}");
    }

    #[test]
    fn a_flat_or_undefined_density_has_no_more_than_one_level() {
        let spec = spec();
        let data = Array2::zeros((10, 2));
        assert_eq!(levels(&spec, &vec![1.0; 61 * 31], data.view()).len(), 1);
        assert_eq!(levels(&spec, &vec![f64::NAN; 61 * 31], data.view()), []);
        assert_eq!(levels(&spec, &normal(&spec), Array2::zeros((0, 2)).view()), []);
    }
}
