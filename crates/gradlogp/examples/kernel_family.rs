//! A kernel exponential family: no gradient steps for its weights, and a normalized density.

#![allow(clippy::print_stdout)]

use gradlogp::data::{Table, synthetic};
use gradlogp::fit::{Family, FitConfig, KernelFamilyConfig, fit};
use gradlogp::{Error, LogDensity};
use ndarray::array;

fn main() -> gradlogp::Result<()> {
    let set = synthetic::named("banana").ok_or(Error::config("set", "is not there"))?;
    let table = Table::new("banana", vec!["x".into(), "y".into()], set.sample_seeded(1500, 0))?;
    let family = KernelFamilyConfig { deep: false, inducing: 60, ..KernelFamilyConfig::default() };
    let fit = fit(table, &FitConfig::of(Family::Kernel(family)))?;
    println!("{}", fit.evaluation?.verdict());
    let x = array![[0.0, 0.0], [0.0, 1.0]];
    if let (Some(found), Some(truth)) = (fit.model.as_log_density(), set.density()) {
        println!(
            "log p {:.2}, the truth {:.2}",
            found.log_density(x.view()),
            truth.log_density(x.view())
        );
    }
    Ok(())
}
