//! Bounds of the data as the user writes them.

use gradlogp::fit::{ColumnBounds, DomainConfig};

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
pub(crate) fn domain(text: &str) -> Result<DomainConfig, String> {
    if text == "simplex" {
        return Ok(DomainConfig::Simplex);
    }
    let radius = text.strip_prefix("ball:").and_then(|radius| radius.parse::<f64>().ok());
    match radius {
        Some(radius) if radius > 0.0 && radius.is_finite() => Ok(DomainConfig::Ball(radius)),
        _ => Err("must be simplex, or ball:RADIUS with a positive radius".into()),
    }
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
        assert_eq!(domain("simplex"), Ok(DomainConfig::Simplex));
        assert_eq!(domain("ball:2"), Ok(DomainConfig::Ball(2.0)));
        assert!(domain("ball").is_err() && domain("ball:-1").is_err() && domain("cube").is_err());
    }
}
