//! Random streams named by what they are for, so that any step can be reproduced on its own.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What a stream is for; different streams never overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum StreamId {
    /// Slices and noise of training steps.
    Train = 1,
    /// Slices and noise of held-out evaluation.
    Held = 2,
    /// Slices and noise of a measured variance.
    Variance = 3,
    /// Times and noise of the rows of training steps, for time models.
    Noise = 4,
    /// Times and noise of held-out rows, for time models.
    HeldNoise = 5,
    /// Slices and noise of measurements of the gradient's variance.
    GradientNoise = 6,
}

/// The generator for rows from `row` on, in step `step`.
pub fn stream(seed: u64, id: StreamId, step: u64, row: usize) -> ChaCha8Rng {
    let mut key = [0u8; 32];
    for (bytes, word) in key.chunks_mut(8).zip([seed, id as u64, step, row as u64]) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}
