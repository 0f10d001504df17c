//! `gradlogp sample MODEL -n N`

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use gradlogp::data::{ReadOptions, read_csv};
use gradlogp::storage::{TensorFile, write_atomically};
use gradlogp::{Error, ErrorClass, FittedModel};
use ndarray::{Array2, ArrayView2, Axis, concatenate};
use serde::{Deserialize, Serialize};

use super::Show;
use crate::args::SampleArgs;
use crate::input::conditions_far_off;
use crate::output::{check_apart, check_writable, is_device, write_array, write_table};
use crate::picture::{Greys, ImageShape, Sheet};
use crate::sampling::{Job, Outcome};
use crate::{exit, interrupt, text};

/// What a checkpoint of sampling is called inside.
pub(super) const KIND: &str = "gradlogp.sampling";

/// Seconds between checkpoints unless asked for.
const EVERY: f64 = 30.0;

/// Everything that a stopped run needs to go on.
#[derive(Debug, Serialize, Deserialize)]
struct Stopped {
    model: PathBuf,
    /// The model's description, to know it again.
    description: serde_json::Value,
    output: PathBuf,
    /// The conditions at which rows are drawn, of conditional models.
    #[serde(default)]
    conditions: Option<Vec<Vec<f64>>>,
    job: Job,
}

pub(crate) fn run(args: &SampleArgs, show: Show) -> Result<ExitCode> {
    let (model_path, output, stopped) = match (&args.resume, &args.model) {
        (Some(path), _) => {
            let stopped = read(path)?;
            let output = args.output.clone().unwrap_or_else(|| stopped.output.clone());
            (stopped.model.clone(), Some(output), Some((path, stopped)))
        }
        (None, Some(model)) => (model.clone(), args.output.clone(), None),
        (None, None) => return Err(Error::config("the model", "name its file").into()),
    };
    show.check_output(output.as_deref())?;
    let model = FittedModel::load(&model_path)?;
    let image = match &args.sheet {
        Some(_) => Some(ImageShape::of(args.image, model.description.columns.len())?),
        None => None,
    };
    for path in output.iter().chain(&args.trace).chain(&args.sheet) {
        check_writable(path)?;
        check_apart(path, &[Some(&model_path), args.given_rows.as_ref()])?;
    }
    let (conditions, n) = match &stopped {
        Some((_, stopped)) => (stopped.conditions.as_deref().map(array).transpose()?, 0),
        None => {
            let c = conditions(args, &model)?;
            if let Some(c) = &c {
                conditions_far_off(&model, c.view(), show);
            }
            let each = c.as_ref().map_or(1, Array2::nrows);
            (c, args.n.saturating_mul(each))
        }
    };
    let model = match &conditions {
        Some(c) => model.given(c.view())?,
        None => model,
    };
    let job = match stopped {
        Some((path, stopped)) => {
            if serde_json::to_value(&model.description)? != stopped.description {
                let message = format!(
                    "{} is another model than when the run began; start a new run",
                    model_path.display()
                );
                return Err(Error::model_file(path, message).into());
            }
            stopped.job
        }
        None => Job::new(&model, n, &args.chain)?,
    };
    interrupt::watch();
    let mut saver =
        Saver::new(&model_path, &model, output.as_deref(), &job, args, conditions.as_ref())?;
    let mut trace = Trace::new(args, job.traced())?;
    let outcome = job.run(&model, show.silent(), &mut |look| {
        trace.see(&model, look.step, look.position);
        match saver.due(look.stops) {
            true => saver.save((look.job)()),
            false => Ok(()),
        }
    })?;
    if let Some(path) = &args.trace {
        trace.write(path)?;
    }
    if let (Some(path), Some(shape)) = (&args.sheet, image) {
        let rows = outcome.drawn.rows.view();
        let png = Sheet::new(rows, shape, Greys::of(rows))?.png()?;
        write_atomically(path, |out| out.write_all(&png))?;
    }
    finish(&model, outcome, conditions, output.as_deref(), &saver, show)
}

fn finish(
    model: &FittedModel,
    Outcome { drawn, failure }: Outcome,
    conditions: Option<Array2<f64>>,
    output: Option<&Path>,
    saver: &Saver,
    show: Show,
) -> Result<ExitCode> {
    let code = match (&failure, drawn.completed) {
        (None, true) if !drawn.conditions_lost.is_empty() => {
            ExitCode::from(exit::code(ErrorClass::Numerical))
        }
        (None, true) => ExitCode::SUCCESS,
        (None, false) => ExitCode::from(exit::INTERRUPTED),
        (Some(error), _) => ExitCode::from(exit::code(error.class())),
    };
    if drawn.rows.nrows() == 0 {
        if let Some(error) = failure {
            return Err(error.into());
        }
        show.note("stopped before the first draw; nothing was written");
        saver.say_how_to_go_on(show);
        return Ok(code);
    }
    let rows = match conditions {
        // Each draw with its condition beside it.
        Some(c) => {
            let at: Vec<usize> = drawn.chain.iter().map(|chain| chain % c.nrows()).collect();
            concatenate![Axis(1), drawn.rows, c.select(Axis(0), &at)]
        }
        None => drawn.rows.clone(),
    };
    write_table(output, &model.all_columns(), &rows)?;
    if let Some(warning) = drawn.warning() {
        show.warning(&warning);
    }
    if !drawn.conditions_lost.is_empty() {
        text::error(&format!(
            "{} of the conditions: the model gives no finite density or score where the chain is; its draws are \
             written as NaN",
            text::rows(&drawn.conditions_lost)
        ));
    }
    if show.json {
        text::result(&serde_json::to_string_pretty(&drawn)?)?;
    } else {
        show.note(&drawn.summary());
    }
    match failure {
        Some(error) => text::error(&format!("{error}. The {} rows drawn are written", drawn.draws)),
        None if drawn.completed => saver.remove(),
        None => saver.say_how_to_go_on(show),
    }
    Ok(code)
}

fn read(path: &Path) -> Result<Stopped> {
    if !path.exists() {
        let why = "there is no such file. A run with --output writes its first checkpoint after \
                   --checkpoint-every seconds, or when it is stopped, and removes it when it is done";
        return Err(Error::io(path, "read", std::io::Error::other(why)).into());
    }
    Ok(TensorFile::read(path, KIND)?.0)
}

/// What a checkpoint file holds, in words, for `gradlogp info`.
pub(super) fn checkpoint_settings(path: &Path) -> Result<Vec<(String, String)>> {
    let Stopped { model, output, job, .. } = read(path)?;
    let (done, total) = job.steps();
    Ok(vec![
        ("Checkpoint".into(), "an unfinished run of sample".into()),
        ("Model".into(), model.display().to_string()),
        ("Steps".into(), format!("{done} of {total} done")),
        ("Output to be".into(), output.display().to_string()),
        ("Go on with".into(), resume_command(path)),
    ])
}

fn resume_command(checkpoint: &Path) -> String {
    format!("gradlogp sample --resume {}", text::quoted(checkpoint))
}

/// Writes checkpoints beside the output, if there is one.
struct Saver {
    stopped: Option<(PathBuf, Stopped)>,
    every: Duration,
    last: Instant,
}

impl Saver {
    fn new(
        path: &Path,
        model: &FittedModel,
        output: Option<&Path>,
        job: &Job,
        args: &SampleArgs,
        conditions: Option<&Array2<f64>>,
    ) -> Result<Self> {
        let every = args.checkpoint_every.unwrap_or(EVERY);
        if !(every >= 0.0) {
            return Err(Error::config("--checkpoint-every", "must be 0 or more seconds").into());
        }
        let every = Duration::from_secs_f64(every.min(1e9));
        let stopped = match output.filter(|path| !is_device(path)) {
            None => None,
            Some(output) => {
                let mut name = output.as_os_str().to_owned();
                name.push(".checkpoint");
                let description = serde_json::to_value(&model.description)?;
                let (model, output) = (path.to_path_buf(), output.to_path_buf());
                let job = job.clone();
                let rows = |c: &Array2<f64>| c.outer_iter().map(|row| row.to_vec()).collect();
                let conditions = conditions.map(rows);
                let stopped = Stopped { model, description, output, conditions, job };
                Some((PathBuf::from(name), stopped))
            }
        };
        Ok(Saver { stopped, every, last: Instant::now() })
    }

    fn due(&self, stops: bool) -> bool {
        self.stopped.is_some() && (stops || self.last.elapsed() >= self.every)
    }

    fn save(&mut self, job: Job) -> Result<()> {
        if let Some((path, stopped)) = &mut self.stopped {
            stopped.job = job;
            TensorFile::write(path, KIND, stopped, Vec::new())?;
        }
        self.last = Instant::now();
        Ok(())
    }

    fn say_how_to_go_on(&self, show: Show) {
        if let Some((path, _)) = &self.stopped {
            show.note(&format!("stopped; go on with: {}", resume_command(path)));
        }
    }

    /// A finished run needs no checkpoint.
    fn remove(&self) {
        if let Some((path, _)) = &self.stopped {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Where rows were on the way, in the user's units.
struct Trace {
    /// Steps at which to look.
    at: Vec<usize>,
    /// The step last told of.
    last: Option<usize>,
    frames: Vec<ndarray::Array2<f64>>,
}

impl Trace {
    fn new(args: &SampleArgs, (first, last): (usize, usize)) -> Result<Self> {
        let Some(_) = &args.trace else {
            return Ok(Trace { at: Vec::new(), last: None, frames: Vec::new() });
        };
        if args.frames == 0 {
            return Err(Error::config("--frames", "must be at least 1").into());
        }
        let spaces = (args.frames.max(2) - 1) as f64;
        let mut at: Vec<usize> = (0..args.frames)
            .map(|k| {
                first + (last.saturating_sub(first) as f64 * k as f64 / spaces).round() as usize
            })
            .collect();
        at.dedup();
        Ok(Trace { at, last: None, frames: Vec::new() })
    }

    fn see(&mut self, model: &FittedModel, step: usize, position: ArrayView2<'_, f64>) {
        // Within long steps it is told several times the same.
        let again = self.last.replace(step) == Some(step);
        if !again && self.at.binary_search(&step).is_ok() {
            self.frames.push(model.description.transform.inverse(position));
        }
    }

    fn write(&self, path: &Path) -> Result<()> {
        let (rows, columns) = self.frames.first().map_or((0, 0), |frame| frame.dim());
        let shape = [self.frames.len(), rows, columns];
        write_array(path, &shape, self.frames.iter().flatten().copied())
    }
}

/// Rows as a checkpoint holds them.
fn array(rows: &[Vec<f64>]) -> Result<Array2<f64>> {
    let width = rows.first().map_or(0, Vec::len);
    Ok(Array2::from_shape_vec((rows.len(), width), rows.concat())?)
}

/// The conditions at which to draw, in the model's order of columns.
fn conditions(args: &SampleArgs, model: &FittedModel) -> Result<Option<Array2<f64>>> {
    let names = model.given_columns();
    let asked = if args.given_rows.is_some() { "--given-rows" } else { "--given-values" };
    if names.is_empty() && (args.given_rows.is_some() || !args.given_values.is_empty()) {
        let message = "the model is not conditional, so there is nothing to give: leave it out, or fit with \
                       --given and the names of the columns to condition on";
        return Err(Error::config(asked, message).into());
    }
    if let Some(path) = &args.given_rows {
        let options = ReadOptions { columns: Some(names.to_vec()), ..ReadOptions::default() };
        return Ok(Some(read_csv(path, &options)?.0.rows));
    }
    if args.given_values.is_empty() {
        return Ok(None);
    }
    for (k, (name, _)) in args.given_values.iter().enumerate() {
        let again = args.given_values[..k].iter().any(|(other, _)| other == name);
        if again || !names.contains(name) {
            let guess = text::did_you_mean(name, names.iter().map(String::as_str));
            let message = match again {
                true => format!(
                    "\"{name}\" is given twice; the model needs {} once each",
                    names.join(", ")
                ),
                false => format!(
                    "\"{name}\" is no column that the model is given.{guess} It needs {} once each",
                    names.join(", ")
                ),
            };
            return Err(Error::config(asked, message).into());
        }
    }
    let value = |name: &String| {
        let found = args.given_values.iter().find(|(given, _)| given == name);
        let missing = || Error::config(asked, format!("\"{name}\" is missing"));
        found.map(|(_, value)| *value).ok_or_else(missing)
    };
    let row = names.iter().map(value).collect::<Result<Vec<f64>, Error>>()?;
    Ok(Some(Array2::from_shape_vec((1, row.len()), row)?))
}
