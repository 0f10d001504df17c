//! Drawing: `plotters` draws frames, grids and tick labels; the marks inside a frame are written as
//! compact paths, clipped to the frame, whose colours come from the page's style sheet (so they
//! follow light and dark schemes).

use std::fmt::Write;

use anyhow::{Result, anyhow};
use plotters::prelude::*;
use plotters::style::Color;

use super::axis::Axis;
use super::text::{escape, shorten};

/// Colours that `plotters` writes into the drawing. The style sheet finds them there by value and
/// replaces them by the colours of the current scheme.
const INK: RGBColor = RGBColor(0x33, 0x33, 0x34);
const GRID: RGBColor = RGBColor(0xE3, 0xE3, 0xE4);

/// Points per path: overlapping points of different paths darken each other.
const POINTS_PER_PATH: usize = 100;
/// Axis names longer than this are cut.
const LONGEST_NAME: usize = 28;

/// A frame's place in the drawing, in drawing units, and its axes.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    left: i32,
    top: i32,
    width: i32,
    height: i32,
    /// Horizontal axis.
    pub(super) x: Axis,
    /// Vertical axis.
    pub(super) y: Axis,
}

/// Room for labels around a frame, in drawing units.
#[derive(Debug, Clone, Copy)]
struct Margins {
    left: i32,
    right: i32,
    top: i32,
    bottom: i32,
}

impl Frame {
    /// The frame at a given place.
    pub(super) fn at(corner: (i32, i32), size: (i32, i32), x: Axis, y: Axis) -> Self {
        Self { left: corner.0, top: corner.1, width: size.0, height: size.1, x, y }
    }

    /// The largest frame in a drawing of the given width whose labels fit, with the height chosen
    /// so that the frame's height is `aspect` times its width. Returns the drawing's height too.
    pub(super) fn with_aspect(
        width: i32,
        aspect: f64,
        font: i32,
        (x, y): (Axis, Axis),
        names: Names<'_>,
    ) -> (Self, i32) {
        let margin = Margins::new(font, (&x, &y), names);
        let inner = width - margin.left - margin.right;
        let tall = (f64::from(inner) * aspect).round() as i32;
        let frame = Self::at((margin.left, margin.top), (inner, tall), x, y);
        (frame, margin.top + tall + margin.bottom)
    }

    /// Width and height in drawing units.
    pub(super) fn size(&self) -> (f64, f64) {
        (f64::from(self.width), f64::from(self.height))
    }

    /// Drawing units from the frame's upper left corner.
    pub(super) fn place(&self, x: f64, y: f64) -> (f64, f64) {
        let (w, h) = self.size();
        (w * self.x.fraction(x), h * (1.0 - self.y.fraction(y)))
    }

    /// Whether a point lies inside.
    pub(super) fn contains(&self, x: f64, y: f64) -> bool {
        self.x.contains(x) && self.y.contains(y)
    }
}

impl Margins {
    fn new(font: i32, (x, y): (&Axis, &Axis), names: Names<'_>) -> Self {
        let wide = |axis: &Axis| (0.56 * f64::from(font) * axis.widest_label() as f64) as i32;
        let labels = wide(y);
        // The last label may stand under the very corner.
        let right = if names.x_ticks { font.max(wide(x) / 2 + font / 4) } else { font };
        let ticks = if names.y_ticks { labels + font * 3 / 4 } else { font / 2 };
        let name = |n: &str| if n.is_empty() { 0 } else { font * 13 / 10 };
        Self {
            left: ticks + name(names.y),
            right,
            top: font * 2 / 3,
            bottom: font * 17 / 10 + name(names.x),
        }
    }
}

/// What is written beside a frame's axes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Names<'a> {
    /// Name of the horizontal axis; "" for none.
    pub(super) x: &'a str,
    /// Name of the vertical axis; "" for none.
    pub(super) y: &'a str,
    /// Whether the horizontal axis has tick labels.
    pub(super) x_ticks: bool,
    /// Whether the vertical axis has tick labels.
    pub(super) y_ticks: bool,
}

/// One drawing: frames with axes, and marks in them.
pub(super) struct Drawing {
    size: (i32, i32),
    font: i32,
    frames: String,
    marks: String,
}

impl Drawing {
    /// An empty drawing. `font` is the size of all text in drawing units.
    pub(super) fn new(width: i32, height: i32, font: i32) -> Self {
        Self { size: (width, height), font, frames: String::new(), marks: String::new() }
    }

    /// Adds a frame with grid, ticks and names, and the marks inside it.
    pub(super) fn add(&mut self, frame: &Frame, names: Names<'_>, marks: Marks) -> Result<()> {
        self.frames += &axes(self.size, self.font, frame, names)?;
        let Frame { left, top, width, height, .. } = frame;
        let _ = writeln!(
            self.marks,
            "<svg x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\">{}</svg>",
            marks.out
        );
        Ok(())
    }

    /// Adds one line of text, centred at a point of the drawing.
    pub(super) fn write(&mut self, at: (i32, i32), text: &str) {
        let _ = writeln!(
            self.marks,
            "<text class=\"note\" x=\"{}\" y=\"{}\" font-size=\"{}\" text-anchor=\"middle\">{}</text>",
            at.0,
            at.1,
            self.font,
            escape(text)
        );
    }

    /// The `<svg>` element, described by `label` to those who cannot see it.
    pub(super) fn finish(self, label: &str) -> String {
        let (w, h) = self.size;
        format!(
            "<svg class=\"plot\" role=\"img\" aria-label=\"{}\" viewBox=\"0 0 {w} {h}\" \
             xmlns=\"http://www.w3.org/2000/svg\">\n{}{}</svg>\n",
            escape(label),
            self.frames,
            self.marks
        )
    }
}

/// Grid, axes and labels of one frame, as SVG elements.
fn axes(size: (i32, i32), font: i32, frame: &Frame, names: Names<'_>) -> Result<String> {
    let mut svg = String::new();
    {
        let backend = SVGBackend::with_string(&mut svg, (size.0 as u32, size.1 as u32));
        let root = backend.into_drawing_area();
        draw_axes(&root, font, frame, names).map_err(|e| anyhow!("report: {e}"))?;
        root.present().map_err(|e| anyhow!("report: {e}"))?;
    }
    let body = svg.split_once('>').map_or("", |(_, rest)| rest);
    Ok(body.replace("</svg>", "").replace(" font-family=\"sans-serif\"", "").trim().to_string()
        + "\n")
}

type AreaResult = Result<(), DrawingAreaErrorKind<std::io::Error>>;

fn draw_axes(
    root: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    font: i32,
    frame: &Frame,
    names: Names<'_>,
) -> AreaResult {
    // An area of n drawing units has coordinates 0 to n - 1: the frame needs one more each way.
    let (below, beside) = (root_height(root) - frame.top - frame.height - 1, frame.left);
    let corner = (frame.left + frame.width + 1, frame.top + frame.height + 1 + below);
    let area =
        root.clone().shrink((0, frame.top), (corner.0 as u32, (corner.1 - frame.top) as u32));
    let mut chart = ChartBuilder::on(&area)
        .x_label_area_size(below)
        .y_label_area_size(beside)
        .build_cartesian_2d(frame.x.shown_range(), frame.y.shown_range())?;
    // The backend divides font sizes by 1.24.
    let text = ("sans-serif", 1.24 * f64::from(font)).into_font().color(&INK);
    let (x_text, y_text) = (|v: &f64| frame.x.label(*v), |v: &f64| frame.y.label(*v));
    let mut mesh = chart.configure_mesh();
    mesh.x_labels(frame.x.ticks)
        .y_labels(frame.y.ticks)
        .x_label_formatter(&x_text)
        .y_label_formatter(&y_text)
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID.stroke_width(2))
        .axis_style(INK.stroke_width(2))
        .label_style(text.clone())
        .axis_desc_style(text)
        .set_all_tick_mark_size(font / 5);
    if !names.x_ticks {
        mesh.disable_x_axis();
    }
    if !names.y_ticks {
        mesh.disable_y_axis();
    }
    if !names.x.is_empty() {
        mesh.x_desc(frame.x.title(&shorten(names.x, LONGEST_NAME)));
    }
    if !names.y.is_empty() {
        mesh.y_desc(frame.y.title(&shorten(names.y, LONGEST_NAME)));
    }
    mesh.draw()
}

fn root_height(root: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>) -> i32 {
    root.dim_in_pixel().1 as i32
}

/// Marks inside one frame, in drawing units from its upper left corner. `class` names the style.
#[derive(Debug, Clone, Default)]
pub(super) struct Marks {
    out: String,
}

impl Marks {
    /// Round (or, by style, square) points.
    pub(super) fn points(&mut self, class: &str, points: &[(f64, f64)]) {
        for chunk in points.chunks(POINTS_PER_PATH) {
            let _ = write!(self.out, "<path class=\"{class}\" d=\"");
            for &(x, y) in chunk {
                let _ = write!(self.out, "M{:.0} {:.0}h0", x, y);
            }
            self.out += "\"/>\n";
        }
    }

    /// Two clouds of points drawn in turns, so that neither hides the other.
    pub(super) fn two_clouds(&mut self, a: (&str, &[(f64, f64)]), b: (&str, &[(f64, f64)])) {
        let parts = (a.1.len().max(b.1.len())).div_ceil(POINTS_PER_PATH).max(1);
        let part = |points: &[(f64, f64)], k: usize| {
            let edge = |k: usize| k * points.len() / parts;
            points[edge(k)..edge(k + 1)].to_vec()
        };
        for k in 0..parts {
            self.points(a.0, &part(a.1, k));
            self.points(b.0, &part(b.1, k));
        }
    }

    /// A line through points; points that are not finite break it.
    pub(super) fn line(&mut self, class: &str, points: &[(f64, f64)]) {
        self.path(class, &[points], false);
    }

    /// Closed rings as one shape, filled by the even-odd rule.
    pub(super) fn area(&mut self, class: &str, rings: &[&[(f64, f64)]]) {
        self.path(class, rings, true);
    }

    fn path(&mut self, class: &str, pieces: &[&[(f64, f64)]], close: bool) {
        let _ = write!(self.out, "<path class=\"{class}\" d=\"");
        for piece in pieces {
            let mut pen_down = false;
            for &(x, y) in *piece {
                if !(x.is_finite() && y.is_finite()) {
                    pen_down = false;
                    continue;
                }
                let (x, y) = (within_reach(x), within_reach(y));
                let _ = write!(self.out, "{}{x:.1} {y:.1}", if pen_down { 'L' } else { 'M' });
                pen_down = true;
            }
            if close && pen_down {
                self.out.push('Z');
            }
        }
        self.out += "\"/>\n";
    }
}

/// Renderers lose precision far outside the drawing; nothing there is visible anyway.
fn within_reach(v: f64) -> f64 {
    v.clamp(-50_000.0, 50_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Frame {
        let axes = (Axis::new((0.0, 10.0), 5), Axis::new((0.0, 1.0), 5));
        Frame::with_aspect(
            1000,
            0.5,
            40,
            axes,
            Names { x: "x", y: "y", x_ticks: true, y_ticks: true },
        )
        .0
    }

    #[test]
    fn the_low_corner_is_at_the_bottom_left() {
        let f = frame();
        let (w, h) = f.size();
        assert_eq!(f.place(0.0, 0.0), (0.0, h));
        assert_eq!(f.place(10.0, 1.0), (w, 0.0));
        assert!((h - 0.5 * w).abs() <= 1.0);
    }

    /// Half of it stands beyond the frame; letters are about 0.56 of the font wide.
    #[test]
    fn the_last_label_has_room_under_the_corner() {
        let names = Names { x: "step", y: "loss", x_ticks: true, y_ticks: true };
        let axes = (Axis::new((0.0, 60_000.0), 6), Axis::new((0.0, 1.0), 6));
        let half = 0.56 * 40.0 * axes.0.widest_label() as f64 / 2.0;
        let (frame, _) = Frame::with_aspect(1000, 0.5, 40, axes, names);
        assert!(f64::from(frame.left + frame.width) + half <= 1000.0);
    }

    #[test]
    fn the_frame_that_plotters_draws_is_the_one_that_marks_use() {
        let f = frame();
        let names = Names { x: "x", y: "y", x_ticks: true, y_ticks: true };
        let svg = axes((1000, 700), 40, &f, names).unwrap();
        // The vertical grid line of x = 10 and the horizontal one of y = 1 meet in the upper right.
        let right = format!("x1=\"{}\"", f.left + f.width);
        assert!(svg.contains(&right), "{right} in {svg}");
        let top = format!("x1=\"{}\" y1=\"{}\" x2=", f.left, f.top);
        assert!(svg.contains(&top), "{top} in {svg}");
        let bottom = format!("x1=\"{}\" y1=\"{}\" x2=", f.left, f.top + f.height);
        assert!(svg.contains(&bottom), "{bottom} in {svg}");
    }

    #[test]
    fn lines_break_at_values_that_are_not_finite() {
        let mut marks = Marks::default();
        marks.line("a", &[(0.0, 1.0), (f64::NAN, 0.0), (2.0, 1e300), (3.0, 0.0)]);
        assert_eq!(marks.out, "<path class=\"a\" d=\"M0.0 1.0M2.0 50000.0L3.0 0.0\"/>\n");
    }

    #[test]
    fn names_are_escaped() {
        let names = Names { x: "<b>&", y: "\"y\"", x_ticks: true, y_ticks: true };
        let svg = axes((1000, 700), 40, &frame(), names).unwrap();
        assert!(svg.contains("&lt;b&gt;&amp;") && !svg.contains("<b>"));
    }
}
