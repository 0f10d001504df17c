//! `gradlogp sample MODEL -n N`

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use gradlogp::data::ReadOptions;
use gradlogp::draw::{Job, Outcome};
use gradlogp::storage::{TensorFile, write_atomically};
use gradlogp::{Error, ErrorClass, FittedModel};
use ndarray::{Array2, ArrayView2, Axis, concatenate};
use serde::{Deserialize, Serialize};

use super::Show;
use crate::args::{SampleArgs, flat};
use crate::checkpoints::{Place, SAMPLING, Standing, resume_command};
use crate::input::{conditions_far_off, read_file, show_warnings};
use crate::limits::check_memory;
use crate::output::{write_array, write_table};
use crate::places::Places;
use crate::sampling::{self, Words};
use crate::{exit, interrupt, text};
use gradlogp_report::{Greys, ImageShape, Sheet};

/// Default seconds between checkpoints.
const EVERY: f64 = 30.0;

/// Everything that a stopped run needs to go on.
#[derive(Debug, Serialize, Deserialize)]
struct Stopped {
    model: PathBuf,
    /// The model's description, to know it again.
    description: serde_json::Value,
    /// The model's fingerprint; empty in checkpoints of before there was one.
    #[serde(default)]
    weights: String,
    output: PathBuf,
    /// The conditions at which rows are drawn, of conditional models.
    #[serde(default)]
    conditions: Option<Vec<Vec<f64>>>,
    /// The settings, which identify a checkpoint as one of this run.
    #[serde(default)]
    run: serde_json::Value,
    /// Rounded columns keep the noise of the fit.
    #[serde(default)]
    keep_noise: bool,
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
    let run = stopped.as_ref().map_or(serde_json::Value::Null, |(_, stopped)| stopped.run.clone());
    let mut place = output.as_deref().and_then(|output| Place::of_sample(output, run));
    let same = place.as_ref().is_some_and(|place| place.is_file(args.resume.as_deref()));
    Places::default()
        .reads("MODEL", Some(&model_path))
        .reads("--given-rows", args.given_rows.as_deref())
        .reads("--resume", args.resume.as_deref())
        .writes("--output", output.as_deref())
        .writes("--trace", args.trace.as_deref())
        .writes("--sheet", args.sheet.as_deref())
        .writes(
            "the checkpoint of --output",
            place.as_ref().filter(|_| !same).map(|place| place.path.as_path()),
        )
        .check()?;
    let model = FittedModel::load(&model_path)?;
    let image = match &args.sheet {
        Some(_) => Some(ImageShape::of(args.image, model.description().columns.len())?),
        None => None,
    };
    let keep_noise = stopped.as_ref().map_or(args.keep_noise, |(_, stopped)| stopped.keep_noise);
    let (conditions, n) = match &stopped {
        Some((path, stopped)) => {
            stopped.check_model(path, &model)?;
            let rows = stopped.conditions.as_deref().map(array).transpose();
            (rows.map_err(|e| in_checkpoint(path, &e))?, 0)
        }
        None => {
            let c = conditions(args, &model)?;
            if let Some(c) = &c {
                conditions_far_off(&model, c.view(), show);
            }
            let each = c.as_ref().map_or(1, Array2::nrows);
            (c, args.n.saturating_mul(each))
        }
    };
    let at_condition = |model: FittedModel| match &conditions {
        Some(c) => model.at_condition(c.view()),
        None => Ok(model),
    };
    let (model, job) = match stopped {
        Some((path, stopped)) => {
            let model = at_condition(model).map_err(|e| in_checkpoint(path, &e.into()))?;
            let sound = stopped.job.check(&model).map_err(anyhow::Error::from);
            let sound = sound.and_then(|()| sampling::check_room(&stopped.job, &model));
            sound.map_err(|e| in_checkpoint(path, &e))?;
            (model, stopped.job)
        }
        None => {
            let model = at_condition(model)?;
            let job = sampling::job(&model, n, &args.chain)?;
            if let Some(place) = &mut place {
                let asked = (&job, model.fingerprint(), conditions.as_ref().map(rows_of));
                place.set_run(serde_json::to_value(asked)?);
                if place.check()? == Standing::Ours {
                    show.warning(&format!(
                        "{} holds an unfinished run with the same settings, which this one replaces; to \
                         resume that one instead: {}",
                        place.path.display(),
                        resume_command("sample", &place.path)
                    ));
                }
            }
            (model, job)
        }
    };
    let (first, last) = job.traced();
    let frames = args.frames.min(last.saturating_sub(first) + 1) as f64;
    if args.trace.is_some() {
        let values = (job.rows_at_once() * model.description().columns.len()) as f64;
        check_memory("--frames", 8.0 * frames * values)?;
    }
    let _keeping = interrupt::keep();
    let mut saver = Saver::new(args, place, || {
        Ok(Stopped {
            model: model_path.clone(),
            description: serde_json::to_value(model.description())?,
            weights: model.fingerprint(),
            output: output.clone().unwrap_or_default(),
            conditions: conditions.as_ref().map(rows_of),
            run: serde_json::Value::Null,
            keep_noise,
            job: job.clone(),
        })
    })?;
    let mut trace = Trace::new(args, job.traced())?;
    let run = sampling::run(job, &model, show.silent(), |snapshot| {
        trace.see(&model, snapshot.step, snapshot.position);
        if saver.due(snapshot.stops) {
            saver.save((snapshot.job)(), show);
        }
        Ok(())
    });
    let mut outcome = run.map_err(|error| blamed(args.resume.as_deref(), error))?;
    if let Some(noise) = model.description().dequantization.as_ref().filter(|_| !keep_noise) {
        noise.restore(&mut outcome.samples.rows, |_, _| true);
    }
    let picture = match image {
        Some(shape) => {
            let rows = outcome.samples.rows.view();
            Some(Sheet::new(rows, shape, Greys::of(rows))?.png()?)
        }
        None => None,
    };
    // The rows first: they are what must not be lost if the others cannot be written.
    let code = finish(&model, outcome, conditions, output.as_deref(), &saver, show)?;
    if let Some(path) = &args.trace {
        trace.write(path)?;
    }
    if let (Some(path), Some(png)) = (&args.sheet, picture) {
        write_atomically(path, |out| out.write_all(&png))?;
    }
    Ok(code)
}

fn finish(
    model: &FittedModel,
    Outcome { samples: drawn, failure }: Outcome,
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
            "{} of the conditions: the model gives no finite density or score where the chain is; its draws \
             are written as NaN",
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
    Ok(TensorFile::read(path, SAMPLING)?.0)
}

/// What is wrong with the contents of a checkpoint.
fn in_checkpoint(path: &Path, error: &anyhow::Error) -> Error {
    let message = exit::message(error);
    Error::model_file(path, format!("does not hold what a run of this program writes: {message}"))
}

/// Settings that turn out to be wrong on the way are those of the checkpoint, where there is one.
fn blamed(resume: Option<&Path>, error: anyhow::Error) -> anyhow::Error {
    use gradlogp::ErrorClass::{Data, Usage};
    let class = error.downcast_ref::<Error>().map(Error::class);
    match (resume, class) {
        (Some(path), Some(Usage | Data)) => in_checkpoint(path, &error).into(),
        _ => error,
    }
}

impl Stopped {
    /// Refuses another model than the one with which the run began.
    fn check_model(&self, path: &Path, model: &FittedModel) -> Result<()> {
        let described = serde_json::to_value(model.description())? == self.description;
        if described && (self.weights.is_empty() || self.weights == model.fingerprint()) {
            return Ok(());
        }
        let message = format!(
            "{} is another model than when the run began; start a new run",
            self.model.display()
        );
        Err(Error::model_file(path, message).into())
    }
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
        ("Go on with".into(), resume_command("sample", path)),
    ])
}

/// Writes checkpoints beside the output, if there is one.
struct Saver {
    kept: Option<(Place, Stopped)>,
    every: Duration,
    last: Instant,
    /// Whether the file is there.
    saved: bool,
    warned: bool,
}

impl Saver {
    fn new(
        args: &SampleArgs,
        place: Option<Place>,
        stopped: impl FnOnce() -> Result<Stopped>,
    ) -> Result<Self> {
        let every = args.checkpoint_every.unwrap_or(EVERY);
        if !(every >= 0.0) {
            return Err(Error::config("--checkpoint-every", "must be 0 or more seconds").into());
        }
        let every = Duration::from_secs_f64(every.min(1e9));
        let kept = match place {
            None => None,
            Some(place) => {
                let run = place.run();
                Some((place, Stopped { run, ..stopped()? }))
            }
        };
        Ok(Saver { kept, every, last: Instant::now(), saved: false, warned: false })
    }

    fn due(&self, stops: bool) -> bool {
        self.kept.is_some() && (stops || self.last.elapsed() >= self.every)
    }

    /// What was drawn must not be lost for lack of a checkpoint: a failure is a warning, once, and the next
    /// time tries again.
    fn save(&mut self, job: Job, show: Show) {
        let Some((place, stopped)) = &mut self.kept else { return };
        stopped.job = job;
        let written = place
            .check()
            .and_then(|_| Ok(TensorFile::write(&place.path, SAMPLING, stopped, Vec::new())?));
        self.last = Instant::now();
        match written {
            Ok(()) => self.saved = true,
            Err(error) if !std::mem::replace(&mut self.warned, true) => show.warning(&format!(
                "{}; the run continues, but cannot be resumed from here",
                exit::message(&error)
            )),
            Err(_) => {}
        }
    }

    fn say_how_to_go_on(&self, show: Show) {
        if let Some((place, _)) = self.kept.as_ref().filter(|_| self.saved) {
            show.note(&format!("stopped; resume with: {}", resume_command("sample", &place.path)));
        }
    }

    /// A finished run needs no checkpoint.
    fn remove(&self) {
        if let Some((place, _)) = &self.kept {
            place.remove();
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
            self.frames.push(model.description().transform.inverse(position));
        }
    }

    fn write(&self, path: &Path) -> Result<()> {
        let (rows, columns) = self.frames.first().map_or((0, 0), |frame| frame.dim());
        let shape = [self.frames.len(), rows, columns];
        write_array(path, &shape, self.frames.iter().flatten().copied())
    }
}

/// Rows for a checkpoint.
fn rows_of(c: &Array2<f64>) -> Vec<Vec<f64>> {
    c.outer_iter().map(|row| row.to_vec()).collect()
}

/// Rows as a checkpoint holds them.
fn array(rows: &[Vec<f64>]) -> Result<Array2<f64>> {
    let width = rows.first().map_or(0, Vec::len);
    Ok(Array2::from_shape_vec((rows.len(), width), rows.concat())?)
}

/// The conditions at which to draw, in the model's order of columns.
fn conditions(args: &SampleArgs, model: &FittedModel) -> Result<Option<Array2<f64>>> {
    let names = model.condition_columns();
    let asked = if args.given_rows.is_some() { "--given-rows" } else { "--given-values" };
    if names.is_empty() && (args.given_rows.is_some() || !args.given_values.is_empty()) {
        let message = "the model is not conditional: leave it out, or fit with \
                       --given and the names of the columns to condition on";
        return Err(Error::config(asked, message).into());
    }
    if let Some(path) = &args.given_rows {
        let options = ReadOptions { columns: Some(names.to_vec()), ..ReadOptions::default() };
        let (table, warnings) = read_file(path, &options)?;
        show_warnings(&warnings);
        return Ok(Some(table.rows));
    }
    let values = flat(&args.given_values);
    if values.is_empty() {
        return Ok(None);
    }
    for (k, (name, _)) in values.iter().enumerate() {
        let again = values[..k].iter().any(|(other, _)| other == name);
        if again || !names.contains(name) {
            let guess = text::did_you_mean(name, names.iter().map(String::as_str));
            let message = match again {
                true => format!(
                    "\"{name}\" is given twice; the model needs {} once each",
                    names.join(", ")
                ),
                false => format!(
                    "\"{name}\" is not a column of the condition.{guess} It needs {} once each",
                    names.join(", ")
                ),
            };
            return Err(Error::config(asked, message).into());
        }
    }
    let value = |name: &String| {
        let found = values.iter().find(|(given, _)| given == name);
        let missing = || Error::config(asked, format!("\"{name}\" is missing"));
        found.map(|(_, value)| *value).ok_or_else(missing)
    };
    let row = names.iter().map(value).collect::<Result<Vec<f64>, Error>>()?;
    Ok(Some(Array2::from_shape_vec((1, row.len()), row)?))
}
