//! Where the rows of a table are known to lie, as one says it of its columns.

use ndarray::{ArrayView1, ArrayView2};
use serde::{Deserialize, Serialize};

use crate::data::{Table, Transform, option_list};
use crate::domain::{Bounds, Boxed, Domain, Ellipsoid, Polytope};
use crate::{Error, Result};

/// Where all rows are known to lie.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum DomainConfig {
    /// Bounds of single columns.
    Columns(Vec<ColumnBounds>),
    /// All columns at least 0, their sum at most 1.
    Simplex,
    /// Within this distance of the origin.
    Ball(f64),
}

/// Bounds of one column, either of which may be missing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ColumnBounds {
    /// The column's name.
    pub column: String,
    /// No value lies below.
    pub low: Option<f64>,
    /// No value lies above.
    pub high: Option<f64>,
}

impl DomainConfig {
    /// The domain for the columns of `table`, whose training rows have the standard deviations of `units`, by which the
    /// weights are scaled; `noisy` if noise was added to them.
    ///
    /// # Errors
    /// [`Error::Config`] for a column that is not there or given twice; [`Error::Data`] for rows outside, and for
    /// all parts of a composition.
    pub(super) fn domain(
        &self,
        table: &Table,
        units: &Transform,
        power: f64,
        noisy: bool,
    ) -> Result<Domain> {
        self.check_parts(table)?;
        let sd = units.standard_deviations().to_vec();
        let domain = match self {
            DomainConfig::Columns(bounds) => {
                Domain::Box(Boxed { columns: boxed(bounds, table, &sd)?, power })
            }
            DomainConfig::Simplex => Domain::Polytope(Polytope::simplex(&sd, power)),
            DomainConfig::Ball(radius) => {
                let typical = (sd.iter().map(|s| s * s).sum::<f64>() / sd.len() as f64).sqrt();
                let centre = vec![0.0; sd.len()];
                Domain::Ellipsoid(Ellipsoid::ball(centre, *radius, typical, power))
            }
        };
        domain.validate()?;
        let name = match noisy {
            true => format!("{}, with the noise of `dequantize`", table.name),
            false => table.name.clone(),
        };
        domain.check(table.rows.view(), &table.columns, &name)?;
        Ok(domain)
    }

    /// Refuses all parts of a composition: with a sum of 1 in every row there is no density in all columns.
    fn check_parts(&self, table: &Table) -> Result<()> {
        let rows: ArrayView2<'_, f64> = table.rows.view();
        let whole = |row: ArrayView1<'_, f64>| (row.sum() - 1.0).abs() < 1e-6;
        if *self != DomainConfig::Simplex || rows.is_empty() || !rows.outer_iter().all(whole) {
            return Ok(());
        }
        let last = table.columns.last().map_or("", String::as_str);
        let message = format!(
            "the columns sum to 1 in every row, so each is known from the others and there is no density \
             in all of them; leave one part out, as with `drop = {}`",
            option_list(&[last])
        );
        Err(Error::data(&table.name, message))
    }
}

fn boxed(bounds: &[ColumnBounds], table: &Table, sd: &[f64]) -> Result<Vec<Bounds>> {
    let mut out: Vec<Bounds> = sd.iter().map(|sd| Bounds::new(None, None, *sd)).collect();
    for ColumnBounds { column, low, high } in bounds {
        let at = table.position(column).map_err(|error| match error {
            Error::Data { message, .. } => Error::config("bounds", message),
            other => other,
        })?;
        if out[at].low.is_some() || out[at].high.is_some() {
            let message = format!("column \"{column}\" is given twice");
            return Err(Error::config("bounds", message));
        }
        out[at] = Bounds::new(*low, *high, sd[at]);
    }
    Ok(out)
}
