//! Log densities and score fields that end at the boundary of a domain.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2};

use super::Domain;
use crate::score::{LogDensity, Score};

/// `density` inside `domain`, log p = -infinity outside: a sampler with an acceptance step then never
/// leaves the domain. Its score is that of `density` everywhere.
#[derive(Clone, Copy)]
pub struct LogDensityOnDomain<'a> {
    /// The density without the boundary.
    pub density: &'a dyn LogDensity,
    /// Where it is kept.
    pub domain: &'a Domain,
}

impl Score for LogDensityOnDomain<'_> {
    fn dim(&self) -> usize {
        self.density.dim()
    }

    fn score(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
        self.density.score(x)
    }

    fn contains(&self, x: ArrayView1<'_, f64>) -> bool {
        self.domain.contains(&x.to_vec())
    }
}

/// A score field that holds inside `domain` alone.
#[derive(Clone, Copy)]
pub struct ScoreOnDomain<'a> {
    /// The field without the boundary.
    pub field: &'a dyn Score,
    /// Where it holds.
    pub domain: &'a Domain,
}

impl Score for ScoreOnDomain<'_> {
    fn dim(&self) -> usize {
        self.field.dim()
    }

    fn score(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
        self.field.score(x)
    }

    fn contains(&self, x: ArrayView1<'_, f64>) -> bool {
        self.domain.contains(&x.to_vec())
    }
}

impl LogDensity for LogDensityOnDomain<'_> {
    fn log_density(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        self.domain.cut(x, self.density.log_density(x))
    }

    fn log_density_and_score(&self, x: ArrayView2<'_, f64>) -> (Array1<f64>, Array2<f64>) {
        let (log_density, score) = self.density.log_density_and_score(x);
        (self.domain.cut(x, log_density), score)
    }
}
