//! Long work beside the interpreter: it runs on a thread of its own, and the calling thread looks after signals, callbacks and
//! progress meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pyo3::exceptions::{PyKeyboardInterrupt, PyRuntimeError};
use pyo3::prelude::*;

/// How long to wait between looks at signals.
const LOOK: Duration = Duration::from_millis(50);
/// How often progress is shown.
const SHOWN: Duration = Duration::from_millis(200);

/// What work and its caller share.
pub(crate) struct Shared<S> {
    /// The work ends where it stands, keeping what it has.
    stops: AtomicBool,
    /// Nobody waits for it any more.
    abandoned: AtomicBool,
    latest: Mutex<Option<S>>,
    /// Where each step is told, and answered once it was seen, if anybody wants to see all.
    told: Option<Mutex<Sender<Message<S>>>>,
}

struct Message<S> {
    step: S,
    seen: Sender<()>,
}

impl<S: Clone> Shared<S> {
    /// Tells of a step; whether the work is to stop.
    pub(crate) fn step(&self, step: S) -> bool {
        match &self.told {
            None => *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(step),
            Some(told) => {
                let (seen, answer) = channel();
                let told = told.lock().unwrap_or_else(PoisonError::into_inner);
                // Who has gone away does not answer, and has said before that the work is abandoned.
                if told.send(Message { step, seen }).is_ok() {
                    let _ = answer.recv();
                }
            }
        }
        self.stops()
    }

    pub(crate) fn stops(&self) -> bool {
        self.stops.load(Ordering::Relaxed) || self.abandoned()
    }

    pub(crate) fn abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed)
    }
}

/// A look at a step.
type Look<'a, S, T> = dyn Fn(Python<'_>, &S) -> PyResult<T> + 'a;

/// What looks on, in Python.
pub(crate) struct Onlooker<'a, S> {
    /// Sees every step; whether the work is to stop.
    pub(crate) callback: Option<&'a Look<'a, S, bool>>,
    /// Sees a step now and then.
    pub(crate) progress: Option<&'a Look<'a, S, ()>>,
}

impl<S> Onlooker<'_, S> {
    /// Nobody.
    pub(crate) const NOBODY: Self = Onlooker { callback: None, progress: None };
}

/// What came of the work, and whether Ctrl-C ended it.
pub(crate) struct Done<T> {
    pub(crate) result: T,
    pub(crate) interrupted: bool,
}

/// Runs `work` to its end. The first Ctrl-C ends it where it stands; the next one, or an exception of an onlooker, is
/// raised at once.
pub(crate) fn run<T, S>(
    py: Python<'_>,
    onlooker: &Onlooker<'_, S>,
    work: impl FnOnce(&Shared<S>) -> T + Send + 'static,
) -> PyResult<Done<T>>
where
    T: Send + 'static,
    S: Clone + Send + 'static,
{
    let (teller, told) = channel();
    let told = Mutex::new(told);
    let shared = Arc::new(Shared {
        stops: AtomicBool::new(false),
        abandoned: AtomicBool::new(false),
        latest: Mutex::new(None),
        told: onlooker.callback.map(|_| Mutex::new(teller)),
    });
    let for_work = Arc::clone(&shared);
    let worker = std::thread::Builder::new()
        .name("gradlogp".into())
        .spawn(move || work(&for_work))
        .map_err(|error| PyRuntimeError::new_err(format!("cannot start a thread: {error}")))?;
    let interrupted = match look_after(py, onlooker, &shared, &told, &|| worker.is_finished()) {
        Ok(interrupted) => interrupted,
        Err(error) => {
            shared.abandoned.store(true, Ordering::Relaxed);
            return Err(error);
        }
    };
    let result = py.detach(|| worker.join());
    let result = result.map_err(|_| {
        PyRuntimeError::new_err(
            "the computation broke off: this is a fault of gradlogp; please report it",
        )
    })?;
    Ok(Done { result, interrupted })
}

/// Until the work is done; whether Ctrl-C came.
fn look_after<S: Clone + Send>(
    py: Python<'_>,
    onlooker: &Onlooker<'_, S>,
    shared: &Shared<S>,
    told: &Mutex<Receiver<Message<S>>>,
    finished: &(dyn Fn() -> bool + Sync),
) -> PyResult<bool> {
    let mut interrupted = false;
    let mut shown = Instant::now();
    while !finished() {
        let message = py.detach(|| wait(told, shared.told.is_some(), finished));
        if let Err(error) = py.check_signals() {
            let again = std::mem::replace(&mut interrupted, true);
            if again || !error.is_instance_of::<PyKeyboardInterrupt>(py) {
                return Err(error);
            }
            shared.stops.store(true, Ordering::Relaxed);
        }
        if let (Some(Message { step, .. }), Some(callback)) = (&message, onlooker.callback) {
            match callback(py, step) {
                Ok(stop) if stop => shared.stops.store(true, Ordering::Relaxed),
                Ok(_) => {}
                Err(error) if error.is_instance_of::<PyKeyboardInterrupt>(py) && !interrupted => {
                    interrupted = true;
                    shared.stops.store(true, Ordering::Relaxed);
                }
                Err(error) => return Err(error),
            }
        }
        if shown.elapsed() >= SHOWN {
            shown = Instant::now();
            let latest = shared.latest.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let latest = message.as_ref().map(|message| message.step.clone()).or(latest);
            if let (Some(step), Some(progress)) = (latest, onlooker.progress) {
                progress(py, &step)?;
            }
        }
        if let Some(Message { seen, .. }) = message {
            // A worker that has ended needs no answer.
            let _ = seen.send(());
        }
    }
    Ok(interrupted)
}

/// The next step that is told of, or none for a while.
fn wait<S>(
    told: &Mutex<Receiver<Message<S>>>,
    any: bool,
    finished: &(dyn Fn() -> bool + Sync),
) -> Option<Message<S>> {
    if any {
        let told = told.lock().unwrap_or_else(PoisonError::into_inner);
        return told.recv_timeout(LOOK).ok();
    }
    // Short work is not made to wait for a look.
    let (start, mut pause) = (Instant::now(), Duration::from_micros(50));
    while start.elapsed() < LOOK && !finished() {
        std::thread::sleep(pause);
        pause = (2 * pause).min(Duration::from_millis(5));
    }
    None
}
