//! The distributions as one setting.

use super::{coordinate, gaussian, orthogonal, rademacher, sphere};
use rand::Rng;
use serde::{Deserialize, Serialize};

use gradlogp_numeric::Real;

/// A distribution of slices. For M > 1 the slices of one row are drawn jointly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SliceDistribution {
    /// Independent signs: the least variance among distributions with independent components.
    #[default]
    Rademacher,
    /// N(0, I).
    Gaussian,
    /// Uniform on the sphere of radius sqrt(d).
    Sphere,
    /// Columns of a random orthogonal matrix, times sqrt(d); exact trace at M = d.
    Orthogonal,
    /// sqrt(d) e_i, i drawn without replacement; exact trace at M = d.
    Coordinate,
}

gradlogp_numeric::names!(SliceDistribution {
    Rademacher => "rademacher",
    Gaussian => "gaussian",
    Sphere => "sphere",
    Orthogonal => "orthogonal",
    Coordinate => "coordinate",
});

impl SliceDistribution {
    /// Every distribution.
    pub const ALL: [SliceDistribution; 5] = [
        SliceDistribution::Rademacher,
        SliceDistribution::Gaussian,
        SliceDistribution::Sphere,
        SliceDistribution::Orthogonal,
        SliceDistribution::Coordinate,
    ];

    /// Draws the slices of one row: `out` is \[M, d\], one slice per row of `out`.
    ///
    /// For the orthogonal and coordinate distributions M > d gives independent blocks of at most d.
    pub fn draw<T: Real>(self, rng: &mut impl Rng, d: usize, out: &mut [T]) {
        match self {
            SliceDistribution::Rademacher => rademacher::draw(rng, out),
            SliceDistribution::Gaussian => gaussian::draw(rng, out),
            SliceDistribution::Sphere => out.chunks_mut(d).for_each(|v| sphere::draw(rng, v)),
            SliceDistribution::Orthogonal => {
                out.chunks_mut(d * d).for_each(|block| orthogonal::draw(rng, d, block));
            }
            SliceDistribution::Coordinate => {
                out.chunks_mut(d * d).for_each(|block| coordinate::draw(rng, d, block));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    /// A fixed symmetric matrix with unequal diagonal and off-diagonal entries.
    fn hessian(d: usize) -> Vec<f64> {
        let mut h = vec![0.0; d * d];
        for i in 0..d {
            for j in 0..d {
                h[i * d + j] = ((i + j) as f64 * 1.3).sin() + if i == j { i as f64 } else { 0.0 };
            }
        }
        h
    }

    fn quadratic(h: &[f64], v: &[f64]) -> f64 {
        let d = v.len();
        (0..d * d).map(|k| v[k / d] * h[k] * v[k % d]).sum()
    }

    /// Mean over M slices of v.Hv, repeated: (mean, variance, fourth-moment error of the variance).
    fn moments(distribution: SliceDistribution, d: usize, m: usize, n: usize) -> (f64, f64, f64) {
        let h = hessian(d);
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let mut v = vec![0.0f64; m * d];
        let draws: Vec<f64> = (0..n)
            .map(|_| {
                distribution.draw(&mut rng, d, &mut v);
                v.chunks(d).map(|v| quadratic(&h, v)).sum::<f64>() / m as f64
            })
            .collect();
        let mean = draws.iter().sum::<f64>() / n as f64;
        let central = |p: i32| draws.iter().map(|x| (x - mean).powi(p)).sum::<f64>() / n as f64;
        let (variance, fourth) = (central(2), central(4));
        (mean, variance, ((fourth - variance * variance).max(0.0) / n as f64).sqrt())
    }

    #[test]
    fn second_moment_is_the_identity() {
        let (d, n) = (4, 40_000);
        for distribution in SliceDistribution::ALL {
            for m in [1, 3, 6] {
                let mut rng = ChaCha8Rng::seed_from_u64(11);
                let mut v = vec![0.0f64; m * d];
                let mut sums = vec![0.0; d * d];
                let mut squares = vec![0.0; d * d];
                for _ in 0..n {
                    distribution.draw(&mut rng, d, &mut v);
                    for k in 0..d * d {
                        let mean = v.chunks(d).map(|v| v[k / d] * v[k % d]).sum::<f64>() / m as f64;
                        sums[k] += mean;
                        squares[k] += mean * mean;
                    }
                }
                for k in 0..d * d {
                    let mean = sums[k] / n as f64;
                    let error = ((squares[k] / n as f64 - mean * mean).max(0.0) / n as f64).sqrt();
                    let want = f64::from(u8::from(k / d == k % d));
                    assert!(
                        (mean - want).abs() <= 4.5 * error + 1e-12,
                        "{distribution:?} {m}: {mean}"
                    );
                }
            }
        }
    }

    #[test]
    fn variances_match_the_table() {
        // MATH 2.
        let d = 5;
        let h = hessian(d);
        let frobenius: f64 = h.iter().map(|x| x * x).sum();
        let diagonal: Vec<f64> = (0..d).map(|i| h[i * d + i]).collect();
        let trace: f64 = diagonal.iter().sum();
        let squares: f64 = diagonal.iter().map(|x| x * x).sum();
        let df = d as f64;
        let spread = frobenius - trace * trace / df;
        let wants = [
            (SliceDistribution::Rademacher, 2.0 * (frobenius - squares)),
            (SliceDistribution::Gaussian, 2.0 * frobenius),
            (SliceDistribution::Sphere, 2.0 * df / (df + 2.0) * spread),
            (SliceDistribution::Orthogonal, 2.0 * df / (df + 2.0) * spread),
            (SliceDistribution::Coordinate, df * squares - trace * trace),
        ];
        for (distribution, want) in wants {
            let (mean, variance, error) = moments(distribution, d, 1, 60_000);
            let mean_error = (variance / 60_000.0).sqrt();
            assert!(
                (mean - trace).abs() < 4.5 * mean_error,
                "{distribution:?} mean {mean} {trace}"
            );
            assert!(
                (variance - want).abs() < 4.5 * error,
                "{distribution:?}: {variance} {want} {error}"
            );
        }
    }

    #[test]
    fn joint_distributions_are_exact_at_m_equal_d_and_independent_blocks_beyond() {
        let d = 5;
        let trace: f64 = (0..d).map(|i| hessian(d)[i * d + i]).sum();
        for distribution in [SliceDistribution::Orthogonal, SliceDistribution::Coordinate] {
            let (mean, variance, _) = moments(distribution, d, d, 200);
            assert!((mean - trace).abs() < 1e-9 && variance < 1e-18, "{distribution:?}");
            let (_, variance, _) = moments(distribution, d, 2 * d, 200);
            assert!(variance < 1e-18, "{distribution:?} two whole blocks");
            let (_, one, _) = moments(distribution, d, 1, 20_000);
            let (_, more, error) = moments(distribution, d, d + 1, 20_000);
            // A whole block adds its exact trace d times: one random slice of weight 1/(d+1) remains.
            let want = one / (d as f64 + 1.0).powi(2);
            assert!(
                (more - want).abs() < 5.0 * error + 0.05 * want,
                "{distribution:?}: {more} {want}"
            );
        }
    }
}
