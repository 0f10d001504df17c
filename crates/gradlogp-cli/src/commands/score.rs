//! `gradlogp score MODEL DATA -o out.csv`

use std::process::ExitCode;

use anyhow::Result;
use gradlogp::data::Table;
use gradlogp::fitted::Anomaly;
use gradlogp::{Error, ErrorClass, FittedModel};
use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut2, Axis, s};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::Show;
use crate::anomaly;
use crate::args::ScoreArgs;
use crate::checks::normalizer;
use crate::input::{Source, conditions_far_off, in_named_table, show_warnings};
use crate::output::write_table;
use crate::places::Places;
use crate::{exit, text};

/// Rows scored at once: bounds memory at a few hundred MiB for any table.
const BLOCK: usize = 65_536;

#[derive(Serialize)]
struct Written {
    rows: usize,
    columns: Vec<String>,
    output: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_z: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    threshold: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    anomalies: Option<usize>,
}

pub(crate) fn run(args: &ScoreArgs, show: Show) -> Result<ExitCode> {
    show.check_output(args.output.as_deref())?;
    Places::default()
        .reads("MODEL", Some(&args.model))
        .reads("DATA", args.source.data.as_deref())
        .reads("--held-out", args.anomaly.held_out.as_deref())
        .writes("--output", args.output.as_deref())
        .check()?;
    let model = FittedModel::load(&args.model)?;
    let model = match args.at {
        Some(time) => model.at_time(time)?,
        None => model,
    };
    let source = Source::new(&args.source, &args.read)?;
    let loaded = source.load_for(args.seed, &model)?;
    show_warnings(&loaded.warnings);
    model.check_domain(loaded.table.rows.view(), &loaded.table.name)?;
    if let Some(condition) = &loaded.condition {
        conditions_far_off(&model, condition.rows.view(), show);
    }
    let rows = &loaded.table.rows;
    let anomaly = anomaly::asked(&model, &args.anomaly, &args.read)?;
    let name = &loaded.table.name;
    let log_z = log_z(&model, args, rows.view(), show).map_err(|e| in_named_table(e, name))?;
    let plan = Plan {
        model: &model,
        diagonal: args.hessian_diagonal,
        spread: args.spread,
        anomaly,
        log_z,
    };
    let columns = plan.column_names();
    let mut out = Array2::zeros((rows.nrows(), columns.len()));
    let blocks = rows.axis_chunks_iter(Axis(0), BLOCK);
    for (k, (rows, out)) in blocks.zip(out.axis_chunks_iter_mut(Axis(0), BLOCK)).enumerate() {
        let here = |condition: &Table| {
            let start = k * BLOCK;
            model.at_condition(condition.rows.slice(s![start..start + rows.nrows(), ..]))
        };
        let condition = loaded.condition.as_ref().map(here).transpose()?;
        plan.fill(condition.as_ref().unwrap_or(&model), rows, out)?;
    }
    write_table(args.output.as_deref(), &columns, &out)?;
    let hopeless: Vec<usize> =
        (1..=out.nrows()).filter(|row| out.row(row - 1).iter().any(|x| !x.is_finite())).collect();
    let code = match hopeless.is_empty() {
        true => ExitCode::SUCCESS,
        false => {
            text::error(&format!(
                "{} of {}: some of the values there are not finite, and are written as they are; \
                 such a row is far from all that the model was fitted to",
                text::rows(&hopeless),
                source.name()
            ));
            ExitCode::from(exit::code(ErrorClass::Numerical))
        }
    };
    let output = args.output.as_ref().map(|p| p.display().to_string());
    // Without a file, the rows are the result.
    let Some(path) = &output else { return Ok(code) };
    let threshold = plan.threshold();
    let flags = columns.iter().position(|name| name == IS_ANOMALY);
    let anomalies = flags.map(|k| out.column(k).sum() as usize);
    let (rows, output) = (rows.nrows(), output.clone());
    let written = Written { rows, columns, output, log_z, threshold, anomalies };
    if show.json {
        text::result(&serde_json::to_string_pretty(&written)?)?;
    } else {
        show.note(&format!("{path}: {} rows of {}", written.rows, written.columns.join(", ")));
        if let (Some(threshold), Some(anomalies)) = (threshold, anomalies) {
            show.note(&format!("{anomalies} anomalies, beyond {}", text::short(threshold)));
        }
    }
    Ok(code)
}

/// log Z as given, or estimated on the rows.
fn log_z(
    model: &FittedModel,
    args: &ScoreArgs,
    rows: ArrayView2<'_, f64>,
    show: Show,
) -> Result<Option<f64>> {
    if args.log_z.is_some() && !model.condition_columns().is_empty() {
        let message = "log Z of a conditional model differs from row to row; leave it out";
        return Err(Error::config("--log-z", message).into());
    }
    if args.log_z.is_some() && model.as_log_density().is_none() {
        let message = "a score field has no density to normalize; fit with --model potential";
        return Err(Error::config("--log-z", message).into());
    }
    if args.log_z.is_some_and(|log_z| !log_z.is_finite()) {
        return Err(Error::config("--log-z", "must be a finite number").into());
    }
    if !args.normalize {
        return Ok(args.log_z);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(args.seed);
    let found = match normalizer(model, rows, &mut rng)?.log_z {
        Ok(found) => found,
        Err(why) => {
            let message = why.to_string();
            return Err(Error::Numerical { operation: "--normalize", message }.into());
        }
    };
    let (value, error) = (text::short(found.value), text::short(found.standard_error));
    show.note(&format!("log Z {value} +- {error}"));
    Ok(Some(found.value))
}

const IS_ANOMALY: &str = "is_anomaly";

/// What is reported for each row.
struct Plan<'a> {
    model: &'a FittedModel,
    diagonal: bool,
    spread: bool,
    anomaly: Option<Anomaly>,
    log_z: Option<f64>,
}

impl Plan<'_> {
    fn threshold(&self) -> Option<f64> {
        self.anomaly.as_ref().and_then(Anomaly::threshold)
    }

    fn column_names(&self) -> Vec<String> {
        let of = |what: &str| -> Vec<String> {
            self.model.description().columns.iter().map(|c| format!("{what}_{c}")).collect()
        };
        let mut names = of("score");
        let potential = self.model.as_log_density().is_some();
        names.push(if potential { "laplacian" } else { "trace" }.to_string());
        if potential {
            names.push("log_density".to_string());
        }
        if self.diagonal {
            names.extend(of(if potential { "hessian" } else { "jacobian" }));
        }
        if self.spread {
            names.extend(of("spread"));
        }
        names.extend(self.log_z.map(|_| "normalized_log_density".to_string()));
        names.extend(self.anomaly.as_ref().map(|_| "anomaly".to_string()));
        names.extend(self.threshold().map(|_| IS_ANOMALY.to_string()));
        names
    }

    /// One block of rows, in the order of the names; `model` is at their conditions, if it has any.
    fn fill(
        &self,
        model: &FittedModel,
        rows: ArrayView2<'_, f64>,
        mut out: ArrayViewMut2<'_, f64>,
    ) -> Result<()> {
        let d = rows.ncols();
        let scores = model.scores(rows);
        out.slice_mut(s![.., ..d]).assign(&scores.score);
        out.column_mut(d).assign(&scores.trace);
        let mut next = d + 1;
        if let Some(log_density) = &scores.log_density {
            out.column_mut(next).assign(log_density);
            next += 1;
        }
        if self.diagonal {
            out.slice_mut(s![.., next..next + d]).assign(&model.jacobian_diagonal(rows));
            next += d;
        }
        if self.spread {
            out.slice_mut(s![.., next..next + d]).assign(&model.score_spread(rows)?);
            next += d;
        }
        if let (Some(log_z), Some(log_density)) = (self.log_z, &scores.log_density) {
            out.column_mut(next).assign(&(log_density - log_z));
            next += 1;
        }
        if let Some(anomaly) = &self.anomaly {
            let how = anomaly.score(model, rows)?;
            if let Some(beyond) = anomaly.beyond(how.view()) {
                let flags = beyond.into_iter().map(|is| if is { 1.0 } else { 0.0 });
                out.column_mut(next + 1).assign(&flags.collect::<Array1<f64>>());
            }
            out.column_mut(next).assign(&how);
        }
        Ok(())
    }
}
