//! The score of p(x | c): rows (x, c) with x = c^2 + noise, asked at two values of c.

#![allow(clippy::print_stdout)]

use gradlogp::Score;
use gradlogp::data::Table;
use gradlogp::fit::{Family, FitConfig, NetworkConfig, Support, fit};
use gradlogp::model::Conditioning;
use gradlogp::train::TrainConfig;
use ndarray::{Array2, array};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

fn main() -> gradlogp::Result<()> {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
    let mut rows = Array2::zeros((2000, 2));
    for mut row in rows.outer_iter_mut() {
        let c = normal();
        row.assign(&array![c * c + 0.5 * normal(), c]);
    }
    let table = Table::new("x and c", vec!["x".into(), "c".into()], rows)?;

    let columns = vec!["c".to_string()];
    let support = Support::Conditional { columns, conditioning: Conditioning::Film };
    let network = NetworkConfig { hidden: vec![32, 32], support, ..NetworkConfig::default() };
    let usual = FitConfig::of(Family::Network(network));
    let training = TrainConfig { steps: 1500, ..usual.training };
    let fit = fit(table, &FitConfig { training, ..usual })?;

    // Given c, x has mean c^2 and variance 1/4, so its score at 1 is 4 (c^2 - 1).
    for c in [1.0, 1.5] {
        let score = fit.model.at_condition(array![[c]].view())?.score(array![[1.0]].view());
        println!("s(1 | {c}) = {:.2}, the truth {:.2}", score[[0, 0]], 4.0 * (c * c - 1.0));
    }
    Ok(())
}
