//! Bounds of the data as the user writes them, and the domain that they make.

use anyhow::Result;
use gradlogp::Error;
use gradlogp::data::Transform;
use gradlogp::domain::{Bounds, Boxed, Domain, Ellipsoid, Polytope};
use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use crate::text;

/// Where all rows are known to lie.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Region {
    /// Bounds of single columns.
    Columns(Vec<ColumnBounds>),
    /// All columns at least 0, their sum at most 1.
    Simplex,
    /// Within this distance of the origin.
    Ball(f64),
}

/// `column=low:high`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ColumnBounds {
    column: String,
    low: Option<f64>,
    high: Option<f64>,
}

/// Parses `column=low:high`, where a missing or infinite bound is none.
pub(crate) fn column_bounds(text: &str) -> Result<ColumnBounds, String> {
    let form = "must be COLUMN=LOW:HIGH, such as age=0:inf";
    let (column, range) = text.rsplit_once('=').ok_or(form)?;
    let (low, high) = range.split_once(':').ok_or(form)?;
    let bound = |text: &str, none: f64| match text.trim() {
        "" => Ok(None),
        text => match text.parse::<f64>() {
            Ok(value) if value == none => Ok(None),
            Ok(value) if value.is_finite() => Ok(Some(value)),
            _ => Err(format!("\"{text}\" is not a bound; {form}")),
        },
    };
    let (low, high) = (bound(low, f64::NEG_INFINITY)?, bound(high, f64::INFINITY)?);
    match (low, high) {
        (None, None) => Err(format!("\"{column}\" is given no bound; leave it out")),
        (Some(low), Some(high)) if low >= high => {
            Err(format!("the lower bound {low} must lie below the upper bound {high}"))
        }
        _ => Ok(ColumnBounds { column: column.to_string(), low, high }),
    }
}

/// Parses `simplex` or `ball:RADIUS`.
pub(crate) fn region(text: &str) -> Result<Region, String> {
    if text == "simplex" {
        return Ok(Region::Simplex);
    }
    let radius = text.strip_prefix("ball:").and_then(|radius| radius.parse::<f64>().ok());
    match radius {
        Some(radius) if radius > 0.0 && radius.is_finite() => Ok(Region::Ball(radius)),
        _ => Err("must be simplex, or ball:RADIUS with a positive radius".into()),
    }
}

impl Region {
    /// The domain for columns of these names and standard deviations, by which the weights are scaled.
    pub(crate) fn domain(
        &self,
        columns: &[String],
        units: &Transform,
        power: f64,
    ) -> Result<Domain> {
        let sd = units.standard_deviations().to_vec();
        let domain = match self {
            Region::Columns(bounds) => {
                Domain::Box(Boxed { columns: boxed(bounds, columns, &sd)?, power })
            }
            Region::Simplex => Domain::Polytope(Polytope::simplex(&sd, power)),
            Region::Ball(radius) => {
                let typical = (sd.iter().map(|s| s * s).sum::<f64>() / sd.len() as f64).sqrt();
                let centre = vec![0.0; sd.len()];
                Domain::Ellipsoid(Ellipsoid::ball(centre, *radius, typical, power))
            }
        };
        domain.validate()?;
        Ok(domain)
    }

    /// Refuses all parts of a composition: with a sum of 1 in every row there is no density in all columns.
    pub(crate) fn check_parts(
        &self,
        rows: ArrayView2<'_, f64>,
        columns: &[String],
        name: &str,
    ) -> Result<()> {
        let whole = |row: ndarray::ArrayView1<'_, f64>| (row.sum() - 1.0).abs() < 1e-6;
        if *self != Region::Simplex || rows.is_empty() || !rows.outer_iter().all(whole) {
            return Ok(());
        }
        let message = format!(
            "the columns sum to 1 in every row, so each is known from the others and there is no density \
             in all of them; leave one part out, as with --drop {}",
            text::quoted(columns.last().map_or("", String::as_str).as_ref())
        );
        Err(Error::data(name, message).into())
    }
}

fn boxed(bounds: &[ColumnBounds], columns: &[String], sd: &[f64]) -> Result<Vec<Bounds>> {
    let mut out: Vec<Bounds> = sd.iter().map(|sd| Bounds::new(None, None, *sd)).collect();
    for ColumnBounds { column, low, high } in bounds {
        let Some(at) = columns.iter().position(|name| name == column) else {
            let message = format!(
                "there is no column \"{column}\".{} The columns are {}",
                text::did_you_mean(column, columns.iter().map(String::as_str)),
                columns.join(", ")
            );
            return Err(Error::config("--bounds", message).into());
        };
        if out[at].low.is_some() || out[at].high.is_some() {
            let message = format!("column \"{column}\" is given twice");
            return Err(Error::config("--bounds", message).into());
        }
        out[at] = Bounds::new(*low, *high, sd[at]);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_read_as_they_are_written() {
        let of = |low, high| ColumnBounds { column: "a=b".into(), low, high };
        assert_eq!(column_bounds("a=b=0:inf"), Ok(of(Some(0.0), None)));
        assert_eq!(column_bounds("a=b=:2.5"), Ok(of(None, Some(2.5))));
        assert_eq!(column_bounds("a=b=-inf:-1e3"), Ok(of(None, Some(-1e3))));
        for bad in ["a", "a=1", "a=2:1", "a=:", "a=x:1", "a=inf:2", "a=nan:1"] {
            assert!(column_bounds(bad).is_err(), "{bad}");
        }
        assert_eq!(region("simplex"), Ok(Region::Simplex));
        assert_eq!(region("ball:2"), Ok(Region::Ball(2.0)));
        assert!(region("ball").is_err() && region("ball:-1").is_err() && region("cube").is_err());
    }
}
