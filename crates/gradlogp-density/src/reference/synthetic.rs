//! Built-in synthetic data sets: the usual two-dimensional ones, and every reference density.
//!
//! All rows are independent draws. Where the density has a closed form the rows are drawn from the
//! [`ReferenceDensity`] itself, so that a fitted score can be compared with the true one; the sets around a
//! curve (two-moons, spirals) have none, and that of checkerboard jumps and so has no score.

use super::{
    Banana, Funnel, Gaussian, GaussianMixture, Mixture, PinwheelArm, ReferenceDensity, Ring,
    StudentT,
};
use crate::error::Result;
use ndarray::{Array1, Array2, array};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use std::f64::consts::{PI, SQRT_2, TAU};

/// A data set that can be drawn in any size.
pub struct Dataset {
    /// Its name, as in [`names`].
    pub name: &'static str,
    /// One line for a listing.
    pub description: &'static str,
    /// Number of columns.
    pub dim: usize,
    source: Source,
}

enum Source {
    Density(Box<dyn ReferenceDensity>),
    Points(fn(&mut dyn Rng) -> [f64; 2]),
}

impl Dataset {
    /// The exact density, where there is one.
    pub fn density(&self) -> Option<&dyn ReferenceDensity> {
        match &self.source {
            Source::Density(reference) => Some(reference.as_ref()),
            Source::Points(_) => None,
        }
    }

    /// `n` independent rows: n x [`dim`](Dataset::dim).
    pub fn sample(&self, n: usize, rng: &mut dyn Rng) -> Array2<f64> {
        match &self.source {
            Source::Density(reference) => reference.sample(n, rng),
            Source::Points(draw) => {
                let mut rows = Array2::zeros((n, 2));
                for mut row in rows.outer_iter_mut() {
                    let [x, y] = draw(rng);
                    row[0] = x;
                    row[1] = y;
                }
                rows
            }
        }
    }

    /// As [`sample`](Dataset::sample) with a generator of its own from `seed`.
    pub fn sample_seeded(&self, n: usize, seed: u64) -> Array2<f64> {
        self.sample(n, &mut ChaCha8Rng::seed_from_u64(seed))
    }
}

/// Every name that [`named`] knows, the sets in the plane first.
pub fn names() -> impl Iterator<Item = &'static str> {
    LISTING.iter().map(|entry| entry.name)
}

/// The set called `name`, or `None`.
///
/// ```
/// use gradlogp_density::reference::synthetic::named;
///
/// let set = named("eight-gaussians").unwrap();
/// assert_eq!(set.sample_seeded(100, 1).dim(), (100, 2));
/// assert!(set.density().is_some());
/// assert!(named("two-moons").unwrap().density().is_none());
/// assert!(named("no-such-set").is_none());
/// ```
pub fn named(name: &str) -> Option<Dataset> {
    let entry = LISTING.iter().find(|entry| entry.name == name)?;
    // Built from constants, each built by a test: no entry fails.
    let source = match entry.build {
        Build::Density(build) => Source::Density(build().ok()?),
        Build::Points(draw) => Source::Points(draw),
    };
    let dim = match &source {
        Source::Density(reference) => reference.dim(),
        Source::Points(_) => 2,
    };
    Some(Dataset { name: entry.name, description: entry.description, dim, source })
}

struct Entry {
    name: &'static str,
    description: &'static str,
    build: Build,
}

#[derive(Clone, Copy)]
enum Build {
    Density(fn() -> Result<Box<dyn ReferenceDensity>>),
    Points(fn(&mut dyn Rng) -> [f64; 2]),
}

const LISTING: &[Entry] = &[
    Entry {
        name: "eight-gaussians",
        description: "eight round Gaussians on a circle of radius 2.83, sd 0.354; exact score",
        build: Build::Density(|| Ok(Box::new(eight_gaussians()?))),
    },
    Entry {
        name: "two-moons",
        description: "two interleaved half circles of radius 1, noise sd 0.1",
        build: Build::Points(two_moons),
    },
    Entry {
        name: "rings",
        description: "four concentric rings of radius 0.75 to 3, sd 0.08 each; exact score",
        build: Build::Density(|| Ok(Box::new(rings()?))),
    },
    Entry {
        name: "checkerboard",
        description: "uniform on the eight dark fields of a 4 x 4 board of side 8; no score exists",
        build: Build::Points(checkerboard),
    },
    Entry {
        name: "spirals",
        description: "two spiral arms of one and a half turns, noise sd 0.1",
        build: Build::Points(spirals),
    },
    Entry {
        name: "pinwheel",
        description: "five twisted Gaussian arms; exact score",
        build: Build::Density(|| Ok(Box::new(pinwheel()?))),
    },
    Entry {
        name: "gaussian",
        description: "one Gaussian, two columns of sd 1 and 2 with correlation 0.8; exact score",
        build: Build::Density(|| {
            Ok(Box::new(Gaussian::new(array![1.0, -2.0], array![[1.0, 1.6], [1.6, 4.0]])?))
        }),
    },
    Entry {
        name: "gaussian-mixture",
        description: "three tilted Gaussians of unequal weight; exact score",
        build: Build::Density(|| Ok(Box::new(tilted_mixture()?))),
    },
    Entry {
        name: "banana",
        description: "a Gaussian bent along a parabola; exact score",
        build: Build::Density(|| Ok(Box::new(Banana::new(2, 1.0, 0.5, 0.5)?))),
    },
    Entry {
        name: "funnel",
        description: "Neal's funnel in two columns, v of sd 3: very hard by design; exact score",
        build: Build::Density(|| Ok(Box::new(Funnel::new(2, 3.0)?))),
    },
    Entry {
        name: "ring",
        description: "one ring of radius 2, sd 0.3; exact score",
        build: Build::Density(|| Ok(Box::new(Ring::new(2.0, 0.3)?))),
    },
    Entry {
        name: "student-t",
        description: "heavy tails: Student-t, 5 degrees of freedom, correlated; exact score",
        build: Build::Density(|| {
            let scale = array![[1.0, 0.5], [0.5, 1.0]];
            Ok(Box::new(StudentT::new(array![0.0, 0.0], scale, 5.0)?))
        }),
    },
];

/// Equal weights, centres at radius 4/sqrt(2) every 45 degrees, sd 0.5/sqrt(2): neighbours are six
/// standard deviations apart.
///
/// # Errors
/// None in practice: all numbers are constants.
pub fn eight_gaussians() -> Result<GaussianMixture> {
    let radius = 4.0 / SQRT_2;
    let centres = Array2::from_shape_fn((8, 2), |(k, j)| {
        let angle = TAU * k as f64 / 8.0;
        radius * if j == 0 { angle.cos() } else { angle.sin() }
    });
    GaussianMixture::isotropic(Array1::ones(8), centres.view(), 0.5 / SQRT_2)
}

/// Radii 0.75, 1.5, 2.25 and 3 with equal weight; the radius of each is normal about its own.
fn rings() -> Result<Mixture<Ring>> {
    Mixture::equal((1..=4).map(|k| Ring::new(0.75 * k as f64, 0.08)).collect::<Result<_>>()?)
}

/// Five arms about radius 2, twisted by 0.09 |u|^2: about one radian along an arm.
fn pinwheel() -> Result<Mixture<PinwheelArm>> {
    let arm = |k: usize| PinwheelArm {
        distance: 2.0,
        radial_sd: 0.6,
        tangential_sd: 0.2,
        angle: TAU * k as f64 / 5.0,
        twist: 0.09,
    };
    Mixture::equal((0..5).map(arm).map(|arm| arm.validate().map(|()| arm)).collect::<Result<_>>()?)
}

fn tilted_mixture() -> Result<GaussianMixture> {
    GaussianMixture::new(
        array![0.5, 0.3, 0.2],
        array![[-2.0, 0.0], [2.0, 1.0], [0.5, -2.5]].view(),
        vec![
            array![[0.6, 0.4], [0.4, 0.6]],
            array![[0.5, -0.3], [-0.3, 0.8]],
            array![[1.0, 0.0], [0.0, 0.2]],
        ],
    )
}

fn normal(rng: &mut dyn Rng, sd: f64) -> f64 {
    let z: f64 = StandardNormal.sample(rng);
    sd * z
}

/// Half circles about (0, 0), open below, and about (1, 0.5), open above; noise sd 0.1.
fn two_moons(rng: &mut dyn Rng) -> [f64; 2] {
    let (sin, cos) = (PI * rng.random::<f64>()).sin_cos();
    let [x, y] = if rng.random() { [cos, sin] } else { [1.0 - cos, 0.5 - sin] };
    [x + normal(rng, 0.1), y + normal(rng, 0.1)]
}

/// The fields of side 2 on [-4, 4]^2 whose column and row number have an even sum.
fn checkerboard(rng: &mut dyn Rng) -> [f64; 2] {
    let column = rng.random_range(0..4usize);
    let row = 2 * rng.random_range(0..2usize) + column % 2;
    let mut place = |cell: usize| 2.0 * (cell as f64 + rng.random::<f64>()) - 4.0;
    [place(column), place(row)]
}

/// Radius and angle t up to 3 pi, dense as t, radius t/3, noise sd 0.1; the second arm is the
/// first turned by 180 degrees.
fn spirals(rng: &mut dyn Rng) -> [f64; 2] {
    let t = 3.0 * PI * rng.random::<f64>().sqrt();
    let r = if rng.random() { t / 3.0 } else { -t / 3.0 };
    [r * t.cos() + normal(rng, 0.1), r * t.sin() + normal(rng, 0.1)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::Score;

    #[test]
    fn every_name_is_built_and_sampled_alike_by_seed() {
        let names: Vec<_> = names().collect();
        assert_eq!(names.len(), 12);
        for name in names {
            let set = named(name).unwrap_or_else(|| panic!("{name} is not built"));
            assert_eq!(set.name, name);
            let x = set.sample_seeded(50, 3);
            assert_eq!(x.dim(), (50, set.dim));
            assert_eq!(x, set.sample_seeded(50, 3));
            assert_ne!(x, set.sample_seeded(50, 4));
            assert!(x.iter().all(|v| v.is_finite()), "{name}");
        }
    }

    #[test]
    fn sets_without_a_closed_form_are_the_stated_three() {
        let without: Vec<_> = names().filter(|n| named(n).unwrap().density().is_none()).collect();
        assert_eq!(without, ["two-moons", "checkerboard", "spirals"]);
    }

    /// Not of the funnel: see the note on its E|s|^2.
    #[test]
    fn oracle_sets_satisfy_the_trace_of_the_stein_identity() {
        for name in names().filter(|name| *name != "funnel") {
            let set = named(name).unwrap();
            let Some(reference) = set.density() else { continue };
            let x = set.sample_seeded(4000, 11);
            let s = reference.score(x.view());
            let balance = reference.trace(x.view()) + (&s * &s).sum_axis(ndarray::Axis(1));
            let error = balance.std(1.0) / 4000f64.sqrt();
            assert!(balance.mean().unwrap().abs() < 4.5 * error, "{name}: E[tr + |s|^2] != 0");
        }
    }

    #[test]
    fn eight_gaussians_lie_on_their_circle() {
        let x = eight_gaussians().unwrap().sample(4000, &mut ChaCha8Rng::seed_from_u64(1));
        // E|x|^2 = R^2 + 2 sd^2 = 8 + 0.25.
        let squares = (&x * &x).sum_axis(ndarray::Axis(1));
        let error = squares.std(1.0) / 4000f64.sqrt();
        assert!((squares.mean().unwrap() - 8.25).abs() < 4.5 * error);
        assert_eq!(eight_gaussians().unwrap().dim(), 2);
    }

    #[test]
    fn checkerboard_fills_dark_fields_only_and_evenly() {
        let x = named("checkerboard").unwrap().sample_seeded(8000, 1);
        let mut counts = [[0usize; 4]; 4];
        for row in x.outer_iter() {
            let cell = |v: f64| ((v + 4.0) / 2.0).floor() as usize;
            counts[cell(row[0])][cell(row[1])] += 1;
        }
        for (i, j) in (0..16).map(|k| (k / 4, k % 4)) {
            let expected = if (i + j) % 2 == 0 { 1000.0 } else { 0.0 };
            assert!(
                (counts[i][j] as f64 - expected).abs() <= 4.5 * f64::sqrt(expected),
                "{counts:?}"
            );
        }
    }

    #[test]
    fn moons_and_spirals_keep_to_their_curves() {
        let moons = named("two-moons").unwrap().sample_seeded(2000, 1);
        let spirals = named("spirals").unwrap().sample_seeded(2000, 1);
        let gap = |moon: bool, x: f64, y: f64| match moon {
            true => (x.hypot(y) - 1.0).abs().min(((x - 1.0).hypot(y - 0.5) - 1.0).abs()),
            false => spiral_gap(x, y),
        };
        for (moon, rows) in [(true, moons), (false, spirals)] {
            let far = rows.outer_iter().filter(|p| gap(moon, p[0], p[1]) > 0.45).count();
            assert_eq!(far, 0, "4.5 sd from the curve");
        }
    }

    /// Least distance from a grid of points on both arms.
    fn spiral_gap(x: f64, y: f64) -> f64 {
        (0..2000)
            .flat_map(|k| {
                let t = 3.0 * PI * k as f64 / 1999.0;
                [t / 3.0, -t / 3.0].map(|r| (x - r * t.cos()).hypot(y - r * t.sin()))
            })
            .fold(f64::INFINITY, f64::min)
    }
}
