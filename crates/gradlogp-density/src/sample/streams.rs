//! Random numbers for many chains: from one generator, or for each chain from a stream of its own.
//!
//! With streams of their own, what one chain draws does not depend on which others there are.

use super::normals;
use ndarray::{Array1, Array2};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// Bits of a stream's name that hold the row.
const ROW_BITS: u32 = 40;

/// What a step of chains draws.
pub(super) trait Draws {
    /// chains x d numbers from N(0, 1).
    fn normals(&mut self, shape: (usize, usize)) -> Array2<f64>;

    /// A number in [0, 1) for each chain.
    fn uniforms(&mut self, chains: usize) -> Array1<f64>;
}

/// One generator for all.
pub(super) struct Common<'r, R: ?Sized>(pub(super) &'r mut R);

impl<R: Rng + ?Sized> Draws for Common<'_, R> {
    fn normals(&mut self, shape: (usize, usize)) -> Array2<f64> {
        normals(shape, self.0)
    }

    fn uniforms(&mut self, chains: usize) -> Array1<f64> {
        (0..chains).map(|_| self.0.random::<f64>()).collect()
    }
}

/// What one step of chains draws: from `rng` for all, or, where each chain is to have its own, from streams that
/// are named by a number from `rng` and by the chain.
pub(super) fn of_step<'r>(rng: &'r mut dyn Rng, each: bool, chains: usize) -> Box<dyn Draws + 'r> {
    match each {
        true => Box::new(Own::new(rng.random(), chains, 1)),
        false => Box::new(Common(rng)),
    }
}

/// A stream for each draw of each row, draw after draw.
#[derive(Clone)]
pub(super) struct Own {
    streams: Vec<ChaCha8Rng>,
}

impl Own {
    /// `draws` of `rows`: the chain of draw k of row i is k rows + i, and its stream is named by k and i.
    pub(super) fn new(seed: u64, rows: usize, draws: usize) -> Self {
        let first = ChaCha8Rng::seed_from_u64(seed);
        let stream = |draw: usize, row: usize| {
            let mut stream = first.clone();
            stream.set_stream(row as u64 | (draw as u64) << ROW_BITS);
            stream
        };
        let streams = (0..draws).flat_map(|draw| (0..rows).map(move |row| (draw, row)));
        Own { streams: streams.map(|(draw, row)| stream(draw, row)).collect() }
    }

    /// N(0, 1) for the `chosen` chains, one row each, in the columns for which `wanted` says so; 0 elsewhere.
    pub(super) fn some_normals(
        &mut self,
        chosen: &[usize],
        columns: usize,
        wanted: impl Fn(usize, usize) -> bool,
    ) -> Array2<f64> {
        let mut out = Array2::zeros((chosen.len(), columns));
        for (k, (chain, mut row)) in chosen.iter().zip(out.outer_iter_mut()).enumerate() {
            let stream = &mut self.streams[*chain];
            for (_, z) in row.iter_mut().enumerate().filter(|(j, _)| wanted(k, *j)) {
                *z = StandardNormal.sample(stream);
            }
        }
        out
    }
}

/// For all chains.
impl Draws for Own {
    fn normals(&mut self, (chains, columns): (usize, usize)) -> Array2<f64> {
        let all: Vec<usize> = (0..chains).collect();
        self.some_normals(&all, columns, |_, _| true)
    }

    fn uniforms(&mut self, chains: usize) -> Array1<f64> {
        self.streams[..chains].iter_mut().map(|stream| stream.random::<f64>()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a chain draws is the same with more rows and more draws beside it, and differs from theirs.
    #[test]
    fn a_chain_draws_the_same_in_any_company() {
        let (mut few, mut many) = (Own::new(7, 2, 1), Own::new(7, 5, 3));
        for _ in 0..3 {
            let (a, b) = (few.normals((2, 4)), many.normals((15, 4)));
            assert_eq!(a.row(1), b.row(1));
            let different = (0..15).filter(|i| *i != 1).all(|i| b.row(i) != b.row(1));
            assert!(different);
            assert_eq!(few.uniforms(2)[1], many.uniforms(15)[1]);
        }
        assert_ne!(Own::new(8, 2, 1).normals((2, 4)), Own::new(7, 2, 1).normals((2, 4)));
        let some = Own::new(7, 2, 1).some_normals(&[1], 3, |_, j| j != 1);
        assert!(some[[0, 0]] != 0.0 && some[[0, 1]] == 0.0 && some[[0, 2]] != 0.0);
    }
}
