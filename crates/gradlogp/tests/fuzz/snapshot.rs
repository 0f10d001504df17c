//! Snapshots of chains, the heart of sampling checkpoints: what can be read and taken up must take steps.

use gradlogp::reference::Gaussian;
use gradlogp::sample::{ChainConfig, Chains, Snapshot};
use ndarray::Array2;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use crate::harness::{Input, Target, fuzz};
use crate::mutate;

/// Most leapfrog steps of a move.
const LEAPFROG: usize = 2;

#[test]
fn changed_snapshots_are_refused_or_go_on() {
    let tally = fuzz(&Target {
        name: "snapshot",
        seeds: || {
            let at =
                |sampler, step| serde_json::to_vec(&(sampler, snapshot(sampler, step))).unwrap();
            [0, 1, 2].into_iter().flat_map(|s| [0, 25, 33, 40].map(|step| at(s, step))).collect()
        },
        change: |rng, bytes| match serde_json::from_slice::<Value>(bytes) {
            Ok(mut value) if rand::RngExt::random_range(rng, 0..20) > 0 => {
                mutate::json(rng, &mut value);
                *bytes = value.to_string().into_bytes();
            }
            _ => mutate::bytes(rng, bytes, &["\"step\":", "null", "[", "}", "1e999"]),
        },
        accepts,
        inputs: 5000,
    });
    assert!(tally.inputs < 100 || tally.accepted > tally.inputs / 50, "{tally:?} tests too little");
}

fn model() -> Gaussian {
    Gaussian::standard(2).unwrap()
}

fn snapshot(sampler: u8, step: usize) -> Snapshot {
    let model = model();
    let config =
        ChainConfig { chains: 3, warm_up: 30, steps: 10, thinning: 2, ..Default::default() };
    let start = Array2::zeros((3, 2));
    let mut chains = match sampler {
        0 => Chains::ula(&model, start.view(), &config),
        1 => Chains::mala(&model, start.view(), &config),
        _ => Chains::hmc(&model, start.view(), &config, LEAPFROG),
    }
    .unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for _ in 0..step {
        chains.advance(&mut rng).unwrap();
    }
    chains.snapshot()
}

fn accepts(input: &Input<'_>) -> bool {
    let Ok((sampler, snapshot)) = serde_json::from_slice::<(u8, Snapshot)>(input.bytes) else {
        return false;
    };
    if snapshot.check().is_err() || snapshot.config.chains > 1000 || snapshot.config.steps > 100_000
    {
        // The program limits chains and steps by the memory that their draws take.
        return false;
    }
    let model = model();
    let restored = match sampler {
        0 => Chains::restore_ula(&model, snapshot),
        1 => Chains::restore_mala(&model, snapshot),
        _ => Chains::restore_hmc(&model, snapshot, LEAPFROG),
    };
    let Ok(mut chains) = restored else { return false };
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for _ in 0..60 {
        if chains.is_done() || chains.advance(&mut rng).is_err() {
            break;
        }
    }
    chains.finish();
    true
}
