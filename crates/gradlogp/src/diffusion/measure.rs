//! A [`Frame`] measured on rows that the process carries.

use rand::Rng;

use super::{Clock, Frame, Measured};
use crate::sde::simulate_from;
use crate::{Error, Result};

impl Frame {
    /// Times at which a frame is measured: half of them even in time, half in the logarithm of the noise.
    const TIMES: usize = 64;
    /// Most rows that are simulated for it.
    const ROWS: usize = 4096;

    /// Carries `rows` (n x d, flat, data at t = 0, of which the first few thousand are taken) through the process
    /// of `clock`, in steps no longer than those of t/`steps` that [`simulate`](crate::sde::simulate) takes to each
    /// t, and measures them on the way with `measure`, which is given time and rows; `start` is what it would
    /// find at 0.
    ///
    /// # Errors
    /// Rows that become non-finite; what `measure` refuses.
    pub fn along(
        clock: &Clock,
        rows: &[f64],
        start: Measured,
        steps: usize,
        rng: &mut impl Rng,
        mut measure: impl FnMut(f64, &[f64]) -> Result<Measured>,
    ) -> Result<Self> {
        let d = start.0.len().max(1);
        let mut x = rows[..rows.len().min(Self::ROWS * d)].to_vec();
        let (mut now, mut times) = (0.0, vec![0.0]);
        let (mut places, mut widths) = (vec![start.0], vec![start.1]);
        for to in Self::times(clock) {
            let share = (to - now) / to;
            let steps_there = (steps as f64 * share).ceil().max(1.0) as usize;
            let all = vec![to; x.len() / d];
            simulate_from(clock.sde(), rng, &mut x, now, &all, steps_there);
            if x.iter().any(|x| !x.is_finite()) {
                let message = format!(
                    "with {steps} steps rows diverge before t = {to:.3}; give more steps, or a drift that \
                     reverts"
                );
                return Err(Error::config("simulate", message));
            }
            let (place, width) = measure(to, &x)?;
            places.push(place);
            widths.push(width);
            times.push(to);
            now = to;
        }
        Frame::new(times, places, widths)
    }

    fn times(clock: &Clock) -> Vec<f64> {
        let (low, high) = (clock.t_min(), clock.horizon());
        let half = Self::TIMES / 2;
        let share = |k: usize| k as f64 / (half - 1) as f64;
        let even = (0..half).map(|k| low + share(k) * (high - low));
        let by_noise = (0..half).map(|k| clock.time_at(share(k)));
        let mut times: Vec<f64> = even.chain(by_noise).filter(|t| *t > 0.0).collect();
        times.sort_by(f64::total_cmp);
        times.dedup_by(|a, b| *a - *b < 1e-9 * high);
        times
    }
}
