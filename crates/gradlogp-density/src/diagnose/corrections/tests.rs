//! Tests of `corrections.rs`.

use super::super::testing::{Changed, Linear};
use super::super::{exact_loss_rows, fisher_divergence};
use super::*;
use crate::reference::{Banana, Gaussian, GaussianMixture, ReferenceDensity};
use crate::score::{Score, ScoreTrace};
use ndarray::array;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

fn found(score: &dyn ScoreTrace, x: ArrayView2<'_, f64>, seed: u64) -> Corrections {
    let s = score.score(x);
    let loss = exact_loss_rows(score, x).unwrap();
    let none = Array2::zeros((x.nrows(), 0));
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    corrections(x, s.view(), loss.view(), none.view(), &mut rng).unwrap()
}

fn of(found: &Corrections, correction: Correction) -> Explained {
    *found.explained.iter().find(|e| e.correction == correction).unwrap()
}

fn mixture(sd: f64) -> GaussianMixture {
    let means = array![[-1.0, 0.0], [1.0, 0.5]];
    GaussianMixture::isotropic(array![0.4, 0.6], means.view(), sd).unwrap()
}

/// Of a true score nothing is explained: 0 on average, and outside of the one-sided band of 95% about once in 20.
#[test]
fn nothing_is_explained_of_a_true_score() {
    let banana = Banana::new(3, 1.0, 0.4, 0.7).unwrap();
    let mixture = mixture(0.5);
    let oracles: [(&dyn ReferenceDensity, &dyn ScoreTrace); 2] =
        [(&banana, &banana), (&mixture, &mixture)];
    let repetitions = 60;
    for (p, score) in oracles {
        let all: Vec<Corrections> = (0..repetitions)
            .map(|seed| {
                let x = p.sample(300, &mut ChaCha8Rng::seed_from_u64(seed));
                found(score, x.view(), seed)
            })
            .collect();
        for family in
            [Correction::Scale, Correction::LocalScale, Correction::Affine, Correction::Smooth]
        {
            let values: Vec<Estimate> = all.iter().map(|c| of(c, family).relative).collect();
            let mean: f64 = values.iter().map(|e| e.mean).sum::<f64>() / repetitions as f64;
            let spread = values.iter().map(|e| (e.mean - mean).powi(2)).sum::<f64>();
            let error = spread.sqrt() / repetitions as f64;
            assert!(mean.abs() < 4.0 * error + 0.002, "{family}: {mean} +- {error}");
            let above = values.iter().filter(|e| e.mean > 1.645 * e.standard_error).count();
            assert!(above <= 9, "{family}: {above} of {repetitions}");
        }
    }
}

/// A score c times too large: (c - 1)^2 of all there is, seen by every family.
#[test]
fn a_factor_is_seen_by_every_family() {
    let p = Gaussian::new(array![0.0, 0.0], array![[1.0, 0.5], [0.5, 1.0]]).unwrap();
    let x = p.sample(4000, &mut ChaCha8Rng::seed_from_u64(2));
    let score = Changed { score: &p, factor: 1.4, shift: Array1::zeros(2) };
    for explained in found(&score, x.view(), 1).explained {
        let Estimate { mean, standard_error, .. } = explained.relative;
        assert!((mean - 0.16).abs() < 3.5 * standard_error + 0.01, "{explained:?}");
        assert!(standard_error < 0.05, "{explained:?}");
    }
}

/// A shift m of the score: E|s - s*|^2 = |m|^2, all of it affine, and less than that a factor.
#[test]
fn a_shift_is_affine() {
    let p = Gaussian::standard(2).unwrap();
    let x = p.sample(4000, &mut ChaCha8Rng::seed_from_u64(5));
    let score = Changed { score: &p, factor: 1.0, shift: array![0.3, -0.4] };
    let found = found(&score, x.view(), 1);
    let affine = of(&found, Correction::Affine).divergence;
    assert!((affine.mean - 0.25).abs() < 3.5 * affine.standard_error, "{affine:?}");
    assert!((found.information - 2.0).abs() < 0.15, "{}", found.information);
    // The shift is not orthogonal to s + m: w = E|m|^2 / E|s + m|^2 of it.
    let scale = of(&found, Correction::Scale).divergence;
    let expected = 0.25 * 0.25 / 2.25;
    assert!((scale.mean - expected).abs() < 4.0 * scale.standard_error + 0.01, "{scale:?}");
}

/// Scores too smooth, too narrow, of one part and of no correlation: what is explained is never more than the divergence, and
/// the best family explains most of it.
#[test]
fn most_of_a_divergence_is_explained_and_never_more_than_all() {
    let truth = mixture(0.4);
    let x = truth.sample(4000, &mut ChaCha8Rng::seed_from_u64(8));
    let one_part = truth.components()[1].clone();
    let linear = Linear { a: Array2::eye(2), b: array![0.2, 0.3] };
    let (smooth, narrow) = (mixture(0.6), mixture(0.3));
    let scores: [(&dyn ScoreTrace, &dyn Score); 4] =
        [(&smooth, &smooth), (&narrow, &narrow), (&one_part, &one_part), (&linear, &linear)];
    for (k, (score, as_score)) in scores.into_iter().enumerate() {
        let all = fisher_divergence(as_score, &truth, x.view()).unwrap();
        let found = found(score, x.view(), 3);
        for explained in &found.explained {
            let Estimate { mean, standard_error, .. } = explained.divergence;
            // That is half of it.
            let most = 2.0 * (all.absolute.mean + 3.0 * all.absolute.standard_error);
            assert!(mean - 3.0 * standard_error < most, "{k}: {explained:?} {all:?}");
        }
        let most = found.most().unwrap().relative.mean;
        assert!(most > 0.6 * all.relative.mean, "{k}: {most} {all:?}");
    }
}

/// The score of x given c without c: seen by the affine functions of c.
#[test]
fn a_condition_that_is_not_followed_is_affine() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let rows = Gaussian::standard(2).unwrap().sample(4000, &mut rng);
    let (c, noise) = (rows.slice(s![.., ..1]), rows.slice(s![.., 1..]));
    // x = (c + noise) / sqrt 2, of unit width: the score given c is sqrt 2 c - 2 x, without it -x.
    let x = (&c + &noise) / 2f64.sqrt();
    let score = -&x;
    let loss = score.column(0).mapv(|s| 0.5 * s * s - 1.0);
    let found = corrections(x.view(), score.view(), loss.view(), c, &mut rng).unwrap();
    // E|s*|^2 = 2, E(s - s*)^2 = 1.
    let affine = of(&found, Correction::Affine).relative;
    assert!((affine.mean - 0.5).abs() < 3.5 * affine.standard_error, "{affine:?}");
}

/// u = 1, 2, 6: (1 2 + 1 6 + 2 6) 2 / 6; projections (8, 14, 18) / 2 less the square.
#[test]
fn pairs_by_hand() {
    let mut pairs = Pairs::new(3);
    pairs.add(&array![[1.0], [2.0], [6.0]]);
    let found = pairs.estimate();
    assert!((found.mean - 20.0 / 3.0).abs() < 1e-12);
    // 4, 7, 9 with variance 19/3: 2 sqrt(19/9).
    assert!((found.standard_error - 2.0 * (19.0_f64 / 9.0).sqrt()).abs() < 1e-12, "{found:?}");
}

#[test]
fn triangles_are_inverted() {
    let lower = array![[2.0, 0.0, 0.0], [1.0, 3.0, 0.0], [-1.0, 0.5, 0.25]];
    let product = lower.t().dot(&inverse_of_transpose(&lower));
    assert!((product - Array2::<f64>::eye(3)).iter().all(|e| e.abs() < 1e-14));
}

/// Five rows are enough for a factor alone; rows of other shape are refused.
#[test]
fn few_rows_have_few_families() {
    let p = Gaussian::standard(6).unwrap();
    let x = p.sample(7, &mut ChaCha8Rng::seed_from_u64(1));
    let families: Vec<Correction> =
        found(&p, x.view(), 1).explained.iter().map(|e| e.correction).collect();
    assert_eq!(families, [Correction::Scale]);
    let none = Array2::zeros((7, 0));
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let loss = Array1::zeros(7);
    let narrow = x.slice(s![.., ..3]);
    assert!(corrections(x.view(), narrow, loss.view(), none.view(), &mut rng).is_err());
    let broken = loss.mapv(|_: f64| f64::NAN);
    assert!(corrections(x.view(), x.view(), broken.view(), none.view(), &mut rng).is_err());
}
