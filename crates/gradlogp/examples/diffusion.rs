//! A model of every noise level: samples from noise, and log densities by the probability flow.

#![allow(clippy::print_stdout)]

use gradlogp::data::Table;
use gradlogp::data::synthetic::eight_gaussians;
use gradlogp::draw::SampleConfig;
use gradlogp::fit::{DiffusionConfig, Family, FitConfig, fit};
use gradlogp::reference::ReferenceDensity;
use gradlogp::train::TrainConfig;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

fn main() -> gradlogp::Result<()> {
    let rows = eight_gaussians()?.sample(4000, &mut ChaCha8Rng::seed_from_u64(0));
    let table = Table::new("eight gaussians", vec!["x".into(), "y".into()], rows)?;
    let diffusion = DiffusionConfig { hidden: vec![32; 3], ..DiffusionConfig::default() };
    let usual = FitConfig::of(Family::Diffusion(diffusion));
    let training = TrainConfig { steps: 1500, ..usual.training };
    let fit = fit(table, &FitConfig { training, ..usual })?;
    let samples = fit.model.sample(2000, &SampleConfig::default())?;
    let share = samples.rows.outer_iter().filter(|x| x[0] > 0.0).count() as f64 / 2000.0;
    println!("{} rows by {}; {share:.2} of them on the right", samples.draws, samples.sampler);
    Ok(())
}
