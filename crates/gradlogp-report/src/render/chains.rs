//! The chains that drew the samples: their way through one column, and whether their ranks agree.

use anyhow::Result;

use super::axis::Axis;
use super::canvas::{Drawing, Frame, Marks, Names};
use super::data::{Chains, ReportData};
use super::figure::{Figure, Key};
use super::text::{count, shorten};

const WIDTH: i32 = 1100;
const FONT: i32 = 40;
/// Chains whose way is drawn, and the styles of their lines in turns.
const SHOWN: usize = 6;
const STYLES: [&str; 3] = ["chain-1", "chain-2", "chain-3"];
/// Standard deviations of the mean rank of draws that are independent.
const BAND: f64 = 2.0;

/// The figure, or None without chains of several draws.
pub(super) fn figure(data: &ReportData) -> Result<Option<Figure>> {
    let Some(chains) = &data.chains else { return Ok(None) };
    let longest = chains.draws.iter().map(Vec::len).max().unwrap_or(0);
    if longest < 3 || chains.draws.len() < 2 {
        return Ok(None);
    }
    let name = shorten(&data.name(chains.column), 28);
    let ranks = chains.mean_ranks();
    // The mean of m independent uniform numbers has the standard deviation 1/sqrt(12 m).
    let half = BAND / (12.0 * longest as f64).sqrt();
    let outside = ranks.iter().filter(|rank| (**rank - 0.5).abs() > half).count();
    let expected = 0.05 * ranks.len() as f64;
    Ok(Some(Figure {
        id: "fig-chains",
        title: "Do the chains agree?".into(),
        plots: vec![trace(chains, longest, &name)?, rank_plot(&ranks, half)?],
        keys: vec![
            Key::line("chain-1", "a chain"),
            Key::points("pair", "mean rank of a chain's draws"),
            Key::line("best", "± 2 standard deviations of independent draws"),
        ],
        caption: vec![format!(
            "Left the draws of {} in column {name}, one after the other: chains that agree cross each other. Right the mean rank \
                 of each chain's draws among all: if all cover the same density and draws are independent, about {expected:.0} of {} \
                 lie outside the dashed lines; here it is {outside}.",
            count(SHOWN.min(chains.draws.len()), "chain"),
            ranks.len()
        )],
    }))
}

fn trace(chains: &Chains, longest: usize, name: &str) -> Result<String> {
    // Chains far from each other in number start far from each other, too.
    let every = chains.draws.len().div_ceil(SHOWN);
    let shown: Vec<&Vec<f64>> = chains.draws.iter().step_by(every).collect();
    let (lo, hi) = shown
        .iter()
        .flat_map(|draws| draws.iter())
        .filter(|v| v.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), v| (lo.min(*v), hi.max(*v)));
    let names = Names { x: "draw", y: name, x_ticks: true, y_ticks: true };
    let axes = (Axis::fitting((1.0, longest as f64), 6, 36), Axis::new((lo, hi), 5));
    let (frame, height) = Frame::with_aspect(WIDTH, 0.7, FONT, axes, names);
    let mut marks = Marks::default();
    for (k, draws) in shown.iter().enumerate() {
        let line: Vec<(f64, f64)> =
            draws.iter().enumerate().map(|(i, v)| frame.place(1.0 + i as f64, *v)).collect();
        marks.line(STYLES[k % STYLES.len()], &line);
    }
    let mut drawing = Drawing::new(WIDTH, height, FONT);
    drawing.add(&frame, names, marks)?;
    Ok(drawing.finish("Draws of some chains in their order"))
}

fn rank_plot(ranks: &[f64], half: f64) -> Result<String> {
    let names = Names { x: "chain", y: "mean rank", x_ticks: true, y_ticks: true };
    let last = ranks.len() as f64;
    let axes = (Axis::fitting((0.5, last + 0.5), 6, 36), Axis::new((0.0, 1.0), 5));
    let (frame, height) = Frame::with_aspect(WIDTH, 0.7, FONT, axes, names);
    let mut marks = Marks::default();
    for edge in [0.5 - half, 0.5 + half] {
        marks.line("best", &[frame.place(0.5, edge), frame.place(last + 0.5, edge)]);
    }
    let dots: Vec<(f64, f64)> =
        ranks.iter().enumerate().map(|(k, rank)| frame.place(k as f64 + 1.0, *rank)).collect();
    marks.points("pair", &dots);
    let mut drawing = Drawing::new(WIDTH, height, FONT);
    drawing.add(&frame, names, marks)?;
    Ok(drawing.finish("Mean rank of the draws of each chain"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Draws 1, 4 and 2, 3 and 9, 8: ranks 1/12, 7/12; 3/12, 5/12; 11/12, 9/12.
    #[test]
    fn ranks_by_hand() {
        let values = [1.0, 2.0, 9.0, 4.0, 3.0, 8.0];
        let chains = Chains::new(0, &values, &[0, 1, 2, 0, 1, 2]);
        assert_eq!(chains.draws, [vec![1.0, 4.0], vec![2.0, 3.0], vec![9.0, 8.0]]);
        let expected = [4.0 / 12.0, 4.0 / 12.0, 10.0 / 12.0];
        for (found, expected) in chains.mean_ranks().iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    }
}
