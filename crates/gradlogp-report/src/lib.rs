//! What the program and the Python package both tell of a fitted model: figures and verdict as JSON and as tables, and
//! the report as one HTML page.

mod assemble;
mod figures;
mod findings;
mod judged;
mod noise;
mod over_times;
mod picture;
mod render;
mod samples;
mod settings;
mod tables;

pub use assemble::{Drawn, Frames, LEAST_COMPARED, ToDraw, notes, page};
pub use figures::Figures;
pub use findings::{Comparison, Findings, Normalized, Statement};
pub use judged::Judged;
pub use over_times::OverTimes;
pub use picture::{Greys, ImageShape, Sheet, TILES};
pub use render::{Check, Compared, Comparison as ComparedWays, Estimate, Grade, render_comparison};
pub use samples::checks as checks_of_samples;
pub use settings::{kernel_summary, objective, settings};
pub use tables::{aligned, table};
