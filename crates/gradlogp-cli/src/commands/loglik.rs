//! `gradlogp loglik MODEL DATA`

use std::process::ExitCode;

use anyhow::Result;
use gradlogp::diagnose::Estimate;
use gradlogp::likelihood::bits_per_dimension;
use gradlogp::ode;
use gradlogp::{Error, ErrorClass, FittedModel};
use ndarray::{Array1, Array2, Axis, concatenate};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::{Show, call};
use crate::args::LoglikArgs;
use crate::exit;
use crate::input::{Source, show_warnings};
use crate::output::write_table;
use crate::places::Places;
use crate::text::{aligned, error, rows, short};
use gradlogp::draw::warning_of_the_end;
use gradlogp::fitted::LikelihoodConfig;

/// The summary, as `--json` shows it.
#[derive(Serialize)]
struct Summary {
    rows: usize,
    mean_log_density: f64,
    mean_log_density_se: f64,
    bits_per_dimension: f64,
    bits_per_dimension_se: f64,
    /// Of the recorded values, where every column was dequantized.
    #[serde(skip_serializing_if = "Option::is_none")]
    discrete_bits_per_dimension: Option<f64>,
    /// Mean over rows of the standard error of one row's estimate; none for the exact trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    probe_se: Option<f64>,
    probes: usize,
    time: f64,
    solver_steps: usize,
    solver_rejected: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
}

pub(crate) fn run(args: &LoglikArgs, show: Show) -> Result<ExitCode> {
    Places::default()
        .reads("MODEL", Some(&args.model))
        .reads("DATA", args.source.data.as_deref())
        .writes("--output", args.output.as_deref())
        .check()?;
    let model = FittedModel::load(&args.model)?;
    let Some(over_time) = model.over_time() else {
        let other = match model.as_log_density() {
            Some(_) => format!(
                "; for log densities up to a constant: gradlogp score {}",
                call(&args.model, &args.source)
            ),
            None => String::new(),
        };
        let message = format!(
            "was fitted without --noise, and a likelihood by the probability flow needs a model of all \
             noise levels: fit one with --noise vp{other}"
        );
        return Err(Error::config(super::MODEL, message).into());
    };
    if !(args.tolerance > 0.0 && args.tolerance.is_finite()) {
        let message = format!("must be a positive number, not {}", args.tolerance);
        return Err(Error::config("--tolerance", message).into());
    }
    let sde = over_time.clock().sde();
    model.law_at_horizon()?;
    if let Some(warning) = warning_of_the_end(&model) {
        show.warning(&warning);
    }
    let source = Source::new(&args.source, &args.read)?;
    let mut loaded = source.load(args.seed, Some(&model.description().columns))?;
    show_warnings(&loaded.warnings);
    let mut rng = ChaCha8Rng::seed_from_u64(args.seed);
    if let Some(noise) = &model.description().dequantization {
        noise.apply(&mut loaded.table, &mut rng)?;
        show.note("rounded columns were dequantized as when the model was fitted");
    }
    let d = model.description().columns.len();
    let config = LikelihoodConfig { probes: args.probes, tolerance: args.tolerance };
    let probes = config.probes_for(d);
    let found = model.log_likelihood(loaded.table.rows.view(), &config, &mut rng)?;
    let log_density = found.log_density;
    let failed: Vec<usize> = found.failed.iter().map(|failed| failed.row).collect();
    let solved: Vec<usize> =
        (0..log_density.len()).filter(|row| failed.binary_search(row).is_err()).collect();
    if let (true, Some(error)) = (solved.is_empty(), ode::failure(&found.failed)) {
        return Err(error.into());
    }
    let mean = Estimate::of(log_density.select(Axis(0), &solved).view());
    let probe_error = found.standard_error.as_ref();
    let summary = Summary {
        rows: solved.len(),
        mean_log_density: mean.mean,
        mean_log_density_se: mean.standard_error,
        bits_per_dimension: bits_per_dimension(mean.mean, d),
        bits_per_dimension_se: bits_per_dimension(mean.standard_error, d).abs(),
        discrete_bits_per_dimension: model
            .description()
            .dequantization
            .as_ref()
            .and_then(|noise| noise.log_cell())
            .map(|log_cell| bits_per_dimension(mean.mean + log_cell, d)),
        probe_se: probe_error.and_then(|error| error.select(Axis(0), &solved).mean()),
        probes,
        time: sde.t_min(),
        solver_steps: found.info.steps,
        solver_rejected: found.info.rejected,
        output: args.output.as_ref().map(|p| p.display().to_string()),
    };
    if args.output.is_some() {
        let (columns, table) = columns(log_density, found.standard_error);
        write_table(args.output.as_deref(), &columns, &table)?;
    }
    show.result(&text(&summary), &summary)?;
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let numbers: Vec<usize> = failed.iter().map(|row| row + 1).collect();
    error(&format!(
        "{} of {}: the model's score is not finite along the way there, or changes faster than any step can \
         follow; {} written as NaN, and left out of the means",
        rows(&numbers),
        source.name(),
        if failed.len() == 1 { "it is" } else { "they are" }
    ));
    Ok(ExitCode::from(exit::code(ErrorClass::Numerical)))
}

fn columns(
    log_density: Array1<f64>,
    standard_error: Option<Array1<f64>>,
) -> (Vec<String>, Array2<f64>) {
    let first = log_density.insert_axis(Axis(1));
    match standard_error {
        None => (vec!["log_density".into()], first),
        Some(error) => {
            let both = concatenate![Axis(1), first, error.insert_axis(Axis(1))];
            (vec!["log_density".into(), "log_density_se".into()], both)
        }
    }
}

fn text(s: &Summary) -> String {
    let spread = |se: f64| match se.is_nan() {
        true => "(one row has no standard error)".to_string(),
        false => format!("+- {}", short(se)),
    };
    let row = |name: &str, value: f64, se: f64| vec![name.to_string(), short(value), spread(se)];
    let mut rows = vec![
        row("Mean log density, nats", s.mean_log_density, s.mean_log_density_se),
        row("Bits per dimension", s.bits_per_dimension, s.bits_per_dimension_se),
    ];
    rows.extend(s.discrete_bits_per_dimension.map(|bits| {
        let se = spread(s.bits_per_dimension_se);
        vec!["The same of the recorded values, at most".into(), short(bits), se]
    }));
    rows.extend(s.probe_se.map(|se| {
        vec!["Error of one row's estimate".into(), short(se), format!("from {} probes", s.probes)]
    }));
    format!(
        "Likelihood of {} rows by the probability flow, in the units of the table, with the noise of \
         t = {}:\n{}{}",
        s.rows,
        short(s.time),
        aligned(&rows),
        s.output.as_ref().map_or(String::new(), |path| format!("Log densities: {path}\n"))
    )
}
