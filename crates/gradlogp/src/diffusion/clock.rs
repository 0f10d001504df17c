//! The time features that a network reads.
//!
//! The position of t is the logarithm of noise over signal, log(std(t) / scale(t)), mapped linearly to
//! \[-1, 1\] over \[t_min, T\]: where noise is small, small differences of t matter most. Without a kernel the
//! noise is taken to be what diffusion alone has added, std(t)^2 = integral of g^2, and scale = 1.

use std::f64::consts::FRAC_PI_2;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Frame;
use crate::sde::{Kernel, Sde};
use crate::{Error, Result};
use gradlogp_numeric::Real;

/// Functions of the position u in \[-1, 1\] that the network reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TimeFeatures {
    /// u itself: the logarithm of the noise level.
    LogNoise,
    /// u, and sin and cos of k (u + 1) pi/2 for k = 1 ... `frequencies`.
    Fourier {
        /// Number of frequencies.
        frequencies: usize,
    },
}

impl TimeFeatures {
    /// Number of features.
    pub fn width(&self) -> usize {
        match self {
            TimeFeatures::LogNoise => 1,
            TimeFeatures::Fourier { frequencies } => {
                frequencies.saturating_mul(2).saturating_add(1)
            }
        }
    }

    fn write<T: Real>(&self, u: f64, out: &mut Vec<T>) {
        out.push(T::of(u));
        if let TimeFeatures::Fourier { frequencies } = self {
            for k in 1..=*frequencies {
                let angle = k as f64 * (u + 1.0) * FRAC_PI_2;
                out.push(T::of(angle.sin()));
                out.push(T::of(angle.cos()));
            }
        }
    }
}

/// Least noise of a process with a kernel, whose target of denoising is 1 over it.
const LEAST: f64 = 1e-10;

/// Steps of the table of integrals.
const TABLE: usize = 1024;

/// A process with its noise levels at every time.
#[derive(Clone)]
pub struct Clock {
    sde: Arc<dyn Sde>,
    /// Variance that the diffusion has added, at `TABLE` + 1 times; empty with a kernel.
    added: Vec<f64>,
    /// Log of noise over signal at t_min and T.
    ends: (f64, f64),
    /// The units of the network, where they are not those of the process.
    frame: Option<Arc<Frame>>,
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Clock over [{}, {}]", self.t_min(), self.horizon())
    }
}

impl Clock {
    /// The noise levels of `sde`.
    ///
    /// # Errors
    /// A diffusion that is not a finite number at some time, or no noise at t_min.
    pub fn new(sde: Arc<dyn Sde>) -> Result<Self> {
        let mut clock = Clock { added: Vec::new(), ends: (0.0, 1.0), frame: None, sde };
        let (t_min, horizon) = (clock.t_min(), clock.horizon());
        if clock.sde.kernel(horizon).is_none() {
            clock.added = added_variance(clock.sde.as_ref())?;
        }
        clock.ends = (clock.log_noise(t_min), clock.log_noise(horizon));
        if !(clock.ends.0.is_finite() && clock.ends.0 < clock.ends.1 && clock.ends.1.is_finite()) {
            return Err(clock.silent());
        }
        let least = clock.noise(t_min).std;
        if clock.has_kernel() && least < LEAST {
            // The noise that data carry from the start does not depend on the time.
            let option = if clock.sde.initial_std() > 0.0 { "sigma_min" } else { "t_min" };
            let message = format!(
                "is so small that the least noise is {least:.1e}, which single precision cannot distinguish \
                 from zero; {LEAST:e} is the least"
            );
            return Err(Error::config(option, message));
        }
        Ok(clock)
    }

    /// Why noise over signal does not grow from the least time to the last: which setting is to blame.
    fn silent(&self) -> Error {
        let (t_min, horizon) = (self.t_min(), self.horizon());
        let (low, high) = (self.noise(t_min).std, self.noise(horizon).std);
        let own = !self.has_kernel();
        if !low.is_finite() || !high.is_finite() {
            let option = if own && horizon < 1e50 { "diffusion" } else { "horizon" };
            let message = format!("is so large that the noise up to t = {horizon} is not finite");
            return Error::config(option, message);
        }
        if high == 0.0 {
            let any = (0..TABLE)
                .any(|k| self.sde.diffusion((k as f64 + 0.5) * horizon / TABLE as f64) != 0.0);
            let option = if any && horizon < 1e-50 { "horizon" } else { "diffusion" };
            let message = match any {
                true => {
                    "is so small that the noise it gives rise to is 0 in an f64; give a larger one"
                }
                false => "is 0 at every time, so that there is no noise; give a positive one",
            };
            return Error::config(option, message);
        }
        if low == 0.0 {
            let message = match t_min > 0.0 {
                true => format!("must be later: up to t = {t_min} there is no noise"),
                false => "must be above 0: there is no noise at t = 0, and the score of data without noise can \
                          grow without bound"
                    .to_string(),
            };
            return Error::config("t_min", message);
        }
        let message = format!(
            "adds no noise between t = {t_min} and {horizon}; give one that is not 0 there, or an earlier end"
        );
        Error::config(if own { "diffusion" } else { "horizon" }, message)
    }

    /// The same process, whose network works in the units of `frame`.
    pub fn in_frame(self, frame: Frame) -> Self {
        Clock { frame: Some(Arc::new(frame)), ..self }
    }

    /// The units in which the network works, where they are not those of the process.
    pub fn frame(&self) -> Option<&Frame> {
        self.frame.as_deref()
    }

    /// Noise beside signal as the network sees them: the kernel; in a frame the noise that diffusion has added,
    /// beside the width of the data.
    pub(super) fn relative_noise(&self, t: f64) -> Kernel {
        let noise = self.noise(t);
        match self.frame() {
            None => noise,
            Some(frame) => {
                Kernel { scale: 1.0, std: noise.std / frame.mean_square_width(0.0).sqrt() }
            }
        }
    }

    /// The process.
    pub fn sde(&self) -> &dyn Sde {
        self.sde.as_ref()
    }

    /// Whether the process has a kernel.
    pub fn has_kernel(&self) -> bool {
        self.added.is_empty()
    }

    /// The least time.
    pub fn t_min(&self) -> f64 {
        self.sde.t_min()
    }

    /// The last time.
    pub fn horizon(&self) -> f64 {
        self.sde.horizon()
    }

    /// The kernel, or without one N(x, integral of g^2): what diffusion alone does.
    pub fn noise(&self, t: f64) -> Kernel {
        if let Some(kernel) = self.sde.kernel(t) {
            return kernel;
        }
        let at = (t / self.horizon() * TABLE as f64).clamp(0.0, TABLE as f64);
        let k = (at as usize).min(TABLE - 1);
        let part = at - k as f64;
        let variance = self.added[k] + part * (self.added[k + 1] - self.added[k]);
        Kernel { scale: 1.0, std: variance.sqrt() }
    }

    fn log_noise(&self, t: f64) -> f64 {
        let Kernel { scale, std } = self.noise(t);
        std.ln() - scale.ln()
    }

    /// u(t) in \[-1, 1\].
    pub fn position(&self, t: f64) -> f64 {
        let (low, high) = self.ends;
        2.0 * (self.log_noise(t) - low) / (high - low) - 1.0
    }

    /// The time of the position 2 share - 1, for `share` in \[0, 1\]: the inverse of [`Clock::position`].
    pub fn time_at(&self, share: f64) -> f64 {
        let (mut low, mut high) = (self.t_min(), self.horizon());
        if share <= 0.0 || share >= 1.0 {
            return if share <= 0.0 { low } else { high };
        }
        // Noise grows with time, so halving finds it; 60 halvings exhaust an f64.
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            if self.position(middle) < 2.0 * share - 1.0 {
                low = middle;
            } else {
                high = middle;
            }
        }
        0.5 * (low + high)
    }

    /// Appends the features of t.
    pub fn write_features<T: Real>(&self, features: TimeFeatures, t: f64, out: &mut Vec<T>) {
        features.write(self.position(t), out);
    }
}

/// The initial variance plus the integral of g^2 by the midpoint rule.
fn added_variance(sde: &dyn Sde) -> Result<Vec<f64>> {
    let h = sde.horizon() / TABLE as f64;
    let mut added = vec![sde.initial_std().powi(2)];
    for k in 0..TABLE {
        let t = (k as f64 + 0.5) * h;
        let g = sde.diffusion(t);
        if !g.is_finite() {
            return Err(Error::config("diffusion", format!("is {g} at t = {t}")));
        }
        added.push(added[k] + g * g * h);
    }
    Ok(added)
}
