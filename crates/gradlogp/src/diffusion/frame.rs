//! The units in which a network sees rows that a process carries in units of its own, MATH (48).
//!
//! A process stated in the columns' own units may take them anywhere and to any width. With m(t) and s(t) the
//! place and the width of each column of x_t,
//!
//! ```text
//! z = (x_t - m(t)) / s(t),   s(x, t) = s_z(z, t) / s(t),   (grad s)_jk = (grad s_z)_jk / (s_j(t) s_k(t))
//! ```
//!
//! and the network is s_z, trained on z: columns of width 1 at every time, whatever the process. The process itself
//! stays in its units, with a diffusion that all columns share.
//!
//! m and s are measured on simulated rows at some times, and linear in between.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Places and widths of the columns over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct Frame(Parts);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Parts {
    /// Rising.
    times: Vec<f64>,
    /// m at each of them.
    places: Vec<Vec<f64>>,
    /// s at each of them.
    widths: Vec<Vec<f64>>,
}

impl From<Frame> for Parts {
    fn from(frame: Frame) -> Parts {
        frame.0
    }
}

impl TryFrom<Parts> for Frame {
    type Error = String;

    fn try_from(parts: Parts) -> std::result::Result<Self, String> {
        let Parts { times, places, widths } = &parts;
        let d = places.first().map_or(0, Vec::len);
        if times.is_empty() || d == 0 || places.len() != times.len() || widths.len() != times.len()
        {
            return Err("a frame needs places and widths at every time".into());
        }
        let rising = times.windows(2).all(|pair| pair[0] < pair[1]);
        if !rising || !times.iter().all(|t| t.is_finite()) {
            return Err("the times of a frame must rise".into());
        }
        if places.iter().chain(widths).any(|of| of.len() != d) {
            return Err(format!("a frame of {d} columns has as many numbers at every time"));
        }
        let finite = places.iter().flatten().all(|m| m.is_finite());
        if !finite || !widths.iter().flatten().all(|s| *s > 0.0 && s.is_finite()) {
            return Err("places of a frame must be finite, and widths positive".into());
        }
        Ok(Frame(parts))
    }
}

/// Place and width of every column at one time.
pub type Measured = (Vec<f64>, Vec<f64>);

impl Frame {
    /// The frame of these places and widths.
    ///
    /// # Errors
    /// Times that do not rise, other lengths than theirs, numbers that are not finite or widths not positive.
    pub fn new(times: Vec<f64>, places: Vec<Vec<f64>>, widths: Vec<Vec<f64>>) -> Result<Self> {
        let parts = Parts { times, places, widths };
        Frame::try_from(parts).map_err(|message| Error::config("frame", message))
    }

    /// Number of columns.
    pub fn dim(&self) -> usize {
        self.0.places[0].len()
    }

    /// m(t) and s(t); beyond the ends those of the ends.
    pub fn at(&self, t: f64) -> Measured {
        let mut of = (vec![0.0; self.dim()], vec![0.0; self.dim()]);
        self.write(t, &mut of.0, &mut of.1);
        of
    }

    /// Writes m(t) and s(t).
    pub(super) fn write(&self, t: f64, place: &mut [f64], width: &mut [f64]) {
        let Parts { times, places, widths } = &self.0;
        let above = times.partition_point(|knot| *knot <= t).min(times.len() - 1);
        let below = above.saturating_sub(1);
        let span = times[above] - times[below];
        let share = if span > 0.0 { ((t - times[below]) / span).clamp(0.0, 1.0) } else { 0.0 };
        for k in 0..place.len() {
            let between = |of: &[Vec<f64>]| of[below][k] + share * (of[above][k] - of[below][k]);
            (place[k], width[k]) = (between(places), between(widths));
        }
    }

    /// Mean over the columns of s(t)^2.
    pub fn mean_square_width(&self, t: f64) -> f64 {
        let (_, widths) = self.at(t);
        widths.iter().map(|s| s * s).sum::<f64>() / widths.len() as f64
    }

    /// The least s(t) of a column.
    pub fn least_width(&self, t: f64) -> f64 {
        self.at(t).1.into_iter().fold(f64::INFINITY, f64::min)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::super::Clock;
    use super::*;
    use crate::sde::CustomSde;

    fn frame() -> Frame {
        let places = vec![vec![0.0, 10.0], vec![2.0, 10.0], vec![3.0, 8.0]];
        let widths = vec![vec![1.0, 5.0], vec![2.0, 5.0], vec![2.0, 1.0]];
        Frame::new(vec![0.0, 1.0, 3.0], places, widths).unwrap()
    }

    #[test]
    fn frames_are_linear_between_their_times() {
        let frame = frame();
        assert_eq!(frame.at(0.0), (vec![0.0, 10.0], vec![1.0, 5.0]));
        assert_eq!(frame.at(0.5), (vec![1.0, 10.0], vec![1.5, 5.0]));
        assert_eq!(frame.at(1.0), (vec![2.0, 10.0], vec![2.0, 5.0]));
        assert_eq!(frame.at(2.5), (vec![2.75, 8.5], vec![2.0, 2.0]));
        assert_eq!(frame.at(3.0), frame.at(9.0));
        assert_eq!((frame.mean_square_width(0.0), frame.least_width(0.0)), (13.0, 1.0));
        let json = serde_json::to_string(&frame).unwrap();
        assert_eq!(serde_json::from_str::<Frame>(&json).unwrap(), frame);
        let one = Frame::new(vec![0.0], vec![vec![1.0]], vec![vec![2.0]]).unwrap();
        assert_eq!(one.at(0.7), (vec![1.0], vec![2.0]));
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        let refused = |times: &[f64], place: f64, width: f64, columns: usize| {
            let widths = vec![vec![width; columns]; times.len()];
            Frame::new(times.to_vec(), vec![vec![place]; times.len()], widths).is_err()
        };
        assert!(!refused(&[0.0, 1.0], 0.0, 1.0, 1));
        assert!(refused(&[0.0, 0.0], 0.0, 1.0, 1) && refused(&[], 0.0, 1.0, 1));
        assert!(refused(&[0.0, 1.0], f64::NAN, 1.0, 1) && refused(&[0.0], 0.0, 0.0, 1));
        assert!(refused(&[0.0, 1.0], 0.0, 1.0, 2));
        assert!(
            serde_json::from_str::<Frame>(r#"{"times":[0],"places":[[1]],"widths":[[-1]]}"#)
                .is_err()
        );
    }

    /// dx = (20 - x) dt + 3 dW from 40 +- 0.1: the mean is 20 + 20 e^-t, the variance 4.5 (1 - e^-2t).
    #[test]
    fn frames_follow_the_moments_of_the_process() {
        let sde = CustomSde::new(|x, _, f| f[0] = 20.0 - x[0], |_| 3.0, 2.0, 0.02).unwrap();
        let clock = Clock::new(Arc::new(sde)).unwrap();
        let rows: Vec<f64> = (0..4000).map(|i| 40.0 + 0.1 * (i as f64).sin()).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let measure = |_: f64, x: &[f64]| {
            let mean = x.iter().sum::<f64>() / x.len() as f64;
            let square = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64;
            Ok((vec![mean], vec![square.sqrt()]))
        };
        let start = (vec![40.0], vec![0.1]);
        let frame = Frame::along(&clock, &rows, start, 100, &mut rng, measure).unwrap();
        for t in [0.02, 0.1, 0.5, 1.0, 2.0] {
            let (place, width) = frame.at(t);
            let (mean, sd) = (20.0 + 20.0 * (-t).exp(), (4.5 * (1.0 - (-2.0 * t).exp())).sqrt());
            // 4000 rows know the mean to sd/63, and the sd to sd/90; Euler's error is of the order of t/100.
            assert!((place[0] - mean).abs() < 0.08 * sd + 0.1, "{t}: {place:?}, not {mean}");
            assert!((width[0] / sd - 1.0).abs() < 0.05, "{t}: {width:?}, not {sd}");
        }
        let wild = CustomSde::new(|x, _, f| f[0] = x[0].powi(3), |_| 3.0, 9.0, 0.02).unwrap();
        let clock = Clock::new(Arc::new(wild)).unwrap();
        let start = (vec![40.0], vec![0.1]);
        let refused = Frame::along(&clock, &rows, start, 100, &mut rng, measure).unwrap_err();
        assert!(refused.to_string().contains("rows diverge"), "{refused}");
    }
}
