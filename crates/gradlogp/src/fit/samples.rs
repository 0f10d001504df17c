//! Samples of a model beside held-out rows: what each column, each pair of columns and all of them together show.

use ndarray::{Array2, ArrayView2, Axis};
use rand::Rng;

use super::{CORRELATION, Effect, Evidence, MARGINAL, Measure, Purpose, TOLD_APART};
use crate::Result;
use crate::diagnose::{
    ClassifierConfig, ClassifierTest, EnergyConfig, EnergyDistance, KolmogorovSmirnov,
    classifier_test, column_tests, energy_distance,
};
use crate::draw::Samples;

use super::figures::{LEVEL, ONE_SIDED};

/// What samples show beside rows.
#[derive(Debug, Clone)]
pub struct SampleCheck {
    /// Rows and samples.
    pub counts: (usize, usize),
    /// How far all columns together are apart.
    pub energy: EnergyDistance,
    /// Whether a classifier tells them apart.
    pub classifier: ClassifierTest,
    /// Of each column.
    pub columns: Vec<KolmogorovSmirnov>,
    /// Of the rows: d x d.
    pub row_correlations: Array2<f64>,
    /// Of the samples: d x d.
    pub sample_correlations: Array2<f64>,
    /// R-hat of the chains that drew the samples, and what it should not exceed, where it is known.
    pub chains: Option<(f64, f64)>,
}

impl SampleCheck {
    /// Compares `samples` with `rows`; `drawn` is what is known of how they were drawn.
    ///
    /// # Errors
    /// Other columns, fewer than 8 rows or samples, or values that are not finite.
    pub fn of(
        rows: ArrayView2<'_, f64>,
        samples: ArrayView2<'_, f64>,
        drawn: Option<&Samples>,
        rng: &mut dyn Rng,
    ) -> Result<Self> {
        Ok(SampleCheck {
            counts: (rows.nrows(), samples.nrows()),
            energy: energy_distance(rows, samples, &EnergyConfig::default(), rng)?,
            classifier: classifier_test(rows, samples, &ClassifierConfig::default(), rng)?,
            columns: column_tests(rows, samples)?,
            row_correlations: correlations(rows),
            sample_correlations: correlations(samples),
            chains: drawn.and_then(|drawn| Some((drawn.max_split_r_hat?, drawn.r_hat_bound()))),
        })
    }

    /// The largest distance of one of `columns` columns that chance explains, at the level `level` for all together
    /// (Dvoretzky, Kiefer and Wolfowitz, with Massart's constant).
    fn by_chance(&self, level: f64) -> f64 {
        let (n, m) = (self.counts.0 as f64, self.counts.1 as f64);
        let columns = self.columns.len().max(1) as f64;
        (-0.5 * (0.5 * level / columns).ln() * (1.0 / n + 1.0 / m)).sqrt()
    }

    /// Whether the samples of a column differ from its rows beyond chance, allowing for the number of columns.
    pub fn column_fails(&self, column: usize) -> bool {
        self.columns.get(column).is_some_and(|c| c.p_value < LEVEL / self.columns.len() as f64)
    }

    /// How many columns do.
    pub fn failing_columns(&self) -> usize {
        (0..self.columns.len()).filter(|column| self.column_fails(*column)).count()
    }

    /// Whether the chains that drew the samples do not agree.
    pub fn chains_disagree(&self) -> bool {
        self.chains.is_some_and(|(r_hat, bound)| r_hat > bound)
    }

    /// What it says of samples, and where chains agree of the density that they are drawn from; `names` are the columns'.
    pub fn evidence(&self, names: &[String]) -> Vec<Evidence> {
        let purposes = match self.chains_disagree() {
            true => vec![Purpose::Sampling],
            false => vec![Purpose::Sampling, Purpose::Density],
        };
        let name = |column: usize| names.get(column).cloned().unwrap_or_default();
        let of = |measure, effect, bound| {
            let purposes = purposes.clone();
            Evidence { measure, effect, bound, purposes, proven: true }
        };
        let mut found = Vec::new();
        if let Some((r_hat, bound)) = self.chains {
            // Nothing is uncertain about it: chains that have not met have not met.
            let above = r_hat - bound;
            let effect = Effect { low: above, estimate: above, high: above };
            found.push(Evidence {
                measure: Measure::Chains,
                effect,
                bound: 0.0,
                purposes: vec![Purpose::Sampling, Purpose::Imputation],
                proven: true,
            });
        }
        let distance = |column: &usize| self.columns[*column].distance;
        let all = 0..self.columns.len();
        if let Some(worst) = all.max_by(|a, b| distance(a).total_cmp(&distance(b))) {
            let at = distance(&worst);
            let (low, estimate) = (at - self.by_chance(LEVEL), at - self.by_chance(0.5));
            let effect = Effect { low, estimate, high: estimate };
            found.push(of(Measure::Marginal(name(worst)), effect, MARGINAL));
        }
        if let Some(((i, j), apart)) = self.worst_correlation() {
            let (n, m) = (self.counts.0 as f64, self.counts.1 as f64);
            let error = (1.0 / n + 1.0 / m).sqrt();
            let pairs = (self.columns.len() * (self.columns.len() - 1) / 2) as f64;
            // Of normal rows without correlation, the largest of so many.
            let chance = |level: f64| (-2.0 * (level / (2.0 * pairs)).ln()).sqrt() * error;
            let estimate = apart - chance(0.5);
            let effect = Effect { low: apart - chance(LEVEL), estimate, high: estimate };
            found.push(of(Measure::Correlation(name(i), name(j)), effect, CORRELATION));
        }
        let above = self.classifier.accuracy - 0.5;
        let effect = Effect::shown(above, ONE_SIDED, self.classifier.standard_error);
        found.push(of(Measure::Classifier, effect, TOLD_APART));
        found
    }

    /// The pair of columns whose correlations differ most.
    fn worst_correlation(&self) -> Option<((usize, usize), f64)> {
        let d = self.columns.len();
        let pairs = (0..d).flat_map(|i| (i + 1..d).map(move |j| (i, j)));
        let apart = |(i, j): (usize, usize)| {
            (self.row_correlations[[i, j]] - self.sample_correlations[[i, j]]).abs()
        };
        pairs.map(|at| (at, apart(at))).max_by(|a, b| a.1.total_cmp(&b.1))
    }
}

/// Of the columns: d x d; 0 for a column that is constant, and without rows.
pub fn correlations(rows: ArrayView2<'_, f64>) -> Array2<f64> {
    let Some(mean) = rows.mean_axis(Axis(0)) else {
        return Array2::zeros((rows.ncols(), rows.ncols()));
    };
    let centred = &rows - &mean;
    let length = centred.map_axis(Axis(0), |c| c.dot(&c).sqrt());
    let unit = &centred / &length.mapv(|l| if l > 0.0 { l } else { 1.0 });
    unit.t().dot(&unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{Gaussian, ReferenceDensity};
    use ndarray::array;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn check(p: &Gaussian, q: &Gaussian, n: usize, seed: u64) -> SampleCheck {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (x, y) = (p.sample(n, &mut rng), q.sample(n, &mut rng));
        SampleCheck::of(x.view(), y.view(), None, &mut rng).unwrap()
    }

    fn names() -> Vec<String> {
        ["a", "b", "c"].map(String::from).to_vec()
    }

    /// Samples of the same law: nothing beyond chance in 18 of 20.
    #[test]
    fn samples_of_the_law_of_the_rows_have_no_fault() {
        let p = Gaussian::rank_one(0.5, 3).unwrap();
        let faulty = (0..20).filter(|seed| {
            let evidence = check(&p, &p, 400, *seed).evidence(&names());
            evidence.iter().any(|e| e.fitness() > crate::fit::Fitness::Usable)
        });
        assert!(faulty.count() <= 2);
    }

    /// A column moved by half a standard deviation: D is 2 Phi(1/4) - 1 = 0.197; a correlation of 0.5 lost.
    #[test]
    fn a_moved_column_and_a_lost_correlation_are_named() {
        let p = Gaussian::rank_one(0.5, 3).unwrap();
        let moved = Gaussian::new(array![0.0, 0.5, 0.0], p.covariance().clone()).unwrap();
        let found = check(&p, &moved, 3000, 1);
        assert!(found.column_fails(1) && found.failing_columns() < 3);
        let evidence = found.evidence(&names());
        let marginal = &evidence[0];
        assert_eq!(marginal.measure, Measure::Marginal("b".into()));
        assert!((marginal.effect.estimate - 0.197).abs() < 0.06, "{marginal:?}");
        assert!(marginal.fitness() == crate::fit::Fitness::NotUsable);
        let apart =
            p.covariance()[[0, 1]] / (p.covariance()[[0, 0]] * p.covariance()[[1, 1]]).sqrt();
        let diagonal = Array2::from_diag(&p.covariance().diag());
        let independent = Gaussian::new(array![0.0, 0.0, 0.0], diagonal).unwrap();
        let evidence = check(&p, &independent, 3000, 2).evidence(&names());
        let correlation = &evidence[1];
        assert!(matches!(correlation.measure, Measure::Correlation(..)));
        assert!((correlation.effect.estimate - apart).abs() < 0.12, "{correlation:?} {apart}");
    }

    /// Columns 1, 2, 3 and 2, 1, 6: covariance 4/2 over the deviations 1 and sqrt 7.
    #[test]
    fn correlations_by_hand() {
        let found = correlations(array![[1.0, 2.0, 5.0], [2.0, 1.0, 5.0], [3.0, 6.0, 5.0]].view());
        assert!((found[[0, 1]] - 2.0 / 7f64.sqrt()).abs() < 1e-12);
        assert_eq!((found[[0, 2]], found[[2, 2]]), (0.0, 0.0));
        assert_eq!(correlations(Array2::zeros((0, 2)).view()), Array2::<f64>::zeros((2, 2)));
    }

    /// Two samples of n = m = 50 of one column: sqrt(ln(2/0.05)/2 2/50) = 0.2716.
    #[test]
    fn chance_by_hand() {
        let p = Gaussian::standard(1).unwrap();
        let found = check(&p, &p, 50, 3);
        assert!((found.by_chance(0.05) - 0.2716).abs() < 1e-4, "{}", found.by_chance(0.05));
    }
}
