//! Fits a table, prints the verdict, draws rows and saves the model: `cargo run --example fit_csv -- my.csv`.

#![allow(clippy::print_stdout)]
use gradlogp::data::{ReadOptions, read_table};
use gradlogp::draw::SampleConfig;
use gradlogp::fit::{FitConfig, fit};

fn main() -> gradlogp::Result<()> {
    let path = std::env::args().nth(1).unwrap_or("my.csv".into());
    let (table, _) = read_table(path.as_ref(), &ReadOptions::default())?;
    let fit = fit(table, &FitConfig::default())?;
    println!("{}", fit.evaluation?.verdict());
    println!("{:.2}", fit.model.sample(10, &SampleConfig::default())?.rows);
    fit.model.save("model.safetensors".as_ref())
}
