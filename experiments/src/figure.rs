//! Figures as SVG.

use std::ops::Range;
use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

/// One series of points with error bars; x is a position or a number.
#[derive(Debug, Clone)]
pub struct Series {
    /// For the legend.
    pub name: String,
    /// (x, y, standard error of y).
    pub points: Vec<(f64, f64, f64)>,
}

/// One chart.
#[derive(Debug, Clone)]
pub struct Panel {
    /// Its title.
    pub title: String,
    /// Name of the x axis.
    pub x: String,
    /// Name of the y axis.
    pub y: String,
    /// What stands at x = 0, 1, ...; empty for a numeric axis.
    pub labels: Vec<String>,
    /// Both axes logarithmic.
    pub logarithmic: bool,
    /// Series.
    pub series: Vec<Series>,
}

const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(120, 120, 120),
];

/// Draws the panels below each other.
///
/// # Errors
/// Where the file cannot be written.
pub fn draw(path: &Path, panels: &[Panel]) -> Result<()> {
    let size = (860, 330 * panels.len().max(1) as u32);
    let root = SVGBackend::new(path, size).into_drawing_area();
    let failed = |e: &dyn std::fmt::Display| anyhow!("cannot draw {}: {e}", path.display());
    root.fill(&WHITE).map_err(|e| failed(&e))?;
    for (area, panel) in root.split_evenly((panels.len().max(1), 1)).iter().zip(panels) {
        draw_panel(area, panel).map_err(|e| failed(&e))?;
    }
    root.present().map_err(|e| failed(&e))
}

impl Panel {
    /// Where a value lies on an axis: its log10 where the panel is logarithmic.
    fn at(&self, v: f64) -> f64 {
        if self.logarithmic { v.log10() } else { v }
    }

    fn range(&self, values: impl Iterator<Item = f64>) -> Range<f64> {
        let (low, high) = values
            .filter(|v| v.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        if low > high {
            return 0.0..1.0;
        }
        let margin = 0.08 * (high - low).max(0.1);
        low - margin..high + margin
    }
}

/// How much of either axis a legend takes.
const LEGEND: f64 = 0.4;

impl Panel {
    /// The corner in which a legend hides the fewest points.
    fn empty_corner(&self, x: &Range<f64>, y: &Range<f64>) -> SeriesLabelPosition {
        let share = |range: &Range<f64>, v: f64| (v - range.start) / (range.end - range.start);
        let hidden = |right: bool, upper: bool| {
            let near = |u: f64, high: bool| if high { u > 1.0 - LEGEND } else { u < LEGEND };
            let points = self.series.iter().flat_map(|s| &s.points);
            let inside = |p: &&(f64, f64, f64)| {
                near(share(x, self.at(p.0)), right) && near(share(y, self.at(p.1)), upper)
            };
            points.filter(inside).count()
        };
        let corners = [
            (false, true, SeriesLabelPosition::UpperLeft),
            (true, true, SeriesLabelPosition::UpperRight),
            (true, false, SeriesLabelPosition::LowerRight),
            (false, false, SeriesLabelPosition::LowerLeft),
        ];
        let least = corners.into_iter().min_by_key(|(right, upper, _)| hidden(*right, *upper));
        least.map_or(SeriesLabelPosition::UpperLeft, |(.., corner)| corner)
    }
}

/// 10^v in two digits, as a power of ten where it is far from 1.
fn power(v: f64) -> String {
    let value = 10f64.powf(v);
    match v {
        -3.0..4.0 => {
            let digits = (1 - v.floor() as i32).max(0) as usize;
            let fixed = format!("{value:.digits$}");
            match fixed.contains('.') {
                true => fixed.trim_end_matches('0').trim_end_matches('.').to_string(),
                false => fixed,
            }
        }
        _ => format!("{value:.0e}"),
    }
}

type Fault = Box<dyn std::error::Error>;

fn draw_panel(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    panel: &Panel,
) -> Result<(), Fault> {
    let points = || panel.series.iter().flat_map(|s| &s.points);
    let error = |e: f64| if e.is_finite() { e } else { 0.0 };
    let x = match panel.labels.len() {
        0 => panel.range(points().map(|p| panel.at(p.0))),
        n => -0.5..n as f64 - 0.5,
    };
    let ends = points().flat_map(|p| [p.1 - error(p.2), p.1 + error(p.2)]);
    let y = panel.range(ends.map(|v| panel.at(v)));
    let mut chart = ChartBuilder::on(area)
        .caption(&panel.title, ("sans-serif", 17))
        .margin(10)
        .x_label_area_size(42)
        .y_label_area_size(66)
        .build_cartesian_2d(x.clone(), y.clone())?;
    let number = |v: &f64| match panel.logarithmic {
        true => power(*v),
        false => format!("{v:.2}"),
    };
    let label = |v: &f64| match panel.labels.is_empty() {
        true => number(v),
        false if (v - v.round()).abs() < 1e-6 => {
            panel.labels.get(v.round() as usize).cloned().unwrap_or_default()
        }
        false => String::new(),
    };
    chart
        .configure_mesh()
        .x_desc(&panel.x)
        .y_desc(&panel.y)
        .x_labels(panel.labels.len().max(6) + usize::from(!panel.labels.is_empty()))
        .x_label_formatter(&label)
        .y_label_formatter(&number)
        .light_line_style(WHITE)
        .draw()?;
    let shift = 0.12;
    let middle = 0.5 * (panel.series.len() as f64 - 1.0);
    for (k, series) in panel.series.iter().enumerate() {
        let colour = COLOURS[k % COLOURS.len()];
        let aside = if panel.labels.is_empty() { 0.0 } else { shift * (k as f64 - middle) };
        let place = |p: &(f64, f64, f64)| (panel.at(p.0) + aside, p.1, error(p.2));
        let (fill, thin) = (colour.filled(), colour.stroke_width(1));
        let points: Vec<(f64, f64, f64)> = series.points.iter().map(place).collect();
        chart.draw_series(points.iter().map(|(x, y, e)| {
            PathElement::new(vec![(*x, panel.at(y - e)), (*x, panel.at(y + e))], thin)
        }))?;
        chart
            .draw_series(points.iter().map(|(x, y, _)| Circle::new((*x, panel.at(*y)), 4, fill)))?
            .label(&series.name)
            .legend(move |(x, y)| Circle::new((x + 8, y), 4, fill));
        if panel.labels.is_empty() {
            let line = series.points.iter().map(|p| (panel.at(p.0), panel.at(p.1)));
            chart.draw_series(LineSeries::new(line, &colour))?;
        }
    }
    chart
        .configure_series_labels()
        .position(panel.empty_corner(&x, &y))
        .border_style(BLACK.mix(0.3))
        .background_style(WHITE.mix(0.8))
        .draw()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legends_stand_where_there_are_no_points() {
        let corner = |points: &[(f64, f64)]| {
            let points = points.iter().map(|(x, y)| (*x, *y, 0.0)).collect();
            let series = vec![Series { name: "a".into(), points }];
            let panel = Panel {
                title: String::new(),
                x: String::new(),
                y: String::new(),
                labels: vec![],
                logarithmic: false,
                series,
            };
            panel.empty_corner(&(0.0..1.0), &(0.0..1.0))
        };
        let (left, right, low) = ((0.1, 0.9), (0.9, 0.9), (0.9, 0.1));
        assert!(matches!(corner(&[right, low]), SeriesLabelPosition::UpperLeft));
        assert!(matches!(corner(&[left, low]), SeriesLabelPosition::UpperRight));
        assert!(matches!(corner(&[left, right]), SeriesLabelPosition::LowerRight));
        assert!(matches!(corner(&[left, right, low]), SeriesLabelPosition::LowerLeft));
    }

    #[test]
    fn powers_of_ten_are_short() {
        let found = [-4.0, -2.0, -0.5, 0.0, 1.0, 1.5, 2.5, 7.0].map(power);
        assert_eq!(found, ["1e-4", "0.01", "0.32", "1", "10", "32", "316", "1e7"]);
    }

    #[test]
    fn every_series_and_label_is_drawn() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.svg");
        let series = |name: &str| Series {
            name: name.into(),
            points: vec![(0.0, -3.0, 0.1), (1.0, -4.0, f64::NAN)],
        };
        let panel = Panel {
            title: "loss".into(),
            x: "objective".into(),
            y: "J".into(),
            labels: vec!["exact".into(), "ssm".into()],
            logarithmic: false,
            series: vec![series("paper"), series("leak-free")],
        };
        let numeric = Panel {
            labels: vec![],
            logarithmic: true,
            series: vec![Series {
                name: "time".into(),
                points: vec![(10.0, 0.1, 0.0), (100.0, 1.0, 0.0)],
            }],
            ..panel.clone()
        };
        draw(&path, &[panel, numeric]).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        for word in ["exact", "ssm", "paper", "leak-free", "time", "<circle", "<polyline"] {
            assert!(text.contains(word), "{word}");
        }
    }
}
