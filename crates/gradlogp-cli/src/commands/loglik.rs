//! `gradlogp loglik MODEL DATA`

use std::process::ExitCode;

use anyhow::Result;
use gradlogp::diagnose::Estimate;
use gradlogp::likelihood::{Divergence, bits_per_dimension, log_likelihood};
use gradlogp::ode::OdeConfig;
use gradlogp::oracle::Gaussian;
use gradlogp::sde::Sde;
use gradlogp::{Error, FittedModel};
use ndarray::{Array1, Array2, Axis, concatenate};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::Show;
use crate::args::LoglikArgs;
use crate::input::{Source, show_warnings};
use crate::output::{check_apart, check_writable, write_table};
use crate::reverse::{law_at_the_end, warning_of_the_end};
use crate::text::{aligned, short};

/// Most columns for which the trace is exact unless asked for.
const EXACT_COLUMNS: usize = 16;
/// Probes beyond that.
const PROBES: usize = 8;

/// The summary, as `--json` shows it.
#[derive(Serialize)]
struct Summary {
    rows: usize,
    mean_log_density: f64,
    mean_log_density_se: f64,
    bits_per_dimension: f64,
    bits_per_dimension_se: f64,
    /// Of the recorded values, where every column was dequantised.
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
    let model = FittedModel::load(&args.model)?;
    let Some(over_time) = model.over_time() else {
        let message = "a likelihood by the probability flow needs a model of all noise levels: fit one \
                       with --noise. A potential gives log densities up to a constant: gradlogp score";
        return Err(Error::config("MODEL", message).into());
    };
    if let Some(path) = &args.output {
        check_writable(path)?;
        check_apart(path, &[Some(&args.model), args.source.data.as_ref()])?;
    }
    let sde = over_time.clock().sde();
    let prior = prior(&model, sde)?;
    if let Some(warning) = warning_of_the_end(&model) {
        show.warning(&warning);
    }
    let source = Source::new(&args.source, &args.read)?;
    let mut loaded = source.load(args.seed, Some(&model.description.columns))?;
    show_warnings(show.silent(), &loaded.warnings);
    let mut rng = ChaCha8Rng::seed_from_u64(args.seed);
    if let Some(noise) = &model.description.dequantization {
        noise.apply(&mut loaded.table, &mut rng)?;
        show.note("rounded columns were dequantised as when the model was fitted");
    }
    let transform = &model.description.transform;
    let z = transform.forward(loaded.table.rows.view());
    let d = z.ncols();
    let probes = args.probes.unwrap_or(if d <= EXACT_COLUMNS { 0 } else { PROBES });
    let divergence = match probes {
        0 => Divergence::Exact,
        probes => Divergence::Hutchinson { probes },
    };
    let ode =
        OdeConfig { relative: args.tolerance, absolute: args.tolerance, ..OdeConfig::default() };
    let found = log_likelihood(over_time, sde, &prior, z.view(), (divergence, &ode), &mut rng)?;
    let log_density = transform.log_density_to_user(found.log_density.view());
    let mean = Estimate::of(log_density.view());
    let summary = Summary {
        rows: z.nrows(),
        mean_log_density: mean.mean,
        mean_log_density_se: mean.standard_error,
        bits_per_dimension: bits_per_dimension(mean.mean, d),
        bits_per_dimension_se: bits_per_dimension(mean.standard_error, d).abs(),
        discrete_bits_per_dimension: model
            .description
            .dequantization
            .as_ref()
            .and_then(|noise| noise.log_cell())
            .map(|log_cell| bits_per_dimension(mean.mean + log_cell, d)),
        probe_se: found.standard_error.as_ref().and_then(|error| error.mean()),
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
    Ok(ExitCode::SUCCESS)
}

/// The law at the horizon: columns of standard deviation 1, shrunk and noised by the kernel; without one, normal
/// with the moments of simulated rows.
fn prior(model: &FittedModel, sde: &dyn Sde) -> Result<Gaussian> {
    let dim = model.description.columns.len();
    let Some(kernel) = sde.kernel(sde.horizon()) else {
        return law_at_the_end(model);
    };
    let variance = kernel.scale.powi(2) + kernel.std.powi(2);
    Ok(Gaussian::new(Array1::zeros(dim), Array2::eye(dim) * variance)?)
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
    let row = |name: &str, value: f64, se: f64| {
        vec![name.to_string(), short(value), format!("+- {}", short(se))]
    };
    let mut rows = vec![
        row("Mean log density, nats", s.mean_log_density, s.mean_log_density_se),
        row("Bits per dimension", s.bits_per_dimension, s.bits_per_dimension_se),
    ];
    rows.extend(s.discrete_bits_per_dimension.map(|bits| {
        let se = format!("+- {}", short(s.bits_per_dimension_se));
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
