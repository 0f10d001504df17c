//! Every pair of columns: a lower triangle of scatter plots, with histograms on the diagonal.

use anyhow::Result;
use ndarray::{Array2, ArrayView2, Axis as Dimension};

use super::axis::Axis;
use super::canvas::{Drawing, Frame, Marks, Names};
use super::data::ReportData;
use super::figure::{Figure, Key};
use super::marginals::Pair;
use super::stats::{choose_columns, joint_range, thin, usable};
use super::text::{grouped, shorten};
use super::window::visible;

const FONT: i32 = 28;
/// Most columns in the triangle.
const MOST: usize = 6;
/// Most points of each kind in one panel.
const POINTS: usize = 700;
/// Width of the whole drawing.
const WIDTH: i32 = 2000;
/// Room for tick labels and names at the left and at the bottom, and for names above the diagonal.
const EDGE: (i32, i32, i32) = (150, 92, 50);
const GAP: i32 = 22;

/// The figure, or None for fewer than three columns (two have figures of their own).
pub(super) fn figure(data: &ReportData, distances: &[f64]) -> Result<Option<Figure>> {
    if data.columns.len() < 3 || data.data.nrows() == 0 {
        return Ok(None);
    }
    let columns = choose_columns(data.columns.len(), distances, MOST);
    let triangle = Triangle::new(data, &columns);
    let mut keys = vec![Key::points("data", "held-out rows")];
    if data.drawn().is_some() {
        keys.push(Key::points("samples", "samples"));
    }
    Ok(Some(Figure {
        id: "fig-pairs",
        title: "Columns two by two".into(),
        plots: vec![format!("<div class=\"wide\">{}</div>", triangle.draw()?)],
        keys,
        caption: caption(data, columns.len(), !distances.is_empty()),
    }))
}

fn caption(data: &ReportData, shown: usize, ranked: bool) -> Vec<String> {
    let total = data.columns.len();
    let mut out = vec![
        "Each panel shows two columns, each diagonal panel the histogram of one. Where data and \
         samples form different shapes, the model missed how these columns depend on each other."
            .to_string(),
    ];
    let rows = data.data.nrows();
    let most = rows.max(data.drawn().map_or(0, |s| s.nrows()));
    if most > POINTS.min(rows) {
        out.push(format!(
            "{} rows are drawn and as many samples, evenly chosen; a few far outliers lie outside the frames.",
            grouped(POINTS.min(rows))
        ));
    }
    if shown < total {
        out.push(if ranked {
            format!("Of {total} columns, the {shown} whose histograms differ most are shown.")
        } else {
            format!("The first {shown} of {total} columns are shown.")
        });
    }
    out
}

/// Side of one of `count` panels in a row, in drawing units.
fn side(count: usize) -> i32 {
    let count = count as i32;
    (WIDTH - EDGE.0 - FONT - GAP * (count - 1)) / count
}

/// Characters that fit along one of `count` panels in a row.
fn room(count: usize) -> usize {
    (f64::from(side(count)) / (0.56 * f64::from(FONT))) as usize
}

struct Triangle {
    names: Vec<String>,
    axes: Vec<Axis>,
    pairs: Vec<Pair>,
    data: Array2<f64>,
    samples: Option<Array2<f64>>,
}

impl Triangle {
    fn new(data: &ReportData, columns: &[usize]) -> Self {
        let pick = |rows: ArrayView2<'_, f64>| rows.select(Dimension(1), columns);
        let (rows, samples) = (pick(data.data.view()), data.drawn().map(pick));
        let column = |k: usize| samples.as_ref().map(|s| s.column(k));
        let range = |k: usize| {
            let drawn = column(k).map(usable).unwrap_or_default();
            joint_range(&usable(rows.column(k)), &drawn)
        };
        let all = 0..columns.len();
        let room = room(columns.len());
        Self {
            names: columns.iter().map(|&j| data.name(j)).collect(),
            axes: all.clone().map(|k| Axis::fitting(range(k), 4, room)).collect(),
            pairs: all.map(|k| Pair::new(rows.column(k), column(k))).collect(),
            data: thin(rows.view(), POINTS),
            // No more samples than rows: neither cloud hides the other.
            samples: samples.map(|s| thin(s.view(), POINTS.min(rows.nrows()))),
        }
    }

    fn draw(&self) -> Result<String> {
        let height =
            EDGE.2 + self.names.len() as i32 * (side(self.names.len()) + GAP) - GAP + EDGE.1;
        let mut drawing = Drawing::new(WIDTH, height, FONT);
        for row in 0..self.names.len() {
            for column in 0..=row {
                self.panel(&mut drawing, row, column)?;
            }
        }
        Ok(drawing.finish("Scatter plots of every pair of columns, data and samples"))
    }

    fn panel(&self, drawing: &mut Drawing, row: usize, column: usize) -> Result<()> {
        let side = side(self.names.len());
        let corner = |k: usize, edge: i32| edge + k as i32 * (side + GAP);
        let corner = (corner(column, EDGE.0), corner(row, EDGE.2));
        let bottom = row + 1 == self.names.len();
        let x = self.axes[column].clone();
        let x_name = shorten(&self.names[column], room(self.names.len()));
        let y_name = shorten(&self.names[row], room(self.names.len()));
        let names = Names {
            x: if bottom { &x_name } else { "" },
            y: if column == 0 && row > 0 { &y_name } else { "" },
            x_ticks: bottom,
            y_ticks: column == 0 && row > 0,
        };
        if row == column {
            let heights = self.pairs[column].axes(3).1;
            let frame = Frame::at(corner, (side, side), x, heights);
            drawing.write((corner.0 + side / 2, corner.1 - FONT / 2), &y_name);
            return drawing.add(&frame, names, self.pairs[column].marks(&frame));
        }
        let frame = Frame::at(corner, (side, side), x, self.axes[row].clone());
        let marks = self.scatter(&frame, row, column);
        drawing.add(&frame, names, marks)
    }

    fn scatter(&self, frame: &Frame, row: usize, column: usize) -> Marks {
        let mut marks = Marks::default();
        let pick = |rows: &Array2<f64>| rows.select(Dimension(1), &[column, row]);
        let data = visible(frame, pick(&self.data).view()).0;
        match &self.samples {
            None => marks.points("data", &data),
            Some(samples) => {
                let samples = visible(frame, pick(samples).view()).0;
                marks.two_clouds(("data", &data), ("samples", &samples));
            }
        }
        marks
    }
}
