//! After its first steps, training allocates nothing of its own: a binary to itself, for it counts all
//! allocations of the process.

use std::alloc::System;
use std::ops::ControlFlow;

use gradlogp::kernel::{Mat, MatMut, matmul};
use gradlogp::model::PointSet;
use gradlogp::train::{Event, TrainConfig, Trainer};
use gradlogp::{Mlp, ModelKind, Objective};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const D: usize = 5;
const HIDDEN: usize = 32;
const BATCH: usize = 64;
const THREADS: usize = 2;

/// Allocations of each of the later steps of a run.
fn per_step(kind: ModelKind, given: usize) -> Vec<usize> {
    let x: Vec<f32> = (0..4 * BATCH * D).map(|i| (i as f32).sin()).collect();
    let mlp = Mlp { hidden: vec![HIDDEN, HIDDEN], given, ..Mlp::new(D, kind) };
    let config = TrainConfig {
        objective: Objective::Ssm { slices: 2 },
        batch: BATCH,
        steps: 40,
        evaluate_every: 1000,
        threads: THREADS,
        ..TrainConfig::default()
    };
    let rows =
        PointSet { x: x.clone(), contexts: vec![x[..4 * BATCH * given].to_vec(); given.min(1)] };
    let mut trainer = Trainer::new(mlp.build(0).unwrap(), rows.clone(), &rows, config).unwrap();
    let mut seen = Vec::with_capacity(64);
    trainer.run(&mut |_, event| {
        if let Event::Step(_) = event {
            seen.push(COUNTED.stats().allocations);
        }
        ControlFlow::Continue(())
    });
    // The last step evaluates, which may allocate.
    seen[10..39].windows(2).map(|w| w[1] - w[0]).collect()
}

/// Allocations inside the matrix-product crate (packing buffers) for the products of one step:
/// (stacked rows, in, out) of each affine node, on every shard.
fn inside_products(layers: &[(usize, usize, usize)]) -> usize {
    let buffer = vec![0.5f32; 64 * 1024];
    let mut out = buffer.clone();
    let mut run = |rows: usize, inner: usize, width: usize, weight: bool, x: bool| {
        let (x_mat, w) = (Mat::new(&buffer, rows, inner), Mat::new(&buffer, width, inner));
        let y = Mat::new(&buffer, rows, width);
        matmul(MatMut::new(&mut out, rows, width), x_mat, w.t(), false);
        if weight {
            matmul(MatMut::new(&mut out, width, inner), y.t(), x_mat, true);
        }
        if x {
            matmul(MatMut::new(&mut out, rows, inner), y, w, false);
        }
    };
    // Whatever the crate sets up once per thread is not counted.
    run(64, 8, 8, true, true);
    let before = COUNTED.stats().allocations;
    for (k, &(rows, inner, width)) in layers.iter().enumerate() {
        run(rows, inner, width, true, k > 0);
    }
    THREADS * (COUNTED.stats().allocations - before)
}

#[test]
fn a_step_allocates_nothing_of_its_own() {
    let rows = BATCH / THREADS;
    let score = [(3 * rows, D, HIDDEN), (3 * rows, HIDDEN, HIDDEN), (3 * rows, HIDDEN, D)];
    // The second order exists from the first activation on.
    let potential = [(3 * rows, D, HIDDEN), (4 * rows, HIDDEN, HIDDEN), (4 * rows, HIDDEN, 1)];
    for (kind, layers) in [(ModelKind::Score, score), (ModelKind::Potential, potential)] {
        for given in [0, 2] {
            let mut allowed = inside_products(&layers);
            if given > 0 {
                allowed += inside_products(&[(rows, given, HIDDEN)]);
            }
            let mut found = per_step(kind, given);
            found.sort_unstable();
            // The median: now and then the thread pool lengthens one of its queues.
            let median = found[found.len() / 2];
            assert!(median <= allowed, "{kind:?} {given}: {found:?}, products {allowed}");
        }
    }
}
