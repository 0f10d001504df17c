//! After its first steps, training allocates nothing: a binary to itself, for it counts all
//! allocations of the process.

use std::alloc::System;
use std::ops::ControlFlow;

use gradlogp::domain::{Bounds, Boxed, Domain};
use gradlogp::model::{Conditioning, PointSet};
use gradlogp::train::{Event, TrainConfig, Trainer};
use gradlogp::{Mlp, ModelKind, Objective};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const D: usize = 5;
/// Few enough that the exact loss of a potential takes its Laplacian as a whole.
const HIDDEN: usize = 8;
const BATCH: usize = 64;
const THREADS: usize = 2;

/// Allocations of each of the later steps of a run.
fn per_step(
    kind: ModelKind,
    (condition_dim, conditioning): (usize, Conditioning),
    objective: Objective,
    domain: Option<Domain>,
) -> Vec<usize> {
    let x: Vec<f32> = (0..4 * BATCH * D).map(|i| (i as f32).sin()).collect();
    let mlp =
        Mlp { hidden: vec![HIDDEN, HIDDEN], condition_dim, conditioning, ..Mlp::new(D, kind) };
    let config = TrainConfig {
        objective,
        domain,
        batch: BATCH,
        steps: 40,
        evaluate_every: 1000,
        threads: THREADS,
        ..TrainConfig::default()
    };
    let rows = PointSet {
        x: x.clone(),
        contexts: vec![x[..4 * BATCH * condition_dim].to_vec(); condition_dim.min(1)],
        base: Vec::new(),
    };
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

#[test]
fn a_step_allocates_nothing() {
    for kind in [ModelKind::Score, ModelKind::LogDensity] {
        let mut objectives = vec![
            Objective::Ssm { slices: 2 },
            Objective::SsmVr { slices: 1 },
            Objective::Exact,
            Objective::Dsm { sigma: 0.3 },
            Objective::FdSsm { slices: 2, eps: None },
            Objective::FdDsm { slices: 1, sigma: 0.3, eps: None },
        ];
        if kind == ModelKind::LogDensity {
            objectives.extend([Objective::Cp { slices: 2 }, Objective::ApproxBackprop]);
        }
        for condition_dim in
            [(0, Conditioning::Concat), (2, Conditioning::Concat), (2, Conditioning::Film)]
        {
            for &objective in &objectives {
                none(
                    per_step(kind, condition_dim, objective, None),
                    &format!("{kind:?} {condition_dim:?} {objective:?}"),
                );
            }
        }
        for &objective in &objectives[..3] {
            let columns = vec![Bounds::new(Some(-2.0), None, 1.0); D];
            let domain = Domain::Box(Boxed { columns, power: 1.0 });
            let found = per_step(kind, (0, Conditioning::Concat), objective, Some(domain));
            none(found, &format!("{kind:?} {objective:?} with bounds"));
        }
    }
}

/// The median: now and then the thread pool lengthens one of its queues.
fn none(mut found: Vec<usize>, what: &str) {
    found.sort_unstable();
    assert_eq!(found[found.len() / 2], 0, "{what}: {found:?}");
}
