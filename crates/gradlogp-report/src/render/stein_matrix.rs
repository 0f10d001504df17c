//! What E[s x^T] is off -I, as a map of pairs of columns.

use super::axis::Axis;
use super::canvas::{Drawing, Frame, Marks, Names};
use super::data::{ReportData, SteinProducts};
use super::figure::{Figure, Key};
use super::text::{count, shorten};
use anyhow::Result;

const WIDTH: i32 = 1100;
const FONT: i32 = 40;
/// Deviations from which a cell has the next colour.
const LEVELS: [f64; 3] = [0.1, 0.25, 0.5];
/// Styles of cells below and above what they should be, faint to strong.
const LOW: [&str; 3] = ["low-1", "low-2", "low-3"];
const HIGH: [&str; 3] = ["high-1", "high-2", "high-3"];
/// Pairs named below the map.
const NAMED: usize = 3;

impl SteinProducts {
    /// The class of a cell; None for one that is as it should be.
    fn class(&self, at: (usize, usize)) -> Option<&'static str> {
        let off = self.off[at];
        let level = LEVELS.iter().filter(|level| off.abs() >= **level).count().checked_sub(1)?;
        Some(if off < 0.0 { LOW[level] } else { HIGH[level] })
    }

    fn is_beyond(&self, at: (usize, usize)) -> bool {
        self.z[at].abs() > self.critical_z
    }
}

/// The figure, or None for one column or without the products.
pub(super) fn figure(data: &ReportData) -> Result<Option<Figure>> {
    let Some(products) = data.stein.as_ref().filter(|p| p.off.nrows() > 1) else {
        return Ok(None);
    };
    let d = products.off.nrows();
    let axis = || Axis::new((0.5, d as f64 + 0.5), (d + 1).min(12));
    let names =
        Names { x: "column of the data", y: "column of the score", x_ticks: true, y_ticks: true };
    let (frame, height) = Frame::with_aspect(WIDTH, 1.0, FONT, (axis(), axis()), names);
    let mut marks = Marks::default();
    // Cells that keep no colour still show where the map is.
    marks.area("cell", &[&square(&frame, (0.5, 0.5), d as f64)]);
    for (at, _) in products.off.indexed_iter() {
        let corner = (at.1 as f64 + 0.5, at.0 as f64 + 0.5);
        if let Some(class) = products.class(at) {
            marks.area(class, &[&square(&frame, corner, 1.0)]);
        }
    }
    for (at, _) in products.off.indexed_iter().filter(|(at, _)| products.is_beyond(*at)) {
        marks.area("beyond", &[&square(&frame, (at.1 as f64 + 0.56, at.0 as f64 + 0.56), 0.88)]);
    }
    let mut drawing = Drawing::new(WIDTH, height, FONT);
    drawing.add(&frame, names, marks)?;
    Ok(Some(Figure {
        id: "fig-stein",
        title: "Stein products by pairs of columns".into(),
        plots: vec![drawing.finish("Map of E[s xᵀ] + I over pairs of columns")],
        keys: keys(),
        caption: caption(data, products),
    }))
}

fn square(frame: &Frame, (x, y): (f64, f64), side: f64) -> Vec<(f64, f64)> {
    [(x, y), (x + side, y), (x + side, y + side), (x, y + side)]
        .map(|(x, y)| frame.place(x, y))
        .to_vec()
}

fn keys() -> Vec<Key> {
    let mut keys = Vec::new();
    for (class, level) in LOW.into_iter().zip(LEVELS).rev() {
        keys.push(Key::area(class, format!("−{level} or below")));
    }
    for (class, level) in HIGH.into_iter().zip(LEVELS) {
        keys.push(Key::area(class, format!("{level} or above")));
    }
    keys.push(Key::area("beyond", "more than chance"));
    keys
}

fn caption(data: &ReportData, products: &SteinProducts) -> Vec<String> {
    let beyond = products.off.indexed_iter().filter(|(at, _)| products.is_beyond(*at)).count();
    let all = products.off.len();
    let mut out = vec![
        "E[s xᵀ] + I on held-out rows, columns in units of their standard deviations: 0 in every cell for the true score. \
         On the diagonal −0.5 is a score half as large again as it should be, 0.5 one half as large. Columns are numbered \
         as in the table."
            .to_string(),
        format!(
            "{} of {} {} beyond what chance explains in all of them together at 95%.",
            beyond,
            count(all, "cell"),
            if beyond == 1 { "is" } else { "are" }
        ),
    ];
    let mut worst: Vec<((usize, usize), f64)> =
        products.off.indexed_iter().map(|(at, off)| (at, *off)).collect();
    worst.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
    let name = |j: usize| shorten(&data.name(j), 24);
    let named: Vec<String> = worst
        .iter()
        .take(NAMED)
        .map(|((i, j), off)| format!("{} (score) and {} (data) {off:.2}", name(*i), name(*j)))
        .collect();
    out.push(format!("The largest: {}.", named.join("; ")));
    out
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn cells_are_coloured_by_size_and_framed_by_significance() {
        let off = array![[0.05, -0.1], [0.3, -2.0]];
        let products = SteinProducts { off, z: array![[9.0, 1.0], [-3.5, 3.0]], critical_z: 3.2 };
        assert_eq!(products.class((0, 0)), None);
        assert_eq!(products.class((0, 1)), Some("low-1"));
        assert_eq!(products.class((1, 0)), Some("high-2"));
        assert_eq!(products.class((1, 1)), Some("low-3"));
        let beyond = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|at| products.is_beyond(at));
        assert_eq!(beyond, [true, false, true, false]);
    }
}
